"""The home folder of one node: where everything lies, and whether it is as private as it must be.

``COMITY_HOME``, by default ``~/.comity``: keys, configuration, database, lease, received files and logs.
Sockets and pid are elsewhere (``storage.runtime``); what each file holds is known to its own module.
DESIGN.md, "Where state lives".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from comity import limits
from comity.errors import InvalidInput, NotInitialised
from comity.storage.config import Config, parse_config
from comity.storage.configedit import edit_config
from comity.storage.failures import FilesReported
from comity.storage.private import (
    check_private_file,
    check_private_folder,
    make_private_folder,
    read_private,
    write_private,
)

VARIABLE = "COMITY_HOME"


@dataclass(frozen=True)
class Home:
    """A home at ``path``: absent, or a folder and not a link to one (``from_environment`` follows links)."""

    path: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Home:
        """The home that ``environ`` names, resolved; InvalidInput where it can't be told."""
        named = environ.get(VARIABLE, "")
        try:
            path = Path(named or "~/.comity").expanduser()
        except RuntimeError as error:
            raise InvalidInput("your home folder is unknown", hint=f"set {VARIABLE} to a folder") from error
        return cls(Path(os.path.realpath(path)))

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def identity_key(self) -> Path:
        return self.path / "identity.key"

    @property
    def next_key(self) -> Path:
        """The new key of a rotation that is under way."""
        return self.path / "identity.key.next"

    @property
    def fingerprint(self) -> Path:
        """The key's fingerprint, so that a card can be printed while the key is locked by a passphrase."""
        return self.path / "fingerprint"

    @property
    def retirement(self) -> Path:
        """The key's revocation certificate."""
        return self.path / "retirement.json"

    @property
    def rotation(self) -> Path:
        """The word of the key before this one, where there was one."""
        return self.path / "rotation.json"

    def rotation_in(self, network: str) -> Path:
        """The same, as it counts in another network than the first."""
        return self.path / f"rotation-{network}.json"

    @property
    def rotations(self) -> Sequence[Path]:
        """Those that there are."""
        return sorted(self.path.glob("rotation*.json"))

    @property
    def lineage(self) -> Path:
        """The keys that the first rendezvous has had, by which its key of now was found."""
        return self.path / "rendezvous.json"

    def lineage_of(self, first_key: str) -> Path:
        """The same of another rendezvous, by the fingerprint of its first key."""
        return self.path / f"rendezvous-{first_key[:32]}.json"

    def former(self, fingerprint: str) -> Path:
        """The folder of what an earlier key of this node has left."""
        return self.path / "former" / fingerprint[:16]

    @property
    def log_key(self) -> Path:
        return self.path / "log.key"

    @property
    def log_certificate(self) -> Path:
        """The LogKey statement by which the identity certifies the log key."""
        return self.path / "log.key.json"

    @property
    def database(self) -> Path:
        return self.path / "node.db"

    @property
    def lease(self) -> Path:
        return self.path / "lease.json"

    @property
    def lock(self) -> Path:
        return self.path / "lease.lock"

    @property
    def received(self) -> Path:
        return self.path / "received"

    @property
    def incoming(self) -> Path:
        return self.path / "incoming"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def log_file(self) -> Path:
        return self.logs / "comity.log"

    @property
    def initialised(self) -> bool:
        """Whether a node was set up here: both identity and configuration are there."""
        with FilesReported(self.path):
            return self.identity_key.exists() and self.config.exists()

    def create(self) -> None:
        """Make the folders that are missing, each 0700; HomeUnsafe where one that is there is not private."""
        for folder in (self.path, self.received, self.incoming, self.logs):
            make_private_folder(folder)

    def check(self) -> None:
        """NotInitialised where no node was set up here, HomeUnsafe where others could read or change it."""
        if not self.initialised:
            raise NotInitialised(f"no node is set up in {self.path}")
        for folder in (self.path, self.received, self.incoming, self.logs):
            if folder.exists():
                check_private_folder(folder)
        for file in (self.config, self.identity_key, self.log_key, self.database):
            if file.exists():
                check_private_file(file)

    def read_config(self) -> Config:
        """NotInitialised where there is none; InvalidInput, HomeUnsafe, StorageUnusable."""
        if not self.config.exists():
            raise NotInitialised(f"no node is set up in {self.path}")
        return parse_config(read_private(self.config, limits.CONFIG_BYTES))

    def write_config(self, config: Config) -> None:
        """Replace the file whole, mode 0600, with a person's comments in it; DiskFull, StorageUnusable."""
        there = read_private(self.config, limits.CONFIG_BYTES) if self.config.exists() else b""
        data = edit_config(there, config)
        parse_config(data)  # never write what we would refuse to read
        write_private(self.config, data, replace=True)
