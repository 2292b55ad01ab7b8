"""Demos: the model's own right answers as worked examples, by subset and order, with and without the instructions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from promptprop.domain.models import Candidate, Demo, demo_block, text_of
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.propose import Plan

SIZES = (2, 4, 6)
LONGEST_ANSWER = 400  # characters of an answer that may be shown
BARE = 1 / 3  # how often demos are tried with the seed's own words rather than the parent's


def demo_plan(
    rng: random.Random,
    parent: Candidate,
    seed: Candidate,
    failures: Sequence[FailedRow],
    successes: Sequence[FailedRow],
    longest: int,
) -> Plan | None:
    """A child that shows some of the parent's right answers; None where there are too few, or in a chain.

    Rows whose answers failures lack come first, and no answer is shown much oftener than another. A chain's last step
    sees what the steps before it wrote, which rows alone cannot show.
    """
    if len(parent.prompts) > 1:
        return None
    wanted = Counter(text_of(row.expected) for row in failures)
    usable = [row for row in successes if len(row.answer) <= LONGEST_ANSWER and not _marked(row)]
    rng.shuffle(usable)
    usable.sort(key=lambda row: -min(wanted[text_of(row.expected)], 3))
    shown: Counter[str] = Counter()
    ordered: list[tuple[int, int, FailedRow]] = []
    for row in usable:
        shown[text_of(row.expected)] += 1
        ordered.append((shown[text_of(row.expected)], len(ordered), row))
    chosen = [row for _, _, row in sorted(ordered, key=lambda one: one[:2])][: rng.choice(SIZES)]
    if len(chosen) < min(SIZES):
        return None
    rng.shuffle(chosen)
    demos = tuple(Demo(row.example_id, dict(row.inputs), row.answer) for row in chosen)
    bare = rng.random() < BARE and seed.id != parent.id
    texts = (seed if bare else parent).prompts
    if sum(prompt.length for prompt in texts.values()) + len(demo_block(demos)) > longest:
        return None
    return Plan("demos", demos=demos, texts=texts, said=f"Shows {len(demos)} of the model's own right answers.")


def _marked(row: FailedRow) -> bool:
    """Whether a row holds what a template would take for its own marks."""
    block = demo_block([Demo(row.example_id, dict(row.inputs), row.answer)])
    return any(mark in block for mark in ("{{", "{%", "{#"))
