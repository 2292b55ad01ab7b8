"""`promptprop db upgrade`: bring a database to the newest revision."""

from __future__ import annotations

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell


def upgrade_database(shell: Shell, env_file: EnvFile = None, db: Database = None) -> None:
    """Bring the database up to date.

    Back it up first. It is changed as a whole or not at all.
    """
    from promptprop.adapters.storage.migrate import upgrade
    from promptprop.bootstrap.configuration import database_url
    from promptprop.cli.running import environment_of

    revision = upgrade(database_url(db, None, environment_of(env_file)))
    if shell.json:
        shell.write_json({"revision": revision})
    else:
        shell.write(f"ok: the database is at revision {revision}\n")
