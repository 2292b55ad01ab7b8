from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptprop.adapters.storage.ledger_rows import NEWEST_SHARED
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.budget import settled
from promptprop.domain.models import Attempts, ModelRequest, Reply, Usage
from promptprop.ports import RunRow


def test_a_shared_answer_is_found_in_one_step_through_its_index(sql_store: SqlStore) -> None:
    """However many editions a key has: without the index all of them would be read and sorted for each call."""
    with sql_store.reading() as connection:
        driver: Any = connection.connection.driver_connection
        plan = [
            row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {NEWEST_SHARED.format(values='?, ?')}", ["k", "l"])
        ]
    assert plan == [
        "SEARCH calls USING INTEGER PRIMARY KEY (rowid=?)",
        "LIST SUBQUERY 1",
        "SEARCH calls USING COVERING INDEX ix_calls_key_shared_id (key=? AND shared=?)",
    ]


@pytest.mark.parametrize("tokens", [1, 9])
async def test_a_run_whose_reply_came_second_has_paid_for_its_own_and_not_for_the_one_it_uses(
    any_database_url: str, some_run: RunRow, request_of: Callable[[object], ModelRequest], tokens: int
) -> None:
    store, request, attempts = open_store(any_database_url), request_of("a"), Attempts(2, 1, 100, 1000)
    first = Reply("first", Usage(5, 4), 40, "stop", "m")
    second = Reply("second", Usage(5, tokens), 10 * tokens, "stop", "m")
    try:
        for run_id, reply in (("run-1", first), ("run-2", second)):
            await store.create_run(replace(some_run, id=run_id))
            await store.record_call(run_id, request, reply, attempts)
        assert store.paid("run-1") == settled(first, attempts)
        assert store.paid("run-2") == settled(second, attempts)
        found = store.find_call("run-2", request.key)
        assert found is not None
        assert found.reply == first
        assert settled(found.reply, found.attempts) == settled(second, attempts), "a resumed run counts the same"
    finally:
        store.close()
