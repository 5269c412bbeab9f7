r"""Average two hospitals' models, each by the number of its patients (federated averaging).

    python aggregate.py --local /models/local-round-1.pt --remote ~/pilot-received/local-round-1.pt \
        --output /models/global-round-1.pt

The partner's file is waited for: the event that announces it may come before it, or be that of an earlier
round, where one side was started again. ``~`` may be left to this program, as no shell resolves it in a
subprocess's arguments.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file

_LOOK_EVERY = 0.2


def main() -> int:
    """Read both, write the average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--local", type=Path, required=True)
    parser.add_argument("--remote", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--wait", type=float, default=600.0, help="seconds for --remote to be there")
    found = parser.parse_args()
    remote = found.remote.expanduser()
    if not _there(remote, found.wait):
        print(f"{remote} did not come within {found.wait:g} seconds", file=sys.stderr)
        return 1
    total, average = 0, {}
    for path in (found.local, remote):
        with safe_open(path, framework="np") as model:
            patients = int(model.metadata()["patients"])
            for name in model.keys():  # noqa: SIM118  it is no dictionary
                average[name] = average.get(name, 0) + patients * model.get_tensor(name)
            total += patients
    save_file(
        {name: tensor / total for name, tensor in average.items()}, found.output, {"patients": str(total)}
    )
    print(f"Aggregation complete. Global model: {found.output}")
    return 0


def _there(path: Path, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_EVERY)
    return True


if __name__ == "__main__":
    sys.exit(main())
