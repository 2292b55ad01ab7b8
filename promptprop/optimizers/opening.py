"""The opening of a search: drafts, the race of the seeds; is there anything to gain, and how noisy is the task?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from promptprop.domain.events import CandidateRaced, HeadroomMeasured, RaceOutcome
from promptprop.domain.models import Candidate, Cell, Evaluation, Hypothesis, Proposal, Row
from promptprop.domain.sampling import spread, stream
from promptprop.domain.selection import Belief, FailedRow, update
from promptprop.domain.statistics import noise
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Request, rewriter_ask
from promptprop.optimizers.scores import Scores, difference_of, mean_of
from promptprop.ports import Brief, Workbench
from promptprop.roles.rewriter import Rewrite

CAP_SHARE = 0.05  # of a cap on calls that headroom may take for its first answers
LEAST = 6  # rows, whatever the cap
SEEDS_DIFFER = 0.3  # how far apart seeds are expected to be: a standard deviation
DRAFT_ROWS = 12  # labelled rows that one draft is written from
SAME = 1e-9  # scores that differ by less are equal


async def measure_headroom(
    bench: Workbench, scores: Scores, track: Sequence[Sequence[Row]], options: BackpropOptions, seed: Candidate
) -> HeadroomMeasured:
    """Score a seed on the rows that races begin with, some of them twice; rows without a score are left out."""
    once, twice = options.headroom_rows, options.headroom_again
    if bench.budget.calls is not None:
        share = max(1.0, once / max(LEAST, bench.budget.calls * CAP_SHARE))
        once, twice = round(once / share), round(twice / share)
    sample = [row for block in track for row in block][:once]
    cells = [Cell(seed, row.id) for row in sample]
    repeated = cells[:twice]
    await scores.fill_cells(bench, cells)
    again = await bench.evaluate([Cell(cell.candidate, cell.example_id, replicate=1) for cell in repeated])
    known = scores.of(seed.id, sample)
    first = [known.get(cell.example_id) for cell in repeated]
    pairs = [
        (one.score, two.score)
        for one, two in zip(first, again, strict=True)
        if one is not None and one.score is not None and two.score is not None
    ]
    return _finding(list(known.values()), again, pairs, scores.passing(options.passing))


def _finding(
    answers: Sequence[Evaluation],
    again: Sequence[Evaluation],
    pairs: Sequence[tuple[float, float]],
    passing: float,
) -> HeadroomMeasured:
    known = [one.score for one in answers if one.score is not None]
    failing = sum(score < passing for score in known) + sum(two < passing <= one for one, two in pairs)
    silent = not any(evaluation.output.strip() for evaluation in (*answers, *again))
    finding: Literal["room", "perfect", "hopeless"] = (
        "hopeless" if silent or not known else "room" if failing else "perfect"
    )
    return HeadroomMeasured(
        score=mean_of(known),
        noise=noise([one for one, _ in pairs], [two for _, two in pairs]),
        flipped=sum(1 for one, two in pairs if abs(one - two) > SAME),
        failing=failing,
        finding=finding,
    )


async def race_seeds(
    bench: Workbench,
    scores: Scores,
    seeds: Sequence[Candidate],
    track: Sequence[Sequence[Row]],
    options: BackpropOptions,
) -> tuple[Candidate, list[CandidateRaced]]:
    """The best of several seeds, by blocks of select rows that all of them meet until they are likely behind.

    A seed is compared with the first one; the leader after the last block wins, the shorter one where equal. Raises
    BudgetSpent, TooManyErrors.
    """
    first, met = seeds[0], list[Row]()
    running = list(seeds)
    for block in track[: options.race_blocks]:
        if len(running) == 1:
            break
        await scores.fill(bench, running, block)
        met.extend(block)
        best = _leader(scores, running, met)
        running = [one for one in running if one is best or _chance(scores, best, one, met) >= options.drop]
    best = _leader(scores, running, met)
    told = []
    for seed in seeds[1:]:
        before, after, _ = scores.pairs(first.id, seed.id, met)
        outcome: RaceOutcome = "promoted" if seed is best else "undecided" if seed in running else "dropped"
        told.append(CandidateRaced(0, seed.id, first.id, difference_of(before, after), outcome))
    return best, told


def _leader(scores: Scores, running: Sequence[Candidate], met: Sequence[Row]) -> Candidate:
    return max(running, key=lambda one: (scores.standing(one, met).mean, -one.length))


def _chance(scores: Scores, best: Candidate, other: Candidate, met: Sequence[Row]) -> float:
    before, after, _ = scores.pairs(best.id, other.id, met)
    return update(Belief(0.0, SEEDS_DIFFER), before, after, scores.judge_error).chance_above()


async def draft_seeds(bench: Workbench, brief: Brief, longest: int) -> list[Proposal]:
    """Seeds that the rewriter drafts from the task and train rows, other rows for each; unreadable ones are left out.

    Raises BudgetSpent.
    """
    base = brief.seeds[0]
    asks = []
    for number in range(brief.drafts):
        rows = spread(brief.train, DRAFT_ROWS, stream(brief.seed, number, "draft"))
        examples = bench.examples([row.id for row in rows])
        labelled = tuple(FailedRow(one.id, one.inputs, one.expected, "", "") for one in examples)
        request = Request("draft", quoted=labelled)
        asks.append(rewriter_ask(brief, base.prompts, request, [], longest, bench.notes, number))
    proposals: dict[str, Proposal] = {}
    for answer in await bench.ask(asks):
        if answer.value is not None:
            rewrite = cast("Rewrite", answer.value)
            text = rewrite.hypothesis or "a draft from the task and labelled rows"
            draft = Candidate(rewrite.prompts, parents=(base.id,), hypothesis=Hypothesis("draft", text[:300]))
            proposals.setdefault(draft.id, Proposal(draft))
    return [one for name, one in proposals.items() if name != base.id]
