"""The tree of commands, built from the registry: a command's module loads only when it is named or listed."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import click
import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from promptprop.cli.options import COMMON, common_options
from promptprop.cli.registry import COMMANDS, GROUPS
from promptprop.domain.errors import Interrupted

SETTINGS = {"help_option_names": ["-h", "--help"]}


def write_options(
    command: click.Command, own: frozenset[str], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Arguments, options, common options; `own` are common ones to which the command gives a meaning of its own."""
    parts: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Common options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        common = (parameter.name in COMMON and parameter.name not in own) or "--help" in parameter.opts
        where = "Arguments" if isinstance(parameter, click.Argument) else "Common options" if common else "Options"
        parts[where].append(record)
    for title, records in parts.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


class Command(TyperCommand):
    """A command whose help lists its own options first, and the common ones apart."""

    own: frozenset[str] = frozenset()  # common options to which the command gives a meaning of its own

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Arguments, options, common options."""
        write_options(self, self.own, ctx, formatter)


class Group(TyperGroup):
    """The commands of the registry below a prefix (empty at the root)."""

    prefix = ""

    def invoke(self, ctx: click.Context) -> Any:
        """As click does. Raises Interrupted for Ctrl-C, which typer would turn into an exit code without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's shape
        """The names at this level, in the order of the registry."""
        start = f"{self.prefix} " if self.prefix else ""
        names = [name.removeprefix(start).split()[0] for name in COMMANDS if name.startswith(start)]
        return list(dict.fromkeys(names))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command or group of that name; its module is loaded now."""
        path = f"{self.prefix} {cmd_name}".strip()
        if path in COMMANDS:
            deeper = any(name.startswith(f"{path} ") for name in COMMANDS)
            return standing_group(path) if deeper else command_of(cmd_name, COMMANDS[path])
        return group_of(path) if cmd_name in self.list_commands(ctx) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begin with. Raises click's UsageError with what was probably meant."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(
                f"there is no command {f'{self.prefix} {name}'.strip()!r}{self._meant(ctx, name)}", ctx
            )
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, name: str) -> str:
        near = difflib.get_close_matches(name, self.list_commands(ctx), 1)
        deeper = [full for full in COMMANDS if not self.prefix and full.split()[-1] == name]
        found = near or deeper
        return f". Did you mean {' or '.join(map(repr, found))}?" if found else ""


class StandingGroup(Group):
    """A command that stands alone and has others below it: its own options come before their names."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The other commands, then options and common options."""
        self.format_commands(ctx, formatter)
        write_options(self, frozenset(), ctx, formatter)


def group_of(prefix: str, text: str = "", kind: type[Group] = Group) -> Group:
    """The group below a prefix."""
    group = kind(
        name=prefix or "promptprop",
        help=text or GROUPS.get(prefix, ""),
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings=SETTINGS,
    )
    group.prefix = prefix
    return group


def standing_group(path: str) -> Group:
    """The command at `path` with those below it."""
    command = command_of(path.rsplit(maxsplit=1)[-1], COMMANDS[path])
    group = group_of(path, command.help or "", StandingGroup)
    group.no_args_is_help, group.invoke_without_command = False, True
    group.params = command.params

    def run(**given: Any) -> Any:
        alone = click.get_current_context().invoked_subcommand is None
        return command.callback(**given) if alone and command.callback else None

    group.callback = run
    return group


def command_of(name: str, target: str) -> click.Command:
    """The command that a line of the registry names: `module:function`."""
    module, function = target.split(":")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    implementation = getattr(importlib.import_module(module), function)
    app.command(name, cls=Command, context_settings=SETTINGS)(with_common_options(implementation))
    command = get_command(app)
    if isinstance(command, Command):
        command.own = frozenset(inspect.signature(implementation).parameters)
    return command


def with_common_options(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """The function with the common options added to its own; it is called with the `Shell` that they make."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    taken = {parameter.name for parameter in own}  # a command may give a common option a meaning of its own
    every = inspect.signature(common_options, eval_str=True).parameters.values()
    shared = [parameter for parameter in every if parameter.name not in taken]

    def command(**given: Any) -> int | None:
        shell = common_options(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        prepare_logging(shell.verbosity)
        return function(shell, **given)

    keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared)]
    command.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {}
    command.__name__ = function.__name__
    command.__doc__ = _help(function)
    return command


def prepare_logging(verbosity: int) -> None:
    """Warnings to stderr and no file: commands that run something open the log of the project later."""
    from promptprop.adapters.logs import configure

    configure(None, verbosity)


def _help(function: Callable[..., Any]) -> str:
    """The docstring without what is meant for readers of the code: sentences about what it raises or returns."""
    text = inspect.getdoc(function) or ""
    return re.sub(r"\s*\b(?:Raises|Returns) [^\n]*(?:\n(?!\n)[^\n]*)*", "", text)


def root() -> Group:
    """The whole command line."""
    whole = group_of(
        "",
        "Improves prompts by textual back-propagation, and claims only what held-out rows prove.\n\n"
        "\b\n"
        "promptprop plan CONFIG        what it will take, for free\n"
        "promptprop optimize CONFIG    improve the prompt, and prove it",
    )
    whole.epilog = "`promptprop COMMAND --help` tells more about each."
    # Answered before anything loads, by `main`; here for the help alone.
    whole.params.append(
        click.Option(["--version"], is_flag=True, expose_value=False, help="Show the version and exit.")
    )
    return whole
