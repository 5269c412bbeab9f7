"""One site: asks the aggregator for an agreement once, then trains whenever a round is opened.

    python site.py --home HOME --aggregator CARD --data site-3.npz --work DIR

Nothing but weights and the number of images leaves the site. It can be killed at any time and started again:
rounds that closed meanwhile are passed over, an open one is trained anew.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import study

import comity
from comity.sdk import weights

_ANSWER_SECONDS = 600.0
_AGAIN_SECONDS = 2.0


def main() -> None:
    """Read the arguments, and take part until the study is over."""
    parser = argparse.ArgumentParser(description="one site of the study")
    parser.add_argument("--home", type=Path, required=True, help="the home of this site's node")
    parser.add_argument("--aggregator", required=True, help="the aggregator's card")
    parser.add_argument("--data", type=Path, required=True, help="this site's images")
    parser.add_argument("--work", type=Path, required=True, help="a folder for models")
    chosen = parser.parse_args()
    images = study.Images.load(chosen.data)
    with comity.connect(chosen.home) as node:
        aggregator = agree(node, chosen.aggregator)
        with node.subscribe("study/*", peer=aggregator, consumer="site") as events:
            for event in events:
                said = json.loads(event.data)
                if event.topic == "study/over":
                    break
                if (
                    event.topic == "study/open"
                    and datetime.fromisoformat(said["closes"]).timestamp() > time.time()
                ):
                    take_part(node, aggregator, said, images, chosen.work)


def agree(node: comity.Node, card: str) -> str:
    """The aggregator's name, once there is an agreement with it."""
    name = card.removeprefix("comity:").partition("@")[0]
    if name not in [peer.hostname for peer in node.trusted()]:
        who = node.status().hostname
        node.handshake(card, f"Digits study, IRB #2026-0142, {who}", wait=_ANSWER_SECONDS)
    return name


def take_part(
    node: comity.Node, aggregator: str, said: dict[str, Any], images: study.Images, work: Path
) -> None:
    """Train from the global model on, and hand the result in before the round closes."""
    number, closes = said["round"], datetime.fromisoformat(said["closes"]).timestamp()
    began = time.monotonic()
    mine = work / f"round-{number}.safetensors"
    try:
        (start, *_) = node.received(said["model"], peer=aggregator, timeout=max(0.0, closes - time.time()))
        trained = study.train(weights.load(start.path), images, seed=number, epochs=said["epochs"])
        weights.save(trained, mine, metadata={"images": str(len(images))})
        hand_in(node, aggregator, mine, closes)
    except comity.errors.TimedOut as error:
        print(f"round {number}: missed: {error}", flush=True)
    else:
        print(f"round {number}: {len(images)} images, {time.monotonic() - began:.1f} s", flush=True)


def hand_in(node: comity.Node, aggregator: str, path: Path, closes: float) -> None:
    """Send it, again if need be, until the round closes."""
    while True:
        try:
            node.send(aggregator, path)
            return
        except (comity.errors.PeerUnreachable, comity.errors.TransferFailed, comity.errors.LinkLost) as error:
            if time.time() + _AGAIN_SECONDS > closes:
                raise comity.errors.TimedOut(f"not handed in: {error}") from error
            time.sleep(_AGAIN_SECONDS)


if __name__ == "__main__":
    main()
