"""`promptprop db upgrade`: bring a database to the newest revision."""

from __future__ import annotations

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell


def upgrade_database(shell: Shell, env_file: EnvFile = None, db: Database = None) -> None:
    """Bring the database up to date.

    It is changed as a whole or not at all, and an SQLite file is copied to backups/ beside it first; back up a server
    yourself.
    """
    from promptprop.adapters.storage.migrate import upgrade
    from promptprop.bootstrap.configuration import database_url
    from promptprop.cli.running import environment_of

    done = upgrade(database_url(db, None, environment_of(env_file)))
    if shell.json:
        copy = None if done.backup is None else str(done.backup)
        shell.write_json({"revision": done.after, "before": done.before, "backup": copy})
        return
    if done.backup is not None:
        shell.note(f"the database as it was is kept in {done.backup}")
    came = "" if done.before == done.after else f", from {done.before}"
    shell.write(f"ok: the database is at revision {done.after}{came}\n")
