"""`random`: edits that rest on nothing, kept where they score better. What a search must beat to have learned anything.

An edit removes, repeats or moves a line, adds a general piece of advice, or adds a train row as an example. No role is
asked. Each edit meets the same random select rows as the best prompt so far.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain.errors import BudgetSpent
from promptprop.domain.events import (
    CandidateRaced,
    Event,
    RoundEnded,
    RoundStarted,
)
from promptprop.domain.models import Candidate, Example, Hypothesis, Prompt, Proposal, text_of
from promptprop.domain.sampling import stream
from promptprop.optimizers.finish import end_search, finish_size, hold_finish, longest_allowed, proposed, scored
from promptprop.optimizers.scores import Scores, difference_of, mean_of, nothing_to_gain
from promptprop.ports import Brief, Shape, Workbench

ADVICE = (
    "Read the whole input before you answer.",
    "Think step by step, and then give the answer alone.",
    "If two answers seem right, choose the more specific one.",
    "Look for words that change the meaning of the rest.",
    "Do not explain the answer.",
    "Answer as an expert of the field would.",
)
EDITS = ("remove", "repeat", "move", "advice", "example")
TRIES = 20  # edits that may come out unchanged or known before a round is given up


class RandomOptions(BaseModel):
    """Options of `random`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edits: int = Field(40, ge=1, le=1000, description="Edits at most.")
    rows: int = Field(20, ge=1, le=1000, description="Select rows that an edit and the best so far meet.")
    longest: int = Field(6000, ge=200, le=200_000, description="Characters of a candidate at most (or 3 × the seed).")


class RandomEdits:
    """A hill climb by edits that are drawn blindly."""

    Options = RandomOptions

    def __init__(self, options: RandomOptions) -> None:
        """Take the options."""
        self.options = options

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Edit until the edits or the budget end; then FINISH with the best. Raises BudgetSpent, TooManyErrors."""
        scores, seeds = Scores(), brief.unique_seeds
        known = {seed.id: seed for seed in seeds}
        for seed in seeds:
            await workbench.keep(Proposal(seed))
            yield proposed(0, seed)
        hold_finish(workbench, brief, 1, ())
        rows = list(brief.select)
        stream(brief.seed, "rows").shuffle(rows)
        rows = rows[: self.options.rows]
        best, round_, reason = seeds[0], 0, ""
        try:
            await scores.fill(workbench, seeds, rows)
            for seed in seeds:
                yield scored(scores, seed, brief.select, "select", 0)
            best = max(seeds, key=lambda one: scores.standing(one, rows).mean)
            reason = nothing_to_gain(scores.numbers(best.id, brief.select).values())
            while not reason and round_ < self.options.edits:
                round_ += 1
                yield RoundStarted(round_, best.id, "the best so far")
                child = edited(stream(brief.seed, round_, "edit"), best, brief, workbench, set(known), self.options)
                if child is None:
                    reason = "no edit is left"
                    break
                known[child.id] = child
                await workbench.keep(Proposal(child))
                yield proposed(round_, child)
                hold_finish(workbench, brief, 1, known.values())
                await scores.fill(workbench, [child], rows)
                before, after, _ = scores.pairs(best.id, child.id, rows)
                delta = difference_of(before, after)
                won = delta.mean > 0
                yield CandidateRaced(round_, child.id, best.id, delta, "promoted" if won else "dropped")
                best = child if won else best
                yield RoundEnded(round_, best.id, mean_of(scores.numbers(best.id, rows).values()), int(won))
                reason = nothing_to_gain(scores.numbers(best.id, brief.select).values())
        except BudgetSpent as spent:
            reason = spent.cap
        rivals = [] if best.id == brief.seeds[0].id else [best]
        async with aclosing(end_search(brief, workbench, scores, rivals, reason or "rounds", round_)) as claims:
            async for event in claims:
                yield event

    def shape(self, brief: Brief) -> Shape:
        """How it will spend: every edit meets the same rows, and no role is asked."""
        rows = min(self.options.rows, len(brief.select))
        return Shape(len(brief.unique_seeds) * rows, rows, 0, finish_size(brief, 1), self.options.edits, rows, 0)


def edited(
    rng: random.Random, parent: Candidate, brief: Brief, bench: Workbench, known: set[str], options: RandomOptions
) -> Candidate | None:
    """The parent with one edit of one step that makes a new prompt; None where no such edit was drawn."""
    longest = longest_allowed(options.longest, brief)
    for _ in range(TRIES):
        edit, step = rng.choice(EDITS), rng.choice(sorted(parent.prompts))
        (example,) = bench.examples([rng.choice(brief.train).id]) if edit == "example" and brief.train else (None,)
        text = _edit(rng, edit, parent.prompts[step].text, example)
        prompts = {**parent.prompts, step: Prompt.of(text)}
        child = Candidate(
            prompts, parent.demos, parents=(parent.id,), hypothesis=Hypothesis(edit, f"{edit}, at random")
        )
        if child.id not in known and child.length <= longest:
            return child
    return None


def _edit(rng: random.Random, edit: str, text: str, example: Example | None) -> str:
    """The text after an edit. Lines with placeholders, headings of messages and empty lines stay as they are."""
    lines = text.split("\n")
    free = [place for place, line in enumerate(lines) if line.strip() and not _fixed(line)]
    if edit in {"advice", "example"}:
        shown = "" if example is None else f"Example: {_shown(example)}"
        return "\n".join(_inserted(lines, rng.choice(ADVICE) if edit == "advice" or not shown else shown))
    if not free:
        return text
    line = lines[place := rng.choice(free)]
    if edit == "repeat":
        return "\n".join(_inserted(lines, line))
    del lines[place]
    return "\n".join(lines if edit == "remove" else _inserted(lines, line))


def _fixed(line: str) -> bool:
    return "{{" in line or "{%" in line or line.startswith("### ")


def _shown(example: Example) -> str:
    inputs = " | ".join(text_of(value).replace("\n", " ") for value in example.inputs.values())
    return f"{inputs} → {text_of(example.expected)}".replace("{{", "{ {").replace("{%", "{ %")


def _inserted(lines: list[str], line: str) -> list[str]:
    """The lines with one more, before the first that holds a placeholder and after no heading of a later message."""
    place = next((place for place, one in enumerate(lines) if "{{" in one or "{%" in one), len(lines))
    return [*lines[:place], line, *lines[place:]]
