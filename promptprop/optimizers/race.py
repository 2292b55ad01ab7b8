"""The race: survivors of the screen meet their parent on fresh select rows, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptprop.domain.events import RaceOutcome
from promptprop.domain.models import Candidate, Row
from promptprop.domain.selection import Belief, update
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Child
from promptprop.optimizers.scores import Scores, difference_of
from promptprop.ports import Workbench

TRUST = 0.6  # of the gain that a screen shows: its rows are those that the rewrite was made for
LEAST_DOUBT = 0.06
SHORTER = 0.9  # times the parent's length up to which a child counts as shorter
WORTH_SHORTER = 0.02  # of score that a shorter prompt may seem to lose
MOST_OF_SELECT = 0.5  # what a race meets at most: a child that is undecided there is not worth the rest


@dataclass(slots=True)
class Runner:
    """A child in the race, and what is believed of its gain over the parent."""

    child: Child
    belief: Belief
    shorter: bool


def belief_of(gain: float) -> Belief:
    """What a screen makes one believe of a child's gain before the race."""
    return Belief(TRUST * gain, max(LEAST_DOUBT, TRUST * abs(gain)))


async def race(
    bench: Workbench,
    scores: Scores,
    parent: Candidate,
    survivors: Sequence[Child],
    track: Sequence[Sequence[Row]],
    options: BackpropOptions,
) -> list[Runner]:
    """Run survivors on the blocks of the track until each is promoted, dropped or, at the end, undecided.

    Only missing cells are evaluated. Raises BudgetSpent, TooManyErrors; children without an outcome were cut short.
    """
    runners = [
        Runner(child, belief_of(child.gain), child.candidate.length < parent.length * SHORTER) for child in survivors
    ]
    running, met = list(runners), list[Row]()
    track = track[: min(options.race_blocks, max(1, round(MOST_OF_SELECT * len(track))))]
    for number, block in enumerate(track, start=1):
        if not running:
            break
        await scores.fill(bench, [parent, *(runner.child.candidate for runner in running)], block)
        met.extend(block)
        for runner in running:
            child = runner.child
            before, after, _ = scores.pairs(parent.id, child.candidate.id, met)
            child.delta = difference_of(before, after)
            runner.belief = update(belief_of(child.gain), before, after, scores.judge_error)
            child.outcome = _outcome(runner, options, at_end=number == len(track))
        running = [runner for runner in running if runner.child.outcome is None]
    return runners


def _outcome(runner: Runner, options: BackpropOptions, *, at_end: bool) -> RaceOutcome | None:
    """What the race says now: an outcome, or None for the next block."""
    least = -WORTH_SHORTER if runner.shorter else 0.0
    chance = runner.belief.chance_above(least)
    if chance < options.drop:
        return "dropped"
    if chance >= options.promote:
        return "promoted"
    return "undecided" if at_end else None
