"""What the demo's small programs have in common: they read files, write files, and print one line of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from comity.errors import ComityError


def run(work: Callable[[], dict[str, object]]) -> None:
    """Print what ``work`` returns, or its error as the command line does, and exit with its status."""
    try:
        answer = work()
    except ComityError as error:
        failure = {"code": error.code, "message": error.message, "hint": error.hint}
        sys.stderr.write(json.dumps({"error": failure}, ensure_ascii=False) + "\n")
        raise SystemExit(error.exit_status) from error
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
