"""Alike in meaning: the cosine of two embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, model_validator

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Judgement, Message
from promptprop.domain.vectors import cosine, vector_of
from promptprop.metrics.base import UNEXPECTED, AskingMetric, MetricOptions, Setting, acceptable, judged, shown
from promptprop.ports import Question, QuestionBound, Told

MOST_ANSWERS = 8  # acceptable answers that are embedded at most


class EmbeddingOptions(MetricOptions):
    """From which cosine to which the score goes from 0 to 1."""

    low: float = Field(default=0.0, ge=-1, le=1, description="The cosine that scores 0, such as that of unlike texts.")
    high: float = Field(default=1.0, ge=-1, le=1, description="The cosine that scores 1.")

    @model_validator(mode="after")
    def _apart(self) -> EmbeddingOptions:
        if self.low >= self.high:
            raise ValueError("low must be less than high")
        return self


class Embedding(AskingMetric[EmbeddingOptions]):
    """The cosine of the answer's embedding and that of the nearest acceptable answer, from `models.embed`.

    Vectors are recorded like every reply, so that a text is embedded once. What unlike texts come to depends on the
    model: set `low` to that, else everything looks alike.
    """

    Options = EmbeddingOptions
    needs_expected = True
    sample = "{id: meaning, type: embedding, low: 0.3}"

    def __init__(self, metric_id: str, options: EmbeddingOptions, folder: Path, setting: Setting) -> None:
        """Raises ConfigError where no model embeds."""
        super().__init__(metric_id, options, folder, setting)
        if not setting.embeds:
            raise ConfigError("models.embed is not configured", remedy="add models.embed: {model: …}")

    @property
    def bounds(self) -> tuple[QuestionBound, ...]:
        """The answer, and each acceptable one."""
        return (QuestionBound("embed", 1 + MOST_ANSWERS, 0),)

    def consider(
        self,
        output: str,
        example: Example,
        judgements: Mapping[str, Judgement],  # noqa: ARG002 - the port's
        told: Sequence[Told],
    ) -> tuple[Question, ...] | dict[str, Judgement]:
        """Both vectors, then their cosine; None where the row expects nothing or a vector is missing."""
        answers = [answer for answer in acceptable(example.expected) if answer.strip()][:MOST_ANSWERS]
        if not answers:
            return {self.id: UNEXPECTED}
        if output in answers:
            return {self.id: judged(1.0)}
        if not output.strip():
            return {self.id: judged(0.0, "the answer is empty")}
        if not told:
            return tuple(_question(text) for text in (output, *answers))
        return {self.id: self._judged(output, answers, told)}

    def _judged(self, output: str, answers: Sequence[str], told: Sequence[Told]) -> Judgement:
        try:
            own, *others = [vector_of(one.text) if one.text is not None else None for one in told]
            known = [(cosine(own, other), text) for other, text in zip(others, answers, strict=False) if own and other]
        except ValueError as error:
            return judged(None, f"the vectors cannot be compared: {error}")
        if not known:
            problem = next((one.problem for one in told if one.text is None), "")
            return judged(None, f"no vector: {problem}")
        nearest, answer = max(known)
        score = min(1.0, max(0.0, (nearest - self.options.low) / (self.options.high - self.options.low)))
        if score >= 1:
            return judged(1.0)
        return judged(score, f"cosine {nearest:.2f}: expected something like {shown(answer)}, got {shown(output)}")


def _question(text: str) -> Question:
    return Question("embed", "embed", (Message("user", text),))
