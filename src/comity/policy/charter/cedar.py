"""A charter as Cedar: policies, and the schema that they are checked against. ``evaluate`` runs them.

The principal gives, the resource takes (``flow``), and everything else is in the context; there are no
entities to look up, so the text is the whole policy and its digest binds all of it. A permission becomes a
``permit``; windows, limits, artifact rules and proprietary assets become ``forbid``, so that a denial names
its clause.
Every attribute is required by the schema: a ``forbid`` over a missing one would fail open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import rfc8785

from comity import limits
from comity.errors import InvalidCharter
from comity.identity.envelope import statement_digest
from comity.policy.charter.consistency import contradictions
from comity.policy.charter.flow import COUNTED, Act, Flow, flows
from comity.policy.charter.model import Asset, Charter, Limit, Party, Permission, Window
from comity.policy.charter.show import limit_text, sentence

PAYLOAD_TYPE = "application/vnd.comity.policy.v1+json"
_ACTS: tuple[Act, ...] = ("connect", "transfer", "event", "tunnel", "call")


@dataclass(frozen=True)
class Compiled:
    """``clauses``: what each policy's ``@id`` says to people; ``limits``: the clauses that need a count."""

    policies: str
    schema: str
    clauses: dict[str, str]
    limits: tuple[str, ...]

    @property
    def digest(self) -> str:
        """``sha256:…`` of policies and schema, over their DSSE pre-authentication encoding."""
        return statement_digest(
            PAYLOAD_TYPE, rfc8785.dumps({"policies": self.policies, "schema": self.schema})
        )


@dataclass(frozen=True)
class _Policy:
    clause: str
    text: str
    cedar: str


def compile_charter(charter: Charter) -> Compiled:
    """The same text for the same charter, always; InvalidCharter where it contradicts itself or is too long.

    A short charter can make a long policy: everybody's roles with every limit of every permission. What a
    partner proposes must not cost more than ``limits.POLICY_BYTES``.
    """
    for finding in contradictions(charter):
        raise InvalidCharter(f"{finding.clause}: {finding.text}", hint="run comity charter lint FILE")
    policies: list[str] = []
    clauses: dict[str, str] = {}
    counted: dict[str, None] = {}
    room = limits.POLICY_BYTES
    for part in (_permits, _windows, _assets, _rules, _limits):
        for policy in part(charter):
            policies.append(f"@id({_text(policy.clause)})\n{policy.cedar}\n")
            clauses[policy.clause] = policy.text
            if part is _limits:
                counted[policy.clause] = None
            room -= len(policies[-1])
            if room < 0:
                raise InvalidCharter(
                    f"the charter makes a policy of more than {limits.POLICY_BYTES // limits.MIB} MiB",
                    hint="use fewer limits, or several charters with fewer parties each",
                )
    return Compiled("\n".join(policies), _schema(tuple(counted)), clauses, tuple(counted))


def _schema(counted: tuple[str, ...]) -> str:
    used = ", ".join(f"{_text(clause)}: Long" for clause in counted)
    return f"""entity Party;
type Facts = {{
  now: datetime, digest: String, signer: String, format: String, bytes: Long, topic: String, port: Long,
  used: {{ {used} }}
}};
action {", ".join(map(_text, _ACTS))} appliesTo {{ principal: Party, resource: Party, context: Facts }};
"""


# ── what is allowed ───────────────────────────────────────────────────────────────────────────────────


def _permits(charter: Charter) -> Iterator[_Policy]:
    for permission in charter.permissions:
        clause, text = f"permissions.{permission.id}", sentence(permission)
        described = flows(charter, permission)
        for flow in described:
            if flow.act != "connect":
                yield _Policy(clause, text, _permit(flow.act, _scope(charter, permission, flow)))
        here = [_between(flow.givers, flow.takers) for flow in described]
        back = [_between(flow.takers, flow.givers) for flow in described]
        anyone = f"({' || '.join(dict.fromkeys(here + back))})"
        during = [] if permission.window is None else [_within(permission.window)]
        yield _Policy(
            clause, text, _permit("connect", " && ".join([anyone, "principal != resource", *during]))
        )


def _scope(charter: Charter, permission: Permission, flow: Flow) -> str:
    """What the permission describes of one act, as an expression."""
    parts = [_between(flow.givers, flow.takers), "principal != resource"]
    if flow.act in ("transfer", "call"):
        parts.append(_is_any(asset for asset in charter.assets if asset.id in permission.assets))
    elif flow.act == "event":
        parts.append(_any_of(map(_topic, permission.topics)))
    elif flow.act == "tunnel":
        parts.append(f"[{', '.join(map(str, permission.ports))}].contains(context.port)")
    return " && ".join(parts)


def _between(givers: tuple[Party, ...], takers: tuple[Party, ...]) -> str:
    return f"({_one_of(givers)}.contains(principal) && {_one_of(takers)}.contains(resource))"


