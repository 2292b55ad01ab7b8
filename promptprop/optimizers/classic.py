"""`classic`: score everything, criticise the failures at once, rewrite once per iteration. The baseline."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain.errors import BudgetSpent, UnusableReplies
from promptprop.domain.events import (
    CandidateRaced,
    CritiquesWritten,
    Estimate,
    Event,
    ProposalDropped,
    RoundEnded,
    RoundStarted,
)
from promptprop.domain.models import Candidate, Critique, Hypothesis, Proposal
from promptprop.domain.sampling import stream
from promptprop.optimizers.evidence import Evidence, critic_asks, failed_rows
from promptprop.optimizers.finish import end_search, finish_size, hold_finish, longest_allowed, proposed, scored
from promptprop.optimizers.propose import Request, rewriter_ask
from promptprop.optimizers.scores import Scores, difference_of, mean_of
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

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Rewrite until the iterations or the budget end; then FINISH with the best on select."""
        chain = _Chain(brief, workbench, self.options)
        for seed in chain.tried:
            await workbench.keep(Proposal(seed))
            yield proposed(0, seed)
        hold_finish(workbench, brief, 1, ())
        iteration = 0
        try:
            await chain.score(chain.tried)
            chain.parent = chain.best
            for seed in chain.tried:
                yield scored(chain.scores, seed, brief.select, "select", 0)
            reason = chain.reason_to_stop()
            while not reason and iteration < self.options.iterations:
                iteration += 1
                yield RoundStarted(iteration, chain.parent.id, "the newest prompt")
                reason, told = await chain.rewrite(iteration)
                for event in told:
                    yield event
                if reason:
                    break
                yield await chain.race(iteration)
                yield RoundEnded(iteration, chain.best.id, chain.mean(chain.best), int(chain.best is chain.tried[-1]))
                reason = chain.reason_to_stop()
        except BudgetSpent as spent:
            reason = spent.cap
        rivals = [] if chain.best.id == brief.seeds[0].id else [chain.best]
        async with aclosing(
            end_search(brief, workbench, chain.scores, rivals, reason or "rounds", iteration)
        ) as claims:
            async for event in claims:
                yield event

    def shape(self, brief: Brief) -> Shape:
        """How it will spend: every row of train and select in every iteration."""
        rows = len(brief.train) + len(brief.select)
        return Shape(rows, rows, 2, finish_size(brief, 1), self.options.iterations, rows, 4)


class _Chain:
    """The prompts so far, in the order tried, and their scores."""

    def __init__(self, brief: Brief, bench: Workbench, options: ClassicOptions) -> None:
        self.brief = brief
        self.bench = bench
        self.options = options
        self.scores = Scores()
        self.tried = brief.unique_seeds
        self.parent = self.tried[0]
        self.longest = longest_allowed(options.longest, brief)

    @property
    def best(self) -> Candidate:
        """The best mean on select; the earlier one where equal."""
        return max(self.tried, key=lambda one: self.scores.standing(one, self.brief.select).mean)

    def mean(self, candidate: Candidate) -> Estimate:
        """A candidate's mean on select."""
        return mean_of(self.scores.numbers(candidate.id, self.brief.select).values())

    async def score(self, candidates: Sequence[Candidate]) -> None:
        """Score candidates on all train and select rows. Raises BudgetSpent, TooManyErrors."""
        await self.scores.fill(self.bench, candidates, [*self.brief.train, *self.brief.select])

    def reason_to_stop(self) -> str:
        """Why the chain ends here, or nothing to go on."""
        return "" if self._evidence().failures else "no failures left"

    def _evidence(self) -> Evidence:
        return failed_rows(self.scores, self.bench, [self.parent], self.brief.train, self.options.passing)

    async def rewrite(self, iteration: int) -> tuple[str, list[Event]]:
        """Criticise a sample of all failures at once, then rewrite once: a new parent, or a reason to stop.

        Raises UnusableReplies where not even the first reply can be used.
        """
        brief, evidence = self.brief, self._evidence()
        count = min(self.options.failures, len(evidence.failures))
        chosen = stream(brief.seed, iteration, "failures").sample(evidence.failures, count)
        (answer,) = await self.bench.ask(
            critic_asks(brief, self.parent, [chosen], evidence.successes, iteration, self.bench.notes)
        )
        critiques = cast("tuple[Critique, ...]", answer.value or ())
        told: list[Event] = [
            CritiquesWritten(iteration, len(evidence.failures), 1, len(critiques), int(answer.value is None))
        ]
        request = Request("causes", critiques, tuple(chosen))
        ask = rewriter_ask(brief, self.parent.prompts, request, [], self.longest, self.bench.notes, iteration)
        (reply,) = await self.bench.ask([ask])
        if reply.value is None:
            why = reply.failure.message if reply.failure else "the reply could not be read"
            if iteration == 1:
                raise UnusableReplies(
                    f"the rewriter gave no usable rewrite, not even after a repair request: {why}",
                    remedy="give models.rewriter a model that can follow the reply format, or raise its max_tokens",
                )
            return "no usable rewrite", [*told, ProposalDropped(iteration, "causes", why)]
        rewrite = cast("Rewrite", reply.value)
        hypothesis = Hypothesis("causes", rewrite.hypothesis or "all failures at once")
        child = Candidate(rewrite.prompts, self.parent.demos, parents=(self.parent.id,), hypothesis=hypothesis)
        if any(child.id == candidate.id for candidate in self.tried):
            why = "it repeats a known prompt"
            return "the rewrite repeats a known prompt", [*told, ProposalDropped(iteration, "causes", why)]
        await self.bench.keep(Proposal(child, critiques))
        self.parent = child
        return "", [*told, proposed(iteration, child)]

    async def race(self, iteration: int) -> CandidateRaced:
        """Score the new parent and compare it with the best before it."""
        child, best = self.parent, self.best
        hold_finish(self.bench, self.brief, 1, (*self.tried, child))
        await self.score([child])
        self.tried.append(child)
        before, after, _ = self.scores.pairs(best.id, child.id, self.brief.select)
        delta = difference_of(before, after)
        return CandidateRaced(iteration, child.id, best.id, delta, "promoted" if delta.mean > 0 else "undecided")
