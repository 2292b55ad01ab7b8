"""Fixes: critiques on their way into the prompt, each with the failures behind it and how it has fared so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from promptprop.domain.events import Estimate
from promptprop.domain.models import Critique
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.scores import difference_of

WORKS = 0.5  # of its failures mended, from which on a fix counts as one that works
MOST_TRIES = 2  # rewrites that may carry a fix before it is given up
LARGEST_BUNDLE = 12


@dataclass(slots=True)
class Fix:
    """A critique, the failures that it explains (`rows`), and how many train rows share their cause (`weight`).

    `mended` is their mean score with the last child that carried the fix, and `change` the difference that it made.
    """

    critique: Critique
    rows: tuple[FailedRow, ...]
    weight: float
    state: Literal["new", "works", "failed"] = "new"
    tries: int = 0
    mended: float = 0.0
    change: Estimate = Estimate(0.0, -1.0, 1.0, 0)  # noqa: RUF009 - frozen

    def judge(self, scores: Mapping[str, float]) -> None:
        """Learn from what a child that carried the fix scored on its rows; rows without a score say nothing."""
        met = [scores[row.example_id] for row in self.rows if row.example_id in scores]
        if not met:
            return
        self.tries += 1
        self.mended = sum(met) / len(met)
        before = [1.0 - row.shortfall for row in self.rows if row.example_id in scores]
        self.change = difference_of(before, met)
        self.state = "works" if self.mended >= WORKS else "failed"


@dataclass(slots=True)
class Pool:
    """All fixes that no parent carries yet, and how many of them one rewrite can digest."""

    size: float
    fixes: list[Fix] = field(default_factory=list)

    @property
    def digestible(self) -> int:
        """How many fixes one rewrite carries now."""
        return max(1, round(self.size))

    @property
    def proven(self) -> list[Fix]:
        """Fixes that worked in a child which is not the parent now, the heaviest first."""
        return [fix for fix in self.fixes if fix.state == "works" and fix.tries < MOST_TRIES]

    def covered(self) -> set[str]:
        """Rows that need no new critique, since a fix that works waits to be carried."""
        return {row.example_id for fix in self.proven for row in fix.rows}

    def adopt(self, carried: Sequence[Fix]) -> None:
        """The parent now carries these; those that failed, or were tried too often, are given up."""
        gone = {id(fix) for fix in carried}
        self.fixes = [fix for fix in self.fixes if id(fix) not in gone and fix.state == "works"]

    def learn(self, carried: Sequence[Fix]) -> None:
        """Adapt the size of bundles to the share of fixes that a rewrite made work."""
        if len(carried) < 2:
            return
        share = sum(fix.state == "works" for fix in carried) / len(carried)
        step = 1.0 if share >= 0.6 else -1.0 if share < 0.4 else 0.0
        self.size = min(float(LARGEST_BUNDLE), max(1.0, self.size + step))

    def bundles(self, fresh: Sequence[Fix], count: int, passes: int) -> list[list[Fix]]:
        """Up to `count` bundles of `passes` × `size` fixes: all that is proven, and a share of the new ones."""
        proven, size = self.proven, passes * self.digestible
        ordered = sorted(fresh, key=lambda fix: (-fix.weight, fix.rows[0].example_id if fix.rows else ""))
        parts = [ordered[start : start + size] for start in range(0, len(ordered), size)][:count]
        return [[*proven, *part] for part in parts] if parts else ([proven] if proven else [])


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures that seem to share a cause: those that the critic is shown, and the rest."""

    shown: tuple[FailedRow, ...]
    rest: tuple[FailedRow, ...] = ()


def fixes_of(groups: Sequence[Sequence[Cause]], critiques: Sequence[Sequence[Critique]], share: float) -> list[Fix]:
    """The fixes that critics wrote, each with the failures that it names; where it names none, with all of its group.

    Failures that the critic was not shown go with the fix that explains most of the shown ones of their cause. `share`
    is how many train rows one row that was met stands for.
    """
    fixes = []
    for group, written in zip(groups, critiques, strict=True):
        everything = {row.example_id: row for cause in group for row in cause.shown}
        for critique in written:
            named = {example: everything[example] for example in critique.examples if example in everything}
            rows = list((named or everything).values())
            for cause in group:
                explained = sum(row.example_id in (named or everything) for row in cause.shown)
                rows += cause.rest if 2 * explained > len(cause.shown) else ()
            fixes.append(Fix(critique, tuple(rows), sum(row.shortfall for row in rows) * share))
    return fixes
