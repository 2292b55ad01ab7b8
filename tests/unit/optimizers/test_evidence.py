"""Evidence: what failed and passed, what the critic is shown, and what children are screened on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, rows_of, seed_candidate
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.budget import Budget
from promptprop.domain.models import Candidate, Evaluation, Judgement
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.evidence import (
    CONTRAST,
    Evidence,
    critic_asks,
    evidence_wanted,
    failed_rows,
    shown,
    spread_evenly,
)
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.scores import Scores

ROWS = rows_of("train", 12)
SEED = seed_candidate(0)


def failed(number: int, expected: str = "a", answer: str = "b") -> FailedRow:
    return FailedRow(f"train-{number}", {"text": f"row {number}"}, expected, answer, "label: wrong")


async def sorted_evidence(left_out: set[str] | None = None, broken: Sequence[str] = ()) -> Evidence:
    bench, scores = FakeBench(FakeWorld(broken=frozenset(broken))), Scores()
    bench.hold(1, 1)
    await scores.fill(bench, [SEED], ROWS)
    return failed_rows(scores, bench, [SEED], ROWS, 0.9, left_out or set())


async def test_rows_are_sorted_into_failures_and_successes_in_row_order() -> None:
    evidence = await sorted_evidence()
    assert [row.example_id for row in evidence.successes] == ["train-0", "train-4", "train-8"]
    assert [row.example_id for row in evidence.failures][:4] == ["train-1", "train-2", "train-3", "train-5"]
    assert evidence.failures[0].feedback == "label: expected [1]"
    assert evidence.failures[0].answer == "none"
    assert evidence.met == 12


async def test_rows_left_out_and_rows_without_a_score_are_in_neither() -> None:
    evidence = await sorted_evidence({"train-0", "train-1"}, broken=["train-2"])
    ids = {row.example_id for row in (*evidence.failures, *evidence.successes)}
    assert ids == {row.id for row in ROWS} - {"train-0", "train-1", "train-2"}


@pytest.mark.parametrize(("score", "fails"), [(0.7, False), (0.6999, True), (0.0, True), (1.0, False)])
async def test_a_score_on_the_threshold_passes(score: float, fails: bool) -> None:
    scores, bench = Scores(), FakeBench()
    scores.take([Evaluation(SEED.id, "train-1", 0, "out", judgements={"f1": Judgement(score, "so")}, score=score)])
    evidence = failed_rows(scores, bench, [SEED], ROWS, 0.7, set())
    assert (len(evidence.failures), len(evidence.successes)) == ((1, 0) if fails else (0, 1))


def test_a_shown_row_is_short_and_carries_its_id_for_the_parser() -> None:
    long = FailedRow("r", {"text": "x" * 5000, "number": 7}, "a", "y" * 5000, "why")
    line = shown(long, 3)
    assert (line["n"], line["id"], line["expected"], line["feedback"]) == (3, "r", "a", "why")
    assert len(line["inputs"]["text"]) < 2100
    assert "[…]" in line["answer"]
    assert line["inputs"]["number"] == 7
    assert "feedback" not in shown(long, 1, with_feedback=False)


def test_each_cluster_is_one_question_with_contrast_that_looks_alike() -> None:
    successes = [
        failed(20, "z", "z"),
        failed(21, "q", "q"),
        failed(22, "b", "b"),
        failed(23, "a", "a"),
        failed(24, "z"),
    ]
    asks = critic_asks(fake_brief(), SEED, [[failed(1), failed(2)], [failed(3, "c", "d")]], successes, 5)
    assert [ask.replicate for ask in asks] == [5, 5]
    assert [[line["id"] for line in ask.inputs["failures"]] for ask in asks] == [["train-1", "train-2"], ["train-3"]]
    assert [line["id"] for line in asks[0].inputs["successes"]][:2] == ["train-22", "train-23"]
    assert len(asks[0].inputs["successes"]) == CONTRAST
    assert asks[0].inputs["prompts"] == {"main": SEED.text}


async def test_a_row_that_the_parent_has_not_met_is_presumed_to_fare_as_with_its_nearest_ancestor() -> None:
    bench, scores = FakeBench(), Scores()
    bench.hold(1, 1)
    parent = Candidate(seed_candidate(0, 1).prompts, parents=(SEED.id,))
    await scores.fill(bench, [SEED], ROWS[:8])
    await scores.fill(bench, [parent], ROWS[:4])
    evidence = failed_rows(scores, bench, [parent, SEED], ROWS, 0.9)
    assert [row.example_id for row in evidence.failures] == ["train-2", "train-3", "train-5", "train-6", "train-7"]
    assert [row.example_id for row in evidence.successes] == ["train-0", "train-1", "train-4"]
    assert evidence.presumed == {"train-4", "train-5", "train-6", "train-7"}
    wary = failed_rows(scores, bench, [parent, SEED], ROWS, 0.9, (), {"train-2", "train-5"})
    assert [row.example_id for row in wary.failures] == ["train-2", "train-3", "train-6", "train-7"]


@pytest.mark.parametrize(("calls", "wanted"), [(None, 40), (100, 20), (600, 30), (5000, 40)])
def test_with_few_calls_to_spend_fewer_failures_are_gathered(calls: int | None, wanted: int) -> None:
    assert evidence_wanted(Budget(calls=calls), BackpropOptions(evidence_rows=40)) == wanted


def test_rows_are_taken_from_every_stratum() -> None:
    rows, strata = [failed(n) for n in range(36)], {f"train-{n}": f"{n % 4}" for n in range(36)}
    numbers = [int(row.example_id.partition("-")[2]) for row in spread_evenly(rows, 8, strata)]
    assert sorted(number % 4 for number in numbers) == [0, 0, 1, 1, 2, 2, 3, 3]


@given(st.integers(0, 30), st.integers(0, 12))
def test_spread_rows_never_repeat_and_are_as_many_as_asked_for_or_as_there_are(rows: int, count: int) -> None:
    spread = [row.example_id for row in spread_evenly([failed(n) for n in range(rows)], count, {})]
    assert len(spread) == len(set(spread)) == min(rows, count)
