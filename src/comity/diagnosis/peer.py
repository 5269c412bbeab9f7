"""A peer: whether there is an agreement, whether it is online, and which paths lead to it."""

from __future__ import annotations

from collections.abc import Iterator

from comity.control import DoctorHop, HopStatus
from comity.diagnosis.facts import PathTrial, PeerFacts


def standing(facts: PeerFacts) -> DoctorHop:
    """Whether this peer may be spoken to at all, and is there."""
    if facts.problem is not None:
        return DoctorHop("peer", "failed", facts.problem.message, facts.problem.hint)
    if facts.session:
        return DoctorHop("peer", "ok", f"{facts.hostname} is online, and a session stands ({facts.session})")
    if facts.online is False:
        since = f" since {facts.last_seen}" if facts.last_seen else ""
        return DoctorHop(
            "peer",
            "failed",
            f"{facts.hostname} is offline{since}",
            "ask your partner to run comity up, and comity doctor if that does not help",
        )
    known = "is online" if facts.online else "may be online: the rendezvous can't be asked"
    return DoctorHop("peer", "ok", f"there is an agreement with {facts.hostname}, and it {known}")


def paths(facts: PeerFacts) -> Iterator[DoctorHop]:
    """Each path that was tried. One that leads there is enough: the others are warnings then."""
    reached = any(trial.ok for trial in facts.trials)
    for trial in facts.trials:
        yield _path(trial, reached)


def _path(trial: PathTrial, reached: bool) -> DoctorHop:
    name = f"peer {trial.path}"
    if trial.ok is None:
        return DoctorHop(name, "skipped", trial.text)
    if trial.ok:
        return DoctorHop(name, "ok", trial.text)
    status: HopStatus = "warning" if reached else "failed"
    if reached:
        return DoctorHop(name, status, f"{trial.text}; another path leads there")
    relayed = "have your partner run comity doctor: the cause may be on that side"
    return DoctorHop(name, status, trial.text, relayed if trial.path == "relay" else "")