def _one_of(parties: tuple[Party, ...]) -> str:
    return f"[{', '.join(f'Party::{_text(party.fingerprint)}' for party in parties)}]"


def _is_any(assets: Iterable[Asset]) -> str:
    chosen = tuple(assets)
    digests = [digest for asset in chosen for digest in asset.digests]
    signers = [signer for asset in chosen for signer in asset.signers]
    parts = []
    if digests:
        parts.append(_contains(digests, "digest"))
    if signers:
        parts.append(_contains(signers, "signer"))
    return _any_of(parts)


def _topic(pattern: str) -> str:
    if pattern.endswith("/**"):
        return f"context.topic like {_text(pattern[:-1])}"
    return f"context.topic == {_text(pattern)}"


# ── what stands against it ────────────────────────────────────────────────────────────────────────────


def _windows(charter: Charter) -> Iterator[_Policy]:
    yield _Policy(
        "window", _window_text(charter.window), f"{_forbid()} unless {{ {_within(charter.window)} }};"
    )
    for permission in charter.permissions:
        if permission.window is None:
            continue
        for flow in flows(charter, permission):
            if flow.act != "connect":
                scope, window = _scope(charter, permission, flow), _within(permission.window)
                yield _Policy(
                    f"permissions.{permission.id}.window",
                    _window_text(permission.window),
                    f"{_forbid(flow.act)} when {{ {scope} }} unless {{ {window} }};",
                )


def _assets(charter: Charter) -> Iterator[_Policy]:
    for asset in charter.assets:
        if asset.class_ == "proprietary":
            text = f"{asset.id} is proprietary, and is never sent"
            yield _Policy(f"assets.{asset.id}", text, f"{_forbid('transfer')} when {{ {_is_any([asset])} }};")


def _rules(charter: Charter) -> Iterator[_Policy]:
    rules = charter.artifacts
    allowed = [
        (
            "formats",
            f"only these formats pass: {', '.join(rules.formats)}",
            _contains(rules.formats, "format"),
        ),
        ("max_bytes", f"at most {rules.max_bytes:,} bytes pass", f"context.bytes <= {rules.max_bytes}"),
    ]
    if rules.signature == "required":
        keys = [party.fingerprint for party in charter.parties]
        keys += [signer for asset in charter.assets for signer in asset.signers]
        text = "only what a party or an approved signer has signed passes"
        allowed.append(("signature", text, _contains(dict.fromkeys(keys), "signer")))
    for name, text, condition in allowed:
        yield _Policy(f"artifacts.{name}", text, f"{_forbid('transfer')} unless {{ {condition} }};")


def _limits(charter: Charter) -> Iterator[_Policy]:
    for clause, limit, act, scope in _all_limits(charter):
        cost = "context.bytes" if limit.counts == "bytes" else "1"
        parts = [scope] if scope else []
        parts.append(f"context.used[{_text(clause)}] + {cost} > {limit.most}")
        yield _Policy(clause, limit_text(limit), f"{_forbid(act)} when {{ {' && '.join(parts)} }};")


def _all_limits(charter: Charter) -> Iterator[tuple[str, Limit, Act, str]]:
    """Each limit with each act that it counts, and which of these acts it is about."""
    for limit in charter.limits:
        for act in COUNTED[limit.counts]:
            yield f"limits.{limit.id}", limit, act, ""
    for permission in charter.permissions:
        for limit in permission.limits:
            for flow in flows(charter, permission):
                if flow.act in COUNTED[limit.counts]:
                    scope = _scope(charter, permission, flow)
                    yield f"permissions.{permission.id}.limits.{limit.id}", limit, flow.act, scope


# ── Cedar ─────────────────────────────────────────────────────────────────────────────────────────────


def _permit(act: Act, condition: str) -> str:
    return f"permit (principal, action == Action::{_text(act)}, resource) when {{ {condition} }};"


def _forbid(act: Act | None = None) -> str:
    action = f"action == Action::{_text(act)}" if act else "action"
    return f"forbid (principal, {action}, resource)"


def _contains(texts: Iterable[str], attribute: str) -> str:
    return f"[{', '.join(map(_text, texts))}].contains(context.{attribute})"


def _any_of(conditions: Iterable[str]) -> str:
    return f"({' || '.join(conditions)})"


def _within(window: Window) -> str:
    start, end = _text(window.from_), _text(window.until)
    return f"context.now >= datetime({start}) && context.now < datetime({end})"


def _window_text(window: Window) -> str:
    return f"only from {window.from_} until {window.until}"


def _text(value: str) -> str:
    """A Cedar string; nothing that a charter's words can hold has a meaning inside it."""
    if not value.isascii() or '"' in value or "\\" in value or not value.isprintable():
        raise InvalidCharter("a name in the charter cannot be written as policy")
    return f'"{value}"'
