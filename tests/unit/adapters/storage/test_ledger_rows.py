from __future__ import annotations

from typing import Any

from promptprop.adapters.storage.ledger_rows import _shared
from promptprop.adapters.storage.store import SqlStore


def test_a_shared_answer_is_found_in_one_step_through_its_index(sql_store: SqlStore) -> None:
    """However many editions a key has: without the index all of them would be read and sorted for each call."""
    compiled = _shared().compile(dialect=sql_store._engine.dialect)
    with sql_store.reading() as connection:
        driver: Any = connection.connection.driver_connection
        values = ["k" if name == "key" else 1 for name in compiled.positiontup or ()]
        plan = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {compiled}", values)]
    assert plan == ["SEARCH calls USING INDEX ix_calls_key_shared_id (key=? AND shared=?)"]
