"""Composes `compare`: which evaluations on record stand for a prompt, and whether and where two can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptprop.bootstrap.models import RUNS, asked_by_metrics, needed_endpoints
from promptprop.bootstrap.preparation import FREE_MODEL_KEYS
from promptprop.domain.errors import NotComparable
from promptprop.domain.history import History, fold
from promptprop.domain.models import Candidate, Json
from promptprop.services.comparison import Answers, Comparison, compare

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.config import RunConfig
    from promptprop.ports import RunRow

EARLIER = 200  # runs that are looked through for evaluations of a prompt
UNSAID = (
    *FREE_MODEL_KEYS,
    "price",
    "model",
    "name",
    "weight",
    "world",
)  # of a model: what shapes no answer, or is told apart
SPLITS = ("test", "select", "train")  # in the order of preference


@dataclass(frozen=True, slots=True)
class Stand:
    """One side of a comparison: a prompt, and the run whose evaluations stand for it."""

    label: str
    run: RunRow
    history: History
    config: RunConfig
    candidate: Candidate
    answers: Answers

    @property
    def searched(self) -> bool:
        """Whether its run chose among prompts on rows: there those that it chose look better than they are."""
        return self.run.activity == "optimize"


@dataclass(frozen=True, slots=True)
class Side:
    """What was asked for: a prompt with its label, and the run that it was named by, if it was named by one."""

    label: str
    candidate: Candidate
    run: RunRow | None = None


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """All that the formats of a comparison show. `split` is that of the rows, `differences` are what else differs."""

    before: Stand
    after: Stand
    split: str
    differences: tuple[str, ...]
    comparison: Comparison

    @property
    def simulated(self) -> bool:
        """True where a side was answered by a simulated model."""
        return self.before.history.simulated or self.after.history.simulated

    @property
    def flattered(self) -> bool:
        """True where a search saw the rows."""
        return self.split != "test" and (self.before.searched or self.after.searched)


def comparison_of(store: SqlStore, before: Side, after: Side, split: str | None = None) -> ComparisonReport:
    """Compare two prompts by what is on record. Raises NotComparable where that cannot be, with the remedy."""
    first, second = _pair(store, before, after)
    different = judge_differences(first, second)
    if different:
        raise NotComparable(
            f"{first.label} and {second.label} were scored by different metrics: {'; '.join(different)}",
            remedy="score both by the same configuration: `promptprop eval CONFIG --prompt …`, where equal answers "
            "are free",
        )
    chosen, rows = _rows(store, first, second, split)
    metrics = [metric.id for metric in second.config.metrics]
    comparison = compare(first.answers, second.answers, metrics, rows)
    if not comparison.score.before.n:
        raise _nothing_shared(first, second, chosen, comparison)
    return ComparisonReport(first, second, chosen, tuple(model_differences(first, second)), comparison)


def stand_of(store: SqlStore, side: Side, run: RunRow) -> Stand:
    """The evaluations of a run that stand for a prompt, with the scores that people corrected."""
    from promptprop.domain.config import RunConfig
    from promptprop.domain.people import Correction
    from promptprop.services.judging import newest

    history = fold(store.events(run.id))
    corrections = {
        one.example_id: Correction(one.candidate_id, one.example_id, one.score, one.reason)
        for one in history.overrides
        if one.candidate_id == side.candidate.id
    }
    found = [
        corrections[one.example_id].applied(one) if one.example_id in corrections else one
        for one in newest(store.evaluations(run.id, side.candidate.id))
    ]
    ids = list(dict.fromkeys(one.example_id for one in found))
    answers = Answers(found, {one.id: one for one in store.examples(run.dataset_id, ids)})
    config = RunConfig.model_validate(run.snapshot["config"])
    return Stand(side.label, run, history, config, side.candidate, answers)


def _pair(store: SqlStore, before: Side, after: Side) -> tuple[Stand, Stand]:
    """The runs that stand for both prompts: scored alike, by one model, on one dataset, where there are such.

    Evaluations go before searches, which score a prompt on some rows only; then the more answers, the newer.
    """
    runs = [_runs(store, side) for side in (before, after)]

    def unlike(pair: tuple[int, int]) -> tuple[object, ...]:
        (one, answers), (other, others) = runs[0][pair[0]], runs[1][pair[1]]
        scorers = one.snapshot.get("scorer") != other.snapshot.get("scorer")
        models = one.snapshot["config"]["models"] != other.snapshot["config"]["models"]
        splits = {run.snapshot.get("options", {}).get("split", "all") for run in (one, other)} - {"all"}
        rows = one.dataset_id != other.dataset_id or len(splits) > 1
        searches = (one.activity == "optimize") + (other.activity == "optimize")
        return scorers, models, rows, searches, -min(answers, others), sum(pair), pair

    places = [(one, other) for one in range(len(runs[0])) for other in range(len(runs[1]))]
    one, other = min(places, key=unlike)
    return stand_of(store, before, runs[0][one][0]), stand_of(store, after, runs[1][other][0])


def _runs(store: SqlStore, side: Side) -> list[tuple[RunRow, int]]:
    """The runs that may stand for a prompt, newest first, with their answers. Raises NotComparable without any."""
    looked = [side.run] if side.run is not None else store.runs(EARLIER)
    counts = [(run, store.evaluation_costs(run.id, side.candidate.id).count) for run in looked if run.activity in RUNS]
    if found := [(run, count) for run, count in counts if count]:
        return found
    where = f"run {side.run.id[:8]} has" if side.run is not None else "the record has"
    raise NotComparable(
        f"{where} no evaluation of {side.label}", remedy=f"score it: `promptprop eval CONFIG --prompt {side.label}`"
    )


def judge_differences(before: Stand, after: Stand) -> list[str]:
    """How the metrics of two runs differ, in words; empty where scores mean the same.

    By what the runs have stored: files of metrics may have changed since, or be gone, so that the conditions of a
    stored baseline cannot be told of them afterwards.
    """
    one, other = ({metric.id: metric for metric in side.config.metrics} for side in (before, after))
    words = []
    for name in dict.fromkeys([*one, *other]):
        if name not in other or name not in one:
            words.append(f"only {(before if name in one else after).label} has {name}")
        elif one[name].type != other[name].type:
            words.append(f"{name} is {one[name].type} and {other[name].type}")
        elif one[name] != other[name]:
            words.append(f"{name} has other options, another weight or another gate")
    words += _model_words(before, after, asked_by_metrics(before.config) | asked_by_metrics(after.config))
    if before.history.rubric_id != after.history.rubric_id:
        words.append("their juries judged by different rubrics")
    if not words and before.run.snapshot.get("scorer") != after.run.snapshot.get("scorer"):
        words.append("a file or a template that they use has changed")
    return words


def model_differences(before: Stand, after: Stand) -> list[str]:
    """How the models that answered differ, in words; empty where both prompts were asked of the same ones."""
    asked: set[str] = set()
    for side in (before, after):
        asked |= set(needed_endpoints(side.config, "evaluate")) - asked_by_metrics(side.config)
    words = _model_words(before, after, asked)
    worlds = [side.run.snapshot.get("worlds", {}) for side in (before, after)]
    for alias in sorted(asked):
        if alias in worlds[0] and alias in worlds[1] and worlds[0][alias] != worlds[1][alias]:
            words.append(f"different simulated worlds of {alias}")
    return words


def _model_words(before: Stand, after: Stand, aliases: set[str]) -> list[str]:
    words = []
    for alias in sorted(aliases):
        one, other = (_told(side, alias) for side in (before, after))
        names = [side.pop("model") for side in (one, other)]
        if names[0] != names[1]:
            words.append(f"different models: {alias} {names[0] or 'none'} → {names[1] or 'none'}")
        elif one != other:
            changed = [name for name in {**one, **other} if one.get(name) != other.get(name)]
            said = ", ".join(f"{name} {_value(one.get(name))} → {_value(other.get(name))}" for name in changed)
            words.append(f"different parameters of {alias}: {said}")
    return words


def _told(side: Stand, alias: str) -> dict[str, Any]:
    """What shapes the answers of a model; its name as it was called, where the run tells."""
    model = side.config.endpoints.get(alias)
    if model is None:
        return {"model": ""}
    shaping = {name: value for name, value in model.model_dump(mode="json").items() if name not in UNSAID}
    return {"model": side.history.models.get(alias, model.model), **shaping}


def _value(value: Json) -> str:
    return "not set" if value is None else str(value)


def _rows(store: SqlStore, before: Stand, after: Stand, wanted: str | None) -> tuple[str, set[str] | None]:
    """The split to compare on and the ids of its rows, None for all of them.

    Where a search chose one of the prompts, only rows that it kept sealed tell the truth: those of test, if both
    prompts have answered any of them. A split is that of the runs that searched, or else of both.
    """
    searches = [side for side in (before, after) if side.searched]
    if wanted == "all" or (wanted is None and not searches):
        return "all", None
    sides = {side.run.id: side for side in searches or (before, after)}  # rows of one run are split once
    parts = [_parts(store, side) for side in sides.values()]
    answered = [{one.example_id for one in side.answers.evaluations} for side in (before, after)]
    for name in (wanted,) if wanted else SPLITS:
        rows = set.intersection(*(part.get(name, set()) for part in parts))
        if wanted or rows & answered[0] & answered[1]:
            return name, rows
    return "all", None


def _parts(store: SqlStore, side: Stand) -> Mapping[str, set[str]]:
    """The ids of each split of a run. Raises DataError where its rows cannot be split."""
    from promptprop.domain.sampling import ratios_of, split_rows

    split = side.config.data.split
    found = split_rows(store.rows(side.run.dataset_id), ratios_of(split), split.seed)
    return {name: {row.id for row in rows} for name, rows in found.items()}


def _nothing_shared(before: Stand, after: Stand, split: str, comparison: Comparison) -> NotComparable:
    overlap = comparison.overlap
    counts = {
        f"only {before.label} has answered": overlap.only_before,
        f"only {after.label} has answered": overlap.only_after,
        "have other contents": overlap.changed,
        "have no score on one side": comparison.missing,
    }
    said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    where = "" if split == "all" else f" of {split}"
    return NotComparable(
        f"{before.label} and {after.label} have no row{where} in common: {said or 'neither has answered any'}",
        remedy="score both on the same rows: `promptprop eval CONFIG --prompt …`",
    )
