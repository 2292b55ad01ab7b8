"""`iterate`: score one prompt on every train row, refine it from its failures in one reply, and begin again.

The plain loop of the browser front end. An iteration takes each row once and one call of the refiner, so that what a
run takes is known beforehand. The best scored prompt wins. Where rows are held out FINISH proves it; with `prove` off
they are left alone, and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain.errors import BudgetSpent, ConfigError, UnusableReplies
from promptprop.domain.events import (
    CandidateRaced,
    Estimate,
    Event,
    ProposalDropped,
    RaceOutcome,
    RoundEnded,
    RoundStarted,
    SearchEnded,
)
from promptprop.domain.models import Ask, Candidate, Critique, Hypothesis, Proposal
from promptprop.domain.sampling import stream
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.evidence import Evidence, failed_rows, shown
from promptprop.optimizers.finish import end_search, finish_size, hold_finish, longest_allowed, proposed, scored
from promptprop.optimizers.scores import Scores, difference_of, mean_of
from promptprop.ports import Brief, Shape, Workbench
from promptprop.roles.refiner import Refinement

SUMMARY = 300  # characters of an explanation that events carry; the whole lies with the candidate


class IterateOptions(BaseModel):
    """Options of `iterate`; scores lie in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iterations: int = Field(5, ge=1, le=100, description="Prompts that are scored at most, the seed among them.")
    failures: int = Field(12, ge=1, le=100, description="Failures that the refiner sees in an iteration.")
    passing: float = Field(0.9, gt=0, le=1, description="Scores from here on are no failures.")
    perfect: float = Field(0.98, gt=0, le=1, description="A mean score from here on ends the search.")
    settled: float = Field(0.0, ge=0, le=1, description="A smaller change of the mean score ends the search.")
    longest: int = Field(6000, ge=200, le=200_000, description="Characters of a candidate at most (or 3 × the seed).")
    block: int = Field(0, ge=0, description="Rows at once, so that who watches sees them come; 0 is all of them.")
    prove: bool = Field(True, description="Prove the winner on held-out rows, where there are any.")


def converged(means: Sequence[float], perfect: float, settled: float) -> bool:
    """Whether the last of these mean scores is good enough, or hardly another than the one before it.

    >>> converged([0.5], 0.98, 0.002), converged([0.5, 0.501], 0.98, 0.002), converged([0.99], 0.98, 0.002)
    (False, True, True)
    """
    if not means:
        return False
    return means[-1] >= perfect or (len(means) > 1 and abs(means[-1] - means[-2]) < settled)


