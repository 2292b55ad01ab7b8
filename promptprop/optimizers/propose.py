"""Proposals: which hypotheses a round tests, what the rewriter is asked, and which of its rewrites are usable."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from promptprop.domain.events import Estimate, RaceOutcome
from promptprop.domain.models import Answer, Ask, Candidate, Critique, Demo, Hypothesis, Json, Prompt, Row
from promptprop.domain.selection import FailedRow, draw_kinds
from promptprop.optimizers.evidence import shown
from promptprop.optimizers.fixes import Fix
from promptprop.ports import Brief
from promptprop.roles.rewriter import Rewrite

REMEMBERED = 12  # tried hypotheses that the rewriter is shown
LONGEST_FIX = 200  # characters of a fix in the memory of what was tried
VERBATIM = 60  # characters in a row of an input that a prompt may not repeat
QUOTED = {"causes": 8, "format": 4, "restart": 8}  # failures the rewriter sees
OTHERS = ("format", "restart")  # kinds that are drawn where causes alone do not fill a round


@dataclass(frozen=True, slots=True)
class Plan:
    """One child to ask for: its kind of hypothesis, the fixes that it carries, and the failures that are quoted."""

    kind: str
    fixes: tuple[Fix, ...] = ()
    quoted: tuple[FailedRow, ...] = ()
    demos: tuple[Demo, ...] | None = None  # what it shows instead of its parent's demos
    texts: Mapping[str, Prompt] | None = None  # its prompts, where no rewriter is asked
    own: tuple[FailedRow, ...] = ()  # failures that it should mend, where it carries no fixes
    partner: str = ""  # id of the candidate that is merged into its parent
    said: str = ""  # its hypothesis, where no rewriter is asked

    @property
    def critiques(self) -> tuple[Critique, ...]:
        """The critiques behind it."""
        return tuple(fix.critique for fix in self.fixes)

    def part(self, turn: int, size: int, *, last: bool) -> Plan:
        """The plan of one of several rewrites that follow each other: `size` of the fixes, or all that are left."""
        fixes = self.fixes[turn * size :] if last else self.fixes[turn * size : (turn + 1) * size]
        kind = self.kind if turn == 0 else "causes"
        quoted = quoted_of(fixes) if self.kind == "causes" else self.quoted if turn == 0 else ()
        return Plan(kind, fixes, quoted)


@dataclass(slots=True)
class Draft:
    """A child as it is written: the texts so far, and the last answer that was usable."""

    plan: Plan
    prompts: Mapping[str, Prompt]
    answer: Answer = Answer(None)  # noqa: RUF009 - frozen
    tidied: int = 0  # length of the last consolidated text that it descends from
    said: tuple[str, ...] = ()  # the hypotheses of its rewrites

    @property
    def length(self) -> int:
        """Characters of all steps."""
        return sum(prompt.length for prompt in self.prompts.values())


@dataclass(slots=True)
class Child:
    """A proposed candidate on its way through screen and race; `tidied` as in its draft."""

    plan: Plan
    candidate: Candidate
    tidied: int = 0
    screened_on: list[Row] = field(default_factory=list)
    gain: float = 0.0
    delta: Estimate = Estimate(0.0, -1.0, 1.0, 0)  # noqa: RUF009 - frozen
    screened: Estimate | None = None
    outcome: RaceOutcome | None = None


def plan_children(
    rng: random.Random,
    bundles: Sequence[Sequence[Fix]],
    odds: Mapping[str, tuple[int, int]],
    count: int,
    failures: Sequence[FailedRow],
    *,
    grown: bool,
    ready: Sequence[Plan] = (),
) -> list[Plan]:
    """`count` labelled hypotheses: a child for each bundle of fixes, and the rest by the odds of each kind.

    Consolidation is due only once the prompt has grown, and what is `ready` (demos, a merge) needs no rewriter; a
    restart or format repair is drawn like any other kind.
    """
    plans = [_causes(bundle) for bundle in bundles[:count]]
    kinds = [
        *OTHERS,
        *(["causes"] if bundles else []),
        *(["consolidate"] if grown else []),
        *(plan.kind for plan in ready),
    ]
    finished = {plan.kind: plan for plan in ready}
    record = {kind: odds.get(kind, (0, 0)) for kind in kinds}
    for kind in draw_kinds(rng, record, max(0, count - len(plans))):
        if kind == "causes":
            plans.append(_causes(bundles[0]))
        elif kind in finished:
            plans.append(finished[kind])
        else:
            everything = tuple(fix for bundle in bundles for fix in bundle) if kind == "restart" else ()
            plans.append(Plan(kind, everything, tuple(failures[: QUOTED.get(kind, 0)])))
    return plans


def _causes(bundle: Sequence[Fix]) -> Plan:
    return Plan("causes", tuple(bundle), quoted_of(bundle))


def quoted_of(fixes: Sequence[Fix]) -> tuple[FailedRow, ...]:
    """The failures that a rewrite is shown: one after the other from each fix."""
    deepest = max((len(fix.rows) for fix in fixes), default=0)
    mixed = [fix.rows[depth] for depth in range(deepest) for fix in fixes if depth < len(fix.rows)]
    return tuple(mixed[: QUOTED["causes"]])


@dataclass(frozen=True, slots=True)
class Request:
    """What one rewrite is for: its kind, the critiques to answer, and the rows that are quoted with them."""

    kind: str
    critiques: tuple[Critique, ...] = ()
    quoted: tuple[FailedRow, ...] = ()


def rewriter_ask(
    brief: Brief,
    prompts: Mapping[str, Prompt],
    request: Request,
    tried: Sequence[Mapping[str, Json]],
    longest: int,
    notes: Sequence[str],
    replicate: int,
) -> Ask:
    """The question to the rewriter; equal ones are told apart by their replicate, and so answered independently."""
    inputs = {
        "task": brief.task,
        "prompts": prompts,
        "critiques": [{"step": one.step, "cause": one.cause, "fix": one.fix} for one in request.critiques],
        "failures": [shown(row, number) for number, row in enumerate(request.quoted, start=1)],
        "tried": list(tried[-REMEMBERED:]),
        "kind": request.kind,
        "longest": longest,
        "notes": list(notes),
    }
    return Ask("rewriter", inputs, replicate=replicate)


def read_children(
    parent: Candidate, drafts: Sequence[Draft], known: Collection[str], inputs: Sequence[str]
) -> tuple[list[Child], list[tuple[str, str]]]:
    """The usable children, and the refused ones with their reasons.

    Refused: replies that could not be read after one repair, prompts that are known already, and prompts that carry
    an input verbatim.
    """
    children: list[Child] = []
    refused: list[tuple[str, str]] = []
    for draft in drafts:
        plan, answer = draft.plan, draft.answer
        if answer.value is None:
            refused.append((plan.kind, answer.failure.message if answer.failure else "the reply could not be read"))
            continue
        rewrite = cast("Rewrite", answer.value)
        text = " ".join(draft.said) or (plan.critiques[0].fix if plan.critiques else plan.kind)
        candidate = Candidate(
            rewrite.prompts,
            parent.demos if plan.demos is None else plan.demos,
            parents=(parent.id, plan.partner) if plan.partner else (parent.id,),
            hypothesis=Hypothesis(plan.kind, text[:300]),
        )
        if candidate.id in known or any(candidate.id == child.candidate.id for child in children):
            refused.append((plan.kind, "it repeats a known prompt"))
        elif copied := _copied(_words(candidate), _words(parent), inputs):
            refused.append((plan.kind, f"it copies a row verbatim: “{copied[:40]}…”"))
        else:
            children.append(Child(plan, candidate, draft.tidied))
    return children, refused


def tried_lines(child: Child, *, kept: bool) -> list[dict[str, Json]]:
    """What the rewriter is told of a child: each of its fixes with the change on its rows, else the child as a whole.

    A child that failed for one of its fixes says nothing against the others.
    """
    fixes = [("cause", fix.critique.fix[:LONGEST_FIX], fix.change, fix.state == "works") for fix in child.plan.fixes]
    whole = [(child.plan.kind, child.candidate.hypothesis.text, child.delta, kept)]
    return [
        {
            "kind": kind,
            "hypothesis": said,
            "delta": round(change.mean, 3),
            "se": round(change.half_width / 2, 3),
            "kept": worked,
        }
        for kind, said, change, worked in fixes or whole
        if change.n
    ]


def refused_line(child: Child, reason: str) -> dict[str, Json]:
    """What the rewriter is told of a rewrite that a person refused."""
    said = f"{child.candidate.hypothesis.text} Refused by a person{f': {reason}' if reason else '.'}"
    change = child.delta
    return {
        "kind": child.plan.kind,
        "hypothesis": said[:300],
        "delta": round(change.mean, 3),
        "se": round(change.half_width / 2, 3),
        "kept": False,
    }


def _words(candidate: Candidate) -> str:
    """The prompts without the demos, which show rows on purpose."""
    return "\n".join(prompt.text for prompt in candidate.prompts.values())


def _copied(text: str, parent: str, inputs: Sequence[str]) -> str:
    """The first long stretch of an input that the new prompt holds and the parent does not."""
    for value in inputs:
        for start in range(0, max(1, len(value) - VERBATIM + 1), VERBATIM // 2):
            stretch = value[start : start + VERBATIM]
            if len(stretch) == VERBATIM and stretch in text and stretch not in parent:
                return stretch
    return ""
