"""Evidence: what failed and passed, what the critic is shown, and what children are screened on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fake_bench import FakeBench, FakeWorld, fake_brief, rows_of, seed_candidate
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.models import Evaluation, Judgement
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.evidence import CONTRAST, Evidence, critic_asks, failed_rows, rows_to_screen, shown
from promptprop.optimizers.scores import Scores

ROWS = rows_of("train", 12)
SEED = seed_candidate(0)


def failed(number: int, expected: str = "a", answer: str = "b") -> FailedRow:
    return FailedRow(f"train-{number}", {"text": f"row {number}"}, expected, answer, "label: wrong")


async def sorted_evidence(left_out: set[str] | None = None, broken: Sequence[str] = ()) -> Evidence:
    bench, scores = FakeBench(FakeWorld(broken=frozenset(broken))), Scores()
    bench.hold(1, 1)
    await scores.fill(bench, [SEED], ROWS)
    return failed_rows(scores, bench, SEED, ROWS, 0.9, left_out or set())


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
    evidence = failed_rows(scores, bench, SEED, ROWS, 0.7, set())
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


def test_a_screen_takes_two_thirds_of_the_own_cluster_and_as_many_passed_rows() -> None:
    evidence = Evidence([failed(n) for n in range(1, 21)], [failed(n, "a", "a") for n in range(21, 41)], 40)
    own = [failed(n) for n in (3, 7, 9, 11, 13, 15)]
    chosen = [row.id for row in rows_to_screen(evidence, own, rows_of("train", 60), 6)]
    assert chosen[:4] == ["train-3", "train-7", "train-9", "train-11"]
    assert len(chosen) == 12
    assert sum(1 for row in chosen if int(row.partition("-")[2]) > 20) == 6


def test_a_screen_takes_its_rows_from_every_stratum() -> None:
    evidence = Evidence([failed(n) for n in range(36) if n % 4], [failed(n) for n in range(36, 60)])
    numbers = [int(row.id.partition("-")[2]) for row in rows_to_screen(evidence, [], rows_of("train", 60), 6)]
    assert sorted(number % 4 for number in numbers[:6]) == [1, 1, 2, 2, 3, 3]
    assert {number % 4 for number in numbers[6:]} == {0, 1, 2, 3}


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 8), st.integers(1, 12))
def test_a_screen_never_repeats_a_row_and_keeps_to_its_size(failures: int, passes: int, own: int, count: int) -> None:
    evidence = Evidence([failed(n) for n in range(failures)], [failed(100 + n) for n in range(passes)])
    chosen = rows_to_screen(evidence, evidence.failures[:own], rows_of("train", 140), count)
    numbers = [int(row.id.partition("-")[2]) for row in chosen]
    assert len(set(numbers)) == len(numbers)
    assert sum(number < 100 for number in numbers) == min(count, failures)
    assert sum(number >= 100 for number in numbers) == min(count, passes)
