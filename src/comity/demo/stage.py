"""Where the demo plays: one folder, a rendezvous, two hospitals, a place for evaluation and an auditor.

    DIR/rendezvous/            its state and log
    DIR/st-mary/               one hospital: its patients, its models, its node's home
    DIR/cote-bleue/            the other
    DIR/evaluation/            the patients that nobody trains on
    DIR/auditor/               the agreement, and no home: verification is offline

``Stage`` is a context: leaving it ends every process that was started in it, by its id, and deletes the
folder unless it is to be kept. It tells no story.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from comity.control import StatusResult
from comity.demo.console import Console, environment
from comity.demo.failure import DemoFailed
from comity.demo.narrator import Narrator
from comity.demo.processes import RendezvousProcess, await_daemon, end_daemon, undisturbed
from comity.errors import InvalidInput


@dataclass(frozen=True)
class Hospital:
    """An institution of the demo. ``listens``: whether its node takes connections from peers, for the
    direct path.
    """

    hostname: str
    organization: str
    contact: str
    folder: str
    listens: bool


ST_MARY = Hospital(
    hostname="st-mary-trainer",
    organization="St Mary’s Hospital, breast screening clinic",
    contact="privacy@st-mary.example",
    folder="st-mary",
    listens=False,
)
COTE_BLEUE = Hospital(
    hostname="côte-bleue-trainer",
    organization="Hôpital de la Côte Bleue, oncology referrals",
    contact="dpo@cote-bleue.example",
    folder="cote-bleue",
    listens=True,
)


class Stage:
    """``keep``: an absent or empty folder to play in and to leave behind; without it a temporary one."""

    def __init__(self, narrator: Narrator, keep: Path | None) -> None:
        self._narrator = narrator
        self.kept = keep is not None
        self.folder = Path(tempfile.mkdtemp(prefix="comity-demo-")) if keep is None else _make(keep)
        # Sockets and ids of daemons: never in the folder that is kept, which may be deep or on a network
        # disk.
        self._runtime = Path(tempfile.mkdtemp(prefix="comity-run-"))
        self._environment = environment(self._runtime)
        self._rendezvous: RendezvousProcess | None = None
        self._starting: Console | None = None
        self._daemons: set[int] = set()

    def rendezvous(self) -> RendezvousProcess:
        """Start the rendezvous."""
        self._rendezvous = RendezvousProcess(self.folder / "rendezvous", self._environment)
        return self._rendezvous

    def console(self, who: str, folder: str) -> Console:
        """A terminal in a folder of its own, without a node."""
        return Console(who, self.folder / folder, self._narrator, self._environment)

    def up(self, console: Console, listen: bool) -> StatusResult:
        """Start the node of a terminal's home; it ends with the stage."""
        self._starting = console
        arguments = ("--listen", "127.0.0.1:0") if listen else ()
        status = console.comity(StatusResult, "up", *arguments)
        if status.pid is None:
            raise DemoFailed.of("comity up", "it did not say which process it started", console.printed)
        self._daemons.add(status.pid)
        self._starting = None
        return status

    def end(self) -> None:
        """End every process that is still there."""
        if self._starting is not None and (pid := await_daemon(self._starting.home)) is not None:
            self._daemons.add(pid)
        for pid in self._daemons:
            end_daemon(pid)
        self._daemons.clear()
        if self._rendezvous is not None:
            self._rendezvous.end()

    @property
    def daemons(self) -> frozenset[int]:
        """The ids of the nodes that were started."""
        return frozenset(self._daemons)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = isinstance(error, Exception) and not isinstance(error, BrokenPipeError)
        self.kept = self.kept or failed
        with undisturbed():
            try:
                self.end()
            finally:
                shutil.rmtree(self._runtime, ignore_errors=True)
                if not self.kept:
                    shutil.rmtree(self.folder, ignore_errors=True)


def _make(folder: Path) -> Path:
    """An absolute path to a new private folder, or to an empty one that was there."""
    path = folder.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise InvalidInput(f"{path} is not empty", hint="name a new folder: comity demo --keep DIR")
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be used: {error.strerror}", hint="name another --keep DIR"
        ) from error
    return path