class Iterate:
    """One chain of refinements of one prompt."""

    Options = IterateOptions

    def __init__(self, options: IterateOptions) -> None:
        """Take the options."""
        self.options = options

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Refine until the mean is settled, or the iterations or the budget end."""
        chain = _Chain(brief, workbench, self.options)
        for seed in brief.unique_seeds:
            await workbench.keep(Proposal(seed))
            yield proposed(0, seed)
        hold_finish(workbench, chain.claimed, 1, ())
        reason, iteration = "", 0
        try:
            while not reason:
                iteration += 1
                yield RoundStarted(iteration, chain.current.id, "the newest prompt")
                before = chain.best if chain.tried else None
                await chain.score()
                yield scored(chain.scores, chain.current, chain.rows, "train", iteration)
                if before is not None:
                    yield chain.raced(iteration, before)
                best = chain.best
                yield RoundEnded(iteration, best.id, chain.mean(best), int(before is not None and best is not before))
                reason = chain.reason_to_stop()
                if not reason:
                    reason, told = await chain.refine(iteration)
                    if told:
                        yield told
        except BudgetSpent as spent:
            if not chain.tried and not chain.claimed.test:
                raise
            reason = spent.cap
        rivals, refined = [] if chain.best.id == brief.seeds[0].id else [chain.best], max(0, len(chain.tried) - 1)
        if not chain.claimed.test:
            yield SearchEnded(reason, refined, workbench.barrier)
            workbench.hold(0, 0)
            return
        async with aclosing(end_search(brief, workbench, chain.scores, rivals, reason, refined)) as claims:
            async for event in claims:
                yield event

    def shape(self, brief: Brief) -> Shape:
        """How it will spend: every train row in every iteration. Raises ConfigError for a chain."""
        if len(brief.program.steps) > 1:
            raise ConfigError("iterate refines one prompt, and no chain", remedy="use the optimizer backprop")
        rows, claimed = len(brief.train), claimed_rows(brief, self.options)
        rounds = self.options.iterations - 1
        return Shape(rows, rows, 1, finish_size(claimed, 1), rounds, rows, 2)


def claimed_rows(brief: Brief, options: IterateOptions) -> Brief:
    """The brief with the rows that FINISH may use: none where nothing shall be proven."""
    return brief if options.prove else replace(brief, select=(), confirm=(), test=())


class _Chain:
    """The prompts so far, in the order tried, and their scores on the train rows, which are taken by their ids."""

    def __init__(self, brief: Brief, bench: Workbench, options: IterateOptions) -> None:
        self.brief = brief
        self.bench = bench
        self.options = options
        self.claimed = claimed_rows(brief, options)
        self.rows = sorted(brief.train, key=lambda row: row.id)
        self.scores = Scores()
        self.seeds = brief.unique_seeds
        self.current = self.seeds.pop(0)
        self.tried: list[Candidate] = []
        self.longest = longest_allowed(options.longest, brief)

    @property
    def best(self) -> Candidate:
        """The best mean on train, the earlier one where equal; the newest before anything is scored."""
        return max(self.tried, key=self._standing) if self.tried else self.current

    def mean(self, candidate: Candidate) -> Estimate:
        """A candidate's mean on train."""
        return mean_of(self.scores.numbers(candidate.id, self.rows).values())

    def _standing(self, candidate: Candidate) -> float:
        known = self.mean(candidate)
        return known.mean if known.n else -1.0

    async def score(self) -> None:
        """Score the newest prompt on all train rows. Raises BudgetSpent, TooManyErrors."""
        size = self.options.block or max(1, len(self.rows))
        for start in range(0, len(self.rows), size):
            await self.scores.fill(self.bench, [self.current], self.rows[start : start + size])
        self.tried.append(self.current)

    def raced(self, iteration: int, before: Candidate) -> CandidateRaced:
        """The newest prompt against the best one before it, on the rows where both have a score."""
        earlier, later, _ = self.scores.pairs(before.id, self.current.id, self.rows)
        outcome: RaceOutcome = "promoted" if self.best is self.current else "undecided"
        return CandidateRaced(iteration, self.current.id, before.id, difference_of(earlier, later), outcome)

    def reason_to_stop(self) -> str:
        """Why the chain ends here, or nothing to go on."""
        if not self._evidence().failures:
            return "no failures left"
        means = [known.mean for known in map(self.mean, self.tried) if known.n]
        if means and means[-1] >= self.options.perfect:
            return "perfect"
        if self.seeds:
            return ""
        if converged(means, self.options.perfect, self.options.settled):
            return "settled"
        return "rounds" if len(self.tried) >= self.options.iterations else ""

    def _evidence(self) -> Evidence:
        return failed_rows(self.scores, self.bench, [self.best], self.rows, self.options.passing)

    async def refine(self, iteration: int) -> tuple[str, Event | None]:
        """The next prompt: a seed that waits, or a refinement of the best one; or a reason to stop.

        Raises UnusableReplies where not even the first reply can be used.
        """
        if self.seeds:
            self.current = self.seeds.pop(0)
            return "", None
        parent, failures = self.best, self._evidence().failures
        chosen = stream(self.brief.seed, iteration, "failures").sample(
            failures, min(self.options.failures, len(failures))
        )
        inputs = {
            "task": self.brief.task,
            "prompts": dict(parent.prompts),
            "failures": [shown(row, number) for number, row in enumerate(chosen, start=1)],
            "notes": list(self.bench.notes),
            "longest": self.longest,
        }
        (answer,) = await self.bench.ask([Ask("refiner", inputs, replicate=iteration)])
        if answer.value is None:
            why = answer.failure.message if answer.failure else "the reply could not be read"
            if all(one.id in {seed.id for seed in self.brief.seeds} for one in self.tried):
                raise UnusableReplies(
                    f"the refiner gave no usable prompt, not even after a repair request: {why}",
                    remedy="give models.rewriter a model that can follow the reply format, or raise its max_tokens",
                )
            return "no usable rewrite", ProposalDropped(iteration, "refine", why)
        return await self._adopt(iteration, parent, chosen, cast("Refinement", answer.value))

    async def _adopt(
        self, iteration: int, parent: Candidate, chosen: Sequence[FailedRow], refined: Refinement
    ) -> tuple[str, Event]:
        """Make a refinement the newest prompt, unless it was tried before."""
        (step,) = parent.prompts
        said = " ".join(refined.explanation.split())[:SUMMARY] or "the failures of an iteration"
        hypothesis = Hypothesis("refine", said)
        child = Candidate({step: refined.prompt}, parent.demos, parents=(parent.id,), hypothesis=hypothesis)
        if any(child.id == candidate.id for candidate in self.tried):
            why = "it repeats a known prompt"
            return "the rewrite repeats a known prompt", ProposalDropped(iteration, "refine", why)
        critique = Critique(step, refined.reasoning, refined.explanation, tuple(row.example_id for row in chosen))
        await self.bench.keep(Proposal(child, (critique,)))
        hold_finish(self.bench, self.claimed, 1, (*self.tried, child))
        self.current = child
        return "", proposed(iteration + 1, child)
