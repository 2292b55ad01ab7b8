"""What a model finds in prompts, as findings like those of the static checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.errors import UnusableReplies
from promptprop.domain.models import Answer, Ask, Json
from promptprop.roles.linter import Remarks
from promptprop.services.lint import Finding
from promptprop.services.rules import Rule, by_id


@dataclass(frozen=True, slots=True)
class Read:
    """The findings in one text, and how many were left out since they quote what it does not say."""

    findings: tuple[Finding, ...]
    unplaced: int


async def read_prompts(
    ask: Callable[[Sequence[Ask]], Awaitable[list[Answer]]],
    inputs: Sequence[Mapping[str, Json]],
    ignored: frozenset[str] = frozenset(),
) -> list[Read]:
    """What the linter finds in each text; `inputs` are those of the role. Raises UnusableReplies, BudgetSpent."""
    found = []
    for answer in await ask([Ask("linter", one) for one in inputs]):
        if not isinstance(answer.value, Remarks):
            why = answer.failure.message if answer.failure else "the reply could not be read"
            raise UnusableReplies(
                f"the model has made no remarks on the prompt: {why}",
                remedy="try again, or name another model; the static checks run without --model",
            )
        remarks = answer.value
        findings = [
            finding for rule in REMARK_RULES.values() if rule.id not in ignored for finding in rule.check(remarks)
        ]
        found.append(Read(tuple(sorted(findings, key=lambda one: (one.start, one.id))), remarks.unplaced))
    return found


def _of_kind(kind: str, rule: str) -> Callable[[Remarks], Iterator[Finding]]:
    """The check that picks the remarks of one kind."""

    def check(remarks: Remarks) -> Iterator[Finding]:
        for one in remarks.remarks:
            if one.kind == kind:
                yield Finding(rule, f"{one.problem} → {one.remedy}" if one.remedy else one.problem, one.start, one.end)

    return check


REMARK_RULES = by_id(
    Rule("PM001", "contradiction", "warning", "No answer can follow both.", _of_kind("contradiction", "PM001")),
    Rule("PM002", "ambiguity", "warning", "Models will read it in different ways.", _of_kind("ambiguity", "PM002")),
    Rule("PM003", "gap", "warning", "Models will make up what to do.", _of_kind("gap", "PM003")),
    Rule(
        "PM004", "needless", "note", "It costs tokens and draws attention off the rest.", _of_kind("needless", "PM004")
    ),
)
