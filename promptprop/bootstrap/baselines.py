"""Composes stored baselines: what a run was scored under, what is accepted, and what a check may be held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.baseline import (
    ALLOWED,
    ASPECTS,
    Aspect,
    Baseline,
    Conditions,
    Difference,
    content_of,
    differences,
    row_of,
    shared_rows,
)
from promptprop.domain.errors import NotComparable, UsageError
from promptprop.domain.models import Example, Json

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.config import RunConfig
    from promptprop.ports import RunRow

ANSWER = 200  # characters of an answer that a baseline shows
DIGEST = 12  # hex digits that stand for what shapes a metric
REMEDIES: dict[Aspect, str] = {
    "rows": "--allow-diff rows compares those that both have",
    "model": "--allow-diff model compares across models",
    "metrics": "scores of other metrics cannot be compared: `promptprop baseline accept CONFIG` makes a new baseline",
    "judges": "scores of other judges cannot be compared: `promptprop baseline accept CONFIG` makes a new baseline",
}


@dataclass(frozen=True, slots=True)
class Footing:
    """What a check against a stored baseline rests on: the rows that are compared, and differences that are allowed."""

    rows: tuple[str, ...]
    allowed: tuple[Difference, ...]

    @property
    def anew(self) -> bool:
        """Whether the same prompt is answered by another model now."""
        return any(one.aspect == "model" for one in self.allowed)


def conditions_of(run: RunRow, environment: Mapping[str, str]) -> Conditions:
    """What the scores of a run depend on besides prompt and rows."""
    from promptprop.bootstrap.metrics import build_run_scorer
    from promptprop.bootstrap.models import identities
    from promptprop.domain.config import RunConfig

    config = RunConfig.model_validate(run.snapshot["config"])
    steps = run.snapshot["program"]
    answering = {endpoint for _, _, endpoint in steps}
    found = identities(config, environment, "check")
    fingerprints = build_run_scorer(config, Path(run.snapshot["folder"]), run.snapshot["roles"]).fingerprints
    return Conditions(
        models={alias: settings for alias, settings in found.items() if alias in answering},
        judges={alias: settings for alias, settings in found.items() if alias not in answering},
        metrics={
            metric.id: {**_settings(config, metric.id), "digest": fingerprints[metric.id][:DIGEST]}
            for metric in config.metrics
        },
        steps=[list(step) for step in steps],
    )


def _settings(config: RunConfig, metric: str) -> dict[str, Json]:
    """A metric as configured, without what is not set."""
    found = next(one for one in config.snapshot()["metrics"] if one["id"] == metric)
    return {name: value for name, value in found.items() if name != "id" and value not in (None, False)}


def require_comparable(
    store: SqlStore, run: RunRow, environment: Mapping[str, str], baseline: Baseline, allowed: Sequence[Aspect]
) -> Footing:
    """What baseline and a drafted check share. Raises NotComparable, naming each difference that is not allowed."""
    options = run.snapshot["options"]
    contents = {example.id: content_of(example) for example in _examples(store, run)}
    found = differences(baseline, conditions_of(run, environment), contents, options["split"])
    refused = [one for one in found if one.aspect not in allowed]
    if refused:
        aspects = [aspect for aspect in ASPECTS if any(one.aspect == aspect for one in refused)]
        raise NotComparable(
            f"the baseline {baseline.name} cannot be compared: " + "; ".join(one.text for one in refused[:8]),
            remedy="; ".join(dict.fromkeys(REMEDIES[aspect] for aspect in aspects)),
        )
    rows = shared_rows(baseline, contents)
    if not rows:
        raise NotComparable(
            f"the baseline {baseline.name} shares no row with the data", remedy="`promptprop baseline accept CONFIG`"
        )
    return Footing(tuple(rows), tuple(found))


def allowed_aspects(names: Iterable[str]) -> tuple[Aspect, ...]:
    """What `--allow-diff` names. Raises UsageError."""
    found = [name.strip() for text in names for name in text.split(",")]
    for name in found:
        if name not in ALLOWED:
            raise UsageError(f"--allow-diff {name!r} is not known", remedy=f"use one of: {', '.join(ALLOWED)}")
    return tuple(aspect for aspect in ALLOWED if aspect in found)


def baseline_of(store: SqlStore, run: RunRow, environment: Mapping[str, str], name: str) -> Baseline:
    """The baseline that a finished evaluation amounts to."""
    from promptprop.bootstrap.assembly import seeds_of
    from promptprop.services.judging import by_row, newest

    candidate = seeds_of(run)[0]
    answers = by_row(sorted(newest(store.evaluations(run.id, candidate.id)), key=lambda one: one.replicate))
    kept = [example for example in _examples(store, run) if example.id in answers]
    rows = tuple(row_of(example, answers[example.id], ANSWER) for example in kept)
    split = str(run.snapshot["options"]["split"])
    return Baseline(name, candidate, split, conditions_of(run, environment), rows)


async def keep_stored(store: SqlStore, run: RunRow, baseline: Baseline, footing: Footing) -> None:
    """Put the baseline's answers with the run, under its own id, so that a resumption needs no file."""
    evaluations = baseline.evaluations(footing.rows)
    await store.commit_block(run.id, evaluations, [], run.snapshot["scorer"])


def _examples(store: SqlStore, run: RunRow) -> list[Example]:
    """The rows that a run of one prompt meets, in the dataset's order. Raises UsageError."""
    from promptprop.bootstrap.assembly import build_search
    from promptprop.domain.config import RunConfig

    _, brief = build_search(store, run, RunConfig.model_validate(run.snapshot["config"]))
    return store.examples(run.dataset_id, [row.id for row in brief.select])
