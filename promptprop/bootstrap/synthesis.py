"""Composes `data synth`: train rows shown to the synthesizer, and what it invents put into a file for review."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.bootstrap.data import row_json, rows_of
from promptprop.bootstrap.inquiries import Tick, open_inquiry
from promptprop.bootstrap.metrics import build_run_scorer
from promptprop.bootstrap.preparation import SEARCHING, templates_of
from promptprop.domain.errors import ConfigError, DataError, UnusableReplies
from promptprop.domain.models import Example, Json, digest

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.files.reviews import ReviewRow
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.budget import Spend
    from promptprop.domain.config import DataConfig
    from promptprop.metrics.scoring import Scorer
    from promptprop.roles.synthesizer import InventedRow
    from promptprop.services.data_checks import Rows
    from promptprop.services.synthesis import Order

ACTIVITY = "synthesize"
OPTIONAL = ("cluster", "tags", "weight", "soft_negatives", "hard_negatives")
SYNTHETIC = "synthetic"  # the tag of invented rows, where the dataset has tags


@dataclass(frozen=True, slots=True)
class Proposals:
    """What a synthesis came to: the new rows as they are in the file, what was left out, and what it cost."""

    rows: tuple[ReviewRow, ...]
    left_out: Mapping[str, int]
    spend: Spend


def review_file(loaded: LoadedConfig) -> Path:
    """Where invented rows wait for review unless told otherwise: beside the dataset, or beside the configuration."""
    named = loaded.config.data.file
    if named is None or named == "-":
        return loaded.path.parent / f"{loaded.config.name}.review.jsonl"
    path = Path(named)
    return path.with_name(f"{path.name.removesuffix('.gz').rpartition('.')[0] or path.name}.review.jsonl")


def kinds_of(loaded: LoadedConfig, wanted: Sequence[str], labels: Mapping[str, int]) -> tuple[str, ...]:
    """The kinds to invent: those that were named, or all that the data allows. Raises ConfigError."""
    from promptprop.roles.synthesizer import KINDS

    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise ConfigError(f"there is no kind {unknown[0]!r} of rows", remedy=f"one of {', '.join(KINDS)}")
    if "rare" in wanted and not labels:
        raise ConfigError(
            f"{loaded.path.name}: no label is rare where answers are no labels", remedy="leave --kind rare out"
        )
    return tuple(dict.fromkeys(wanted)) or tuple(kind for kind in KINDS if kind != "rare" or labels)


async def invent_rows(
    store: SqlStore, loaded: LoadedConfig, count: int, kinds: Sequence[str], file: Path, on_tick: Tick
) -> Proposals:
    """Have rows invented, and put them at the end of the review file.

    Rows of the file are not invented again, whatever was said of them. Raises ConfigError, DataError, NotWritable,
    BudgetExhausted, ModelError; UnusableReplies where no row came of it.
    """
    from promptprop.adapters.files.reviews import write_review
    from promptprop.adapters.files.writing import require_folder
    from promptprop.services.synthesis import input_text, synthesize

    config = loaded.config
    rows = rows_of(loaded)
    order = _order(loaded, rows, count, kinds)
    require_folder(file)
    before = _reviewed(file)
    known = [{name: one.row[name] for name in config.data.inputs if name in one.row} for one in before]
    templates = templates_of(config, (*SEARCHING, "synthesizer"))
    scorer = build_run_scorer(config, loaded.path.parent, templates)
    dataset_id = await store.put_dataset(config.name, rows.examples)
    texts = [input_text(example.inputs) for example in rows.examples] + [input_text(values) for values in known]
    async with open_inquiry(store, loaded, ACTIVITY, dataset_id, templates, on_tick) as inquiry:
        found = await synthesize(inquiry.ask, order, known, texts)
    if not found.rows:
        why = max(found.left_out, key=lambda reason: found.left_out[reason], default="the model wrote none")
        raise UnusableReplies(
            f"no row could be used: {why}", remedy="try again, name another model, or show more and other train rows"
        )
    new = tuple(_proposed(kind, row, config.data, scorer) for kind, row in found.rows)
    write_review(file, [*before, *new])
    return Proposals(new, found.left_out, inquiry.ledger.spend)


def _reviewed(file: Path) -> list[ReviewRow]:
    """The rows that wait for review, or have been reviewed; none where there is no file yet."""
    from promptprop.adapters.files.reviews import read_review

    return read_review(file) if file.exists() else []


def _order(loaded: LoadedConfig, rows: Rows, count: int, kinds: Sequence[str]) -> Order:
    from promptprop.adapters.files.datasets import Columns
    from promptprop.domain.sampling import labels_of, row_of
    from promptprop.services.synthesis import Order

    config = loaded.config
    examples = [example for example in rows.examples if rows.splits.get(example.id) == "train"]
    if not examples:
        raise DataError("there are no train rows to show", remedy="rows of select and test stay unseen; add train rows")
    labels = labels_of(example.expected for example in examples)
    columns = Columns(config.data.inputs)
    return Order(
        task=config.task,
        count=count,
        kinds=kinds_of(loaded, kinds, labels),
        names=config.data.inputs,
        train=[(row_of(example), example, columns.values(example.inputs)) for example in examples],
        labels=labels,
        expects=any(example.expected is not None for example in examples),
        negatives=any(metric.type == "jury" for metric in config.metrics)
        or bool(config.data.soft_negatives or config.data.hard_negatives),
        seed=config.seed,
    )


def _proposed(kind: str, row: InventedRow, data: DataConfig, scorer: Scorer) -> ReviewRow:
    """The row under the columns of its dataset, with what speaks against it."""
    from promptprop.adapters.files.datasets import Columns
    from promptprop.adapters.files.reviews import ReviewRow
    from promptprop.services.synthesis import doubts_of

    example = Example(
        id=f"synth-{digest([dict(row.inputs), row.expected], 12)}",
        inputs=Columns(data.inputs).filled(row.inputs),
        expected=row.expected,
        soft_negatives=row.soft_negatives,
        hard_negatives=row.hard_negatives,
        tags=(SYNTHETIC, kind),
    )
    # columns that the configuration does not name yet are written under their usual names, to be taken up
    names = {name: getattr(data, name) or name for name in ("soft_negatives", "hard_negatives")}
    proposed = row_json(example, data.model_copy(update=names))
    if data.cluster:
        proposed[data.cluster] = example.id
    if data.split.column:
        proposed[data.split.column] = "train"
    return ReviewRow(proposed, kind=kind, why=row.why, doubts=doubts_of(example, scorer))


def doubts_about(loaded: LoadedConfig, row: Mapping[str, Json]) -> tuple[str, ...]:
    """What speaks against a row that a person has edited. Raises DataError where it is none of this dataset."""
    from promptprop.services.synthesis import doubts_of

    return doubts_of(example_of(loaded, row), build_run_scorer(loaded.config, loaded.path.parent))


def example_of(loaded: LoadedConfig, row: Mapping[str, Json]) -> Example:
    """A row as a run would read it. Raises DataError."""
    from promptprop.adapters.files.datasets import read_examples
    from promptprop.bootstrap.preparation import columns_of

    columns = columns_of(loaded.config.data)
    for name in OPTIONAL:  # of a file, some row must have each of these columns; a row alone need not
        if getattr(columns, name) not in row:
            columns = replace(columns, **{name: None})  # type: ignore[arg-type]  # all of them may be None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{row.get(loaded.config.data.id or 'id', 'row')!s:.60}".replace("/", "_")
        file.write_text(json.dumps(row) + "\n", encoding="utf-8")
        (example,) = read_examples(str(file), columns, "jsonl")
    return example


def add_accepted(loaded: LoadedConfig, rows: Sequence[ReviewRow], target: Path) -> int:
    """Put the accepted rows at the end of a dataset; returns how many were not there yet.

    All of them are read as rows of this configuration first. Raises DataError, UsageError, NotWritable.
    """
    from promptprop.adapters.files.reviews import add_rows

    accepted = [one.row for one in rows if one.review == "accepted"]
    for row in accepted:
        example_of(loaded, row)
    return add_rows(target, accepted, loaded.config.data.id)
