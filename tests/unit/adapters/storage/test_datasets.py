from __future__ import annotations

import pytest

from promptprop.adapters.storage import datasets
from promptprop.adapters.storage.store import SqlStore
from promptprop.domain.errors import DataError
from promptprop.domain.models import Example
from promptprop.domain.sampling import row_of


async def test_a_dataset_that_outgrows_memory_comes_back_whole(
    sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "SPOOL_BYTES", 100)
    examples = [Example(f"r{number}", {"text": "é\u2028\r\n" * 30}, "label") for number in range(1500)]
    dataset = await sql_store.put_dataset("large", iter(examples))
    assert sql_store.examples(dataset, [example.id for example in examples]) == examples
    assert sql_store.rows(dataset) == [row_of(example) for example in examples]


async def test_a_value_that_is_no_json_is_refused_with_its_row(sql_store: SqlStore) -> None:
    for value in (float("nan"), object()):
        with pytest.raises(DataError, match="r7"):
            await sql_store.put_dataset("bad", [Example("r7", {"x": value})])
