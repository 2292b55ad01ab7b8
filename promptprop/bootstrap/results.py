"""What a run measured, for whoever reads it from outside: pages of evaluations, rows, a matrix, and its candidates.

Texts of models and rows are redacted; prompts are what people use, and stay as they are. Reads only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from promptprop.bootstrap.service import NotFound
from promptprop.domain.errors import DataError, UsageError
from promptprop.domain.history import History, fold
from promptprop.domain.models import Candidate, Critique, Evaluation, Example, Json, Proposal, Split, storable
from promptprop.domain.people import Correction
from promptprop.domain.report import measured_json, usd
from promptprop.ports.results import Wanted

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.references import Named
    from promptprop.ports import EvaluationRow, RunRow

BLOCK = 100  # evaluations, or rows, that are read at once
MOST_LOOKED = 5_000  # of them that one page looks through
MOST_LETTERS = 2_000_000  # of answers, in a page
Corrections = Mapping[tuple[str, str], Correction]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which evaluations are shown: of one candidate (`seed`, `winner`, an id's beginning), row or split, or missing."""

    candidate: str | None = None
    row: str | None = None
    split: Split | None = None
    missing: bool = False


def candidate_of(store: SqlStore, run: RunRow, which: str) -> Named:
    """A candidate of a run: `seed`, `winner` or the beginning of an id. Raises NotFound."""
    from promptprop.bootstrap.references import candidate_in

    try:
        return candidate_in(store, run, which)
    except UsageError as error:
        raise NotFound(error.message, remedy="`seed`, `winner`, or the beginning of a candidate's id") from error


# --- evaluations ----------------------------------------------------------------------------------------------------


def evaluation_page(
    store: SqlStore, run: RunRow, wanted: Filter, after: int, limit: int
) -> tuple[list[dict[str, Json]], int | None]:
    """Evaluations in the order stored, and where the next page begins.

    A page is short where its answers are long, and where few of the rows are of the split. Raises NotFound.
    """
    candidate = candidate_of(store, run, wanted.candidate).candidate.id if wanted.candidate else None
    splits = splits_of(store, run) if wanted.split else {}
    corrections = corrections_of(store, run)
    found: list[dict[str, Json]] = []
    letters, looked, last = 0, 0, after
    for row in _evaluations(store, run, Wanted(candidate, wanted.row, wanted.missing), after):
        if len(found) == limit or letters > MOST_LETTERS or looked == MOST_LOOKED:
            return found, last
        looked, last = looked + 1, row.id
        one = row.evaluation
        if wanted.split is None or splits.get(one.example_id) == wanted.split:
            found.append({"id": row.id, **evaluation_json(one, corrections)})
            letters += len(one.output) + sum(len(step.output) for step in one.trace)
    return found, None


def _evaluations(store: SqlStore, run: RunRow, wanted: Wanted, after: int) -> Iterator[EvaluationRow]:
    while page := store.newest_evaluations(run.id, after, BLOCK, wanted):
        yield from page
        after = page[-1].id


def corrections_of(store: SqlStore, run: RunRow) -> dict[tuple[str, str], Correction]:
    """The scores that people put in the place of measured ones, by candidate and row; the last word counts."""
    return {
        (one.candidate_id, one.example_id): Correction(one.candidate_id, one.example_id, one.score, one.reason)
        for one in store.score_overrides(run.id)
    }


def evaluation_json(one: Evaluation, corrections: Corrections) -> dict[str, Json]:
    """An answer with what was made of it. A person's score stands in the place of the measured one, as in the run."""
    from promptprop.adapters.logs import redact, redact_value

    correction = corrections.get((one.candidate_id, one.example_id))
    shown = correction.applied(one) if correction else one
    return {
        "candidate": one.candidate_id,
        "row": one.example_id,
        "replicate": one.replicate,
        "output": redact(one.output),
        "score": shown.score,
        "measured": one.score,
        "metrics": {
            name: {"score": word.score, "feedback": redact(word.feedback)} for name, word in shown.judgements.items()
        },
        "trace": [{"step": step.step, "output": redact(step.output)} for step in one.trace],
        "tokens": one.usage.total,
        "usd": None if one.picousd is None else usd(one.picousd),
        "latency_seconds": one.latency,
        "error": redact_value({"code": one.error.code, "message": one.error.message}) if one.error else None,
    }


