"""A simulated world: rows, the latent rules that some of them need, and how able its rewriter is; frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from promptprop.domain.models import Json

Groups = tuple[tuple[str, ...], ...]  # a sentence states what it holds at least one phrase of every group of


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that a prompt can state: paraphrases, and the phrases by which any wording of it is known."""

    id: str
    says: tuple[str, ...]
    shown_by: Groups


@dataclass(frozen=True, slots=True)
class Rule(Statement):
    """A latent rule. `when`: phrases in a row's inputs by which a critic can see that it is at stake."""

    when: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trap(Statement):
    """A plausible rule that is wrong: a prompt that states it gets these rows wrong, with these answers."""

    breaks: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Format(Statement):
    """The form of the answer. A prompt that does not state it gets a bare answer with the chance `without`."""

    without: float = 1.0


@dataclass(frozen=True, slots=True)
class Length:
    """Characters beyond `free` lower the chance of a right answer by `per_100` for each full hundred."""

    free: int = 1500
    per_100: float = 0.01


@dataclass(frozen=True, slots=True)
class Powers:
    """How able critic and rewriter are; all are chances in [0, 1].

    able: to take one thing up. crowd: lost for each further thing in the same message. forget: to lose a stated rule
    in a rewrite. mislabel: to put a wrong label in (as often, to be vague; half as often, to state a trap). bloat: to
    add filler. malformed: to answer in a form that does not parse.
    """

    able: float = 0.8
    crowd: float = 0.05
    forget: float = 0.05
    mislabel: float = 0.05
    bloat: float = 0.15
    malformed: float = 0.04

    def variant(self, name: str) -> Powers:
        """The powers of `weak`, `strong` or (empty) ordinary models."""
        if name == "weak":
            return replace(
                self,
                able=self.able * 0.6,
                crowd=min(1.0, self.crowd * 2),
                forget=min(1.0, self.forget * 2),
                malformed=min(1.0, self.malformed * 3),
            )
        if name == "strong":
            return replace(self, able=(1 + self.able) / 2, crowd=self.crowd / 3, forget=self.forget / 2)
        return self


@dataclass(frozen=True, slots=True)
class WorldRow:
    """A row: what it is expected to be, what is really right, and the answer it gets for each rule that is missing.

    For an extraction a wrong answer is the map of fields that it corrupts; None leaves the field out. A text to be
    written is such a map, too: of its lines, by number.
    """

    id: str
    inputs: Mapping[str, Json]
    expected: Json
    right: Json
    difficulty: float = 0.0
    needs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class World:
    """Everything that the simulated model knows. Compared by identity, so that indexes can be kept per world.

    `name` seeds all of its randomness: `replace(world, name=…)` is the same world with other luck.
    """

    name: str
    task: Literal["classify", "extract", "write"]
    answers: tuple[str, ...]
    skill: float
    luck: float
    rows: Mapping[str, WorldRow]
    rules: Mapping[str, Rule]
    traps: Mapping[str, Trap]
    format: Format | None = None
    length: Length = Length()
    rewriter: Powers = Powers()
