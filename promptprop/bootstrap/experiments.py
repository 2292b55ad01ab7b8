"""Experiments of the front end: from what its page sends to rows in the store and to a run like any other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from promptprop.bootstrap.page_models import PageModel, lent, server_rewriter
from promptprop.domain.errors import ConfigError, DataError, Problem
from promptprop.domain.models import Example, Json, Split, storable, text_of

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.requests import Lender
    from promptprop.domain.serve_config import ServeConfig
    from promptprop.ports import RunRow

NAME = "front-end"  # of runs that the page begins
EXPERIMENT_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{7,63}")
MISSING = 0.5  # share of rows without a score past which a run stops: a few are none of the page's errors
BLOCK, BLOCKS = 10, 20  # rows at once at least, and blocks at most: the page shows rows as they come
ACTIVITIES = ("optimize", "evaluate", "check")  # that experiments are


@dataclass(frozen=True, slots=True)
class PageRow:
    """A row as the page sends it; negatives are texts, `split` is empty where none is named."""

    query: str
    expected: str
    soft: str = ""
    hard: str = ""
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class PageJuror:
    """A member of the page's jury."""

    name: str
    model: PageModel


@dataclass(frozen=True, slots=True)
class PageSearch:
    """What the page wants optimized; scores lie in [0, 1]."""

    task: str
    prompt: str
    runner: PageModel
    jury: tuple[PageJuror, ...]
    rewriter: PageModel | None = None
    iterations: int = 5
    settled: float = 0.002
    passing: float = 0.9
    perfect: float = 0.98


def example_of_row(row: PageRow, number: int, suffix: str = "") -> Example:
    """The row as an example; ids sort in the order of the rows, and tell equal queries apart."""
    return Example(
        f"r{number:06d}{suffix}",
        {"query": storable(row.query)},
        storable(row.expected),
        (storable(row.soft),) if row.soft.strip() else (),
        (storable(row.hard),) if row.hard.strip() else (),
        split=row.split,
    )


async def put_rows(store: SqlStore, rows: Sequence[PageRow], most: int) -> str:
    """Store rows as a dataset of train rows alone. Raises DataError."""
    if not rows:
        raise DataError("the dataset has no rows", remedy="send at least one")
    if len(rows) > most:
        raise DataError(f"the dataset has more than {most:,} rows", remedy="take fewer rows")
    trained = (example_of_row(replace(row, split="train"), number) for number, row in enumerate(rows))
    return await store.put_dataset(NAME, trained)


async def train_rows(store: SqlStore, dataset_id: str) -> str:
    """The dataset whose train rows are to be learned from: this one as the page knows rows, or all of them as train.

    A row without a split is a train row. Rows of several inputs have them as JSON in their query.
    """
    rows = store.rows(dataset_id)
    examples = store.examples(dataset_id, [row.id for row in rows])
    learned = any(row.split in ("train", None) for row in rows)
    known = [_as_page_knows(one, one.split or "train" if learned else "train") for one in examples]
    return dataset_id if known == examples else await store.put_dataset(NAME, known)


def _as_page_knows(example: Example, split: Split) -> Example:
    return replace(example, inputs={"query": query_of(example)}, split=split)


def query_of(example: Example) -> str:
    """The row's input as one text: several inputs as JSON.

    >>> query_of(Example("1", {"a": "x", "b": 2}))
    '{"a": "x", "b": 2}'
    """
    values = list(example.inputs.values())
    return text_of(values[0]) if len(values) == 1 else text_of(dict(example.inputs))


async def create_search(
    store: SqlStore,
    lender: Lender,
    wanted: PageSearch,
    dataset_id: str,
    *,
    owner: str = "",
    run_id: str | None = None,
) -> RunRow:
    """Store the run that a search of the page is. Raises ConfigError, DataError.

    It takes at most `iterations × (rows × (1 + jurors) + 1)` calls, and half as many more for retries and repairs.
    """
    from promptprop.bootstrap.models import require_answerable
    from promptprop.bootstrap.preparation import draft_run, prepare, require_rewriter

    rows = sum(row.split in ("train", None) for row in store.rows(dataset_id))
    loaded = load_search(lender, wanted, dataset_id, rows)
    require_rewriter(loaded.config)
    ready = partial(require_answerable, loaded.config, lender.environment, "optimize", keys=lender.has_workers)
    await asyncio.to_thread(ready)
    prepared = await prepare(store, loaded, most_rows=lender.serve.limits.rows)
    run = replace(draft_run(prepared, "optimize", {"front_end": front_end_options(wanted)}), owner=owner)
    run = replace(run, id=run_id) if run_id else run
    await store.create_run(run)
    return run


