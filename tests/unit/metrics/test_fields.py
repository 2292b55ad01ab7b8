from __future__ import annotations

import json
from typing import Any

import pytest

EXPECTED = {
    "name": "Ann",
    "total": 12.5,
    "due": "2024-03-01",
    "items": ["a", "b"],
    "address": {"city": "Bern", "zip": "3000"},
}


def answer(**changes: Any) -> str:
    return json.dumps({**EXPECTED, **changes})


def test_all_fields_right_scores_one_whatever_their_order(judge) -> None:
    assert judge("json_fields", json.dumps(dict(reversed(EXPECTED.items()))), EXPECTED).score == 1
    assert judge("json_fields", answer(), json.dumps(EXPECTED)).score == 1


def test_each_leaf_counts_alike_and_nested_objects_are_looked_into(judge) -> None:
    judgement = judge("json_fields", answer(address={"city": "Basel", "zip": "3000"}), EXPECTED)
    assert judgement.score == pytest.approx(5 / 6)
    assert judgement.feedback == '1 wrong: address.city: expected "Bern", got "Basel"'


def test_an_absent_field_is_wrong_but_equals_null(judge) -> None:
    assert judge("json_fields", '{"a": 1}', {"a": 1, "b": 2}).feedback == "1 wrong: b: expected 2, got nothing"
    assert judge("json_fields", '{"a": 1}', {"a": 1, "b": None}).score == 1
    assert judge("json_fields", '{"a": 1, "b": 0}', {"a": 1, "b": None}).score == 0.5


def test_exact_tells_true_from_one_but_not_one_from_one_point_zero(judge) -> None:
    assert judge("json_fields", '{"a": true}', {"a": 1}).score == 0
    assert judge("json_fields", '{"a": 1.0}', {"a": 1}).score == 1
    assert judge("json_fields", '{"a": [1.0, {"b": null}]}', {"a": [1, {"b": None}]}).score == 1


@pytest.mark.parametrize(
    ("rule", "expected", "got", "score"),
    [
        ("casefold", "New  York", " new york", 1),
        ("casefold", "New York", "York", 0),
        ({"compare": "numeric", "absolute": 0.01}, 12.5, "$12.51", 1),
        ({"compare": "numeric", "relative": 0.1}, 100, 111, 0),
        ("numeric", 3, "three", 0),
        ("date", "2024-03-01", "2024-03-01T10:00:00Z", 1),
        ("date", "2024-03-01", "2024/3/1", 1),
        ("date", "20240301", "2024-03-02", 0),
        ("date", "2024-03-01", "2024-13-45", 0),
        ({"compare": "date", "formats": ["%d.%m.%Y"]}, "2024-03-01", "01.03.2024", 1),
        ("set", ["a", "b"], ["b", "a", "a"], 1),
        ("set", ["a", "b"], ["b", "c"], 1 / 3),
        ("set", [], [], 1),
        ("ignore", "a", "b", None),
        ("numeric", "unknown", 3, None),
        ("date", "soon", "2024-01-01", None),
    ],
)
def test_each_kind_of_comparison(judge, rule: object, expected: object, got: object, score: float | None) -> None:
    judgement = judge("json_fields", json.dumps({"f": got}), {"f": expected}, fields={"f": rule})
    assert judgement.score == (score if score is None else pytest.approx(score))


def test_weights_make_the_mean(judge) -> None:
    fields = {"a": {"weight": 3}, "b": {"compare": "casefold"}, "c": {"weight": 0}}
    assert judge("json_fields", '{"a": 1, "b": "y", "c": 9}', {"a": 1, "b": "x", "c": 1}, fields=fields).score == 0.75


def test_a_rule_on_an_object_compares_it_as_a_whole(judge) -> None:
    expected = {"a": {"x": 1, "y": 2}, "b": 1}
    assert judge("json_fields", '{"a": {"x": 1}, "b": 1}', expected, fields={"a": "exact"}).score == 0.5
    assert judge("json_fields", '{"a": 5, "b": 1}', expected, fields={"a": "ignore"}).score == 1


def test_a_dotted_path_reaches_into_lists(judge) -> None:
    expected = {"items": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}]}
    got = '{"items": [{"sku": "a", "n": 1}]}'
    judgement = judge("json_fields", got, expected, fields={"items.0.sku": "casefold"})
    assert judgement.score == 0.5
    assert "items.1.sku" in judgement.feedback


def test_fields_that_nobody_asked_for_can_cost(judge) -> None:
    got = '{"a": 1, "b": 2, "c": 3, "note": 4}'
    assert judge("json_fields", got, {"a": 1}).score == 1
    judgement = judge("json_fields", got, {"a": 1}, extra=0.25, fields={"note": "ignore"})
    assert (judgement.score, judgement.feedback) == (0.5, "not expected: b, c")
    assert judge("json_fields", got, {"a": 1}, extra=1).score == 0


def test_the_default_comparison_is_an_option(judge) -> None:
    assert judge("json_fields", '{"a": " X"}', {"a": "x"}, default="casefold").score == 1


def test_what_is_no_object_scores_zero_or_is_unscored(judge) -> None:
    assert judge("json_fields", "[1]", {"a": 1}).score == 0
    assert judge("json_fields", "no", {"a": 1}).score == 0
    for expected in (None, "text", 3, [], {}, "[1]"):
        assert judge("json_fields", '{"a": 1}', expected).score is None
