"""What is held back for FINISH: the worst case of so many evaluations, metrics that ask models among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.budget import Amount, Price, worst_case
from promptprop.domain.models import Candidate, Json, Message, Program
from promptprop.ports import QuestionBound, Scorer

RETRY_SHARE = 10  # one call in so many is held back for retries when FINISH is reserved
REPAIR_SHARE = 5  # and one question of a metric in so many, for replies that cannot be read
BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What a request to an endpoint says: model and parameters; `max_tokens` and price bound its worst case."""

    model: str
    parameters: Mapping[str, Json]
    max_tokens: int
    price: Price | None = None


def reserve_for(
    program: Program,
    endpoints: Mapping[str, EndpointSpec],
    longest_inputs: int,
    evaluations: int,
    longest: int,
    questions: Sequence[QuestionBound] = (),
) -> Amount:
    """The worst case of so many evaluations: UTF-8 bytes bound tokens, and retries get a share on top.

    `longest_inputs` is in bytes, `longest` (of a candidate) in characters; a rewrite may hold letters of two bytes.
    Questions that metrics may put twice are held back for once, and one in five for the second time.
    """
    each, carried = Amount(), 0
    for step in program.steps:
        spec = endpoints[step.endpoint]
        size = longest * 2 + longest_inputs + carried
        each = each + worst_case((Message("user", "x" * size),), spec.max_tokens, spec.price)
        carried += spec.max_tokens * BYTES_PER_TOKEN
    total = each.times(evaluations + -(-evaluations // RETRY_SHARE))
    answer = endpoints[program.steps[-1].endpoint].max_tokens * BYTES_PER_TOKEN if questions else 0
    for bound in questions:
        spec = endpoints[bound.endpoint]
        size = bound.size + 2 * longest_inputs + 2 * answer  # what is quoted in JSON may grow
        asked = worst_case((Message("user", "x" * size),), spec.max_tokens, spec.price)
        total = total + asked.times(evaluations + -(-evaluations * (bound.calls - 1) // REPAIR_SHARE))
    return total


def questions_of(scorer: Scorer) -> tuple[QuestionBound, ...]:
    """All that the metrics of a run may ask for one answer."""
    return tuple(bound for metric in scorer.asking for bound in metric.bounds)


def uses_of(candidate: Candidate) -> int:
    """How often a candidate's prompts can show a row's inputs: its placeholders, the step with most of them.

    >>> uses_of(Candidate({"main": Prompt.of("{{ text }} … again: {{ text }}")}))
    2
    """
    return max(1, *((prompt.frame or prompt.text).count("{{") for prompt in candidate.prompts.values()))
