"""What the search has seen so far: evaluations by candidate and row."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence

from promptprop.domain.events import Estimate
from promptprop.domain.judgements import metric_means, panels_in
from promptprop.domain.models import Candidate, Cell, Evaluation, Row
from promptprop.domain.people import Correction
from promptprop.domain.selection import Standing, panel_error, standing_of
from promptprop.domain.statistics import mean_interval, paired_difference
from promptprop.ports import Workbench

UNSURE = 2.0  # standard errors of the judges that an answer may seem to lack
LEAST_PASSING = 0.5


def mean_of(scores: Collection[float]) -> Estimate:
    """The mean with its interval; where no row has a score nothing is known: [0, 1] over 0 rows."""
    return mean_interval(list(scores)) if scores else Estimate(0.0, 0.0, 1.0, 0)


def difference_of(
    before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable] | None = None
) -> Estimate:
    """The paired difference; where no row has both scores nothing is known: [-1, 1] over 0 rows."""
    return paired_difference(before, after, clusters) if before else Estimate(0.0, -1.0, 1.0, 0)


def nothing_to_gain(known: Collection[float]) -> str:
    """Why nothing can be gained over these scores of the best so far, or nothing where something can.

    >>> nothing_to_gain([1.0, 0.5]), nothing_to_gain([1.0]), nothing_to_gain([])
    ('', 'perfect', 'hopeless')
    """
    return "hopeless" if not known else "perfect" if min(known) >= 1.0 else ""


class Scores:
    """A cache of evaluations, so that only missing cells are asked for."""

    def __init__(self) -> None:
        """Start empty."""
        self._cells: dict[str, dict[str, Evaluation]] = {}
        self._votes: list[dict[str, float]] = []  # of each panel on each answer
        self._judge_error: float | None = 0.0

    @property
    def asked(self) -> int:
        """How many cells were asked for so far."""
        return sum(len(cells) for cells in self._cells.values())

    async def fill(self, bench: Workbench, candidates: Iterable[Candidate], rows: Sequence[Row]) -> None:
        """Evaluate what is missing of candidates × rows, in one go. Raises BudgetSpent, TooManyErrors."""
        await self.fill_cells(bench, [Cell(candidate, row.id) for candidate in candidates for row in rows])

    async def fill_cells(self, bench: Workbench, cells: Iterable[Cell]) -> None:
        """Evaluate those of the cells that are missing, in one go. Raises BudgetSpent, TooManyErrors."""
        missing = {
            (cell.candidate.id, cell.example_id): cell
            for cell in cells
            if cell.example_id not in self._cells.get(cell.candidate.id, {})
        }
        if missing:
            self.take(await bench.evaluate(list(missing.values())))

    def take(self, evaluations: Iterable[Evaluation]) -> None:
        """Remember evaluations that were asked for elsewhere (first replicates only)."""
        for evaluation in evaluations:
            self._cells.setdefault(evaluation.candidate_id, {})[evaluation.example_id] = evaluation
            if panels := panels_in(evaluation.judgements):
                self._votes += panels.values()
                self._judge_error = None

    @property
    def judge_error(self) -> float:
        """The standard error of a panel's score, by the votes so far; 0 without a panel."""
        if self._judge_error is None:
            self._judge_error = panel_error(self._votes)
        return self._judge_error

    def passing(self, wanted: float) -> float:
        """The score from which on an answer is no failure: what is wanted, less what the judges are unsure about."""
        return max(min(wanted, LEAST_PASSING), wanted - UNSURE * self.judge_error)

    def correct(self, corrections: Iterable[Correction]) -> None:
        """Put people's scores in the place of those that were measured."""
        for one in corrections:
            known = self._cells.get(one.candidate_id, {})
            if one.example_id in known:
                known[one.example_id] = one.applied(known[one.example_id])

    def of(self, candidate_id: str, rows: Iterable[Row]) -> dict[str, Evaluation]:
        """The evaluations of a candidate on those of the rows that it has met and that have a score."""
        known = self._cells.get(candidate_id, {})
        return {row.id: known[row.id] for row in rows if row.id in known and not known[row.id].missing}

    def unmet(self, candidate_id: str, rows: Iterable[Row]) -> list[Row]:
        """Those of the rows that this candidate was never asked on; rows that stay missing are not among them."""
        known = self._cells.get(candidate_id, {})
        return [row for row in rows if row.id not in known]

    def missing(self, candidate_id: str, rows: Iterable[Row]) -> int:
        """On how many of the rows this candidate was asked and has no score."""
        known = self._cells.get(candidate_id, {})
        return sum(1 for row in rows if row.id in known and known[row.id].missing)

    def numbers(self, candidate_id: str, rows: Iterable[Row]) -> dict[str, float]:
        """The scores of a candidate on those of the rows that it has met, by row."""
        known = self.of(candidate_id, rows)
        return {row: evaluation.score for row, evaluation in known.items() if evaluation.score is not None}

    def pairs(self, before_id: str, after_id: str, rows: Sequence[Row]) -> tuple[list[float], list[float], list[Row]]:
        """Scores of both candidates on the rows where both have one, in row order; missing rows go in pairs."""
        before, after = self.numbers(before_id, rows), self.numbers(after_id, rows)
        shared = [row for row in rows if row.id in before and row.id in after]
        return [before[row.id] for row in shared], [after[row.id] for row in shared], shared

    def standing(self, candidate: Candidate, rows: Sequence[Row]) -> Standing:
        """A candidate's standing on the rows that it has met."""
        return standing_of(candidate.id, list(self.numbers(candidate.id, rows).values()), candidate.length)

    def met_by(self, row_id: str) -> list[Evaluation]:
        """All candidates' evaluations of one row that have a score."""
        return [cells[row_id] for cells in self._cells.values() if row_id in cells and not cells[row_id].missing]

    def metric_means(self, candidate_id: str, rows: Sequence[Row]) -> dict[str, float]:
        """The mean of each metric over the rows where it could judge."""
        return metric_means(self.of(candidate_id, rows).values())
