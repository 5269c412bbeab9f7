"""The add-checkpoint body that C2SP tlog-witness publishes, and the cosigned note of C2SP tlog-cosignature.

Both specifications publish no keys for ``behind-the-sofa``: the form is what is held here, to the byte; that
signatures verify is held by the vectors in ``test_audit_note_vectors``.
"""

from __future__ import annotations

import pytest

from comity.audit.merkle import verify_consistency
from comity.audit.note import decode_base64, parse_checkpoint
from comity.audit.witnessing import parse_submission
from comity.errors import AuditInvalid

BODY = (
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9"
    "nTo+zyWE+xeMcTOAYQ8=\n"
    "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QU"
    "XTS5Rovnzv++qbSzm9Q=\n"
).encode()
COSIGNED = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9"
    "nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqh"
    "f5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()


def test_the_body_of_the_specification() -> None:
    found = parse_submission(BODY)
    assert found.old == 20852014
    assert found.proof[0].hex() == "3e544d0abc07a6a846aeea6e7b42fb8316e36cc88a03db5e9afb996430e991ac"
    assert len(found.proof) == 4
    text = found.note.split(b"\n\n")[0].decode() + "\n"
    assert parse_checkpoint(text).size == 20852163
    assert found.text() == BODY


def test_its_proof_is_too_short_to_lead_anywhere() -> None:
    """The specification's example is of form only: between these sizes a proof has more hashes."""
    found = parse_submission(BODY)
    head = parse_checkpoint(found.note.split(b"\n\n")[0].decode() + "\n")
    with pytest.raises(AuditInvalid):
        verify_consistency(found.old, head.size, bytes(32), head.root, found.proof)


def test_the_cosignature_of_the_specification_carries_its_time() -> None:
    encoded = COSIGNED.decode().splitlines()[-1].split(" ")[-1]
    blob = decode_base64(encoded)
    assert len(blob) == 4 + 8 + 64
    assert blob[:4].hex() == "8d66cf3f"
    assert int.from_bytes(blob[4:12], "big") == 1679315147, "the time in the specification's signed message"
