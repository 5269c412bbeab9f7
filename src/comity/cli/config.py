"""This node's settings: config get, set, list."""

from __future__ import annotations

import click

from comity.cli.commands import Group, command
from comity.cli.output import Output, table
from comity.control import ConfigSetting
from comity.sdk import config as settings

config = Group("config", help="Read and change this node's settings; the node need not run.")


@command("list", example="comity config list")
@click.pass_obj
def list_(output: Output) -> None:
    """List every setting, where it can be said, where it was, and its value.

    A flag of comity up goes before the variable, for that start; the variable goes before config.toml.
    """
    result = settings.list_settings()
    rows = [
        (each.name, each.flag or "-", each.variable, _origin(each), _text(each.value) or "-")
        for each in result.settings
    ]
    output.show(result, table(("SETTING", "FLAG", "VARIABLE", "FROM", "VALUE"), rows))


@command("get", example="comity config get listen")
@click.argument("name")
@click.pass_obj
def get(output: Output, name: str) -> None:
    """Print the value of one setting."""
    result = settings.get(name)
    output.show(result, [_text(result.value)])


@command("set", example="comity config set listen 0.0.0.0:9100")
@click.argument("name")
@click.argument("value")
@click.pass_obj
def set_(output: Output, name: str, value: str) -> None:
    """Write one setting into config.toml.

    Lists take commas; an empty VALUE ('') takes away what can be absent.
    """
    result = settings.change(name, value)
    output.show(result, [f"{result.name} = {_text(result.value) or '-'}"])
    if result.overridden:
        output.note(f"note: {result.overridden} is set here and goes before the file")
    if result.restart_needed:
        output.note("The node runs with its old settings until it starts again: comity down, then comity up")


for each in (get, set_, list_):
    config.add_command(each)


def _text(value: str | bool | tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ",".join(value)


def _origin(setting: ConfigSetting) -> str:
    return setting.variable if setting.source == "environment" else setting.source
