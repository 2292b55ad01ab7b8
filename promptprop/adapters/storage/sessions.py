"""A server's sessions end without asking: whether one has ended, and what became of its transaction."""

from __future__ import annotations

import select
import time
from typing import Any

from sqlalchemy import Connection

FATE_SECONDS = 5.0  # how long a server may take to end a transaction whose connection was lost


def has_ended(connection: Connection) -> bool:
    """Whether a server has ended a connection that nobody is using right now; costs a look at its socket."""
    if connection.dialect.name == "sqlite":
        return False
    if is_broken(connection):
        return True
    driver: Any = connection.connection.driver_connection
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    if not poll.poll(0):
        return False
    try:  # a last message, or a notice
        driver.execute("SELECT 1")
    except Exception:  # noqa: BLE001 - whatever it is, the next line tells what matters
        return is_broken(connection)
    return False


def is_broken(connection: Connection) -> bool:
    """Whether the driver has found a server's connection to be gone."""
    if connection.closed or connection.invalidated:
        return True
    driver: Any = connection.connection.driver_connection
    return bool(getattr(driver, "closed", False))


def transaction_number(connection: Connection) -> int | None:
    """A number to ask by what became of the transaction; None on SQLite, which never leaves that open."""
    if connection.dialect.name == "sqlite":
        return None
    return int(connection.exec_driver_sql("SELECT txid_current()").scalar_one())


def has_committed(connection: Connection, number: int) -> bool | None:
    """What became of a transaction whose connection was lost; None where the server cannot tell."""
    deadline = time.monotonic() + FATE_SECONDS
    while True:
        fate = connection.exec_driver_sql("SELECT txid_status(%s)", (number,)).scalar()
        if fate != "in progress" or time.monotonic() > deadline:
            return {"committed": True, "aborted": False}.get(str(fate))
        time.sleep(0.05)  # the server has yet to notice that its client is gone