# --- rows -----------------------------------------------------------------------------------------------------------


def splits_of(store: SqlStore, run: RunRow) -> Mapping[str, Split]:
    """Which split each row of a run is in; empty where its rows are too few to be split, as evaluations may have."""
    return _splits(store, run.id)


@lru_cache(maxsize=8)
def _splits(store: SqlStore, run_id: str) -> dict[str, Split]:
    """The same, kept: pages ask for it again, and neither data nor settings of a run change."""
    from promptprop.domain.config import RunConfig
    from promptprop.domain.sampling import ratios_of, split_rows

    run = store.run(run_id)
    settings = RunConfig.model_validate(run.snapshot["config"]).data.split
    try:
        parts = split_rows(store.rows(run.dataset_id), ratios_of(settings), settings.seed)
    except DataError:  # an evaluation takes rows that no search could split
        return {}
    return {row.id: name for name, rows in parts.items() for row in rows}


def row_detail(store: SqlStore, run: RunRow, row_id: str, after: int, limit: int) -> tuple[dict[str, Json], int | None]:
    """A row with the answers of `limit` candidates behind the first `after`, and how many are passed by then.

    Raises NotFound.
    """
    from promptprop.adapters.logs import redact_value
    from promptprop.bootstrap.outputs import program_of
    from promptprop.services.row_answers import row_answers

    example = example_of(store, run, row_id)
    proposals = store.candidates(run.id)
    ids = list(proposals)[after : after + limit]
    answers = store.cell_evaluations(run.id, ids, example.id)
    corrections, program = corrections_of(store, run), program_of(run)
    shown = []
    for found in (row_answers(program, proposals[one].candidate, [example], answers)[0] for one in ids):
        if found.evaluations:
            asked = [one for one in found.as_json()["asked"] if one["messages"]]
            told = [evaluation_json(one, corrections) for one in found.evaluations]
            shown.append({"candidate": found.candidate_id, "asked": redact_value(asked), "answers": told})
    document = {
        **row_json(example, splits_of(store, run).get(example.id)),
        "critiques": redact_value(_critiques_of(example, proposals)),
        "items": shown,
    }
    return document, after + limit if len(proposals) > after + limit else None


def example_of(store: SqlStore, run: RunRow, row_id: str) -> Example:
    """A row of a run's dataset. Raises NotFound."""
    from promptprop.domain.errors import StorageError

    try:
        return store.examples(run.dataset_id, [storable(row_id)])[0]
    except StorageError as error:
        raise NotFound(f"the data of run {run.id[:8]} have no row {row_id[:100]!r}") from error


def _critiques_of(example: Example, proposals: Mapping[str, Proposal]) -> list[Json]:
    """The critiques that were written about a row, by the candidate that they led to."""
    return [
        {"candidate": name, **_critique_json(one)}
        for name, proposal in proposals.items()
        for one in proposal.critiques
        if example.id in one.examples
    ]


def row_json(example: Example, split: Split | None) -> dict[str, Json]:
    """A row as it was asked."""
    from promptprop.adapters.logs import redact_value

    texts: dict[str, Json] = redact_value(
        {
            "inputs": dict(example.inputs),
            "expected": example.expected,
            "soft_negatives": list(example.soft_negatives),
            "hard_negatives": list(example.hard_negatives),
        }
    )
    more = {"tags": list(example.tags), "cluster": example.cluster, "weight": example.weight, "split": split}
    return {"row": example.id, **texts, **more}


