"""FINISH: the only place that makes a claim. Shortlist → confirm on untouched rows → once on the sealed test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing

from promptprop.domain.events import (
    CandidateConfirmed,
    CandidateProposed,
    CandidateScored,
    Estimate,
    Event,
    SearchEnded,
    Verdict,
    WinnerTested,
)
from promptprop.domain.models import Candidate, Row
from promptprop.domain.sampling import stream
from promptprop.domain.statistics import sign_flip_p, verdict
from promptprop.optimizers.scores import Scores, difference_of, mean_of
from promptprop.ports import Brief, Workbench


def finish_size(brief: Brief, shortlist: int) -> int:
    """How many evaluations FINISH takes at most."""
    return len(brief.confirm) * (shortlist + 1) + 2 * len(brief.test)


def longest_allowed(option: int, brief: Brief) -> int:
    """Characters that a candidate may have: the option, but never less than three times the longest seed."""
    return max([option, *(3 * seed.length for seed in brief.seeds)])


def hold_finish(bench: Workbench, brief: Brief, shortlist: int, candidates: Iterable[Candidate]) -> None:
    """Hold back what FINISH can cost if it has to pay the longest of these candidates, or of the seeds.

    Called before a new candidate is first evaluated: what then fits the budget leaves room to finish with it.
    """
    longest = max(candidate.length for candidate in (*brief.seeds, *candidates))
    bench.hold(finish_size(brief, shortlist), longest)


async def finish(
    brief: Brief, bench: Workbench, scores: Scores, shortlist: Sequence[Candidate]
) -> AsyncGenerator[Event, None]:
    """Choose among the shortlist on the confirm rows, then open the test for seed and winner.

    Without confirm rows what is known of select decides. Raises BudgetSpent where the budget cannot pay it; the test
    then stays sealed.
    """
    seed = brief.seeds[0]
    if shortlist:
        await scores.fill(bench, [seed, *shortlist], brief.confirm)
    deltas = {one.id: _delta(scores, seed, one, brief.confirm or brief.select) for one in shortlist}
    winner = _chosen(scores, brief, seed, shortlist, deltas)
    for candidate in shortlist if brief.confirm else ():
        yield CandidateConfirmed(candidate.id, deltas[candidate.id], candidate is winner)
    finalists = [seed] if winner is seed else [seed, winner]
    for finalist in finalists:
        yield scored(scores, finalist, brief.select, "select", 0)
    await scores.fill(bench, finalists, brief.test)
    yield _tested(brief, scores, seed, winner)


async def end_search(
    brief: Brief, bench: Workbench, scores: Scores, shortlist: Sequence[Candidate], reason: str, round_: int
) -> AsyncGenerator[Event, None]:
    """Tell that and why the search has ended, release what FINISH was held back for, and do it. Raises BudgetSpent."""
    yield SearchEnded(reason, round_, bench.barrier)
    bench.hold(0, 0)
    async with aclosing(finish(brief, bench, scores, shortlist)) as claims:
        async for event in claims:
            yield event


def proposed(round_: int, candidate: Candidate) -> CandidateProposed:
    """The event that tells a new candidate; seeds belong to round 0."""
    hypothesis = candidate.hypothesis
    return CandidateProposed(
        round_, candidate.id, candidate.parents, hypothesis.kind, hypothesis.text, candidate.length
    )


def scored(scores: Scores, candidate: Candidate, rows: Sequence[Row], split: str, round_: int) -> CandidateScored:
    """The event that tells a candidate's mean on the rows of a split that it has met."""
    numbers = scores.numbers(candidate.id, rows)
    return CandidateScored(
        round=round_,
        candidate_id=candidate.id,
        split=split,
        score=mean_of(numbers.values()),
        missing=scores.missing(candidate.id, rows),
        metrics=scores.metric_means(candidate.id, rows),
    )


def _delta(scores: Scores, seed: Candidate, candidate: Candidate, rows: Sequence[Row]) -> Estimate:
    before, after, shared = scores.pairs(seed.id, candidate.id, rows)
    return difference_of(before, after, [row.cluster for row in shared])


def _chosen(
    scores: Scores,
    brief: Brief,
    seed: Candidate,
    shortlist: Sequence[Candidate],
    deltas: Mapping[str, Estimate],
) -> Candidate:
    """The best of the shortlist by rows that the search never saw; select breaks ties, then the shorter prompt.

    A candidate that is below the seed on these rows, or has no score on any, is not chosen; with none left the seed
    stays.
    """
    standing = [candidate for candidate in shortlist if deltas[candidate.id].mean >= 0 and deltas[candidate.id].n]
    if not standing:
        return seed
    return max(
        standing,
        key=lambda candidate: (
            round(deltas[candidate.id].mean, 9),
            round(scores.standing(candidate, brief.select).lower, 9),
            -candidate.length,
        ),
    )


def _tested(brief: Brief, scores: Scores, seed: Candidate, winner: Candidate) -> WinnerTested:
    before, after, shared = scores.pairs(seed.id, winner.id, brief.test)
    clusters = [row.cluster for row in shared]
    delta = difference_of(before, after, clusters)
    differences = [late - early for early, late in zip(before, after, strict=True)]
    p_value = sign_flip_p(differences, clusters=clusters, rng=stream(brief.seed, "test"))
    outcome: Verdict = verdict(delta, p_value, unchanged=winner.id == seed.id)
    return WinnerTested(
        seed_id=seed.id,
        winner_id=winner.id,
        seed=mean_of(before),
        winner=mean_of(after),
        delta=delta,
        p_value=p_value,
        verdict=outcome,
        missing=len(brief.test) - len(shared),
        metrics={
            "seed": scores.metric_means(seed.id, brief.test),
            "winner": scores.metric_means(winner.id, brief.test),
        },
    )
