"""Takes evaluations apart: a score for each tag and cluster, and how many rows flip. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from promptprop.domain.breakdown import Breakdown, Group, Kind, Steadiness
from promptprop.domain.models import Evaluation, Example, Json
from promptprop.domain.sampling import row_of
from promptprop.ports import RunRow, Store
from promptprop.services.evaluate import score_of
from promptprop.services.judging import newest

PAGE = 1000  # rows that are read at once
_NOTHING: Mapping[str, Json] = {}
SAME = 1e-9  # scores that differ by less are equal


def breakdown_of_run(store: Store, run: RunRow) -> tuple[Breakdown, ...]:
    """What each prompt of an evaluation came to, in the order of the prompts; empty for runs that are none."""
    if run.activity != "evaluate":
        return ()
    evaluations = newest(_in_short(one) for one in store.evaluations(run.id))
    ids = list(dict.fromkeys(one.example_id for one in evaluations))
    pages = (store.examples(run.dataset_id, ids[start : start + PAGE]) for start in range(0, len(ids), PAGE))
    return breakdown_of(evaluations, {one.id: _without_inputs(one) for page in pages for one in page})


def _in_short(one: Evaluation) -> Evaluation:
    """What a breakdown looks at: all evaluations of a large run lie in memory at once."""
    return Evaluation(one.candidate_id, one.example_id, one.replicate, one.output, score=one.score)


def _without_inputs(one: Example) -> Example:
    """The same of a row: its contents tell its cluster where it has tags but none of its own."""
    return one if one.tags else Example(one.id, _NOTHING, cluster=one.cluster)


def breakdown_of(evaluations: Sequence[Evaluation], examples: Mapping[str, Example]) -> tuple[Breakdown, ...]:
    """The evaluations of each prompt by tag and cluster; `examples` holds their rows.

    A row counts once for each of its tags. A row without a cluster of its own is in none.
    """
    by_candidate: dict[str, dict[str, list[Evaluation]]] = {}
    for one in evaluations:
        by_candidate.setdefault(one.candidate_id, {}).setdefault(one.example_id, []).append(one)
    return tuple(
        Breakdown(
            candidate,
            tuple(_group(*named, answers, ids, examples) for named, ids in _groups(answers, examples).items()),
            steadiness_of(answers.values()),
        )
        for candidate, answers in by_candidate.items()
    )


def steadiness_of(answers: Iterable[Sequence[Evaluation]]) -> Steadiness:
    """How many rows flip, from the answers to each of them; those without a score say nothing."""
    rows = flipping = differing = 0
    for row in answers:
        scored = [(one.score, one.output.strip()) for one in row if one.score is not None]
        if len(scored) > 1:
            scores = [score for score, _ in scored]
            rows += 1
            flipping += max(scores) - min(scores) > SAME
            differing += len({output for _, output in scored}) > 1
    return Steadiness(rows, flipping, differing)


def _groups(answers: Mapping[str, object], examples: Mapping[str, Example]) -> dict[tuple[Kind, str], list[str]]:
    """The ids of rows by kind and name of their groups, both in the order in which rows name them."""
    found: dict[tuple[Kind, str], list[str]] = {}
    for row in answers:
        for tag in dict.fromkeys(examples[row].tags):
            found.setdefault(("tag", tag), []).append(row)
    for row in answers:
        cluster = examples[row].cluster
        if cluster is not None:
            found.setdefault(("cluster", cluster), []).append(row)
    return found


def _group(
    kind: Kind,
    name: str,
    answers: Mapping[str, Sequence[Evaluation]],
    ids: Sequence[str],
    examples: Mapping[str, Example],
) -> Group:
    """A group's score. Rows of one cluster are the units there, and not one unit that says nothing."""
    found = [one for row in ids for one in answers[row]]
    rows = [row_of(examples[row]) for row in ids] if kind == "tag" else ()
    score, missing = score_of(found, rows)
    return Group(kind, name, score, len(ids), missing, steadiness_of(answers[row] for row in ids))
