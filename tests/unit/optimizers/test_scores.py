"""The cache of evaluations: only missing cells are asked for, rows without a score stay known as such."""

from __future__ import annotations

import pytest
from fake_bench import FakeBench, FakeWorld, rows_of, seed_candidate

from promptprop.domain.models import Cell, Evaluation, Judgement
from promptprop.optimizers.scores import Scores, difference_of, mean_of

ROWS = rows_of("train", 8)
ONE, TWO = seed_candidate(0), seed_candidate(0, 1)


@pytest.fixture
def held_bench() -> FakeBench:
    """Row 3 never has a score."""
    bench = FakeBench(FakeWorld(broken=frozenset({"train-3"})))
    bench.hold(1, 1)
    return bench


async def test_only_missing_cells_are_asked_for_and_in_one_go(held_bench: FakeBench) -> None:
    scores = Scores()
    await scores.fill(held_bench, [ONE], ROWS[:4])
    await scores.fill(held_bench, [ONE, TWO], ROWS)
    await scores.fill(held_bench, [ONE, TWO], ROWS)
    assert held_bench.barrier == 2
    assert len(held_bench.asked) == 16
    assert len({(cell.candidate.id, cell.example_id) for cell in held_bench.asked}) == 16


async def test_a_cell_that_is_named_twice_is_asked_once(held_bench: FakeBench) -> None:
    await Scores().fill_cells(held_bench, [Cell(ONE, "train-1"), Cell(ONE, "train-1")])
    assert len(held_bench.asked) == 1


async def test_a_row_without_a_score_is_missing_but_met(held_bench: FakeBench) -> None:
    scores = Scores()
    await scores.fill(held_bench, [ONE], ROWS[:6])
    assert list(scores.numbers(ONE.id, ROWS)) == [f"train-{n}" for n in (0, 1, 2, 4, 5)]
    assert scores.missing(ONE.id, ROWS) == 1
    assert [row.id for row in scores.unmet(ONE.id, ROWS)] == ["train-6", "train-7"]
    assert [row.id for row in scores.unmet("another", ROWS[:1])] == ["train-0"]
    assert scores.missing("another", ROWS) == 0


async def test_pairs_leave_out_what_either_has_not(held_bench: FakeBench) -> None:
    scores = Scores()
    await scores.fill(held_bench, [ONE], ROWS)
    await scores.fill(held_bench, [TWO], ROWS[2:6])
    before, after, shared = scores.pairs(ONE.id, TWO.id, ROWS)
    assert [row.id for row in shared] == ["train-2", "train-4", "train-5"]
    assert (before, after) == ([0.0, 1.0, 0.0], [0.0, 1.0, 1.0])


async def test_metric_means_are_over_rows_that_the_metric_could_judge(held_bench: FakeBench) -> None:
    scores = Scores()
    await scores.fill(held_bench, [ONE], ROWS)
    odd = scores.of(ONE.id, ROWS)["train-0"]
    odd.judgements["form"] = Judgement(None)  # type: ignore[index]
    assert scores.metric_means(ONE.id, ROWS) == {"label": pytest.approx(2 / 7)}


def judged(row: int, **panels: dict[str, float | None]) -> Evaluation:
    """An answer with the votes of these juries."""
    votes = {f"{jury}/{name}": Judgement(vote) for jury, cast in panels.items() for name, vote in cast.items()}
    return Evaluation("c", f"r{row}", 0, "answer", (), {**dict.fromkeys(panels, Judgement(0.5)), **votes}, 0.5)


UNSTEADY: list[dict[str, float | None]] = [
    {"openai/gpt-5": 0.2, "b": 0.6},
    {"openai/gpt-5": 0.6, "b": 0.2},
    {"openai/gpt-5": 0.5, "b": None},
]


def test_a_jury_is_as_unsure_as_its_jurors_differ_beyond_their_usual_distance() -> None:
    scores = Scores()
    scores.take(judged(row, tone=votes) for row, votes in enumerate(UNSTEADY))
    assert scores.judge_error == pytest.approx(0.2)
    assert scores.passing(0.9) == pytest.approx(0.5)


def test_two_juries_of_which_each_is_of_one_mind_are_sure() -> None:
    scores = Scores()
    for row, (tone, facts) in enumerate([(0.9, 0.1), (0.1, 0.9), (0.5, 0.5)]):
        scores.take([judged(row, tone={"a": tone, "b": tone}, facts={"a": facts, "b": facts})])
    assert scores.judge_error == pytest.approx(0)


def test_two_juries_of_one_juror_each_tell_nothing_of_their_error() -> None:
    scores = Scores()
    scores.take(judged(row, tone={"a": row / 10}, facts={"a": 1 - row / 10}) for row in range(5))
    assert scores.judge_error == 0.0


def test_a_second_jury_of_one_mind_halves_the_variance_and_no_more() -> None:
    scores = Scores()
    scores.take(judged(row, tone=votes, facts={"a": 0.9, "b": 0.9}) for row, votes in enumerate(UNSTEADY[:2]))
    assert scores.judge_error == pytest.approx(0.2 / 2**0.5)


async def test_all_who_met_a_row_are_known(held_bench: FakeBench) -> None:
    scores = Scores()
    await scores.fill(held_bench, [ONE, TWO], ROWS)
    assert [one.candidate_id for one in scores.met_by("train-1")] == [ONE.id, TWO.id]
    assert scores.met_by("train-3") == []


def test_over_no_rows_nothing_is_known() -> None:
    assert (mean_of([]).low, mean_of([]).high, mean_of([]).n) == (0.0, 1.0, 0)
    nothing = difference_of([], [])
    assert (nothing.mean, nothing.low, nothing.high, nothing.n) == (0.0, -1.0, 1.0, 0)


def test_over_rows_it_is_the_interval_of_the_statistics() -> None:
    assert mean_of([1.0, 0.0]).n == 2
    assert difference_of([0.0, 0.0], [1.0, 0.0], ["a", "b"]).mean == 0.5
