"""The alert rules that are shipped ask for metrics that the server has, in a file that Prometheus reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from comity.control.rendezvous_status import Check, NetworkNumbers, RendezvousStatus, Resolves
from comity.rendezvous.exposition import exposition

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/comity-rendezvous.rules.yml"
FULL = RendezvousStatus(
    running=True,
    ready=True,
    version="1",
    checks=(Check("disk", True, ""),),
    networks=(NetworkNumbers(1, "default", 3, 2, 1, 100, 7),),
    connections={"node": 2},
    accepted={"node": 3},
    refusals={"rate_limited": 1},
    resolves=Resolves(((0.01, 1),), 1, 0.005),
    backup_age_seconds=60.0,
)


def metrics() -> set[str]:
    families = text_string_to_metric_families(exposition(FULL).decode())
    return {sample.name for family in families for sample in family.samples}


def test_the_rules_ask_for_metrics_that_there_are() -> None:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"comity_\w+", rule["expr"])}
    assert asked
    assert asked <= metrics()
    for rule in group["rules"]:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/reference/rendezvous.md").read_text(encoding="utf-8")
    names = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in metrics()}
    assert {name for name in names if f"`{name}" not in page} == set()


def test_promtool_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("this machine has no promtool")
    done = subprocess.run(
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
