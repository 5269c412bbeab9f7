"""The whole study on this machine, in about half a minute: six nodes, six programs, one rendezvous.

    python examples/five_sites/run.py
    python examples/five_sites/run.py --lose site-4@2-4     # a power cut at site 4 from round 2 until round 4

Prints what the aggregator says of each round, and at the end what every site would have had alone.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import study
from stage import AGGREGATOR, Stage

from comity.sdk import weights


def main() -> None:
    """Read the arguments, play the study, tell how it went."""
    parser = argparse.ArgumentParser(description="five sites and an aggregator, on this machine")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quorum", type=int, default=3, help="how many sites make a round")
    parser.add_argument("--deadline", type=float, default=60.0, help="seconds that a round is open")
    parser.add_argument("--hidden", type=int, default=study.HIDDEN, help="how wide the model is")
    parser.add_argument("--epochs", type=int, default=3, help="passes over a site's images in a round")
    parser.add_argument("--lose", type=absence, metavar="SITE@FROM[-UNTIL]", help="a site that goes away")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty folder to leave everything in")
    chosen = parser.parse_args()
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="five-sites-"))
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        data = study.split()
        for name, images in data.items():
            print(f"{name}: {len(images)} images")
        rounds = play(folder, data, chosen)
        compare(data, chosen, rounds)
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder)


def play(
    folder: Path, data: dict[str, study.Images], chosen: argparse.Namespace
) -> dict[int, dict[str, Any]]:
    """Run all programs until the study is over; what was said of each round, by number."""
    rounds: dict[int, dict[str, Any]] = {}
    with Stage(folder) as stage:
        stage.open(data, study.untrained(chosen.hidden))
        for site in study.SITES:
            stage.start_site(site)
        options = {name: getattr(chosen, name) for name in ("rounds", "quorum", "deadline", "epochs")}
        aggregator = stage.start_aggregator(*(f"--{name}={value}" for name, value in options.items()))
        for line in aggregator.stdout or ():
            said = json.loads(line)
            print(told(said), flush=True)
            if "round" in said:
                model = weights.load(stage.folder_of(AGGREGATOR) / f"global-{said['round']}.safetensors")
                said["accuracy"] = study.accuracy(model, data["evaluation"])
                print(f"  accuracy on images that nobody trained on: {said['accuracy']:.3f}", flush=True)
                rounds[said["round"]] = said
            if chosen.lose is not None:
                disturb(stage, chosen.lose, said.get("opened"))
        if aggregator.wait() != 0:
            raise SystemExit("the aggregator gave up")
    return rounds


def absence(text: str) -> tuple[str, int, int | None]:
    """``site-4@2-4``: the site, the round in which it goes, and the one in which it is back."""
    match = re.fullmatch(r"([\w-]+)@(\d+)(?:-(\d+))?", text)
    if match is None or match[1] not in study.SITES:
        raise argparse.ArgumentTypeError("write it like site-4@2-4")
    return match[1], int(match[2]), int(match[3]) if match[3] else None


def disturb(stage: Stage, lose: tuple[str, int, int | None], opened: int | None) -> None:
    """Take the site away, or bring it back, as the round that opens demands."""
    site, gone, back = lose
    if opened is not None and opened == gone:
        stage.kill(site)
        print(f"  {site} is gone", flush=True)
    if opened is not None and opened == back:
        stage.start_node(site)
        stage.start_site(site)
        print(f"  {site} is back", flush=True)


def told(said: dict[str, Any]) -> str:
    """A line of the aggregator's, for people."""
    if "approved" in said:
        return f"approved {said['approved']}: {said['why']}"
    if "opened" in said:
        return f"round {said['opened']} is open"
    if "unreached" in said:
        return f"  {said['unreached']} was not reached: {said['problem']}"
    missing = f", without {', '.join(said['missing'])}" if said["missing"] else ""
    refused = "".join(f"\n  refused: {problem}" for problem in said["refused"])
    return f"  closed after {said['seconds']:.1f} s with {len(said['sites'])} sites{missing}{refused}"


def compare(
    data: dict[str, study.Images], chosen: argparse.Namespace, rounds: dict[int, dict[str, Any]]
) -> None:
    """What each site would have had alone, after as many passes over its images."""
    if chosen.hidden > 10 * study.HIDDEN:
        return  # it would take longer than the study did
    last = max(rounds)
    for site in study.SITES:
        alone = study.train(study.untrained(chosen.hidden), data[site], 0, last * chosen.epochs)
        print(f"{site} alone: {study.accuracy(alone, data['evaluation']):.3f}")
    print(f"together: {rounds[last]['accuracy']:.3f}")


if __name__ == "__main__":
    main()
