"""Record what head writes, as a new state beside those that there are: ``python -m tests.wire.record``.

Only what has no vector yet is written, and nothing is written over: see tests/wire/vectors.py. Where a sample
changes, give it another name; the old vector stays and has to be read.
"""

from __future__ import annotations

import asyncio
import sys

from tests.wire import databases, talks
from tests.wire.formats import FORMATS, meaning
from tests.wire.vectors import DIGESTS, FOLDER, digests, recorded, states, write


def main() -> int:
    """Write a new state; 0."""
    FOLDER.mkdir(exist_ok=True)
    known = {(vector.format, vector.name) for vector in recorded()}
    state = FOLDER / str(max(states(), default=0) + 1)
    new = {
        name: [
            (sample, data, meaning(format_.read(data)))
            for sample, data in format_.samples().items()
            if (name, sample) not in known
        ]
        for name, format_ in FORMATS.items()
    }
    for name, vectors in new.items():
        if vectors:
            write(state / f"{name}.json", vectors)
    for name in talks.TALKS:
        if not any((FOLDER / str(number) / "talks" / f"{name}.json").exists() for number in states()):
            talks.write(state / "talks" / f"{name}.json", asyncio.run(talks.record(name)))
    for name in databases.DATABASES:
        if not any((FOLDER / str(number) / "databases" / f"{name}.sql").exists() for number in states()):
            (state / "databases").mkdir(parents=True, exist_ok=True)
            (state / "databases" / f"{name}.sql").write_text(databases.record(name), encoding="utf-8")
    lines = [f"{digest}  {path}\n" for path, digest in digests().items()]
    DIGESTS.write_text("".join(lines), encoding="ascii")
    sys.stdout.write(f"{state} now holds what head writes\n" if state.exists() else "nothing is new\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
