"""Every command of the first seed, as it is printed there, ends as the seed shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.labs import eventually
from tests.pilot.stage import Machine, Stage, staged, unavailable
from tests.pilot.transcript import Step, shape, steps

pytestmark = [
    pytest.mark.skipif(unavailable() is not None, reason=f"no stage: {unavailable()}"),
    pytest.mark.timeout(300),
]
REGISTRY = (
    *("--registry", "rendezvous.research-consortium.org:9000"),
    *("--beacon", "rendezvous.research-consortium.org:9001"),
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as made:
        yield made


def serve(stage: Stage, command: str) -> Machine:
    """A machine on which the rendezvous is served by a printed command."""
    server = stage.machine("server")
    log = server.home / "log"
    server.begin("sh", "-c", f"exec {command} 2> {log}")
    eventually(lambda: log.exists() and "join URL: " in log.read_text(), "it serves")
    assert re.findall(r"listening host=\S+ port=(\d+)", log.read_text())[:2] == ["9000", "9001"]
    return server


def play(machine: Machine, step: Step) -> None:
    """Type one command and compare what appears; a shell reads it, as in the seed."""
    done = machine.run("sh", "-c", step.command)
    assert done.returncode == 0, done
    assert [shape(line) for line in done.stdout.splitlines()] == [shape(line) for line in step.output], done


def asked(machine: Machine, count: int) -> None:
    """Wait until so many requests have come; that is what a person sees by ``pending``."""
    eventually(
        lambda: len([line for line in machine.said("pilotctl", "pending") if line.startswith("1:")]) >= count,
        f"{count} have asked",
    )


def test_two_labs_connect_share_a_model_and_part(stage: Stage) -> None:
    printed = steps("rendezvous")
    serves = [step.command for step in printed if step.command.startswith("pilot-rendezvous")]
    assert len(serves) == 2
    assert serves[0] == serves[1]
    serve(stage, serves[0])
    labs = {"Lab A": stage.machine("lab-a"), "Lab B": stage.machine("lab-b")}
    for step in steps("connect"):
        if step.command == "pilotctl pending":
            asked(labs[step.actor], 1)
        play(labs[step.actor], step)

    one, two = labs["Lab A"], labs["Lab B"]
    one.said("python", "patients.py", "--hospital", "a", "--folder", "/local/ct-scans")
    two.said("python", "patients.py", "--hospital", "b", "--folder", "/local/ct-scans")
    two.said("python", "train.py", "--data", "/local/ct-scans", "--output", "/models/lab-b-round-3.pt")
    for step in steps("send"):
        if step.command.startswith("ls"):  # the folder is kept by a process of its own
            eventually(lambda: two.run("sh", "-c", step.command).stdout != "", "it is listed")  # noqa: B023  read at once
        play(labs[step.actor], step)
    assert (two.folder / "models/global-round-3.pt").stat().st_size > 0

    (revoke,) = steps("revoke")
    play(one, revoke)
    for lab, partner in ((one, "lab-b-trainer"), (two, "lab-a-trainer")):
        eventually(
            lambda: "over" in lab.run("pilotctl", "send-file", partner, "/etc/hosts").stderr,  # noqa: B023  read at once
            "neither side can send any more",
        )


TAG = "lung-cancer-study"
SITES = (
    "johns-hopkins-trainer",
    "mayo-clinic-trainer",
    "stanford-trainer",
    "charité-trainer",
    "tokyo-u-trainer",
)


@pytest.mark.timeout(400)
def test_a_consortium_of_five_sites_trusts_its_aggregator(stage: Stage) -> None:
    serve(stage, "pilot-rendezvous -registry-addr :9000 -beacon-addr :9001")
    printed = steps("consortium")
    aggregator = stage.machine("aggregator")
    sites = []
    for number, hostname in enumerate(SITES, 1):
        site = stage.machine(f"site-{number}")
        site.said("pilotctl", "init", "--hostname", hostname)
        assert site.said("pilotctl", "daemon", "start", *REGISTRY) == [
            f"Agent online: {hostname} (1:0001.0000.{16 * number:04x})"
        ]
        sites.append(site)

    before_start, after = printed[:3], printed[3:]
    assert [shlex.split(step.command)[1] for step in before_start] == ["init", "set-tags", "set-visibility"]
    for step in before_start:
        play(aggregator, step)
    aggregator.said("pilotctl", "daemon", "start", *REGISTRY)
    eventually(
        lambda: any("fl-aggregator" in line for line in sites[0].said("pilotctl", "peers", "--tag", TAG)),
        "the aggregator is found by its tag",
    )

    handshake = after[0]
    assert handshake.command.startswith('pilotctl handshake fl-aggregator "Site 3 trainer')
    assert handshake.output == []  # the seed leaves out what is printed, which it shows elsewhere
    for number, site in enumerate(sites, 1):
        said = site.said("sh", "-c", handshake.command.replace("Site 3", f"Site {number}"))
        assert said == ["Handshake request sent. Waiting for approval..."]
        # by now it is the aggregator's turn: its list is in the order of addresses
    asked(aggregator, 5)
    pending, *approvals = after[1:]
    justifications = {
        number: f"Site {number} trainer, IRB #2026-0142, lung cancer FL study" for number in range(1, 6)
    }
    for number, line in enumerate(pending.output, 1):  # the seed's own list leaves the end of the reason out
        assert f'"Site {number} trainer, IRB #2026-0142"' in line
        pending.output[number - 1] = line.replace(
            f"Site {number} trainer, IRB #2026-0142", justifications[number]
        )
    play(aggregator, pending)
    for number, step in enumerate(approvals, 1):
        assert step.command == f"pilotctl approve 1:0001.0000.{16 * number:04x}"
        said = aggregator.said("sh", "-c", step.command)
        assert said[0] == f"Trust established with {SITES[number - 1]}"
    refused = sites[0].run("pilotctl", "send-file", "mayo-clinic-trainer", "/etc/hosts")
    assert refused.returncode == 31  # the sites have no trust with each other
