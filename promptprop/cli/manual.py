"""The page of the command line, docs/cli.md, written from the commands' own help. A test keeps it in step.

python -m promptprop.cli.manual > docs/cli.md
"""

from __future__ import annotations

import sys

import click

from promptprop.cli.app import root
from promptprop.cli.registry import COMMANDS, GROUPS

WIDTH = 100
_INTRODUCTION = """\
# The command line

Written from `promptprop COMMAND --help` by `python -m promptprop.cli.manual > docs/cli.md`; do not edit it by hand.

Data goes to stdout, progress and logs to stderr. A run is named by its id, the beginning of it (four letters or more),
its name, or `latest`; where a prompt is asked for, `latest` is the newest optimization.
`--json` prints one document on stdout, on errors too:
`{"error": {"code", "message", "remedy", "problems": [{"message", "file", "line", "column", "remedy"}]}, "exit_code"}`,
with the run's state as `run` where there is one. What the codes mean stands in [exit-codes.md](exit-codes.md).

Colours follow `--no-color`, `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb`, in this order. Off a terminal there are no bars
and no questions: a line for each round, and one each 30 seconds.

Every command takes the options below; its own stand with it.
"""


def manual() -> str:
    """The whole page as Markdown."""
    top = root()
    parts = [_INTRODUCTION, _block(_common()), "## promptprop\n", _block(_help(top, "promptprop"))]
    for name in COMMANDS:
        group, _, last = name.rpartition(" ")
        if group not in ("", *COMMANDS) and _first_of(group) == name:
            parts.append(f"## promptprop {group}\n\n{GROUPS[group]}\n")
        parent = top.get_command(click.Context(top), group) if group else top
        command = parent.get_command(click.Context(parent), last) if isinstance(parent, click.Group) else None
        if command is not None:
            own = _help(command, f"promptprop {name}").partition("\nCommon options:")[0]
            parts += [f"{'###' if group else '##'} promptprop {name}\n", _block(own.rstrip())]
    return "\n".join(parts)


def _common() -> str:
    command = root().get_command(click.Context(root()), "schema")
    text = _help(command, "promptprop schema") if command else ""
    return text.partition("Common options:\n")[2].rstrip()


def _first_of(group: str) -> str:
    return next(name for name in COMMANDS if name.startswith(f"{group} "))


def _help(command: click.Command, path: str) -> str:
    return command.get_help(click.Context(command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH))


def _block(text: str) -> str:
    return f"```text\n{text}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(manual())
