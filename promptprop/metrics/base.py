"""What all metrics share: options that describe themselves, and the ways to phrase feedback."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain.models import Example, Json, Judgement, storable, text_of
from promptprop.domain.rubric import Rubric
from promptprop.ports import Effort, Question, QuestionBound, Told

FEEDBACK_LIMIT = 400
SHOWN_LIMIT = 110


class MetricOptions(BaseModel):
    """Options that every metric has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(
        default=1.0, ge=0, le=1, description="As a gate: the score to reach, else the answer scores 0."
    )


OptionsT = TypeVar("OptionsT", bound=MetricOptions)


class DescribedMetric(ABC, Generic[OptionsT]):
    """What every metric has, whether it is written in code or asks models.

    `needs_expected` tells that no options make it useful without expected answers; `sample` is a line of YAML for the
    reference; `revision` grows when the same options begin to give other scores, so that fingerprints change.
    """

    Options: ClassVar[type[MetricOptions]]
    needs_expected: ClassVar[bool] = False
    sample: ClassVar[str]
    revision: ClassVar[int] = 1

    def __init__(self, metric_id: str, options: OptionsT, folder: Path = Path()) -> None:
        """Take validated options; relative paths in them start at `folder`. Raises ConfigError."""
        self.id = metric_id
        self.options = options
        self.folder = folder

    @property
    def judges_without_expected(self) -> bool:
        """True if, with these options, a row without an expected answer can be scored."""
        return not self.needs_expected

    @property
    def sources(self) -> Json:
        """What shapes the scores besides the options: contents of files, source texts."""
        return None


class CodeMetric(DescribedMetric[OptionsT]):
    """A metric written in code: implements the port `Metric` without model calls."""

    @abstractmethod
    def judge(self, output: str, example: Example) -> Judgement:
        """Score in [0, 1] with feedback of at most 400 characters; raises nothing."""

    @property
    def awaits(self) -> bool:
        """True if it waits for something while it judges, so that `judge` should not be called in a loop."""
        return False

    async def judge_later(self, output: str, example: Example) -> Judgement:
        """The same as `judge`; a metric that awaits something does so without holding up the loop."""
        return self.judge(output, example)


class EffortMetric(DescribedMetric[OptionsT]):
    """A metric that looks at what an answer takes, and at nothing else."""

    @abstractmethod
    def weigh(self, effort: Effort) -> Judgement:
        """Score in [0, 1] with feedback; None where nothing is known; raises nothing."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A juror of the configuration: its name, and its weight in a weighted mean."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What metrics that ask models know of the run: task, jurors and their template, who embeds, a drafted rubric."""

    task: str = ""
    jury: tuple[Seat, ...] = ()
    juror_template: str = ""
    embeds: bool = False
    rubric: Rubric | None = None


class AskingMetric(DescribedMetric[OptionsT]):
    """A metric that asks models: implements the port `ModelMetric`."""

    def __init__(self, metric_id: str, options: OptionsT, folder: Path, setting: Setting) -> None:
        """Take validated options and the setting. Raises ConfigError."""
        super().__init__(metric_id, options, folder)
        self.setting = setting

    @abstractmethod
    def consider(
        self, output: str, example: Example, judgements: Mapping[str, Judgement], told: Sequence[Told]
    ) -> tuple[Question, ...] | dict[str, Judgement]:
        """The next questions, or the judgements by id; raises nothing."""

    @property
    def wants_rubric(self) -> bool:
        """True where it judges by criteria that are still to be drafted."""
        return False

    @property
    def leans_on(self) -> frozenset[str]:
        """Ids of metrics in code whose judgements it looks at."""
        return frozenset()

    @property
    @abstractmethod
    def bounds(self) -> tuple[QuestionBound, ...]:
        """The most that it asks, by endpoint."""


def judged(score: float | None, feedback: str = "") -> Judgement:
    """A judgement whose feedback is storable and cut to 400 characters."""
    text = storable(feedback)
    return Judgement(score, text if len(text) <= FEEDBACK_LIMIT else text[: FEEDBACK_LIMIT - 1] + "…")


def shown(value: Json, limit: int = SHOWN_LIMIT) -> str:
    r"""A value as feedback quotes it: in quotes, line breaks as `\n`, long texts cut with their length.

    >>> shown("billing"), shown(3), shown("abcdef", limit=3)
    ('"billing"', '3', '"abc…" (6 characters)')
    """
    text = text_of(value)
    quoted = text[:limit] + ("…" if len(text) > limit else "")
    if isinstance(value, str):
        quoted = json.dumps(quoted, ensure_ascii=False)
    return f"{quoted} ({len(text):,} characters)" if len(text) > limit else quoted


def acceptable(expected: Json) -> list[str]:
    """The acceptable answers of a row as texts: a list means any of its items, None means that there are none."""
    if expected is None:
        return []
    return [text_of(item) for item in expected] if isinstance(expected, list | tuple) else [text_of(expected)]


def listed(answers: list[str]) -> str:
    """Acceptable answers in words: one as it is, several as `one of a, b, …`."""
    if len(answers) == 1:
        return shown(answers[0])
    more = f" and {len(answers) - 4} more" if len(answers) > 4 else ""
    return "one of " + ", ".join(shown(answer, 24) for answer in answers[:4]) + more


UNEXPECTED = Judgement(None, "this row has no expected answer to compare with")
