"""Metrics that ask models: their questions about a block of answers, stage by stage, until all have judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from promptprop.domain.judgements import parts_of
from promptprop.domain.models import Failure, Judgement, ModelRequest, Outcome
from promptprop.ports import ModelMetric, Question, Scorer, Told
from promptprop.services.draft import Draft
from promptprop.services.reserve import EndpointSpec
from promptprop.services.scores import Scores

Answers = Callable[[Iterator[ModelRequest], int, str, Callable[[Outcome], None]], Awaitable["str | None"]]
UNJUDGED = "unjudged"


@dataclass(slots=True)
class _Case:
    """An answer with the judgements so far, and what each metric that still asks has been told."""

    draft: Draft
    judgements: dict[str, Judgement]
    told: dict[str, list[Told]] = field(default_factory=dict)
    open: list[tuple[str, Question]] = field(default_factory=list)

    def advance(self, metrics: Sequence[ModelMetric]) -> None:
        """Ask each metric that has not judged yet what it wants to know."""
        known = dict(self.judgements)
        for metric in metrics:
            if metric.id in self.judgements:
                continue
            said = metric.consider(self.draft.trace[-1].output, self.draft.example, known, self.told.get(metric.id, ()))
            if isinstance(said, dict):
                self.judgements |= said
            else:
                self.open += [(metric.id, question) for question in said]


async def consult(
    drafts: Sequence[Draft],
    scorer: Scorer,
    endpoints: Mapping[str, EndpointSpec],
    answers: Answers,
    judged: Callable[[Draft, Mapping[str, Judgement]], None],
) -> str | None:
    """Have answers judged by all metrics; `judged` is told of each one that is done. Returns the cap that refused.

    All questions of a stage go out together, in the order of the answers. Judgements that are stored decide what is
    asked, where there are any, since custom metrics may vary from one time to the next.
    """
    judged_by_code = await _by_code(drafts, scorer)
    cases = [_Case(draft, judgements) for draft, judgements in zip(drafts, judged_by_code, strict=True)]
    while cases:
        for case in cases:
            case.advance(scorer.asking)
            if not case.open:
                judged(case.draft, case.judgements)
        cases = [case for case in cases if case.open]
        asked = [(case, metric, question) for case in cases for metric, question in case.open]
        replies: list[Outcome] = []
        requests = (_request(case.draft, question, endpoints) for case, _, question in asked)
        refused = await answers(requests, len(asked), "judging", replies.append) if asked else None
        if refused:
            return refused
        for (case, metric, question), outcome in zip(asked, replies, strict=False):
            problem = outcome.failure.message if outcome.failure else ""
            text = outcome.reply.text if outcome.reply else None
            case.told.setdefault(metric, []).append(Told(question, text, problem))
        for case in cases:
            case.open = []
    return None


async def _by_code(drafts: Sequence[Draft], scorer: Scorer) -> list[dict[str, Judgement]]:
    """The judgements of metrics in code, on record or made now, in the order of the answers."""
    asking = {metric.id for metric in scorer.asking}
    fresh: list[dict[str, Judgement]] = []
    scores = Scores(scorer, lambda _draft, judgements, _score: fresh.append(dict(judgements)))
    async with aclosing(scores):
        for draft in drafts:
            if draft.known is None:
                scores.add(draft)
        await scores.settle()
    made = iter(fresh)
    return [next(made) if draft.known is None else _asking_nobody(draft.known, asking) for draft in drafts]


def _asking_nobody(known: Mapping[str, Judgement], asking: set[str]) -> dict[str, Judgement]:
    return {name: word for name, word in known.items() if parts_of(name, known)[0] not in asking}


def _request(draft: Draft, question: Question, endpoints: Mapping[str, EndpointSpec]) -> ModelRequest:
    spec = endpoints[question.endpoint]
    replicate = draft.cell.replicate
    return ModelRequest(question.endpoint, spec.model, question.messages, spec.parameters, replicate, question.role)


def unjudged(judgements: Mapping[str, Judgement]) -> Failure:
    """Why an answer has no score: what the metrics that could not judge said."""
    said = "; ".join(f"{name}: {word.feedback}" for name, word in judgements.items() if word.score is None)
    return Failure(UNJUDGED, f"no metric could judge the answer: {said}"[:1000])
