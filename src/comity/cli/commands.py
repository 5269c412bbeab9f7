"""What every command has in common: ``--json`` before or after its name, an example, and a late import.

A program's start is mostly imports, so ``comity --help`` reads the table in ``app`` and imports no command.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from comity.errors import InvalidInput, LocalProtocolError

_YEAR = 31_536_000


def _want_json(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.obj.json = True


_JSON = click.Option(
    ["--json"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_want_json,
    help="Print JSON: one object, errors as well.",
)


class Command(click.Command):
    """A command that takes ``--json``."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), _JSON]


@click.pass_context
def _overview(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class Group(click.Group):
    """Commands under one name; without one of them it shows what there is."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(
            name,
            callback=_overview,
            invoke_without_command=True,
            subcommand_metavar="COMMAND [ARGS]...",
            **kwargs,
        )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), _JSON]


def seconds(value: str | float) -> float:
    """How long a wait can take: a number of seconds, up to a year of them."""
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found <= _YEAR:  # nan is not, either
        raise click.BadParameter(f"{value!r} is not a number of seconds up to a year")
    return found


def rate(value: str | int) -> int:
    """Bytes a second, as ``50MB/s`` says them."""
    from comity.control.amounts import parse_rate  # the overview of commands needs no control types

    try:
        return parse_rate(str(value))
    except InvalidInput as error:
        raise click.BadParameter(f"{error.message}: {error.hint}") from error


def amount(value: str | int) -> int:
    """Bytes, as ``50GB`` says them."""
    from comity.control.amounts import parse_size  # the overview of commands needs no control types

    try:
        return parse_size(str(value))
    except InvalidInput as error:
        raise click.BadParameter(f"{error.message}: {error.hint}") from error


@dataclass(frozen=True)
class Entry:
    """A command that is imported when it is called: ``module:attribute``, and its line in the overview."""

    where: str
    summary: str


class LazyGroup(Group):
    """The commands of a table, under headings. ``aliases``: second names, which the overview leaves out."""

    def __init__(
        self,
        name: str,
        *,
        sections: Mapping[str, Mapping[str, Entry]],
        aliases: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.sections = sections
        self._entries = {name: entry for section in sections.values() for name, entry in section.items()}
        self._aliases = aliases

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries.get(self._aliases.get(cmd_name, cmd_name))
        if entry is None:
            return None
        module, _, attribute = entry.where.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise LocalProtocolError(f"{entry.where} is not a command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, section in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name, entry.summary) for name, entry in section.items()])


def command(
    name: str, *, example: str, cls: type[Command] = Command
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command; ``example`` is shown at the end of its help."""
    return click.command(name, cls=cls, epilog=example_text(example))


def example_text(example: str) -> str:
    """An example as the end of a command's help; ``\\b`` keeps click from wrapping it."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines())
