"""A charter as plain data, for tests to change: lab B may receive model X until a date, five times."""

from __future__ import annotations

from typing import Any

LAB_A, LAB_B, LAB_C = "a1" * 32, "b2" * 32, "c3" * 32
MODEL_X, MODEL_Y = "sha256:" + "11" * 32, "sha256:" + "22" * 32


def plain() -> dict[str, Any]:
    """A new copy each time."""
    return {
        "schema": "comity.charter/1",
        "title": "External validation of model X",
        "template": "none",
        "version": 1,
        "lineage": None,
        "predecessor": None,
        "accept_by": "2026-12-15T00:00:00Z",
        "purpose": {"text": "external validation", "reference": "IRB #2026-0142", "reference_kind": "irb"},
        "window": {"from": "2026-12-01T00:00:00Z", "until": "2027-06-01T00:00:00Z"},
        "parties": [
            {"name": "lab-a", "fingerprint": LAB_A, "roles": ["developer"], "organization": "Hospital A"},
            {"name": "lab-b", "fingerprint": LAB_B, "roles": ["evaluator"], "organization": "Charité"},
        ],
        "assets": [
            {
                "id": "model-x",
                "class": "shareable",
                "owner": "lab-a",
                "digests": [MODEL_X],
                "signers": [],
                "description": "",
            },
            {
                "id": "model-y",
                "class": "proprietary",
                "owner": "lab-a",
                "digests": [MODEL_Y],
                "signers": [],
                "description": "the successor",
            },
        ],
        "permissions": [
            {
                "id": "external-validation",
                "who": ["evaluator"],
                "may": ["receive"],
                "with": ["developer"],
                "assets": ["model-x"],
                "topics": [],
                "ports": [],
                "window": None,
                "limits": [{"id": "five-times", "counts": "transfers", "most": 5, "per": "charter"}],
            },
            {
                "id": "progress",
                "who": ["evaluator", "developer"],
                "may": ["publish"],
                "with": ["evaluator", "developer"],
                "assets": [],
                "topics": ["validation/**"],
                "ports": [],
                "window": None,
                "limits": [],
            },
        ],
        "limits": [{"id": "volume", "counts": "bytes", "most": 10**12, "per": "month"}],
        "artifacts": {"formats": ["safetensors", "json"], "max_bytes": 10**11, "signature": "required"},
        "anomalies": [{"watches": "denials", "id": "denials", "in_a_row": 50}],
        "privacy": {
            "secure_aggregation": "optional",
            "minimum_participants": 1,
            "epsilon": None,
            "delta": None,
            "terms": "no patient data leaves a site",
        },
        "retention": {"artifacts_days": 30, "records_days": 3650},
        "ownership": {"outputs": ["lab-a", "lab-b"], "reuse": "with-consent", "terms": ""},
        "incidents": {
            "notify_within_hours": 24,
            "remedy_within_days": 30,
            "contacts": [
                {"party": "lab-a", "name": "Dr. Osei", "reach": "+1 555 0100"},
                {"party": "lab-b", "name": "Dr. Weiß", "reach": "security@lab-b.example"},
            ],
            "evidence": "audit export of both sides",
        },
        "exit": {"notice_days": 30, "artifacts": "delete", "statements_within_days": 14, "terms": ""},
    }
