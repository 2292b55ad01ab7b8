"""The archive: candidates that survived a race, what each is believed to be worth, and which one is the best."""

from __future__ import annotations

from collections.abc import Sequence

from promptprop.domain.models import Candidate
from promptprop.domain.selection import Belief
from promptprop.optimizers.race import SHORTER, WORTH_SHORTER

MOST_ANCESTORS = 50


class Archive:
    """Candidates by id. `value` is a candidate's believed gain over the seed, summed along its ancestors."""

    def __init__(self, seed: Candidate) -> None:
        """Begin with the first seed as the best."""
        self.seed = seed
        self.members: dict[str, Candidate] = {seed.id: seed}
        self.known: dict[str, Candidate] = {}
        self.value: dict[str, float] = {seed.id: 0.0}
        self.mended: dict[str, list[list[str]]] = {}
        self.tidied: dict[str, int] = {seed.id: seed.length}
        self.best = seed

    def know(self, candidate: Candidate) -> None:
        """A candidate was proposed, whatever becomes of it."""
        self.known[candidate.id] = candidate

    def add(self, candidate: Candidate, parent: Candidate, gain: Belief, tidied: int) -> None:
        """A candidate survived a race against its parent; `tidied` as in its draft."""
        self.tidied[candidate.id] = tidied
        self.members[candidate.id] = candidate
        self.value[candidate.id] = self.value.get(parent.id, 0.0) + gain.mean

    def take_seed(self, seed: Candidate, gain: float) -> None:
        """Another seed, that was not behind the first one by so much."""
        self.members[seed.id] = seed
        self.value[seed.id] = gain
        self.tidied[seed.id] = seed.length

    def choose(self, promoted: Sequence[str]) -> Candidate:
        """The best after a round: a promoted candidate that is believed to be worth more than the best so far.

        A shorter one of about equal worth is preferred; a candidate that was not promoted never leads.
        """
        for name in sorted(promoted, key=lambda name: (-self.value[name], self.members[name].length, name)):
            shorter = self.members[name].length < SHORTER * self.best.length
            if self.value[name] > self.value[self.best.id] - (WORTH_SHORTER if shorter else 0.0):
                self.best = self.members[name]
                break
        return self.best

    def refuse(self, candidate_id: str) -> None:
        """A person refused it: it is neither a parent nor in the shortlist."""
        self.members.pop(candidate_id, None)

    def lineage(self, candidate: Candidate) -> list[Candidate]:
        """The candidate and its ancestors, nearest first."""
        line = [candidate]
        while line[-1].parents and len(line) < MOST_ANCESTORS:
            parent = self.known.get(line[-1].parents[0])
            if parent is None:
                break
            line.append(parent)
        return line

    def mended_by(self, candidate: Candidate) -> list[list[str]]:
        """The rows of each cause that this candidate or an ancestor has mended."""
        return [rows for one in self.lineage(candidate) for rows in self.mended.get(one.id, [])]

    def ranked(self) -> list[Candidate]:
        """All but the seed: the best first, then by value."""
        rivals = [one for name, one in self.members.items() if name != self.seed.id]
        return sorted(rivals, key=lambda one: (one is not self.best, -self.value[one.id], one.length, one.id))
