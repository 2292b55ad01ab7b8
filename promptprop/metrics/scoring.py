"""From judgements to one score per answer: weighted mean, gates, and the cap of hard negatives.

Rules, in this order:
1. A gate that does not reach its threshold makes the score 0.
2. A gate that could not judge leaves the row without a score: whether the answer passes is not known.
3. The score is the weighted mean of what could be judged, weights renormalised; with nothing to weigh but passed gates
   it is 1; where nothing that is weighed could be judged there is no score.
4. An answer that contains a hard negative written `{literal: …}` scores at most `HARD_NEGATIVE_CAP`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from promptprop.domain.errors import ConfigError, Problem
from promptprop.domain.judgements import mistakable
from promptprop.domain.models import Example, Json, Judgement, digest
from promptprop.metrics.registry import PYTHON_PREFIX, load_metric
from promptprop.ports import Effort, ModelMetric

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from promptprop.metrics.base import CodeMetric, DescribedMetric, EffortMetric, Setting

HARD_NEGATIVE_CAP = 0.39
"""What an answer with a hard negative can score at most: hard negatives keep a score under 40 of 100."""

HARD_NEGATIVES = "hard_negatives"
"""The id under which the check for literal hard negatives is judged; it caps the score and has no weight."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric as configured. `weight` None means 1, or 0 for a gate."""

    id: str
    type: str
    weight: float | None = None
    gate: bool = False
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """A metric's part in the score: its weight in the mean, and as a gate the score that it must reach."""

    weight: float = 1.0
    gate: bool = False
    threshold: float = 1.0


@dataclass(frozen=True, slots=True)
class WeighedMetric:
    """A metric with its part in the score, and a digest of what shapes its judgements."""

    metric: CodeMetric[Any]
    share: Share = Share()
    fingerprint: str = ""
    needs_expected: bool = False


@dataclass(frozen=True, slots=True)
class WeighedAsking:
    """The same of a metric that asks models; `leans_on` are ids of metrics in code that it looks at."""

    metric: ModelMetric
    share: Share = Share()
    fingerprint: str = ""
    needs_expected: bool = False
    leans_on: frozenset[str] = frozenset()
    wants_rubric: bool = False


@dataclass(frozen=True, slots=True)
class WeighedEffort:
    """The same of a metric that looks at what an answer takes."""

    metric: EffortMetric[Any]
    share: Share = Share()
    fingerprint: str = ""
    needs_expected: bool = False


Part: TypeAlias = WeighedMetric | WeighedAsking | WeighedEffort


def _weighed(metric: EffortMetric[Any], effort: Effort | None) -> Judgement:
    return Judgement(None, "what the answer took is not known") if effort is None else metric.weigh(effort)


def combine(judgements: Mapping[str, Judgement], shares: Mapping[str, Share]) -> float | None:
    """One score in [0, 1] from the judgements, by the rules above; None where there is none.

    A metric without judgement is unscored; judgements that no share names have no part, but for `hard_negatives`.
    """
    scores = {name: judgements[name].score if name in judgements else None for name in shares}
    gates = [(scores[name], share.threshold) for name, share in shares.items() if share.gate]
    if any(score is not None and score < threshold for score, threshold in gates):
        return 0.0
    if any(score is None for score, _ in gates):
        return None
    weighed = {name: share.weight for name, share in shares.items() if share.weight > 0}
    known = [(score, weighed[name]) for name, score in scores.items() if name in weighed and score is not None]
    if known:
        total = math.fsum(weight for _, weight in known)
        mean = min(1.0, max(0.0, math.fsum(score * weight for score, weight in known) / total))
    elif gates and not weighed:
        mean = 1.0
    else:
        return None
    negative = judgements.get(HARD_NEGATIVES)
    return min(mean, HARD_NEGATIVE_CAP) if negative and negative.score == 0 else mean


