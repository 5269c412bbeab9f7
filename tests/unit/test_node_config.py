"""What a daemon is told: flag before environment before file, each problem named with its origin."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from comity import limits
from comity.errors import InvalidInput, InvalidJoinUrl
from comity.node.config import Flags, parse_flags, read_passphrase, settle
from comity.storage.config import Config

JOIN = "comity://rendezvous.example:9000#" + "ab" * 32
FILE = Config(
    hostname="lab-a", join=JOIN, listen="0.0.0.0:7443", tags=("lung",), private_networks=("10.20.0.0/16",)
)


def test_the_file_holds_where_nothing_else_is_said() -> None:
    settings = settle(Flags(), {}, FILE)
    assert (settings.hostname, settings.listen, settings.tags) == ("lab-a", "0.0.0.0:7443", ("lung",))
    assert settings.private_networks == (ipaddress.ip_network("10.20.0.0/16"),)
    assert (settings.public, settings.log_format, settings.passphrase_file) == (False, "text", None)
    assert settings.join.authority == "rendezvous.example:9000"


def test_flag_before_environment_before_file() -> None:
    environ = {
        "COMITY_LISTEN": "127.0.0.1:1",
        "COMITY_TAGS": "a, b",
        "COMITY_PUBLIC": "yes",
        "COMITY_PRIVATE_NETWORKS": "",
        "COMITY_LOG_FORMAT": "json",
        "COMITY_PASSPHRASE_FILE": "/run/secret",
        "COMITY_HOSTNAME": "charité-trainer",
    }
    settings = settle(Flags(), environ, FILE)
    assert (settings.listen, settings.tags, settings.public) == ("127.0.0.1:1", ("a", "b"), True)
    assert (settings.private_networks, settings.log_format) == ((), "json")
    assert (settings.passphrase_file, settings.hostname) == (Path("/run/secret"), "charité-trainer")
    flags = Flags(listen="", passphrase_file="other", log_format="text", foreground=True)
    settings = settle(flags, environ, FILE)
    assert (settings.listen, settings.passphrase_file, settings.log_format) == ("", Path("other"), "text")
    assert settings.foreground


@pytest.mark.parametrize(
    ("flags", "environ", "origin"),
    [
        (Flags(listen="nowhere"), {}, "--listen"),
        (Flags(), {"COMITY_LISTEN": "nowhere"}, "COMITY_LISTEN"),
        (Flags(), {"COMITY_PUBLIC": "perhaps"}, "COMITY_PUBLIC"),
        (Flags(), {"COMITY_TAGS": "UPPER"}, "COMITY_TAGS"),
        (Flags(), {"COMITY_TAGS": "x " * 17}, "COMITY_TAGS"),
        (Flags(), {"COMITY_PRIVATE_NETWORKS": "10.0.0.1/8"}, "COMITY_PRIVATE_NETWORKS"),
        (Flags(), {"COMITY_HOSTNAME": "a b"}, "COMITY_HOSTNAME"),
        (Flags(log_format="xml"), {}, "--log-format"),
    ],
)
def test_a_problem_names_its_origin(flags: Flags, environ: dict[str, str], origin: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{origin}: "):
        settle(flags, environ, FILE)


def test_a_wrong_join_url_in_the_file_keeps_its_class() -> None:
    with pytest.raises(InvalidJoinUrl, match=r"^join in config\.toml: "):
        settle(Flags(), {}, Config(hostname="lab-a", join="http://example"))


def test_flags() -> None:
    flags = parse_flags(["--listen", "[::1]:0", "--foreground", "--ready-fd", "7", "--log-format", "json"])
    assert flags == Flags(listen="[::1]:0", foreground=True, ready_fd=7, log_format="json")
    with pytest.raises(SystemExit):
        parse_flags(["--unknown"])


def test_passphrase_files(tmp_path: Path) -> None:
    assert read_passphrase(None) is None
    file = tmp_path / "passphrase"
    file.write_text("corréct horse \r\n", encoding="utf-8")
    assert read_passphrase(file) == "corréct horse "
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_passphrase(file)
    file.write_bytes(b"x" * (limits.PASSPHRASE_BYTES + 1))
    with pytest.raises(InvalidInput, match="longer"):
        read_passphrase(file)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_passphrase(tmp_path / "absent")
