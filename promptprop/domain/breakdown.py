"""A score in parts: by tag and by cluster, beside how steady the answers to a row are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from promptprop.domain.events import Estimate

Kind: TypeAlias = Literal["tag", "cluster"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Of the rows with several scored answers: those whose answers score differently, and those that differ in words.

    The first ones flip, and their share is how noisy a prompt is.
    """

    rows: int = 0
    flipping: int = 0
    differing: int = 0

    @property
    def rate(self) -> float | None:
        """The share of rows that flip; None where no row was answered twice."""
        return self.flipping / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of a tag or of a cluster: their score, how many there are and how many of them have none."""

    kind: Kind
    name: str
    score: Estimate
    rows: int
    missing: int
    steadiness: Steadiness


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What an evaluation of one prompt came to, group by group."""

    candidate_id: str
    groups: tuple[Group, ...]
    steadiness: Steadiness

    def worst(self, kind: Kind) -> list[Group]:
        """The groups of a kind, the one first that is most surely bad: by the upper end of its interval.

        By the mean, single rows that happen to fail would stand above a tag that fails half of the time. Groups in
        which nothing has a score come last.
        """
        found = [group for group in self.groups if group.kind == kind]
        return sorted(found, key=lambda one: (not one.score.n, one.score.high, one.score.mean, -one.rows, one.name))