def matrix_page(
    store: SqlStore, run: RunRow, split: Split | None, after: int, limit: int
) -> tuple[dict[str, Json], int | None]:
    """The mean scores of rows (in file order, those that were answered) × candidates; the position of the last row."""
    ids = columns_of(store, run)
    places = {name: place for place, name in enumerate(ids)}
    splits, corrections = splits_of(store, run), corrections_of(store, run)
    shown: list[dict[str, Json]] = []
    looked, last = 0, after
    while looked < MOST_LOOKED and (rows := store.dataset_rows(run.dataset_id, last, BLOCK)):
        names = [row.example.id for row in rows if split is None or splits.get(row.example.id) == split]
        cells: dict[str, list[list[float | None]]] = {name: [[] for _ in ids] for name in names}
        for cell in store.cell_scores(run.id, ids, names):
            correction = corrections.get((cell.candidate_id, cell.example_id))
            score = correction.score if correction else cell.score
            cells[cell.example_id][places[cell.candidate_id]].append(score)
        for row in rows:
            answers = cells.get(row.example.id, [])
            if any(answers):
                if len(shown) == limit:
                    return {"candidates": ids, "rows": shown}, last
                shown.append(_matrix_row(row.example.id, splits.get(row.example.id), answers))
            last = row.position
        looked += len(rows)
    more = bool(store.dataset_rows(run.dataset_id, last, 1))
    return {"candidates": ids, "rows": shown}, last if more else None


def columns_of(store: SqlStore, run: RunRow) -> list[str]:
    """The ids that a run's evaluations are of: its candidates, and the stored baseline of a check."""
    stored = run.snapshot.get("options", {}).get("stored")
    return list(dict.fromkeys([*store.candidates(run.id), *([str(stored)] if stored else [])]))


def _matrix_row(name: str, split: Split | None, answers: Sequence[Sequence[float | None]]) -> dict[str, Json]:
    scores = [[score for score in cell if score is not None] for cell in answers]
    return {
        "row": name,
        "split": split,
        "scores": [round(sum(cell) / len(cell), 6) if cell else None for cell in scores],
        "answers": [len(cell) for cell in answers],
    }


# --- candidates -----------------------------------------------------------------------------------------------------


def candidate_list(store: SqlStore, run: RunRow) -> list[dict[str, Json]]:
    """All candidates of a run in the order in which they were made, without their texts."""
    history = fold(store.events(run.id))
    return [head_json(history, proposal.candidate) for proposal in store.candidates(run.id).values()]


def candidate_detail(store: SqlStore, run: RunRow, which: str) -> dict[str, Json]:
    """A candidate with its texts and the critiques that led to it. Raises NotFound."""
    from promptprop.adapters.files.exporters import prompt_document
    from promptprop.adapters.logs import redact_value

    named = candidate_of(store, run, which)
    proposal: Proposal = store.candidates(run.id)[named.candidate.id]
    document = prompt_document(proposal.candidate, named.program)
    costs = store.evaluation_costs(run.id, proposal.candidate.id)
    return {
        **head_json(fold(store.events(run.id)), proposal.candidate),
        "text": proposal.candidate.text,
        "steps": document["steps"],
        "demos": document["demos"],
        "critiques": redact_value([_critique_json(one) for one in proposal.critiques]),
        "answers": costs.count,
        "usd": None if costs.unpriced else usd(costs.picousd),
    }


def head_json(history: History, candidate: Candidate) -> dict[str, Json]:
    """What a run has learned about a candidate."""
    record = history.record(candidate.id)
    winner = history.test.winner_id if history.test else ""
    return {
        "id": candidate.id,
        "round": record.round,
        "parents": list(candidate.parents),
        "hypothesis": {"kind": candidate.hypothesis.kind, "text": candidate.hypothesis.text},
        "summary": record.summary,
        "length": candidate.length,
        "state": record.state,
        "is_seed": candidate.id == history.seed_id,
        "is_best": candidate.id == history.best_id,
        "is_winner": candidate.id == winner,
        **measured_json(record),
    }


def _critique_json(critique: Critique) -> dict[str, Json]:
    return {"step": critique.step, "cause": critique.cause, "fix": critique.fix, "rows": list(critique.examples)}
