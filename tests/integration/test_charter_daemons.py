"""A charter's whole life through real daemons and the real command line, as two institutions live it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.charter import files
from tests.labs import Lab, eventually
from tests.region import Region, agree, meet, region


@pytest.fixture
def here() -> Iterator[Region]:
    with region() as made:
        yield made


def state(lab: Lab, digest: str) -> str:
    [view] = lab.ask("charter", "status", digest)["charters"]
    return str(view["state"])


def stands(lab: Lab, digest: str) -> None:
    eventually(lambda: state(lab, digest) == "in_force", f"{lab.hostname} stands under it")


def write(lab: Lab, other: Lab, name: str, *options: str) -> Path:
    """A vendor's model on trial, five times, from the template; both sign what they send."""
    path = lab.folder / name
    lab.ask(
        *("charter", "new", "--template", "vendor-evaluation", "--out", str(path)),
        *("--party", f"{other.hostname}={other.fingerprint}", "--party", f"{lab.hostname}={lab.fingerprint}"),
        *("--title", "Trial of model X", "--purpose", "external validation", "--reference", "IRB #2026-0142"),
        *("--from", "2026-01-01", "--until", "2036-01-01", "--accept-by", "2035-01-01", *options),
    )
    return path


def test_a_charter_from_proposal_to_attestation(here: Region) -> None:
    a, b = here.lab("lab-a"), here.lab("lab-b")
    agree(a, b)
    path = write(a, b, "trial.yaml")
    proposed = a.ask("charter", "propose", str(path))
    digest = proposed["digest"]
    assert (proposed["told"], proposed["version"]) == (["lab-b"], 1)
    eventually(lambda: bool(b.ask("charter", "status")["charters"]), "the charter has arrived")
    assert state(b, digest) == "proposed"

    refusal = b.refused("charter", "sign", digest)
    assert refusal.told == ("invalid_input", 2)  # nobody can be asked
    assert b.refused("charter", "sign", digest, "--yes").code == "invalid_input"
    wrong = "sha256:" + "0" * 64
    assert b.refused("charter", "sign", digest, "--yes", "--digest", wrong).code == "request_changed"
    for lab in (b, a):
        signed = lab.ask("charter", "sign", digest[:20], "--yes", "--digest", digest, "--as", "Dr. Osei, DPO")
        assert signed["digest"] == digest
    stands(a, digest)
    stands(b, digest)

    model = a.folder / "model.safetensors"
    for number in range(5):
        model.write_bytes(files.safetensors(number))
        assert a.ask("send-file", "lab-b", str(model))["receipt"]
    clause = "permissions.try-model.limits.trials"
    assert clause in a.refused("send-file", "lab-b", str(model)).message
    pickled = a.folder / "model.pt"
    pickled.write_bytes(files.pickled())
    assert "artifacts.formats" in a.refused("send-file", "lab-b", str(pickled)).message
    [use] = [
        one for one in b.ask("charter", "status", digest)["charters"][0]["uses"] if one["clause"] == clause
    ]
    assert (use["used"], use["most"]) == (5, 5)
    told = b.ask(
        "charter", "explain", "lab-a", "receive", "--format", "safetensors", "--signer", a.fingerprint
    )
    assert (told["allowed"], [reason["clause"] for reason in told["reasons"]]) == (False, [clause])

    exported = a.folder / "next.yaml"
    a.ask("charter", "export", digest, "--out", str(exported))
    text = exported.read_text(encoding="utf-8")
    exported.write_text(text.replace("most: 5\n", "most: 6\n"), encoding="utf-8")
    second = a.ask("charter", "amend", str(exported))["digest"]
    changes = a.ask("charter", "diff", str(path), str(exported))["changes"]
    assert [change["clause"] for change in changes] == ["permissions.try-model.limits.trials.most"]
    eventually(lambda: len(b.ask("charter", "status")["charters"]) == 2, "the amendment has arrived")
    for lab in (a, b):
        lab.ask("charter", "sign", second, "--yes", "--digest", second)
    stands(a, second)
    stands(b, second)
    assert a.ask("send-file", "lab-b", str(model))["receipt"]  # the sixth
    assert clause in a.refused("send-file", "lab-b", str(model)).message

    ended = a.ask("charter", "end", second, "The trial is over")
    assert (ended["told"], len(ended["exchanged"]), len(ended["owed"])) == (["lab-b"], 6, 5)
    eventually(lambda: state(b, second) == "ended", "lab B has heard of it")
    assert "the charter has ended: The trial is over" in b.refused("send-file", "lab-a", str(model)).message
    stated = b.ask(
        *(
            "charter",
            "attest",
            second,
            "deleted",
            "--method",
            "purge",
            "--backups",
            "none",
            "--as",
            "Dr. Osei",
        )
    )
    assert (len(stated["attested"]), stated["owed"]) == (5, [])
    eventually(
        lambda: all(one["disposition"] == "deleted" for one in owed(a, second)), "lab A has the statement"
    )
    assert [len(lab.ask("audit", "log", "--kind", "charter.attested")["entries"]) for lab in (a, b)] == [1, 1]
    assert a.ask("audit", "verify")["valid"]


def owed(lab: Lab, digest: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.ask("charter", "status", digest)["charters"][0]["owed"]
    return found


def test_what_was_counted_survives_a_kill(here: Region) -> None:
    a, b = here.lab("lab-a"), here.lab("lab-b")
    agree(a, b)
    digest = a.ask("charter", "propose", str(write(a, b, "trial.yaml")))["digest"]
    eventually(lambda: bool(b.ask("charter", "status")["charters"]), "the charter has arrived")
    for lab in (a, b):
        lab.ask("charter", "sign", digest, "--yes", "--digest", digest)
    stands(a, digest)
    stands(b, digest)
    model = a.folder / "model.safetensors"
    for number in range(5):
        model.write_bytes(files.safetensors(number))
        a.ask("send-file", "lab-b", str(model))
    for lab in (a, b):
        lab.kill()
        lab.up()
    meet(a, b)
    refusal = a.refused("send-file", "lab-b", str(model))
    assert "permissions.try-model.limits.trials" in refusal.message
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in b.received()}
    assert len(digests) == 5


def test_a_person_reads_what_is_signed(here: Region) -> None:
    a, b = here.lab("lab-a"), here.lab("lab-b")
    agree(a, b)
    digest = a.ask("charter", "propose", str(write(a, b, "trial.yaml")))["digest"]
    lines = a.read("charter", "show", digest)
    assert lines[0] == "Trial of model X, version 1"
    assert lines[-1] == f"Digest: {digest}"
    shown = a.read("charter", "status")
    assert shown[0] == "Trial of model X, version 1: proposed, not signed here"
    assert f"  Next: comity charter sign {digest[7:19]}" in shown
