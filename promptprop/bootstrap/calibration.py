"""Composes `judge calibrate`: labelled answers read, jurors opened behind a ledger, their votes held against labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.bootstrap.inquiries import open_inquiry
from promptprop.bootstrap.metrics import build_run_scorer
from promptprop.bootstrap.preparation import templates_of
from promptprop.domain.errors import ConfigError, DataError, Problem
from promptprop.domain.models import Json, text_of

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.budget import Spend
    from promptprop.services.calibrate import CalibrationReport, Labelled

ACTIVITY = "calibrate"
WORDS = {
    **dict.fromkeys(("good", "pass", "passed", "yes", "true", "right", "correct", "1"), 1.0),
    **dict.fromkeys(("bad", "fail", "failed", "no", "false", "wrong", "incorrect", "0"), 0.0),
}


async def calibrate_jury(
    store: SqlStore,
    loaded: LoadedConfig,
    labelled: Sequence[Labelled],
    replicates: int,
    line: float,
    on_tick: Callable[[str, int, int], None],
) -> tuple[list[CalibrationReport], Spend]:
    """Have every jury of the configuration judge the answers. Raises ConfigError, BudgetSpent, ModelError."""
    from promptprop.services.calibrate import held_against, judged_answers

    config = loaded.config
    juries = tuple(metric for metric in config.metrics if metric.type == "jury")
    if not juries:
        raise ConfigError("this configuration has no jury", remedy="add a metric {id: panel, type: jury}")
    templates = templates_of(config)
    alone = config.model_copy(update={"metrics": juries})
    scorer = build_run_scorer(alone, loaded.path.parent, templates)
    if scorer.wants_rubric:
        raise ConfigError(
            "`rubric: auto` is drafted anew in each run, so that there is nothing to calibrate yet",
            remedy="write the features of a drafted rubric (`promptprop runs show RUN --rubric`) under `rubric:`",
        )
    dataset_id = await store.put_dataset(f"{config.name}-labels", [one.example for one in labelled])
    async with open_inquiry(store, loaded, ACTIVITY, dataset_id, templates, on_tick, alone) as inquiry:
        evaluations = await judged_answers(inquiry, scorer, labelled, replicates)
        await store.commit_block(inquiry.run_id, evaluations, [], scorer.fingerprint)
    return [held_against(metric.id, labelled, evaluations, line) for metric in juries], inquiry.ledger.spend


def read_labelled(loaded: LoadedConfig, file: Path, answer: str, label: str) -> list[Labelled]:
    """Rows as the configuration names their columns, with an answer and a person's label. Raises DataError.

    Labels are numbers from 0 to 1, or from 0 to 100 where one of them is above 1, or words such as good and bad.
    """
    from promptprop.adapters.files.datasets import Columns, read_examples
    from promptprop.services.calibrate import Labelled

    data = loaded.config.data
    columns = Columns(
        (*data.inputs, answer, label),
        data.expected,
        soft_negatives=data.soft_negatives,
        hard_negatives=data.hard_negatives,
    )
    examples = list(read_examples(str(file), columns))
    numbers = [_number(example.inputs[label]) for example in examples]
    problems = [
        Problem(
            f"{file.name}, row {place}: the label {text_of(example.inputs[label])!r} is no score",
            remedy="write a number from 0 to 1 or to 100, or good and bad",
        )
        for place, (example, number) in enumerate(zip(examples, numbers, strict=True), 1)
        if number is None or not 0 <= number <= 100
    ]
    if problems or not examples:
        raise DataError(problems or [Problem(f"{file.name} holds no rows")])
    known = [number for number in numbers if number is not None]
    scale = 100.0 if max(known) > 1 else 1.0
    found = []
    for example, number in zip(examples, known, strict=True):
        shown = replace(example, inputs=_without(example.inputs, answer, label))
        found.append(Labelled(shown, text_of(example.inputs[answer]), number / scale))
    return found


def _without(inputs: Mapping[str, Json], *names: str) -> dict[str, Json]:
    return {name: value for name, value in inputs.items() if name not in names}


def _number(value: Json) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    text = text_of(value).strip().casefold()
    if text in WORDS:
        return WORDS[text]
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        return None
