"""A cell on its way through the steps of the program, until it is an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from promptprop.domain.models import Cell, Evaluation, Example, Failure, Json, Judgement, Outcome, StepTrace, Usage
from promptprop.ports import Effort


@dataclass(slots=True)
class Draft:
    """A cell on its way through the steps of the program."""

    cell: Cell
    example: Example
    stored: Evaluation | None
    values: dict[str, Json] = field(default_factory=dict)
    trace: tuple[StepTrace, ...] = ()
    usage: Usage = field(default_factory=Usage)
    picousd: int | None = 0
    latency: float = 0.0
    failure: Failure | None = None
    evaluation: Evaluation | None = None

    def take(self, step: str, output: str, outcome: Outcome) -> None:
        """Go one step on with this outcome."""
        if outcome.reply is None:
            self.failure = outcome.failure
            return
        reply = outcome.reply
        self.values[output] = reply.text
        self.trace = (*self.trace, StepTrace(step, reply.text, outcome.request.key))
        self.usage = self.usage + reply.usage
        self.picousd = None if self.picousd is None or reply.picousd is None else self.picousd + reply.picousd
        self.latency += reply.latency

    @property
    def known(self) -> Mapping[str, Judgement] | None:
        """The judgements that are on record: metrics may vary, so that a replay goes by these."""
        return self.stored.judgements if self.stored is not None and not self.stored.error else None

    def keep_stored(self) -> bool:
        """Make the evaluation that is on record this one's, if there is one."""
        if self.known is None:
            return False
        self.evaluation = self.stored
        return True

    @property
    def effort(self) -> Effort:
        """What the answer takes."""
        return Effort(self.latency, self.picousd, self.usage.total)

    def judged(self, judgements: Mapping[str, Judgement], score: float | None) -> Evaluation:
        """The evaluation of the last step's output."""
        cell = self.cell
        return Evaluation(
            cell.candidate.id,
            cell.example_id,
            cell.replicate,
            self.trace[-1].output,
            self.trace,
            judgements,
            score,
            self.usage,
            self.picousd,
            self.latency,
        )

    def missing(self) -> Evaluation:
        """The evaluation of a cell whose call failed for good, or whose template could not be filled."""
        if self.failure is None:
            raise ValueError("a draft without a failure is not missing")
        cell = self.cell
        return Evaluation(
            cell.candidate.id,
            cell.example_id,
            cell.replicate,
            trace=self.trace,
            usage=self.usage,
            picousd=self.picousd,
            latency=self.latency,
            error=self.failure,
        )
