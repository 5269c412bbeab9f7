"""A systemd unit for a node, so that it runs after a reboot and is started again when it fails.

By default it is a unit of the user: nobody needs root, and ``loginctl enable-linger`` keeps it up while the
user is not logged in. It is hardened as far as a daemon that reads its user's files can be. It knows the
files and the command of systemd, and no other supervisor.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

from comity import limits
from comity.control.unattended import ServiceRequest, ServiceResult
from comity.errors import FileUnusable, InvalidInput
from comity.sdk.home import card, locate
from comity.storage import settings
from comity.storage.home import Home
from comity.storage.settings import Said

_SYSTEM = Path("/etc/systemd/system")


def install(request: ServiceRequest, home: Path | None = None) -> ServiceResult:
    """Write the unit of this home's node, and enable and start it. Once more is an update.

    NotInitialised, HomeUnsafe, InvalidInput, FileUnusable where the unit can't be written.
    """
    place = locate(home)
    place.check()
    if request.listen is not None:
        settings.parsed(Said(request.listen, "flag", "--listen"), settings.listen)
    text = unit(request, place)
    path = _folder(request.system) / name(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise FileUnusable(
            f"{path} cannot be written: {(error.strerror or 'unknown error').lower()}",
            hint=f"let root write it: comity service show --system | sudo tee {path}",
        ) from error
    started, problem = False, "it was not asked to start it"
    if request.start:
        problem = _systemctl(request.system, "daemon-reload") or _systemctl(
            request.system, "enable", "--now", path.name
        )
        started = not problem
    return ServiceResult(path.name, str(path), text, started, problem)


def show(request: ServiceRequest, home: Path | None = None) -> ServiceResult:
    """The unit as ``install`` would write it, for whoever has the right to. Errors as there."""
    place = locate(home)
    place.check()
    path = _folder(request.system) / name(place)
    return ServiceResult(path.name, str(path), unit(request, place), False, "it was only shown")


def uninstall(system: bool, home: Path | None = None) -> ServiceResult:
    """Stop the node's unit and remove it. InvalidInput where there is none."""
    place = locate(home)
    place.check()
    path = _folder(system) / name(place)
    if not path.exists():
        raise InvalidInput(f"there is no unit {path}", hint="run comity service install first")
    text = path.read_text(encoding="utf-8")
    problem = _systemctl(system, "disable", "--now", path.name)
    path.unlink()
    _systemctl(system, "daemon-reload")
    return ServiceResult(path.name, str(path), text, False, problem)


def name(place: Home) -> str:
    """The unit's name: ``comity.service``, or told apart by its home where that isn't the usual one."""
    if place.path == Path(os.path.realpath(Path.home() / ".comity")):
        return "comity.service"
    return f"comity-{hashlib.sha256(os.fsencode(place.path)).hexdigest()[:8]}.service"


def unit(request: ServiceRequest, place: Home) -> str:
    """The unit's text."""
    known = card(place.path)
    command = [sys.executable, "-P", "-X", "utf8", "-m", "comity", "up", "--foreground"]
    if request.listen is not None:
        command += ["--listen", request.listen]
    if request.passphrase_file is not None:
        command += ["--passphrase-file", os.path.abspath(request.passphrase_file)]
    return f"""# Written by comity service install.
[Unit]
Description=Comity node {_plain(known.hostname)}
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
{_user() if request.system else ""}\
Environment={_quoted(f"COMITY_HOME={place.path}")}
ExecStart={" ".join(_quoted(word) for word in command)}
Restart=on-failure
RestartSec=5
TimeoutStopSec={int(limits.STOP_SECONDS)}
UMask=0077
NoNewPrivileges=yes
LimitCORE=0
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy={"multi-user.target" if request.system else "default.target"}
"""


def _user() -> str:
    return f"User={pwd.getpwuid(os.geteuid()).pw_name}\n"


def _folder(system: bool) -> Path:
    if system:
        return _SYSTEM
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def _systemctl(system: bool, *arguments: str) -> str:
    """Why it failed; empty where it did not."""
    command = ["systemctl", *([] if system else ["--user"]), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limits.START_SECONDS, check=False
        )
    except FileNotFoundError:
        return "this machine has no systemctl"
    except subprocess.TimeoutExpired:
        return "systemctl did not answer"
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return said[-1] if said else f"systemctl ended with {done.returncode}"


def _quoted(word: str) -> str:
    """As systemd.syntax(7) and systemd.service(5) want it: quotes, and no specifiers or variables."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    if any(character in word for character in "\r\n\0"):
        raise InvalidInput("a path with a line break cannot stand in a unit", hint="move the home folder")
    return f'"{text}"'


def _plain(text: str) -> str:
    return text.replace("%", "%%")
