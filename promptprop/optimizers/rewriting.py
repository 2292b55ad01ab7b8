"""Rewrites: several that follow each other carry what one cannot digest, and what they lose is put back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from promptprop.domain.models import Answer, Candidate, Critique, Json, Prompt
from promptprop.domain.selection import WORD
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Draft, Plan, Request, rewriter_ask
from promptprop.ports import Brief, Workbench
from promptprop.roles.rewriter import Rewrite, rewritten_prompts

LEAST_WORDS = 3  # of a line that is worth putting back
CODE = re.compile(r"\w*\d\w*")
MENDING = ("causes", "merge")  # kinds that make a prompt longer, and are tidied where it has grown
KEPT = 0.6  # of its words, from which on another line says the same


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What the rewriter is asked with in one round: `size` is how many fixes one rewrite can digest."""

    bench: Workbench
    brief: Brief
    options: BackpropOptions
    tried: Sequence[Mapping[str, Json]]
    longest: int
    round: int
    size: int

    async def write(self, parent: Candidate, plans: Sequence[Plan], tidied: int) -> list[Draft]:
        """A draft for each plan, in their order, with the answer of its last usable rewrite.

        `tidied` is the length of the text that was last consolidated on the way to the parent. A draft that has grown
        far beyond it is consolidated before it meets any row.
        """
        drafts = [_draft(plan, parent, tidied) for plan in plans]
        for turn in range(self.options.passes):
            last = turn == self.options.passes - 1
            due = [
                draft
                for draft in drafts
                if draft.plan.texts is None and (turn == 0 or len(draft.plan.fixes) > turn * self.size)
            ]
            parts = [draft.plan.part(turn, self.size, last=last) for draft in due]
            await self._turn(turn, due, parts, drafts)
        grown = [draft for draft in drafts if draft.answer.value is not None and draft.plan.kind in MENDING]
        grown = [draft for draft in grown if draft.length > self.options.grown * draft.tidied]
        await self._turn(self.options.passes, grown, [Plan("consolidate") for _ in grown], drafts)
        return drafts

    async def _turn(self, turn: int, due: Sequence[Draft], parts: Sequence[Plan], drafts: Sequence[Draft]) -> None:
        """Ask for one more rewrite of the drafts that are due, all at once."""
        if not due:
            return
        numbers = {id(draft): number for number, draft in enumerate(drafts)}
        asks = [
            # equal questions of a run are told apart by these numbers, and so answered independently
            rewriter_ask(
                self.brief,
                draft.prompts,
                Request(part.kind, part.critiques, part.quoted),
                self.tried,
                self.longest,
                self.bench.notes,
                self.round * 100 + turn * 20 + numbers[id(draft)],
            )
            for draft, part in zip(due, parts, strict=True)
        ]
        for draft, part, answer in zip(due, parts, await self.bench.ask(asks), strict=True):
            if answer.value is not None:
                draft.answer = self._whole(draft.prompts, part, answer)
                rewrite = cast("Rewrite", draft.answer.value)
                draft.prompts = rewrite.prompts
                if part.kind in {"consolidate", "restart"}:
                    draft.tidied = draft.length
                tidied = part.kind == "consolidate" and draft.plan.kind != "consolidate"
                said = "Then shortened." if tidied else rewrite.hypothesis
                draft.said = (*draft.said, said) if said else draft.said
            elif draft.answer.value is None:
                draft.answer = answer

    def _whole(self, before: Mapping[str, Prompt], part: Plan, answer: Answer) -> Answer:
        """The answer with what its rewrite lost, where it was asked to add and not to remove."""
        rewrite = cast("Rewrite", answer.value)
        if part.kind != "causes" or not self.options.restore:
            return answer
        texts = {
            step: with_lost_lines(before[step].text, prompt.text, part.critiques)
            for step, prompt in rewrite.prompts.items()
        }
        if sum(len(text) for text in texts.values()) > self.longest:
            return answer
        return replace(answer, value=replace(rewrite, prompts=rewritten_prompts(texts, rewrite.prompts)))


def _draft(plan: Plan, parent: Candidate, tidied: int) -> Draft:
    """The draft that a plan begins with; it is complete where the plan has its texts."""
    if plan.texts is None:
        return Draft(plan, parent.prompts, tidied=tidied)
    return Draft(plan, plan.texts, Answer(Rewrite(plan.said, plan.texts)), tidied, (plan.said,))


def with_lost_lines(
    parent: str, text: str, critiques: Sequence[Critique], *, kept: float = KEPT, least: int = LEAST_WORDS
) -> str:
    r"""The rewrite with those lines of the parent put back that it dropped without a word.

    A line counts as kept where some line of the rewrite shares so much of its words (`kept`) and all of its numbers and
    codes, and as dropped on purpose where a critique shares them. Models that are asked for a complete text lose rules
    that nobody asked them to touch.

    >>> with_lost_lines("Sort letters.\\n- Lost cards go to fraud.", "Sort letters.\\n- Old bills go to archive.", [])
    'Sort letters.\\n- Lost cards go to fraud.\\n- Old bills go to archive.'
    """
    spoken_of = [_words(f"{one.cause} {one.fix}") for one in critiques]
    lines = text.split("\n")
    place = 0
    for line in parent.split("\n"):
        if line in lines:
            place = lines.index(line) + 1
            continue
        words = _words(line)
        if len(words) < least or "{{" in line or "{%" in line or line.startswith("### "):
            continue
        if not any(_shared(words, other) >= kept for other in [*map(_words, lines), *spoken_of]):
            lines.insert(place, line)
            place += 1
    return "\n".join(lines)


def _words(line: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in (*WORD.findall(line), *CODE.findall(line)))


def _shared(words: frozenset[str], other: frozenset[str]) -> float:
    if any(CODE.fullmatch(word) for word in words - other):
        return 0.0
    return len(words & other) / len(words)
