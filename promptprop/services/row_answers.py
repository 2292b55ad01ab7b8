"""What a prompt was asked on a row, and what came of each answer: for people who look at few rows closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Candidate, Evaluation, Example, Json, Message, Program
from promptprop.roles.template import fill_prompt
from promptprop.services.judging import by_cell


@dataclass(frozen=True, slots=True)
class RowAnswers:
    """A row with one prompt's answers in the order of replicates; `asked` are the messages of each step reached."""

    candidate_id: str
    example: Example
    asked: Mapping[str, tuple[Message, ...]]
    evaluations: tuple[Evaluation, ...]

    def as_json(self) -> dict[str, Json]:
        """For `--json`."""
        return {
            "candidate": self.candidate_id,
            "row": self.example.id,
            "inputs": dict(self.example.inputs),
            "expected": self.example.expected,
            "asked": [
                {"step": step, "messages": [{"role": one.role, "content": one.content} for one in messages]}
                for step, messages in self.asked.items()
            ],
            "answers": [_answer_json(one) for one in self.evaluations],
        }


def row_answers(
    program: Program, candidate: Candidate, examples: Sequence[Example], evaluations: Sequence[Evaluation]
) -> list[RowAnswers]:
    """The rows in their order, each with what this candidate was asked and answered."""
    cells = by_cell(evaluations)
    found = []
    for example in examples:
        answered = sorted(cells.get((candidate.id, example.id), []), key=lambda one: one.replicate)
        outputs = {made.step: made.output for made in answered[0].trace} if answered else {}
        asked = _asked(program, candidate, example, outputs)
        found.append(RowAnswers(candidate.id, example, asked, tuple(answered)))
    return found


def _asked(
    program: Program, candidate: Candidate, example: Example, outputs: Mapping[str, str]
) -> dict[str, tuple[Message, ...]]:
    """The messages of each step; later steps are those of the first answer, since they see what it wrote."""
    values = dict(example.inputs)
    asked: dict[str, tuple[Message, ...]] = {}
    for step in program.steps:
        try:
            asked[step.id] = fill_prompt(candidate.prompts[step.id], values, candidate.demos_at(step.id))
        except ConfigError:  # the evaluation holds this as its error, and nothing was asked
            break
        if step.id not in outputs:
            break
        values[step.output] = outputs[step.id]
    return asked


def _answer_json(one: Evaluation) -> dict[str, Json]:
    return {
        "replicate": one.replicate,
        "answer": one.output,
        "score": one.score,
        "metrics": {name: {"score": word.score, "said": word.feedback} for name, word in one.judgements.items()},
        "steps": [{"step": made.step, "answer": made.output} for made in one.trace],
        "error": {"code": one.error.code, "message": one.error.message} if one.error else None,
    }
