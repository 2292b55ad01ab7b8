"""How errors are shown: message and remedy on stderr, or with --json one envelope on stdout; and their exit codes."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from promptprop.adapters.logs import redact_value
from promptprop.cli.plain import safe, speaks_unicode
from promptprop.domain.errors import InputError, NotWritable, PromptPropError, StorageFull, UsageError
from promptprop.domain.models import Json

SHOWN = 20  # problems on a terminal


def wants_json(arguments: list[str]) -> bool:
    """Whether the command line asks for JSON, told without parsing it: it may be the one that is wrong."""
    given = arguments[: arguments.index("--")] if "--" in arguments else arguments
    pairs = zip(given, [*given[1:], ""], strict=False)
    return any(one in {"--json", "--format=json"} or (one == "--format" and two == "json") for one, two in pairs)


def show_error(error: PromptPropError, *, as_json: bool, run: Json = None) -> int:
    """Tell an error, with the state of its run where there is one (JSON only); returns its exit code."""
    if as_json:
        envelope: dict[str, Any] = {"error": error_json(error), "exit_code": error.exit_code}
        if run is not None:
            envelope["run"] = run
        shown = redact_value(envelope)
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=not speaks_unicode()) + "\n")
    else:
        sys.stderr.write(error_text(error, colour=_stderr_colour()))
        sys.stderr.flush()
    return error.exit_code


def error_json(error: PromptPropError) -> Json:
    """`{code, message, remedy, problems}`; places have file, line and column, 0 where they are not known."""
    problems = []
    for problem in error.problems if isinstance(error, InputError) else ():
        place = problem.place
        problems.append(
            {
                "message": problem.message,
                "file": place.file if place else "",
                "line": place.line if place else 0,
                "column": place.column if place else 0,
                "remedy": problem.remedy,
            }
        )
    remedy = error.remedy or (problems[0]["remedy"] if len(problems) == 1 else "")
    return {"code": error.code, "message": error.message, "remedy": remedy, "problems": problems}


def error_text(error: PromptPropError, *, colour: bool = False) -> str:
    """The error as lines, the remedy behind an arrow."""
    red, faint, plain = ("\x1b[1;31m", "\x1b[2m", "\x1b[0m") if colour else ("", "", "")
    body = safe(str(error))
    if isinstance(error, InputError) and len(error.problems) > 1:
        shown = [str(problem) for problem in error.problems[:SHOWN]]
        more = [f"… and {len(error.problems) - SHOWN} more; --json tells all"] if len(error.problems) > SHOWN else []
        body = safe("\n".join([f"{len(error.problems)} problems", *shown, *more]))
    lines = [f"{faint}{line}{plain}" if line.startswith("    → ") else line for line in body.splitlines()]
    return f"{red}error:{plain} " + "\n".join(lines) + "\n"


def _stderr_colour() -> bool:
    """As for everything that is drawn, but without loading what draws; --no-color is read from the command line."""
    if os.environ.get("NO_COLOR") or "--no-color" in sys.argv:
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def usage_error(error: Exception) -> UsageError:
    """What click refused, as an error of ours."""
    import click

    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    message, near = _without_suggestions(error, message)
    message = message.strip().rstrip(".")
    message, _, meant = message.partition(". Did you mean ")
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "promptprop"
    meant = meant.rstrip("?") or near
    remedy = f"did you mean {meant}?" if meant else f"`{command} --help` shows what there is"
    return UsageError(message[:1].lower() + message[1:], remedy=remedy)


def _without_suggestions(error: Exception, message: str) -> tuple[str, str]:
    """Click's message, and what it thinks was meant, apart."""
    import click

    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name}", " or ".join(sorted(error.possibilities or ()))
    return message, ""


def stream_error(error: OSError) -> PromptPropError:
    """A stream that cannot be written: a full disk behind `>`, say."""
    import errno

    what = "the output cannot be written"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(f"{what}: no space is left", remedy="free some space, or write elsewhere")
    return NotWritable(f"{what}: {error.strerror or error}", remedy="write elsewhere")


def show_bug(error: BaseException, *, as_json: bool, verbose: bool) -> int:
    """An error that nobody foresaw: one line, and the traceback in a log. Ends with 70."""
    name = type(error).__name__
    log = _write_traceback(error)
    remedy = f"please report it, with {log}" if log else "run it again with -vv to see where, and please report it"
    text = " ".join(safe(str(error)).split())[:300]
    wrapped = PromptPropError(f"this is a bug in PromptProp: {name}: {text}", remedy=remedy)
    if verbose:
        sys.stderr.write(safe("".join(traceback.format_exception(error))))
    return show_error(wrapped, as_json=as_json)


def _write_traceback(error: BaseException) -> Path | None:
    """Log the traceback to the project's log, else to the user's; the file, None where none can be written."""
    from promptprop.adapters.logs import FILE_NAME, configure
    from promptprop.bootstrap.configuration import project_folder

    project = project_folder()
    if project.is_dir():
        folder = project / "logs"
    else:
        from platformdirs import user_log_path

        folder = user_log_path("promptprop", appauthor=False)
    if configure(folder, -1) is None:
        return None
    # Not below "promptprop", whose lines go to stderr as well.
    logging.getLogger("bug").error("unforeseen error", exc_info=(type(error), error, error.__traceback__))
    return folder / FILE_NAME
