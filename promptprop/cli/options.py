"""The arguments and options that commands share: each defined once, as an annotation."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.shell import Format, Shell
from promptprop.domain.errors import UsageError

if TYPE_CHECKING:
    from promptprop.domain.breakdown import Kind
    from promptprop.ports import CacheMode

ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.", show_default=False)
]
RunReference = Annotated[
    str, typer.Argument(metavar="RUN", help="Its id, the beginning of it, its name, or `latest`.", show_default=False)
]
Sets = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it on Python 3.10
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as budget.usd=5; repeatable."),
]
EnvFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--env-file", metavar="FILE", help="Variables to read instead of .env.", show_default=False),
]
Database = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--db", metavar="URL", help="The database, such as sqlite:///runs.db.", show_default=False),
]
Split = Annotated[str, typer.Option("--split", metavar="SPLIT", help="all, train, select or test.")]
MaxCalls = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--max-calls", metavar="N", min=0, help="Cap on model calls.", show_default=False),
]
MaxTokens = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--max-tokens", metavar="N", min=0, help="Cap on tokens.", show_default=False),
]
MaxUsd = Annotated[
    Optional[str],  # noqa: UP045 - a text, so that 0.1 stays a tenth
    typer.Option("--max-usd", metavar="USD", help="Cap on money.", show_default=False),
]
MaxTime = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--max-time", metavar="TIME", help="Cap on active time, such as 90s, 10m, 1h.", show_default=False),
]
RetryErrors = Annotated[bool, typer.Option("--retry-errors", help="On resume, make failed calls again.")]
SecondLook = Annotated[
    bool,
    typer.Option("--second-look", help="Go on after the end, as a new run: its claim is labelled a second look."),
]
Review = Annotated[
    bool, typer.Option("--review", help="Ask before a rewrite is adopted: approve, edit, refuse, leave a note.")
]
Notes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--note", metavar="TEXT", help="A note that critic and rewriter read from here on.", show_default=False
    ),
]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--override", metavar="TEXT", help="Correct a score: CANDIDATE:ROW=SCORE REASON.", show_default=False),
]
Apply = Annotated[bool, typer.Option("--apply", help="Write a better prompt back into the prompt file.")]
Require = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--require", metavar="better", help="End with 3 unless the verdict is better.", show_default=False),
]
Cache = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--cache",
        metavar="MODE",
        help="read-write; read: keep new answers to this run; refresh: ask anew, for later runs too; off: both.",
        show_default=False,
    ),
]
By = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--by",
        metavar="KIND",
        help="Scores by tag, cluster, or both (tag,cluster), the worst first; by tag unless given.",
        show_default=False,
    ),
]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="End with 0 whatever the result says.")]

# What every command takes, after its own options; `Shell` is made of them.
JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, errors too.")]
OutputFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--output", "-o", metavar="FILE", help="Write the data to a file.", show_default=False),
]
FormatName = Annotated[str, typer.Option("--format", metavar="FORMAT", help="text, json or md.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only on stderr.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="More on stderr; -vv for all.", show_default=False)
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours (also NO_COLOR).")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Ask nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer questions with yes.")]


def cache_mode(given: str | None) -> CacheMode:
    """The value of --cache, read-write unless given. Raises UsageError."""
    from promptprop.ports import CACHE_MODES

    wanted = CACHE_MODES[0] if given is None else given
    found = next((mode for mode in CACHE_MODES if mode == wanted), None)
    if found is None:
        raise UsageError(f"--cache {given!r} is not known", remedy=f"use one of {', '.join(CACHE_MODES)}")
    return found


def kinds_of(given: list[str] | None) -> tuple[Kind, ...]:
    """The values of --by, each once; none unless given. Raises UsageError."""
    from promptprop.domain.breakdown import KINDS

    wanted = [one.strip() for text in given or () for one in text.split(",")]
    if unknown := [one for one in wanted if one not in KINDS]:
        raise UsageError(f"--by {unknown[0]!r} is not known", remedy=f"use {' or '.join(KINDS)}, or tag,cluster")
    return tuple(kind for kind in KINDS if kind in wanted)


def chosen_format(given: str, known: tuple[Format, ...], *, as_json: bool) -> Format:
    """The format that --format and --json ask for. Raises UsageError."""
    chosen = next((name for name in known if name == given), None)
    if chosen is None:
        raise UsageError(f"--format {given!r} is not known here", remedy=f"use one of {', '.join(known)}")
    if as_json and chosen not in ("text", "json"):
        raise UsageError(f"--json and --format {chosen} exclude each other", remedy="leave one out")
    return "json" if as_json else chosen


AGES = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age_of(text: str, option: str) -> timedelta:
    """A length of time such as 30d, as far back or ahead of now as calendars go. Raises UsageError naming the option.

    >>> age_of("2w", "--older-than").days
    14
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text.strip())
    if match is None:
        raise UsageError(f"{option} wants a time such as 30d, got {text!r}", remedy=f"units: {', '.join(AGES)}")
    now = datetime.now(timezone.utc)
    try:
        age = timedelta(**{AGES[match[2]]: int(match[1])})
        _ = (now - age, now + age)
    except OverflowError as error:
        raise UsageError(f"{option} {text} lies beyond all calendars", remedy="give a shorter time") from error
    return age


COMMON = ("json_", "output", "format_", "quiet", "verbose", "no_color", "no_input", "yes")


def common_options(
    json_: JsonFlag = False,
    output: OutputFile = None,
    format_: FormatName = "text",
    quiet: Quiet = False,
    verbose: Verbose = 0,
    no_color: NoColor = False,
    no_input: NoInput = False,
    yes: Yes = False,
) -> Shell:
    """The shell that the common options describe. Raises UsageError where they contradict each other."""
    import sys

    from promptprop.cli.shell import FORMATS

    chosen = chosen_format(format_, FORMATS, as_json=json_)
    if quiet and verbose:
        raise UsageError("-q and -v exclude each other", remedy="leave one out")
    return Shell(
        format=chosen,
        output=output,
        verbosity=-1 if quiet else verbose,
        colour=not no_color,
        asks=not no_input and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty(),
        yes=yes,
    )