def most_calls(wanted: PageSearch, rows: int) -> int:
    """The most calls that a search makes, retries apart."""
    return wanted.iterations * (rows * (1 + len(wanted.jury)) + 1)


def load_search(lender: Lender, wanted: PageSearch, dataset_id: str, rows: int) -> LoadedConfig:
    """The configuration of a search. Raises ConfigError with everything that is wrong with its models."""
    from promptprop.bootstrap.requests import capped
    from promptprop.domain.budget_config import BudgetConfig

    if not wanted.jury:
        raise ConfigError("the jury has no members", remedy="name at least one juror")
    if not wanted.prompt.strip():
        raise ConfigError("the prompt is empty", remedy="write one")
    seats = seat_names([juror.name or juror.model.model for juror in wanted.jury])
    calls = most_calls(wanted, rows)
    budget = capped(BudgetConfig(calls=calls + max(10, calls // 2)), lender.serve.budget)
    return loaded_of(
        lender,
        {
            "name": NAME,
            "task": storable(wanted.task),
            "prompt": framed(wanted.task, wanted.prompt),
            "data": {"dataset": dataset_id, "split": {"train": 1.0, "select": 0.0, "test": 0.0}},
            "models": _models(wanted, seats, lender.serve),
            "metrics": [{"type": "jury", "id": seat, "jurors": [seat]} for seat in seats],
            "optimizer": {
                "name": "iterate",
                "options": {
                    "iterations": wanted.iterations,
                    "passing": wanted.passing,
                    "perfect": wanted.perfect,
                    "settled": wanted.settled,
                    "block": max(BLOCK, -(-rows // BLOCKS)),
                    "prove": False,
                },
            },
            "budget": budget.model_dump(mode="json"),
            "max_error_rate": MISSING,
        },
    )


def _models(wanted: PageSearch, seats: Sequence[str], serve: ServeConfig) -> dict[str, Json]:
    problems: list[Problem] = []

    def model(given: PageModel, role: str, **more: Json) -> Json:
        try:
            return {**lent(given, role, serve).model_dump(mode="json"), **more}
        except ConfigError as error:
            problems.extend(error.problems)
            return None

    own = server_rewriter(serve)
    rewriter = model(wanted.rewriter, "rewriter") if wanted.rewriter else own and own.model_dump(mode="json")
    found: dict[str, Json] = {
        "task": model(wanted.runner, "task"),
        "rewriter": rewriter or model(wanted.runner, "rewriter"),
        "jury": [model(one.model, "juror", name=seat) for one, seat in zip(wanted.jury, seats, strict=True)],
    }
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return found


def loaded_of(lender: Lender, config: Mapping[str, Json]) -> LoadedConfig:
    """A configuration that is made here as one that was loaded: it names no file, and no reference but the server's."""
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.domain.config import RunConfig

    found = RunConfig.model_validate(config)
    return LoadedConfig(found, {}, lender.folder / "request", (), lender.environment)


def framed(task: str, prompt: str) -> dict[str, Json]:
    """The prompt as the page has it sent: one user message, in which no brace is a template."""
    from promptprop.roles.template import escaped

    frame = f"Task Context: {escaped(storable(task))}\n\nInstruction: {{{{ instruction }}}}\n\nInput: {{{{ query }}}}"
    return {"text": storable(prompt), "literal": True, "frame": frame}


def seat_names(names: Sequence[str]) -> list[str]:
    """What jurors are called in a run: as on the page, but each once and without slashes, which mean something there.

    >>> seat_names(["Strict", "Strict", "openai/gpt-5", "hard_negatives"])
    ['Strict', 'Strict (2)', 'openai:gpt-5', 'juror hard_negatives']
    """
    seats: list[str] = []
    for name in names:
        plain = " ".join(storable(name).replace("/", ":").split())[:100] or "juror"
        seat = f"juror {plain}" if plain == "hard_negatives" else plain
        number = 2
        while seat in seats:
            seat, number = f"{plain} ({number})", number + 1
        seats.append(seat)
    return seats


def front_end_options(wanted: PageSearch) -> dict[str, Json]:
    """What the page is shown again as it sent it, and what its frames need to know."""
    seats = seat_names([juror.name or juror.model.model for juror in wanted.jury])
    return {
        "runner": model_json(wanted.runner),
        "jury": [
            {"id": seat, "name": storable(one.name or one.model.model), **model_json(one.model)}
            for one, seat in zip(wanted.jury, seats, strict=True)
        ],
        "iterations": wanted.iterations,
        "settled": wanted.settled,
        "passing": wanted.passing,
        "perfect": wanted.perfect,
    }


def model_json(model: PageModel) -> dict[str, Json]:
    """A model as the page writes it."""
    return {"provider": storable(model.provider), "model": storable(model.model), "settings": model.settings}
