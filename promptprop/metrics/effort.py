"""What an answer takes: seconds and money. Neither says anything about its quality: give them a small weight."""

from __future__ import annotations

from pydantic import Field, model_validator

from promptprop.domain.models import PICO, Judgement
from promptprop.metrics.base import EffortMetric, MetricOptions, judged
from promptprop.ports import Effort


class LatencyOptions(MetricOptions):
    """From which time to which the score goes from 1 to 0."""

    good: float = Field(default=1.0, ge=0, description="Seconds up to which the score is 1.")
    bad: float = Field(default=10.0, gt=0, description="Seconds from which it is 0.")

    @model_validator(mode="after")
    def _apart(self) -> LatencyOptions:
        if self.good >= self.bad:
            raise ValueError("good must be less than bad")
        return self


class Latency(EffortMetric[LatencyOptions]):
    """1 up to `good` seconds over all steps, falling to 0 at `bad`, by the recorded time of the answer.

    A run with this metric depends on how fast its models were: another run may decide otherwise, a replay never does.
    """

    Options = LatencyOptions
    sample = "{id: swift, type: latency, good: 1, bad: 5, weight: 0.1}"

    def weigh(self, effort: Effort) -> Judgement:
        """By seconds."""
        good, bad = self.options.good, self.options.bad
        score = fallen(effort.seconds, good, bad)
        return judged(score, f"{effort.seconds:.1f} s, where {good:g} s are good" if score < 1 else "")


class CostOptions(MetricOptions):
    """From which price to which the score goes from 1 to 0."""

    good: float = Field(ge=0, description="USD for a thousand answers up to which the score is 1.")
    bad: float = Field(gt=0, description="USD for a thousand answers from which it is 0.")

    @model_validator(mode="after")
    def _apart(self) -> CostOptions:
        if self.good >= self.bad:
            raise ValueError("good must be less than bad")
        return self


class Cost(EffortMetric[CostOptions]):
    """1 up to `good` USD for a thousand answers like this one, falling to 0 at `bad`; none where a price is unknown."""

    Options = CostOptions
    sample = "{id: thrift, type: cost, good: 0.2, bad: 2, weight: 0.1}"

    def weigh(self, effort: Effort) -> Judgement:
        """By money."""
        if effort.picousd is None:
            return judged(None, "the price of the model is not known")
        usd = 1000 * effort.picousd / PICO
        score = fallen(usd, self.options.good, self.options.bad)
        said = f"${usd:.4g} for a thousand answers of {effort.tokens:,} tokens, where ${self.options.good:g} are good"
        return judged(score, said if score < 1 else "")


def fallen(value: float, good: float, bad: float) -> float:
    """1 up to `good`, 0 from `bad`, and straight between them.

    >>> fallen(1, 2, 4), fallen(3, 2, 4), fallen(9, 2, 4)
    (1.0, 0.5, 0.0)
    """
    return min(1.0, max(0.0, (bad - value) / (bad - good)))
