"""Proposals: which hypotheses a round tests, what the rewriter is asked, and which of its rewrites are usable."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from promptprop.domain.events import Estimate, RaceOutcome
from promptprop.domain.models import Answer, Ask, Candidate, Critique, Hypothesis, Json, Row
from promptprop.domain.selection import FailedRow, draw_kinds
from promptprop.optimizers.evidence import shown
from promptprop.ports import Brief
from promptprop.roles.rewriter import Rewrite

if TYPE_CHECKING:
    from promptprop.optimizers.search import Round

REMEMBERED = 10  # tried hypotheses that the rewriter is shown
VERBATIM = 60  # characters in a row of an input that a prompt may not repeat
QUOTED = {"cause": 3, "causes": 8, "consolidate": 0, "format": 4, "restart": 8}  # failures the rewriter sees


@dataclass(frozen=True, slots=True)
class Plan:
    """One child to ask for: its kind of hypothesis, and the critiques and failures behind it."""

    kind: str
    critiques: tuple[Critique, ...]
    cluster: tuple[FailedRow, ...]


@dataclass(slots=True)
class Child:
    """A proposed candidate on its way through screen and race."""

    plan: Plan
    candidate: Candidate
    screened_on: list[Row] = field(default_factory=list)
    gain: float = 0.0
    delta: Estimate = Estimate(0.0, -1.0, 1.0, 0)  # noqa: RUF009 - frozen
    outcome: RaceOutcome | None = None


def plan_children(
    rng: random.Random, now: Round, odds: Mapping[str, tuple[int, int]], count: int, seed_length: int
) -> list[Plan]:
    """`count` labelled hypotheses: the top cause, all causes at once, and the rest by the odds of each kind.

    Consolidation is due only once the prompt has grown; a restart or format repair is drawn like any other kind.
    """
    kinds = ["cause"] if len(now.critiques) < 2 else ["cause", "causes"]
    open_kinds = {"cause", "causes", "format", "restart"}
    if now.parent.length > 1.25 * seed_length:
        open_kinds.add("consolidate")
    record = {kind: odds.get(kind, (0, 0)) for kind in open_kinds}
    kinds += draw_kinds(rng, record, max(0, count - len(kinds)))
    plans: list[Plan] = []
    everything = tuple(critique for critiques in now.critiques for critique in critiques)
    for kind in kinds[:count]:
        number = sum(1 for plan in plans if plan.kind == "cause")
        if kind == "cause" and now.clusters:
            place = number % len(now.clusters)
            plans.append(Plan(kind, now.critiques[place], tuple(now.clusters[place])))
        else:
            plans.append(Plan(kind, everything, ()))
    return plans


def rewriter_asks(
    brief: Brief, now: Round, plans: Sequence[Plan], tried: Sequence[Mapping[str, Json]], longest: int, round_: int
) -> list[Ask]:
    """One question a plan; equal plans are told apart by their place, so that they are answered independently."""
    return [
        Ask(
            "rewriter",
            {
                "task": brief.task,
                "prompts": now.parent.prompts,
                "critiques": [{"step": one.step, "cause": one.cause, "fix": one.fix} for one in plan.critiques],
                "failures": [shown(row, number) for number, row in enumerate(_quoted(plan, now), start=1)],
                "tried": list(tried[-REMEMBERED:]),
                "kind": plan.kind,
                "longest": longest,
            },
            replicate=round_ * 100 + place,
        )
        for place, plan in enumerate(plans)
    ]


def _quoted(plan: Plan, now: Round) -> list[FailedRow]:
    """Failures for the rewriter: of its own cluster, else one after the other from each cluster."""
    count = QUOTED[plan.kind]
    if plan.cluster:
        return list(plan.cluster[:count])
    clusters = now.clusters or [now.evidence.failures]
    deepest = max((len(cluster) for cluster in clusters), default=0)
    mixed = [cluster[depth] for depth in range(deepest) for cluster in clusters if depth < len(cluster)]
    return mixed[:count]


def read_children(
    parent: Candidate, plans: Sequence[Plan], answers: Sequence[Answer], known: set[str], inputs: Sequence[str]
) -> tuple[list[Child], list[tuple[str, str]]]:
    """The usable children, and the refused ones with their reasons.

    Refused: replies that could not be read after one repair, prompts that are known already, and prompts that carry
    an input verbatim.
    """
    children: list[Child] = []
    refused: list[tuple[str, str]] = []
    for plan, answer in zip(plans, answers, strict=True):
        if answer.value is None:
            refused.append((plan.kind, answer.failure.message if answer.failure else "the reply could not be read"))
            continue
        rewrite = cast("Rewrite", answer.value)
        text = rewrite.hypothesis or (plan.critiques[0].fix if plan.critiques else plan.kind)
        candidate = Candidate(
            rewrite.prompts, parent.demos, parents=(parent.id,), hypothesis=Hypothesis(plan.kind, text[:300])
        )
        if candidate.id in known or any(candidate.id == child.candidate.id for child in children):
            refused.append((plan.kind, "it repeats a known prompt"))
        elif copied := _copied(candidate.text, parent.text, inputs):
            refused.append((plan.kind, f"it copies a row verbatim: “{copied[:40]}…”"))
        else:
            children.append(Child(plan, candidate))
    return children, refused


def _copied(text: str, parent: str, inputs: Sequence[str]) -> str:
    """The first long stretch of an input that the new prompt holds and the parent does not."""
    for value in inputs:
        for start in range(0, max(1, len(value) - VERBATIM + 1), VERBATIM // 2):
            stretch = value[start : start + VERBATIM]
            if len(stretch) == VERBATIM and stretch in text and stretch not in parent:
                return stretch
    return ""
