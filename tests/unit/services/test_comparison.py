"""Two prompts held against each other by what is on record: rows matched, answers paired, and what the rows tell."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from promptprop.domain.gate import GateRule, look_at
from promptprop.domain.models import Evaluation, Example, Failure, Judgement, Usage
from promptprop.services.comparison import Answers, compare


def example(row: int, **changes: object) -> Example:
    return replace(Example(f"r{row}", {"text": f"row {row}"}, "yes", cluster=f"c{row // 2}"), **changes)


def answer(row: int, score: float | None, replicate: int = 0, **changes: object) -> Evaluation:
    said = {"label": Judgement(score), "form": Judgement(1.0)}
    failure = Failure("refused", "no") if score is None else None
    found = Evaluation(
        "x", f"r{row}", replicate, f"{score}", judgements=said, score=score, error=failure, usage=Usage(90, 10),
        picousd=2_000_000_000, latency=0.5,
    )  # fmt: skip
    return replace(found, **changes)


def side(*evaluations: Evaluation, **others: Example) -> Answers:
    rows = {one.example_id: example(int(one.example_id[1:])) for one in evaluations}
    return Answers(evaluations, rows | others)


def answers(scores: list[float | None]) -> Answers:
    return side(*(answer(row, score) for row, score in enumerate(scores)))


WORSE = answers([0.0] * 20 + [1.0] * 20)
BETTER = answers([1.0] * 30 + [0.0] * 2 + [1.0] * 8)


def test_the_statistics_are_those_of_a_gate_at_its_only_look() -> None:
    found = compare(WORSE, BETTER)
    clusters = [f"c{row // 2}" for row in range(40)]
    differences = [1.0] * 20 + [0.0] * 10 + [-1.0] * 2 + [0.0] * 8
    expected = look_at(differences, GateRule(margin=0.0, replicates=(1,)), (), clusters)
    assert found.score.look == expected
    assert (found.score.before.mean, found.score.after.mean, found.score.before.n) == (0.5, 0.95, 40)
    assert found.score.found == "better"
    assert compare(BETTER, WORSE).score.found == "worse"
    assert compare(WORSE, WORSE).score.found == "open"
    assert [flip.row for flip in found.worse] == ["r30", "r31"]
    assert len(found.better) == 20


def test_few_rows_do_not_tell_and_one_cluster_never_does() -> None:
    assert compare(answers([0.0, 0.0]), answers([1.0, 1.0])).score.found == "open"
    same = {f"r{row}": example(row, cluster="one") for row in range(40)}
    found = compare(replace(WORSE, examples=same), replace(BETTER, examples=same))
    assert (found.score.found, found.score.before.low, found.score.before.high) == ("open", 0.0, 1.0)


def test_rows_are_the_same_where_id_and_contents_are() -> None:
    before = side(answer(0, 1), answer(1, 1), answer(2, 1), answer(3, 1))
    after = side(
        answer(1, 0), answer(2, 0), answer(3, 0), answer(4, 0), answer(5, 0),
        r2=example(2, inputs={"text": "new"}), r3=example(3, tags=("new",), cluster="other", weight=2.0),
    )  # fmt: skip
    found = compare(before, after)
    overlap = found.overlap
    assert (overlap.rows, overlap.only_before, overlap.only_after, overlap.changed) == (2, 1, 2, 1)
    assert [flip.row for flip in found.flips] == ["r1", "r3"]
    for changed in (example(1, expected="no"), example(1, hard_negatives=("no",)), example(1, soft_negatives=("no",))):
        assert compare(before, side(answer(1, 0), r1=changed)).overlap.changed == 1
    narrow = compare(before, after, rows={"r1", "r0"})
    assert (narrow.overlap.rows, narrow.overlap.only_before, narrow.overlap.only_after) == (1, 1, 0)


def test_only_answers_of_replicates_that_both_have_are_compared() -> None:
    before = side(answer(0, 1), answer(0, 0, 1), answer(0, 0, 2), answer(1, 1), answer(1, 1, 1))
    after = side(answer(0, 1), answer(0, 1, 1), answer(1, 0), answer(1, 0, 1), answer(1, 1, 5))
    found = compare(before, after)
    assert found.answers == 2
    assert {flip.row: (flip.before, flip.after) for flip in found.flips} == {"r0": (0.5, 1.0), "r1": (1.0, 0.0)}
    assert compare(before, side(answer(0, 1), answer(1, 0), answer(1, 0, 1))).answers == 1
    apart = compare(side(answer(0, 1)), side(answer(0, 1, 1)))
    assert (apart.score.look, apart.missing) == (None, 1)


def test_a_row_without_a_score_on_one_side_is_left_out_on_both_and_counted() -> None:
    found = compare(answers([1, None, 1, 0]), answers([1, 1, None, 0]))
    assert (found.score.before.n, found.score.before.mean, found.missing) == (2, 0.5, 2)
    assert compare(answers([None]), answers([None])).score.found == "open"


def test_each_of_several_metrics_is_judged_at_its_share_of_the_level_and_a_lone_one_is_the_score() -> None:
    found = compare(WORSE, BETTER, ("label", "form"))
    label, form = found.metrics
    assert (label.metric, label.found, form.found) == ("label", "better", "open")
    assert label.look is not None
    assert found.score.look is not None
    assert label.look.lower < found.score.look.lower
    assert compare(WORSE, BETTER, ("label",)).metrics == ()


def test_what_answers_take_is_told_for_each_side_and_unknown_where_a_price_is() -> None:
    dear = side(answer(0, 1, picousd=4_000_000_000, latency=2.0), answer(1, None, picousd=None))
    first, second = compare(side(answer(0, 1), answer(1, 1)), dear).taken
    assert (first.usd_per_1000_rows, first.seconds, first.tokens) == (Decimal(2), 0.5, 100)
    assert (second.usd_per_1000_rows, second.seconds) == (Decimal(4), 2.0)
    unknown = compare(side(answer(0, 1)), side(answer(0, 1, picousd=None))).taken[1]
    assert unknown.usd_per_1000_rows is None
    assert compare(side(answer(0, 1)), side(answer(0, None))).taken[1].tokens is None
