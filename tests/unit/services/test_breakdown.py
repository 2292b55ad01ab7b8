"""An evaluation taken apart: tags, clusters, what is missing, and how many rows flip."""

from __future__ import annotations

from promptprop.domain.breakdown import Breakdown, Group, Steadiness
from promptprop.domain.events import Estimate
from promptprop.domain.models import Evaluation, Example, Failure
from promptprop.services.breakdown import breakdown_of, steadiness_of

EXAMPLES = {
    one.id: one
    for one in (
        Example("a", {"text": "1"}, tags=("mail", "long"), cluster="ann"),
        Example("b", {"text": "2"}, tags=("mail", "mail"), cluster="ann"),
        Example("c", {"text": "3"}, tags=("long",), cluster="bob"),
        Example("d", {"text": "4"}),
    )
}


def answer(row: str, score: float | None, replicate: int = 0, output: str = "", candidate: str = "p") -> Evaluation:
    failure = Failure("refused", "no") if score is None else None
    return Evaluation(candidate, row, replicate, output or f"{score}", score=score, error=failure)


def group(name: str, mean: float, low: float, high: float, n: int = 5) -> Group:
    return Group("tag", name, Estimate(mean, low, high, n), max(n, 1), 0, Steadiness())


def test_each_row_counts_once_for_each_of_its_tags_and_once_for_its_cluster() -> None:
    (found,) = breakdown_of([answer("a", 1), answer("b", 0), answer("c", None), answer("d", 1)], EXAMPLES)
    told = {(one.kind, one.name): (one.score.mean, one.score.n, one.rows, one.missing) for one in found.groups}
    assert told == {
        ("tag", "mail"): (0.5, 2, 2, 0),
        ("tag", "long"): (1.0, 1, 2, 1),
        ("cluster", "ann"): (0.5, 2, 2, 0),
        ("cluster", "bob"): (0.0, 0, 1, 1),
    }


def test_rows_of_one_cluster_say_little_of_a_tag_and_much_of_their_cluster() -> None:
    examples = {f"r{n}": Example(f"r{n}", {"text": str(n)}, tags=("t",), cluster="c") for n in range(30)}
    (found,) = breakdown_of([answer(row, float(n % 2)) for n, row in enumerate(examples)], examples)
    tag, cluster = found.worst("tag")[0], found.worst("cluster")[0]
    assert (tag.score.low, tag.score.high) == (0.0, 1.0)
    assert cluster.score.high - cluster.score.low < 0.4


def test_several_prompts_are_told_apart_in_their_order() -> None:
    first, second = breakdown_of([answer("a", 1), answer("a", 0, candidate="q"), answer("b", 1)], EXAMPLES)
    assert (first.candidate_id, second.candidate_id) == ("p", "q")
    assert second.worst("tag")[0].score.mean == 0.0


def test_a_row_flips_where_its_answers_score_differently_and_not_where_only_words_differ() -> None:
    rows = [
        [answer("a", 1), answer("a", 0, 1)],
        [answer("b", 0, 0, "billing"), answer("b", 0, 1, "returns")],
        [answer("c", 1, 0, "x"), answer("c", 1, 1, " x\n")],
        [answer("d", 1)],
        [answer("e", 1), answer("e", None, 1)],
    ]
    found = steadiness_of(rows)
    assert found == Steadiness(rows=3, flipping=1, differing=2)
    assert found.rate == 1 / 3
    assert steadiness_of([rows[3]]).rate is None


def test_the_worst_group_is_the_one_that_is_most_surely_bad() -> None:
    groups = (group("one row", 0.0, 0.0, 0.79, 1), group("half", 0.5, 0.4, 0.6), group("none", 0, 0, 1, 0),
              group("good", 1.0, 0.9, 1.0))  # fmt: skip
    found = Breakdown("p", groups, Steadiness()).worst("tag")
    assert [one.name for one in found] == ["half", "one row", "good", "none"]
    assert Breakdown("p", groups, Steadiness()).worst("cluster") == []
