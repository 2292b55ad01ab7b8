"""Scoring one prompt: repeats, means and metrics."""

from __future__ import annotations

from fake_bench import FakeBench, FakeWorld, fake_brief, seed_candidate

from promptprop.domain.events import CandidateProposed, CandidateScored, Event, SearchEnded
from promptprop.domain.judgements import metric_means
from promptprop.domain.models import Evaluation, Judgement, Row
from promptprop.services.evaluate import Scoring, row_means, score_of
from promptprop.services.gate_tests import clusters_of


def evaluation(row: str, replicate: int, score: float | None, **metrics: float | None) -> Evaluation:
    judged = {name: Judgement(value) for name, value in metrics.items()}
    return Evaluation("c", row, replicate, "x", judgements=judged, score=score)


def test_a_row_is_the_mean_of_its_repeats() -> None:
    cells = [evaluation("a", 0, 1.0), evaluation("a", 1, 0.0), evaluation("b", 0, 1.0), evaluation("b", 1, 1.0)]
    assert row_means(cells) == {"a": 0.5, "b": 1.0}


def test_a_missing_repeat_is_left_out_and_never_counts_as_zero() -> None:
    cells = [evaluation("a", 0, None), evaluation("a", 1, 1.0), evaluation("b", 0, None), evaluation("b", 1, None)]
    assert row_means(cells) == {"a": 1.0, "b": None}


def test_the_mean_of_a_metric_leaves_out_what_it_could_not_judge() -> None:
    cells = [evaluation("a", 0, 1.0, exact=1.0, jury=None), evaluation("b", 0, 0.0, exact=0.0, jury=None)]
    assert metric_means(cells) == {"exact": 0.5}


def test_rows_of_one_cluster_widen_the_interval_and_answers_to_one_row_do_not_narrow_it() -> None:
    rows = [Row(f"r{number}", "x", f"c{number // 4}") for number in range(40)]
    once = [evaluation(row.id, 0, float(number % 8 < 4)) for number, row in enumerate(rows)]
    apart, missing = score_of(once)
    together, _ = score_of(once, rows)
    assert (apart.mean, together.mean, together.n, missing) == (0.5, 0.5, 40, 0)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    thrice = [evaluation(one.example_id, replicate, one.score) for one in once for replicate in range(3)]
    assert score_of(thrice, rows) == (together, 0)


def test_rows_that_share_nothing_have_no_clusters() -> None:
    assert clusters_of([Row("a", "x", "c"), Row("b", "x", "c")]) == ["c", "c"]
    assert clusters_of([Row("a", "x", "c"), Row("b", "x", "d")]) is None


async def scored(bench: FakeBench, scoring: Scoring, **brief: object) -> list[Event]:
    bench.hold(0, 0)
    return [event async for event in scoring.run(fake_brief(**brief), bench)]


async def test_every_prompt_is_scored_on_all_rows_as_often_as_asked() -> None:
    bench, scoring = FakeBench(), Scoring("test", repeats=3)
    seeds = (seed_candidate(0), seed_candidate(0, 1))
    events = await scored(bench, scoring, seeds=seeds)
    assert [event.kind for event in events] == ["candidate_proposed", "candidate_scored"] * 2 + ["search_ended"]
    first, second = [event for event in events if isinstance(event, CandidateScored)]
    assert (first.split, first.score.mean, first.score.n, first.metrics) == ("test", 0.25, 24, {"label": 0.25})
    assert second.score.mean == 0.5
    assert len(bench.asked) == scoring.shape(fake_brief(seeds=seeds)).finish == 144
    assert {cell.example_id.partition("-")[0] for cell in bench.asked} == {"select"}
    assert set(bench.kept) == {event.candidate_id for event in events if isinstance(event, CandidateProposed)}


async def test_missing_rows_are_counted_and_where_all_are_missing_nothing_is_known() -> None:
    some = FakeBench(FakeWorld(broken=frozenset({"select-0", "select-5"})))
    (event,) = [one for one in await scored(some, Scoring()) if isinstance(one, CandidateScored)]
    assert (event.missing, event.score.n) == (2, 22)
    none = FakeBench(FakeWorld(broken=frozenset(f"select-{n}" for n in range(24))))
    events = await scored(none, Scoring())
    assert isinstance(events[-1], SearchEnded)
    (event,) = [one for one in events if isinstance(one, CandidateScored)]
    assert (event.missing, event.score.n, event.score.low, event.score.high) == (24, 0, 0.0, 1.0)
