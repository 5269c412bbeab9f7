"""Room for as many open files as a program of this bench needs: each connection takes one at both ends."""

from __future__ import annotations

import resource


def raise_files(wanted: int) -> None:
    """Raise this process's limit of open files to ``wanted``; SystemExit where that isn't allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError):
        raise SystemExit(
            f"{wanted} open files are needed and {hard} allowed: ulimit -n {wanted}, as root"
        ) from None
