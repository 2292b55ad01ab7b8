"""The entry of the console script: streams, the version, the command, and how errors end."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence

STREAM_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF}  # what a standard stream may refuse with

SELDOM = 50_000
"""New objects after which garbage is looked for. Loading modules makes many, and nearly all of them stay: looking every
700, as Python does, takes a tenth of a short command's time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code (docs/exit-codes.md)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
    try:
        return _answer(arguments)
    except KeyboardInterrupt as early:  # while modules load, before anything is begun
        return _told(early, arguments)


def _answer(arguments: list[str]) -> int:
    """The command's exit code, with everything flushed that it wrote."""
    if arguments[:1] == ["--version"]:
        from promptprop import __version__

        sys.stdout.write(f"promptprop {__version__}\n")
        return 0
    _open_streams()
    code = _guarded(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_stdout()
    except OSError as error:
        from promptprop.cli.failures import show_error, stream_error

        _leave_stdout()
        return show_error(stream_error(error), as_json=False)
    return code


def _open_streams() -> None:
    """Have three streams that take any letter, even where the caller closed them."""
    from promptprop.cli.plain import accept_any_letter

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole process
        accept_any_letter(getattr(sys, name))


def _guarded(arguments: list[str]) -> int:
    """The command's exit code, whatever it raises."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        _leave_stdout()  # the reader has had enough, as in `promptprop runs list | head -1`
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: no bare traceback reaches people
        return _told(error, arguments)


def _told(error: BaseException, arguments: list[str]) -> int:
    """Tell the error the way that the command line asks for; its exit code."""
    import click

    from promptprop.cli.failures import show_bug, show_error, stream_error, usage_error, wants_json
    from promptprop.domain.errors import Interrupted, PromptPropError

    as_json = wants_json(arguments)
    if isinstance(error, KeyboardInterrupt):
        return show_error(Interrupted("interrupted"), as_json=as_json)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        text = error.ctx.get_help() if error.ctx else ""
        (sys.stderr if arguments else sys.stdout).write(text + "\n")
        return 2 if arguments else 0
    if isinstance(error, click.ClickException | click.Abort):
        return show_error(usage_error(error), as_json=as_json)
    if isinstance(error, PromptPropError):
        return show_error(error, as_json=as_json)
    if isinstance(error, OSError) and error.filename is None and error.errno in STREAM_ERRORS:
        _leave_stdout()
        return show_error(stream_error(error), as_json=False)
    return show_bug(error, as_json=as_json, verbose=_verbose(arguments))


def _run(arguments: list[str]) -> int:
    from promptprop.cli.app import root

    if "_PROMPTPROP_COMPLETE" in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    code = root().main(arguments, prog_name="promptprop", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _verbose(arguments: list[str]) -> bool:
    return "-vv" in arguments or arguments.count("-v") + arguments.count("--verbose") > 1


def _leave_stdout() -> None:
    """Nobody reads any more: let what is left go nowhere, so that Python does not complain at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the rest of the process
