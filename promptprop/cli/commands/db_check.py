"""`promptprop db check`: is the database sound?"""

from __future__ import annotations

from promptprop.cli.failures import SHOWN
from promptprop.cli.options import Database, EnvFile, ExitZero
from promptprop.cli.plain import safe
from promptprop.cli.shell import Shell


def check_database(shell: Shell, exit_zero: ExitZero = False, env_file: EnvFile = None, db: Database = None) -> int:
    """Check that the database is sound.

    Its file, its keys, its revision and its tables. Ends with 1 where something is wrong.
    """
    from promptprop.adapters.storage.migrate import check
    from promptprop.bootstrap.configuration import database_url
    from promptprop.cli.running import environment_of

    problems = check(database_url(db, None, environment_of(env_file)))
    if shell.json:
        shell.write_json({"ok": not problems, "problems": problems})
    else:
        lines = [line for problem in problems for line in problem.splitlines()]
        left = len(lines) - SHOWN
        shown = [*lines[:SHOWN], f"… and {left:,} more; --json tells all"] if left > 0 else lines
        shell.write(safe("\n".join(shown) or "ok: nothing is wrong") + "\n")
    return 1 if problems and not exit_zero else 0
