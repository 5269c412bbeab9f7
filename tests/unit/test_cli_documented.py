"""docs/reference/cli.md knows every command, every option and every JSON field, and none that is gone."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click
import pytest

from comity import control
from comity.cli.app import app
from comity.control import backup
from comity.control import rendezvous as admin
from comity.control.codec import json_name
from tests.cli.test_cli_edges import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
SECTIONS = {match[1]: match[2] for match in re.finditer(r"### comity (.+)\n((?:(?!#{2,3} ).*\n?)*)", PAGE)}

RESULTS: dict[str, tuple[type, ...]] = {
    "init": (control.InitResult,),
    "status": (control.StatusResult,),
    "doctor": (control.DoctorResult, control.DoctorHop),
    "info": (control.InfoResult, control.LinkView, control.SessionView),
    "network join": (control.NetworkMembership,),
    "network list": (control.NetworkMembershipsResult, control.NetworkMembership),
    "network leave": (control.NetworkLeaveResult,),
    "config get": (control.ConfigSetting,),
    "config set": (control.ConfigSetResult,),
    "config list": (control.ConfigListResult, control.ConfigSetting),
    "find": (control.FindResult,),
    "peers": (control.PeersResult, control.PeerView),
    "ping": (control.PingResult,),
    "set-tags": (control.VisibilityResult,),
    "set-visibility": (control.VisibilityResult,),
    "handshake": (control.HandshakeResult,),
    "pending": (control.PendingResult, control.PendingRequest),
    "approve": (control.ApproveResult,),
    "reject": (control.RejectResult,),
    "confirm": (control.ConfirmResult,),
    "trust": (control.TrustResult, control.TrustedPeer),
    "revoke": (control.RevokeResult,),
    "agreement export": (control.AgreementFile,),
    "agreement verify": (control.AgreementVerification, control.Party),
    "charter new": (control.CharterNewResult,),
    "charter lint": (control.CharterLintResult, control.CharterFinding),
    "charter show": (control.CharterShowResult,),
    "charter propose": (control.CharterProposeResult,),
    "charter sign": (control.CharterSignResult,),
    "charter status": (
        control.CharterStatusResult,
        control.CharterView,
        control.CharterParty,
        control.CharterUse,
        control.CharterExchanged,
        control.CharterOwed,
        control.SuspensionView,
    ),
    "charter end": (control.CharterEndResult,),
    "charter attest": (control.CharterAttestResult,),
    "charter suspend": (control.SuspensionView,),
    "charter explain": (control.CharterExplainResult, control.CharterReason),
    "charter diff": (control.CharterDiffResult, control.CharterChange),
    "send-file": (control.SendResult,),
    "received": (control.ReceivedResult, control.ReceivedFile),
    "transfers": (control.TransfersResult, control.Transfer),
    "publish": (control.PublishResult,),
    "subscribe": (control.Event,),
    "expose": (control.ExposureView, control.ExposuresResult, control.UnexposeResult),
    "forward": (control.ForwardView, control.ForwardsResult, control.ForwardNotice),
    "report": (
        control.Report,
        control.ReportParty,
        control.ReportAgreement,
        control.ReportCharter,
        control.ReportSignature,
        control.ReportAct,
        control.ReportFlow,
        control.ReportRefusal,
        control.ReportTally,
        control.ReportProof,
    ),
    "audit log": (control.AuditLogResult, control.AuditEntry),
    "audit verify": (control.AuditVerifyResult,),
    "audit witnesses": (control.AuditWitnessesResult, control.WitnessView, control.ConflictView),
    "audit prove": (control.AuditProof,),
    "audit redact": (control.AuditRedactResult,),
    "audit export": (control.AuditExportResult,),
    "audit checkpoint": (control.AuditCheckpoint,),
    "audit verify-export": (control.ExportVerification, control.ExportedAgreement),
    "identity backup": (backup.BackupResult,),
    "identity restore": (backup.RestoreResult,),
    "rendezvous backup": (backup.BackupResult,),
    "rendezvous restore": (backup.RestoreResult,),
    "rendezvous network create": (admin.NetworkView,),
    "rendezvous network list": (admin.NetworkListResult, admin.NetworkView),
    "rendezvous invite create": (admin.InviteCreateResult,),
    "rendezvous invite list": (admin.InviteListResult, admin.InvitationView),
    "rendezvous invite revoke": (admin.InvitationView,),
    "rendezvous nodes": (admin.NodesResult, admin.NodeView),
    "rendezvous remove": (admin.NodeEnded,),
    "rendezvous release": (admin.NodeEnded,),
    "rendezvous admin-log": (admin.AdminLogResult, admin.AdminAct),
}


def test_every_command_has_its_section_and_no_other_does() -> None:
    assert sorted(SECTIONS) == sorted(name for name, _ in COMMANDS)


def test_aliases_are_named() -> None:
    assert "`comity untrust PEER`" in SECTIONS["revoke"]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_option_is_documented_and_no_other_is(name: str, command: click.Command) -> None:
    section = SECTIONS[name]
    options = {
        opt
        for param in command.params
        if isinstance(param, click.Option)
        for opt in (*param.opts, *param.secondary_opts)
    }
    documented = {
        opt
        for row in re.findall(r"^\| (`-.*?) \|", section, re.MULTILINE)
        for opt in re.findall(r"`(--?[a-z-]+)", row)
    }
    assert documented == options


@pytest.mark.parametrize("name", RESULTS)
def test_every_json_field_is_documented(name: str) -> None:
    _, _, fields = SECTIONS[name].partition("JSON: ")
    documented = set(re.findall(r"`([a-z_0-9]+)`", fields))
    for kind in RESULTS[name]:
        missing = {json_name(field.name) for field in dataclasses.fields(kind)} - documented
        assert not missing, kind.__name__


def test_the_overview_says_what_each_commands_own_help_says() -> None:
    """The table in ``app`` stands for commands that it doesn't import; every entry must lead to one."""
    context = click.Context(app, info_name="comity")
    listed = {name: entry.summary for section in app.sections.values() for name, entry in section.items()}
    assert list(listed) == app.list_commands(context)
    for name, summary in listed.items():
        command = app.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert summary.endswith(".")
        assert len(summary) <= 62
