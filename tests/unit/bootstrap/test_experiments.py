"""From what the page sends to the configuration, the rows and the budget of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.bootstrap.experiment_rows import add_rows, require_dataset, rows_of
from promptprop.bootstrap.experiments import (
    PageJuror,
    PageRow,
    PageSearch,
    create_search,
    most_calls,
    put_rows,
    seat_names,
    train_rows,
)
from promptprop.bootstrap.page_models import PageModel
from promptprop.bootstrap.requests import Lender
from promptprop.domain.errors import ConfigError, DataError, RunNotFound
from promptprop.domain.judgements import mistakable
from promptprop.domain.models import Example
from promptprop.domain.serve_config import ServeConfig

MODEL = PageModel("gpt-4o", "", 0.5, None, 40)
SEARCH = PageSearch("T {{ x }}", "P {{ y }}", MODEL, (PageJuror("Ann", MODEL), PageJuror("Ann", MODEL)), MODEL)
ENVIRONMENT = {"OPENAI_API_KEY": "k"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with closing(open_store(f"sqlite:///{tmp_path}/runs.db")) as opened:
        yield opened


def lender(**serve: Any) -> Lender:
    return Lender(Path("project"), ServeConfig.model_validate(serve), ENVIRONMENT)


async def rows(store: SqlStore, count: int = 2) -> str:
    return await put_rows(store, [PageRow(f"q{n}", "e") for n in range(count)], 100)


async def test_a_search_is_a_run_of_iterate_with_a_literal_prompt_in_its_frame(store: SqlStore) -> None:
    run = await create_search(store, lender(), SEARCH, await rows(store), owner="token-1")
    config = run.snapshot["config"]
    assert (run.activity, run.owner, config["optimizer"]["name"]) == ("optimize", "token-1", "iterate")
    ((step, prompt),) = run.snapshot["seeds"][0]
    assert (step, prompt["literal"], prompt["messages"]) == ("main", True, [["user", "P {{ y }}"]])
    assert prompt["frame"].endswith("Instruction: {{ instruction }}\n\nInput: {{ query }}")
    assert [one["id"] for one in config["metrics"]] == ["Ann", "Ann (2)"]
    assert config["models"]["task"]["params"] == {}, "OpenAI takes no top_k"
    assert "refiner" in run.snapshot["roles"]


async def test_the_budget_is_the_bound_with_room_for_retries_and_never_beyond_the_servers(store: SqlStore) -> None:
    assert most_calls(SEARCH, 20) == 5 * (20 * 3 + 1) == 305
    dataset = await rows(store, 20)
    own = await create_search(store, lender(), SEARCH, dataset)
    capped = await create_search(store, lender(budget={"calls": 50, "usd": 2}), SEARCH, dataset)
    assert own.snapshot["config"]["budget"]["calls"] == 305 + 152
    assert (capped.snapshot["config"]["budget"]["calls"], capped.snapshot["config"]["budget"]["usd"]) == (50, "2")


@pytest.mark.parametrize(("count", "block"), [(1, 10), (200, 10), (201, 11), (1000, 50)])
async def test_rows_are_taken_in_few_blocks(store: SqlStore, count: int, block: int) -> None:
    dataset = await put_rows(store, [PageRow(f"q{n}", "e") for n in range(count)], 1000)
    run = await create_search(store, lender(), SEARCH, dataset)
    assert run.snapshot["config"]["optimizer"]["options"]["block"] == block


async def test_the_servers_rewriter_stands_in_and_else_the_runner(store: SqlStore) -> None:
    dataset, wanted = await rows(store), replace(SEARCH, rewriter=None)
    own = await create_search(store, lender(models={"rewriter": "openai/gpt-5"}), wanted, dataset)
    assert own.snapshot["config"]["models"]["rewriter"]["model"] == "openai/gpt-5"
    none = await create_search(store, lender(), wanted, dataset)
    assert none.snapshot["config"]["models"]["rewriter"]["model"] == "openai/gpt-4o"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": " "}, "the prompt is empty"),
        ({"jury": ()}, "no members"),
        ({"runner": PageModel("mystery")}, "cannot be told"),
        ({"runner": PageModel("claude-x")}, "ANTHROPIC_API_KEY"),
    ],
)
async def test_what_cannot_run_is_refused_before_it_is_stored(
    store: SqlStore, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await create_search(store, lender(), replace(SEARCH, **changes), await rows(store))
    assert store.runs() == []


async def test_a_budget_of_money_needs_prices_before_anything_is_stored(store: SqlStore) -> None:
    unknown = replace(SEARCH, runner=PageModel("openai/of-my-own"))
    with pytest.raises(ConfigError, match="price"):
        await create_search(store, lender(budget={"usd": 2}), unknown, await rows(store))
    assert store.runs() == []


async def test_keys_are_the_workers_where_the_server_has_none(store: SqlStore) -> None:
    there = replace(lender(), environment={}, has_workers=False)
    assert (await create_search(store, there, SEARCH, await rows(store))).status == "created"
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        await create_search(store, replace(there, has_workers=True), SEARCH, await rows(store))


async def test_a_text_that_looks_like_a_reference_is_a_text(store: SqlStore) -> None:
    wanted = replace(SEARCH, task="${env:OPENAI_API_KEY}", prompt="${env:OPENAI_API_KEY}")
    run = await create_search(store, lender(), wanted, await rows(store))
    assert run.snapshot["seeds"][0][0][1]["messages"] == [["user", "${env:OPENAI_API_KEY}"]]


def test_names_of_jurors_are_told_apart() -> None:
    seats = seat_names(["openai", "openai/gpt-5", "", "  ", "hard_negatives", "a\nb", "x" * 300])
    assert len(set(seats)) == 7
    assert mistakable(seats) is None
    assert all(seat and len(seat) <= 110 for seat in seats)


# --- rows -------------------------------------------------------------------------------------------------------------


async def test_rows_keep_their_order_and_are_all_train(store: SqlStore) -> None:
    dataset = await put_rows(store, [PageRow("same", "e", "s", "h", "test"), PageRow("same", "e")], 100)
    stored = store.examples(dataset, [row.id for row in store.rows(dataset)])
    assert [(one.id, one.split) for one in stored] == [("r000000", "train"), ("r000001", "train")]
    assert stored[0].hard_negatives == ("h",)
    for wrong in ([], [PageRow("q", "e")] * 101):
        with pytest.raises(DataError):
            await put_rows(store, wrong, 100)


async def test_rows_are_added_to_what_an_experiment_has(store: SqlStore) -> None:
    _, first = await add_rows(store, "e" * 32, [PageRow("a", "e", split="test")], None, 100)
    whole, second = await add_rows(store, "e" * 32, [PageRow("a", "e"), PageRow("b", "e")], None, 100)
    assert [one.id for one in whole] == first + second
    assert [one.split for one in whole] == ["test", "train", "train"]
    assert rows_of(store, "e" * 32) == whole
    assert store.experiment_page(10, 0, ["optimize"])[1] == 1
    with pytest.raises(DataError, match="more than"):
        await add_rows(store, "e" * 32, [PageRow("c", "e")] * 98, None, 100)


async def test_equal_rows_of_two_experiments_are_two_datasets(store: SqlStore) -> None:
    for name in ("experiment-1", "experiment-2"):
        await add_rows(store, name, [PageRow("a", "e")], None, 100)
    assert require_dataset(store, "experiment-1") != require_dataset(store, "experiment-2")


@pytest.mark.parametrize("name", ["short", "../../../etc", "a b c d e f", "x" * 65, "", "latest"])
async def test_an_id_that_cannot_be_one_is_refused(store: SqlStore, name: str) -> None:
    with pytest.raises(DataError, match="cannot be the id"):
        await add_rows(store, name, [PageRow("a", "e")], None, 100)


async def test_rows_without_a_split_are_shared_out_and_equal_queries_stay_together(store: SqlStore) -> None:
    given = [PageRow(f"q{n // 2}", "e") for n in range(40)] + [PageRow("q0", "e", split="test")]
    whole, _ = await add_rows(store, "e" * 32, given, (0.5, 0.25, 0.25), 100)
    counts = [sum(one.split == name for one in whole) for name in ("train", "select", "test")]
    assert counts == [20, 10, 11]
    by_query = {one.inputs["query"]: one.split for one in whole[:-1]}
    assert all(by_query[one.inputs["query"]] == one.split for one in whole[:-1])


async def test_ratios_of_one_split_alone_are_fine(store: SqlStore) -> None:
    whole, _ = await add_rows(store, "e" * 32, [PageRow("a", "e")] * 3, (0.0, 0.0, 1.0), 100)
    assert {one.split for one in whole} == {"test"}


async def test_all_rows_are_learned_from_where_none_is_a_train_row(store: SqlStore) -> None:
    plain = await store.put_dataset(
        "n", [Example("1", {"a": 1, "b": "x"}, split="test"), Example("2", {"a": 2, "b": ""}, split="select")]
    )
    learned = await train_rows(store, plain)
    stored = store.examples(learned, ["1", "2"])
    assert [one.split for one in stored] == ["train", "train"]
    assert stored[0].inputs == {"query": '{"a": 1, "b": "x"}'}
    mixed = await store.put_dataset("n", [Example("1", {"query": "a"}), Example("2", {"query": "b"}, split="test")])
    assert [row.split for row in store.rows(await train_rows(store, mixed))] == ["train", "test"]
    assert await train_rows(store, learned) == learned


def test_an_unknown_experiment_is_not_found(store: SqlStore) -> None:
    with pytest.raises(RunNotFound):
        require_dataset(store, "e" * 32)
