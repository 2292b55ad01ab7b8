"""The screen: children meet rows of the causes that they mend, then rows that must not break, all on train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.models import Cell, Row
from promptprop.optimizers.evidence import Evidence, spread_evenly
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.propose import Child
from promptprop.optimizers.race import SHORTER, WORTH_SHORTER
from promptprop.optimizers.scores import Scores, difference_of
from promptprop.ports import Workbench

PSEUDO_MENDED = 1  # rows without a change that are added to those of a fix: few rows prove little
PSEUDO_REST = 6  # the same for all other rows, of which a screen sees a small part
GAIN = 1e-9  # a screen's gain from here on counts


@dataclass(frozen=True, slots=True)
class Screen:
    """What a screen needs: a parent's evidence, the train rows, and rows of causes that ancestors have mended."""

    bench: Workbench
    scores: Scores
    options: BackpropOptions
    evidence: Evidence
    train: Mapping[str, Row]
    guarded: Sequence[Sequence[str]]
    parent_length: int

    async def run(self, children: Sequence[Child]) -> list[Child]:
        """Children that seem to gain, the best first. A child that mends none of its own rows meets no others."""
        own = {id(child): _not_shown(child, self._own_rows(child)) for child in children}
        await self._meet(children, own)
        hopeful = [child for child in children if self._mends(child, own[id(child)])]
        common = self._common_rows()
        await self._meet(hopeful, {id(child): _not_shown(child, common) for child in hopeful})
        for child in children:
            self._weigh(child)
        ranked = [child for child in hopeful if self._passes(child)]
        return sorted(ranked, key=lambda child: (-child.gain, child.candidate.length, child.candidate.id))

    async def _meet(self, children: Sequence[Child], rows: Mapping[int, Sequence[str]]) -> None:
        for child in children:
            met = {row.id for row in child.screened_on}
            child.screened_on += [self.train[row] for row in dict.fromkeys(rows[id(child)]) if row not in met]
        cells = [Cell(child.candidate, row) for child in children for row in rows[id(child)]]
        if cells:
            await self.scores.fill_cells(self.bench, cells)

    def _before(self) -> dict[str, float]:
        known = (*self.evidence.failures, *self.evidence.successes)
        return {row.example_id: 1.0 - row.shortfall for row in known}

    def _own_rows(self, child: Child) -> list[str]:
        """Rows of the child's own causes, those that the critic was not shown first; else failures of any cause."""
        most = self.options.screen_most // max(1, len(child.plan.fixes))
        count = max(1, min(self.options.screen_rows, most))
        own = [row.example_id for fix in child.plan.fixes for row in (*fix.rows[-1:], *fix.rows)[:count]]
        own += [row.example_id for row in child.plan.own[: 2 * self.options.screen_rows]]
        if own or child.plan.kind == "consolidate":
            return list(dict.fromkeys(own))
        strata = {name: row.stratum for name, row in self.train.items()}
        return [row.example_id for row in spread_evenly(self.evidence.failures, 2 * self.options.screen_rows, strata)]

    def _common_rows(self) -> list[str]:
        """Rows that all children meet: some of each cause that an ancestor's fix has mended, and some that pass."""
        strata = {name: row.stratum for name, row in self.train.items()}
        passed = self.evidence.successes
        guarded = [row for mended in self.guarded for row in mended[:1]]
        known = {row.example_id for row in passed}
        others = [row for row in passed if row.example_id not in guarded]
        spread = spread_evenly(others, self.options.passed_rows, strata)
        return [*(row for row in guarded if row in known), *(row.example_id for row in spread)]

    def _mends(self, child: Child, own: Sequence[str]) -> bool:
        """Whether a child scores more on its own rows than its parent did; one without own rows may go on."""
        before = self._before()
        after = self.scores.numbers(child.candidate.id, [self.train[row] for row in own])
        return not own or self._shorter(child) or sum(after[row] - before.get(row, 0.0) for row in after) > GAIN

    def _shorter(self, child: Child) -> bool:
        return child.candidate.length < self.parent_length * SHORTER

    def _passes(self, child: Child) -> bool:
        return child.gain > GAIN or (self._shorter(child) and child.gain > -WORTH_SHORTER)

    def _weigh(self, child: Child) -> None:
        """The child's gain over all of train, as far as the screen tells: each stratum of rows at its own weight."""
        evidence, before = self.evidence, self._before()
        after = self.scores.numbers(child.candidate.id, child.screened_on)
        met = [row for row in after if row in before]
        child.delta = child.screened = difference_of([before[row] for row in met], [after[row] for row in met])
        for fix in child.plan.fixes:
            fix.judge(after)
        failed = {row.example_id for row in evidence.failures}
        gain, counted = 0.0, set[str]()
        for fix in child.plan.fixes:
            rows = [row.example_id for row in fix.rows if row.example_id not in counted]
            counted.update(rows)
            gain += _stratum_gain(rows, before, after, PSEUDO_MENDED, len(rows))
        rest, passed = failed - counted, set(before) - failed - counted
        gain += _stratum_gain(rest, before, after, PSEUDO_REST, len(rest))
        gain += _stratum_gain(passed, before, after, PSEUDO_REST, len(evidence.successes))
        child.gain = gain / max(1, evidence.met)


def _not_shown(child: Child, rows: Sequence[str]) -> list[str]:
    """The rows but for those that the child shows with their answers: to repeat these proves nothing."""
    shown = {demo.example_id for demo in child.candidate.demos}
    return [row for row in rows if row not in shown]


def _stratum_gain(
    rows: Sequence[str] | set[str], before: Mapping[str, float], after: Mapping[str, float], pseudo: int, size: int
) -> float:
    """What a stratum of `size` rows gains in all, by those of its rows that were met and `pseudo` unchanged ones."""
    met = [row for row in sorted(rows) if row in after and row in before]
    return size * sum(after[row] - before[row] for row in met) / (len(met) + pseudo)
