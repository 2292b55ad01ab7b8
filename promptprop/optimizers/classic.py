"""`classic`: score everything, criticise the failures at once, rewrite once per iteration. The baseline."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain.errors import BudgetSpent, UnusableReplies
from promptprop.domain.events import (
    CandidateProposed,
    CandidateRaced,
    CritiquesWritten,
    Event,
    ProposalDropped,
    RoundEnded,
    RoundStarted,
    SearchEnded,
)
from promptprop.domain.models import Ask, Candidate, Critique, Hypothesis, Proposal
from promptprop.domain.sampling import stream
from promptprop.domain.selection import FailedRow
from promptprop.domain.statistics import mean_interval, paired_difference
from promptprop.optimizers.evidence import critic_asks, failed_rows, shown
from promptprop.optimizers.finish import finish, finish_size, longest_allowed, scored
from promptprop.optimizers.scores import Scores
from promptprop.ports import Brief, Shape, Workbench
from promptprop.roles.rewriter import Rewrite


class ClassicOptions(BaseModel):
    """Options of `classic`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iterations: int = Field(5, ge=1, le=100, description="Rewrites at most.")
    failures: int = Field(12, ge=1, le=100, description="Failures that the critic sees in an iteration.")
    passing: float = Field(0.9, gt=0, le=1, description="Scores from here on are no failures.")
    longest: int = Field(6000, ge=200, le=200_000, description="Characters of a candidate at most (or 3 × the seed).")


class Classic:
    """One chain of rewrites: each iteration scores the newest prompt on all train and select rows."""

    Options = ClassicOptions

    def __init__(self, options: ClassicOptions) -> None:
        """Take the options."""
        self.options = options
        self._facts: list[Event] = []

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Rewrite until the iterations or the budget end; then FINISH with the best on select."""
        seed = brief.seeds[0]
        scores = Scores()
        tried = [seed]
        longest = longest_allowed(self.options.longest, brief)
        workbench.hold(finish_size(brief, 1), longest)
        await workbench.keep(Proposal(seed))
        yield CandidateProposed(0, seed.id, (), seed.hypothesis.kind, seed.hypothesis.text, seed.length)
        reason, iteration = "rounds", 0
        try:
            await scores.fill(workbench, [seed], [*brief.train, *brief.select])
            yield scored(scores, seed, brief.select, "select", 0)
            for iteration in range(1, self.options.iterations + 1):
                yield RoundStarted(iteration, tried[-1].id, "the newest prompt")
                child, told = await self._rewrite(brief, workbench, scores, tried[-1], iteration, longest)
                for event in told:
                    yield event
                if child is None or child.id in {candidate.id for candidate in tried}:
                    reason = "no usable rewrite" if child is None else "the rewrite repeats a known prompt"
                    break
                await workbench.keep(Proposal(child))
                yield CandidateProposed(
                    iteration, child.id, child.parents, child.hypothesis.kind, child.hypothesis.text, child.length
                )
                await scores.fill(workbench, [child], [*brief.train, *brief.select])
                best = _best(brief, scores, tried)
                before, after, _ = scores.pairs(best.id, child.id, brief.select)
                delta = paired_difference(before, after)
                better = delta.mean > 0
                yield CandidateRaced(iteration, child.id, best.id, delta, "promoted" if better else "undecided")
                tried.append(child)
                best = _best(brief, scores, tried)
                numbers = list(scores.numbers(best.id, brief.select).values())
                yield RoundEnded(iteration, best.id, mean_interval(numbers), int(better))
        except BudgetSpent as spent:
            reason = spent.cap
        if reason == "no usable rewrite" and len(tried) == 1:
            raise UnusableReplies(
                "the rewriter gave no usable rewrite, not even after a repair request",
                remedy="give models.rewriter a model that can follow the reply format, or raise its max_tokens",
            )
        yield SearchEnded(reason, iteration, workbench.barrier)
        workbench.hold(0, 0)
        best = _best(brief, scores, tried)
        async with aclosing(finish(brief, workbench, scores, [] if best is seed else [best])) as claims:
            async for event in claims:
                yield event

    def shape(self, brief: Brief) -> Shape:
        """How it will spend: every row of train and select in every iteration."""
        rows = len(brief.train) + len(brief.select)
        return Shape(
            rows, rows, 2, finish_size(brief, 1), self.options.iterations, longest_allowed(self.options.longest, brief)
        )

    async def _rewrite(
        self, brief: Brief, bench: Workbench, scores: Scores, parent: Candidate, iteration: int, longest: int
    ) -> tuple[Candidate | None, list[Event]]:
        """Criticise a sample of all failures at once, then rewrite once."""
        evidence = failed_rows(scores, bench, parent, brief.train, self.options.passing, set())
        count = min(self.options.failures, len(evidence.failures))
        chosen = stream(brief.seed, iteration, "failures").sample(evidence.failures, count)
        asks = critic_asks(brief, parent, [chosen], evidence.successes, iteration)
        (answer,) = await bench.ask(asks)
        critiques = cast("tuple[Critique, ...]", answer.value or ())
        told: list[Event] = [
            CritiquesWritten(iteration, len(evidence.failures), 1, len(critiques), int(answer.value is None))
        ]
        (reply,) = await bench.ask([_ask(brief, parent, critiques, chosen, iteration, longest)])
        if reply.value is None:
            why = reply.failure.message if reply.failure else "the reply could not be read"
            return None, [*told, ProposalDropped(iteration, "causes", why)]
        rewrite = cast("Rewrite", reply.value)
        hypothesis = Hypothesis("causes", rewrite.hypothesis or "all failures at once")
        return Candidate(rewrite.prompts, parents=(parent.id,), hypothesis=hypothesis), told


def _ask(
    brief: Brief,
    parent: Candidate,
    critiques: tuple[Critique, ...],
    failures: list[FailedRow],
    iteration: int,
    longest: int,
) -> Ask:
    inputs = {
        "task": brief.task,
        "prompts": parent.prompts,
        "critiques": [{"step": one.step, "cause": one.cause, "fix": one.fix} for one in critiques],
        "failures": [shown(row, number) for number, row in enumerate(failures, start=1)],
        "tried": [],
        "kind": "causes",
        "longest": longest,
    }
    return Ask("rewriter", inputs, replicate=iteration)


def _best(brief: Brief, scores: Scores, candidates: list[Candidate]) -> Candidate:
    """The best mean on select; the earlier one where equal."""
    return max(candidates, key=lambda one: scores.standing(one, brief.select).mean)
