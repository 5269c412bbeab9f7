"""One subscriber of ``bench/events.py``: reads so many events through the Python API, and times it.

It prints ``listening``, and at the end one JSON line. A number that is missing or out of order ends it.
"""

from __future__ import annotations

import json
import sys
import time

from comity.sdk.connection import connect


def main() -> None:
    home, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with connect(home) as node:
        with node.subscribe(topic, consumer="bench", timeout=300) as events:
            print("listening", flush=True)
            for number in range(count):
                event = next(events)
                if int(event.data[:8]) != number:
                    raise SystemExit(f"{event.data[:8]} came, and {number} was to come")
            read = time.time()
        noted = time.time()  # the block is left once the broker has the acknowledgement on disk
    print(json.dumps({"read": read, "noted": noted}))


if __name__ == "__main__":
    main()