def judge_hard_negatives(output: str, example: Example) -> Judgement | None:
    """1 if the answer contains none of the row's literal hard negatives, else 0; None if the row has none.

    A literal counts as it is written, case and spaces included; hard negatives in prose are the jury's.
    """
    literals = [str(n["literal"]) for n in example.hard_negatives if isinstance(n, Mapping) and n.get("literal")]
    if not literals:
        return None
    found = [literal for literal in literals if literal in output]
    if not found:
        return Judgement(1.0)
    from promptprop.metrics.base import judged, shown

    named = ", ".join(shown(literal, 60) for literal in found[:4])
    return judged(
        0.0, f"the answer contains what it must never contain, so that it scores at most {HARD_NEGATIVE_CAP}: {named}"
    )


class Scorer:
    """Judges answers with all metrics in code and combines what all metrics say.

    Metrics that ask models (`asking`) have their share in the score too: add their judgements and call `combine`.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        """Take the metrics in the order in which reports show them; ids are distinct."""
        self._parts = tuple(parts)
        self.metrics = tuple(part for part in parts if isinstance(part, WeighedMetric))
        self._weighing = tuple(part for part in parts if isinstance(part, WeighedEffort))
        self.asking = tuple(part.metric for part in parts if isinstance(part, WeighedAsking))
        self.awaiting = tuple(part.metric for part in self.metrics if part.metric.awaits)
        self.shares = {part.metric.id: part.share for part in self._parts}

    def judge(
        self,
        output: str,
        example: Example,
        effort: Effort | None = None,
        known: Mapping[str, Judgement] | None = None,
    ) -> dict[str, Judgement]:
        """Each metric's judgement by id, then that of `hard_negatives` where the row has literal ones.

        What is `known` by id is not judged again.
        """
        known = known or {}
        metrics = [part.metric for part in self.metrics]
        judgements = {metric.id: known.get(metric.id) or metric.judge(output, example) for metric in metrics}
        judgements |= {part.metric.id: _weighed(part.metric, effort) for part in self._weighing}
        negative = judge_hard_negatives(output, example)
        if negative is not None:
            judgements[HARD_NEGATIVES] = negative
        return judgements

    def score(
        self,
        output: str,
        example: Example,
        effort: Effort | None = None,
        known: Mapping[str, Judgement] | None = None,
    ) -> tuple[dict[str, Judgement], float | None]:
        """The judgements and the combined score, None where the row cannot be scored."""
        judgements = self.judge(output, example, effort, known)
        return judgements, self.combine(judgements)

    def combine(self, judgements: Mapping[str, Judgement]) -> float | None:
        """One score from all judgements, those of metrics that ask models included."""
        return combine(judgements, self.shares)

    @property
    def wants_rubric(self) -> bool:
        """True where a metric judges by criteria that are still to be drafted."""
        return any(part.wants_rubric for part in self._parts if isinstance(part, WeighedAsking))

    @property
    def needs_expected(self) -> bool:
        """True if, with the options given, some metric can judge no row that has no expected answer."""
        return any(part.needs_expected for part in self._parts)

    @property
    def fingerprints(self) -> dict[str, str]:
        """What `fingerprint` is made of, for each metric by itself."""
        parts = {part.metric.id: part.fingerprint for part in self._parts}
        return {
            name: digest([parts[name], share.weight, share.gate, share.threshold])
            for name, share in self.shares.items()
        }

    @property
    def fingerprint(self) -> str:
        """32 hex digits over all that shapes scores: types, options, files, sources of functions, weights and gates."""
        shapes = {part.metric.id: part.fingerprint for part in self._parts}
        shares = {name: [share.weight, share.gate, share.threshold] for name, share in self.shares.items()}
        return digest({"metrics": shapes, "shares": shares, "hard_negative_cap": HARD_NEGATIVE_CAP})


def build_scorer(specs: Sequence[MetricSpec], folder: Path, setting: Setting | None = None) -> Scorer:
    """Build all metrics; paths in options start at `folder`. Raises ConfigError with every problem found.

    `setting` is what metrics that ask models know of the run; without one there are no jurors.
    """
    problems = _id_problems(specs)
    parts: list[Part] = []
    for spec in specs:
        try:
            parts.append(_build(spec, folder, setting))
        except ConfigError as error:
            problems += [Problem(f"metric `{spec.id}`: {p.message}", p.place, p.remedy) for p in error.problems]
    metrics = [part for part in parts if isinstance(part, WeighedMetric)]
    asking = [part for part in parts if isinstance(part, WeighedAsking)]
    names = {part.metric.id for part in metrics}
    for part in asking:
        for name in sorted(part.leans_on - names):
            remedy = f"known: {', '.join(names)}" if names else "list one under metrics:"
            problems.append(Problem(f"metric `{part.metric.id}`: no metric in code has the id `{name}`", remedy=remedy))
    if not problems and parts and not any(spec.weight != 0 or spec.gate for spec in specs):
        problems.append(
            Problem("no metric has a weight above 0", remedy="Give one metric a weight, or make it a gate.")
        )
    if problems:
        raise ConfigError(problems)
    return Scorer(parts)


def _id_problems(specs: Sequence[MetricSpec]) -> list[Problem]:
    ids = [spec.id for spec in specs]
    twice = [name for name in dict.fromkeys(ids) if ids.count(name) > 1]
    problems = [Problem(f"two metrics have the id `{name}`", remedy="Give each its own id.") for name in twice]
    if alike := mistakable(ids):
        said = f"the metric id `{alike[1]}` reads as a juror of the metric `{alike[0]}`"
        problems.append(Problem(said, remedy="Choose another id."))
    if HARD_NEGATIVES in ids:
        problems.append(Problem(f"the metric id `{HARD_NEGATIVES}` is reserved", remedy="Choose another id."))
    return problems


def _share(spec: MetricSpec, threshold: float) -> Share:
    weight = spec.weight if spec.weight is not None else (0.0 if spec.gate else 1.0)
    if not (math.isfinite(weight) and weight >= 0):
        raise ConfigError(f"weight {weight} is not a number of 0 or more")
    return Share(weight, spec.gate, threshold)


def _build(spec: MetricSpec, folder: Path, setting: Setting | None) -> Part:
    from promptprop.metrics.base import AskingMetric, CodeMetric, EffortMetric, Setting

    kind = load_metric(spec.type)
    given = dict(spec.options)
    if spec.type.startswith(PYTHON_PREFIX):
        if "function" in given:
            raise ConfigError(f"the type `{spec.type}` and the option `function` both name a function")
        given["function"] = spec.type.removeprefix(PYTHON_PREFIX)
    options = _options(kind, given)
    if "threshold" in given and not spec.gate:
        raise ConfigError("`threshold` has a meaning for gates only", remedy="Add `gate: true`, or drop the threshold.")
    share = _share(spec, options.threshold)
    if issubclass(kind, AskingMetric):
        asking = kind(spec.id, options, folder, setting or Setting())
        fingerprint = _fingerprint(asking, kind.revision)
        needs = not asking.judges_without_expected
        return WeighedAsking(asking, share, fingerprint, needs, asking.leans_on, asking.wants_rubric)
    metric = kind(spec.id, options, folder)
    if isinstance(metric, EffortMetric):
        return WeighedEffort(metric, share, _fingerprint(metric, kind.revision))
    if not isinstance(metric, CodeMetric):
        raise TypeError(f"{kind.__name__} is no metric")
    return WeighedMetric(metric, share, _fingerprint(metric, kind.revision), not metric.judges_without_expected)


def _fingerprint(metric: DescribedMetric[Any], revision: int) -> str:
    options = metric.options.model_dump(mode="json", by_alias=True)
    return digest([type(metric).__name__, revision, options, metric.sources])


def _options(kind: type[DescribedMetric[Any]], given: Mapping[str, Json]) -> Any:
    from pydantic import ValidationError

    try:
        return kind.Options.model_validate(given)
    except ValidationError as error:
        raise ConfigError(_problems(error, kind.Options)) from error


def _problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """The validator's findings in our words, with a guess at what a misspelt option was meant to be."""
    names = [entry.alias or name for name, entry in model.model_fields.items()]
    problems = []
    for found in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            near = difflib.get_close_matches(place, names, n=1)
            guess = f"did you mean `{near[0]}`? " if near else ""
            problems.append(Problem(f"unknown option `{place}`", remedy=f"{guess}Options: {', '.join(names)}."))
        else:
            message = str(found["msg"]).removeprefix("Value error, ")
            problems.append(Problem(f"option `{place}`: {message}" if place else message))
    return problems
