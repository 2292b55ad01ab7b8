"""What a static check is, of prompts as of rows: an id, a name, how grave it is, why it is made, and the check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, ParamSpec, TypeVar

Severity = Literal["error", "warning", "note"]
Looked = ParamSpec("Looked")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Looked, Found]):
    """A check with what a person should know of it. What `check` finds carries the rule's id."""

    id: str
    name: str
    severity: Severity
    why: str
    check: Callable[Looked, Iterator[Found]]


def by_id(*rules: Rule[Looked, Found]) -> Mapping[str, Rule[Looked, Found]]:
    """The rules by their ids, in this order. Raises ValueError where two have one id."""
    found = {rule.id: rule for rule in rules}
    if len(found) < len(rules):
        raise ValueError("two rules have one id")
    return found
