"""What a rendezvous could tell whoever takes it over: its traffic, its files, its log, its memory.

Everything between two labs goes through it here, relay included: a handshake whose every word can be
recognised, and an artifact that betrays itself in any 39 bytes of it. Then everything that the server had is
searched, in the encodings in which text usually hides. The same search has to find what the server may know.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.labs import Lab
from tests.region import Region, agree, gone, region

JUSTIFICATION = "Früherkennung des Quokkakarzinoms, IRB #2026-0142-ZX81"
REQUESTED_BY = "Prof. Dr. Wilhelmina Grottkamp"
ORGANIZATIONS = "Universitätsklinikum Hinterwaldhausen", "Obernburg Institute of Marsupial Oncology"
CONTACTS = "irb@hinterwaldhausen.example", "datenschutz@obernburg.example"
FILE_NAME = "quokka-weights-round-3.safetensors"
HOSTNAMES = "hinterwaldhausen-trainer", "obernburg-trainer"

MARK = os.urandom(8)
BLOCK = 32
ARTIFACT = b"".join(MARK + os.urandom(BLOCK - len(MARK)) for _ in range(20_000_000 // BLOCK))
DIGEST = hashlib.sha256(ARTIFACT).digest()

_PIECE = 8 * 1024 * 1024


def forms(secret: bytes) -> Iterator[bytes]:
    """The bytes themselves, and how they look in hexadecimal and, wherever they begin, in base64."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for before in range(3):  # only the letters that depend on the secret alone
        encoded = base64.b64encode(bytes(before) + secret)
        yield encoded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]


def spellings(text: str) -> Iterator[bytes]:
    """A text in the encodings of files, of JSON, and of Python's memory."""
    yield from forms(text.encode())
    yield text.encode("latin-1", "ignore")
    yield text.encode("utf-16-le")
    yield text.encode("utf-32-le")
    yield text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00")


def needles() -> dict[str, set[bytes]]:
    texts = {
        "the justification": JUSTIFICATION,
        "who asked": REQUESTED_BY,
        "an organization": ORGANIZATIONS[0],
        "the other organization": ORGANIZATIONS[1],
        "a contact": CONTACTS[0],
        "the other contact": CONTACTS[1],
        "the file's name": FILE_NAME,
        "the file's digest": DIGEST.hex(),
    }
    found = {name: set(spellings(text)) for name, text in texts.items()}
    found["the file's digest"] |= set(forms(DIGEST))
    found["the artifact"] = set(forms(MARK))
    return found


def seen(places: Iterable[bytes], wanted: dict[str, set[bytes]]) -> set[str]:
    """Which of these are somewhere in there."""
    hits: set[str] = set()
    for place in places:
        hits |= {name for name, signs in wanted.items() if any(sign in place for sign in signs)}
    return hits


CONTROL = {hostname: set(spellings(hostname)) for hostname in HOSTNAMES}


@dataclass(frozen=True)
class Scene:
    here: Region
    labs: tuple[Lab, Lab]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """All that two labs do with each other, on the relay: neither listens, and neither punches."""
    with region(recording=True) as here:
        labs = [
            here.lab(hostname, "--organization", organization, "--contact", contact)
            for hostname, organization, contact in zip(HOSTNAMES, ORGANIZATIONS, CONTACTS, strict=True)
        ]
        agree(labs[0], labs[1], JUSTIFICATION, "--as", REQUESTED_BY)
        (labs[0].folder / FILE_NAME).write_bytes(ARTIFACT)
        sent = labs[0].ask("send-file", HOSTNAMES[1], FILE_NAME)
        assert sent["paths"] == {"relay": len(ARTIFACT)}
        assert sent["digest"] == f"sha256:{DIGEST.hex()}"
        labs[1].down()
        gone(labs[0], labs[1])
        again = labs[0].ask("revoke", HOSTNAMES[1], "--reason", JUSTIFICATION)
        assert not again["notified"]  # the rendezvous still keeps a letter, then
        yield Scene(here, (labs[0], labs[1]))


def test_the_search_finds_what_it_looks_for(scene: Scene) -> None:
    """At the labs themselves, where all of it has to be."""
    sender, receiver = (
        seen([path.read_bytes() for path in lab.home.rglob("*") if path.is_file()], needles())
        for lab in scene.labs
    )
    assert receiver == set(needles())
    assert sender == set(needles()) - {"the artifact"}  # its own copy is outside its home
    assert seen([ARTIFACT[1234 : 1234 + BLOCK + len(MARK) - 1]], needles()) == {"the artifact"}
    for lead in range(6):
        hidden = base64.b64encode(os.urandom(lead) + JUSTIFICATION.encode() + b"!")
        assert seen([hidden], needles()) == {"the justification"}


def test_its_traffic(scene: Scene) -> None:
    recorded = scene.here.proxy.recorded()
    assert sum(map(len, recorded)) > 2 * len(ARTIFACT)  # it has come, and gone
    assert sum(flow.startswith(b"COMITY-RELAY/1 ") for flow in recorded) >= 2
    assert seen(recorded, needles()) == set()


def test_its_files(scene: Scene) -> None:
    files = [path for path in scene.here.rendezvous.state.rglob("*") if path.is_file()]
    assert {"rendezvous.db", "rendezvous.db-wal"} <= {path.name for path in files}
    contents = [path.read_bytes() for path in files]
    assert seen(contents, CONTROL) == set(HOSTNAMES)
    assert seen(contents, needles()) == set()


def test_its_log(scene: Scene) -> None:
    said = scene.here.rendezvous.said().encode()
    assert seen([said], CONTROL) == set(HOSTNAMES)
    assert seen([said], needles()) == set()


def test_its_memory(scene: Scene) -> None:
    pid = scene.here.rendezvous.pid
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            pass
    except OSError as error:
        pytest.skip(f"the memory of another process cannot be read here: {error}")
    assert seen(memory(pid), CONTROL) == set(HOSTNAMES)
    assert seen(memory(pid), needles()) == set()


def memory(pid: int) -> Iterator[bytes]:
    """All that a process may write to, in overlapping pieces."""
    overlap = max(len(sign) for signs in needles().values() for sign in signs)
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if "w" not in rights:
                continue
            start, end = (int(text, 16) for text in span.split("-"))
            for offset in range(start, end, _PIECE):
                mem.seek(offset)
                try:
                    yield mem.read(min(_PIECE + overlap, end - offset))
                except OSError:  # it was given back meanwhile, or has no bytes
                    break
