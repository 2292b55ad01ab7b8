"""What is wrong with a dataset: each check tells bad rows from good ones."""

from __future__ import annotations

import random
from typing import Any

import pytest

from promptprop.domain.models import Example
from promptprop.services.data_checks import DATA_RULES, LONG, Rows, check_rows, near_pairs, rule_of

WORDS = [
    "parcel",
    "refund",
    "invoice",
    "login",
    "card",
    "street",
    "window",
    "garden",
    "engine",
    "ticket",
    "museum",
    "bridge",
    "harbour",
    "candle",
]


def made(count: int = 120, labels: tuple[str, ...] = ("billing", "sales", "returns")) -> list[Example]:
    """Rows of many words, no two alike, each label as often as the others."""
    rng = random.Random(7)
    return [
        Example(f"r{n}", {"text": " ".join(rng.choices(WORDS, k=9)) + f" number {n * 7919}"}, labels[n % len(labels)])
        for n in range(count)
    ]


def checked(examples: list[Example], suspects: dict[str, int] | None = None, **splits: str) -> dict[str, Any]:
    names = ("train", "select", "test")
    shared = {example.id: names[place % 3] for place, example in enumerate(examples)}
    return {one.id: one for one in check_rows(Rows(examples, {**shared, **splits}, suspects or {}))}


def test_good_rows_have_no_findings() -> None:
    assert checked(made()) == {}


def test_equal_inputs_are_duplicates_or_contradict_each_other() -> None:
    rows = made()
    again = Example("again", {"text": str(rows[0].inputs["text"]).upper() + " "}, "billing")
    other = Example("other", dict(rows[1].inputs), "security")
    found = checked([*rows, again, other])
    assert (found["PD002"].rows, found["PD002"].count) == (("r0", "again"), 2)
    assert found["PD001"].rows == ("r1", "other")
    assert rule_of(found["PD001"]).severity == "error"


def test_rows_that_are_nearly_alike_leak_where_splits_differ_and_clusters_do_not_join_them() -> None:
    rows = made()
    near = Example("near", {"text": f"{rows[0].inputs['text']} please"}, "billing")
    assert checked([*rows, near], near="test", r0="train")["PD003"].rows == ("r0 (train) ~ near (test)",)
    assert "PD003" not in checked([*rows, near], near="train", r0="train")
    joined = [Example(one.id, one.inputs, one.expected, cluster="c") for one in (rows[0], near)]
    assert "PD003" not in checked([*rows[1:], *joined], near="test", r0="train")


def test_near_pairs_are_found_among_thousands_in_little_time() -> None:
    rng = random.Random(1)
    words = [f"w{n}" for n in range(3000)]
    rows = [Example(f"r{n}", {"text": " ".join(rng.choices(words, k=20))}) for n in range(4000)]
    rows += [Example(f"n{n}", {"text": f"{rows[n].inputs['text']} more"}) for n in range(50)]
    pairs = {(one.id, other.id) for one, other in near_pairs(Rows(rows, {}))}
    assert pairs == {(f"r{n}", f"n{n}") for n in range(50)}


def test_rare_and_dominant_labels_are_told() -> None:
    found = checked([*made(), Example("odd", {"text": "something quite different here"}, "security")])
    assert found["PD004"].rows == ("security (1)",)
    rows = [Example(one.id, one.inputs, "billing" if n % 10 else "sales") for n, one in enumerate(made())]
    assert "a constant answer scores as much" in checked(rows)["PD005"].message
    assert rule_of(checked(rows)["PD005"]).name == "imbalance"
    texts = [Example(one.id, one.inputs, f"a reply to {one.id}") for one in made()]
    assert checked(texts) == {}, "texts are no labels"


def test_labels_that_earlier_runs_suspected_are_named_most_often_first() -> None:
    found = checked(made(), {"r3": 1, "r5": 4, "gone": 9})
    assert found["PD006"].rows == ("r5 (4 runs)", "r3")


def test_answers_that_stand_in_the_inputs_are_told_where_nearly_all_do() -> None:
    rows = [Example(one.id, {"text": f"{one.inputs['text']} {one.expected}"}, one.expected) for one in made()]
    assert "PD007" in checked(rows)
    assert "PD007" not in checked([*rows[:60], *made()[60:]])


@pytest.mark.parametrize(
    ("odd", "rule"),
    [
        (Example("x", {"text": "  "}, "billing"), "PD008"),
        (Example("x", {"text": "hello there"}, ""), "PD009"),
        (Example("x", {"text": "long " * LONG}, "billing"), "PD010"),
    ],
)
def test_rows_that_measure_something_else_are_told(odd: Example, rule: str) -> None:
    assert checked([*made(), odd])[rule].rows == ("x",)


def test_splits_that_are_too_small_are_told_as_a_note() -> None:
    found = checked(made(24))
    assert found["PD011"].rows == ("train: 8, at least 10", "select: 8, at least 10", "test: 8, at least 30")
    assert rule_of(found["PD011"]).severity == "note"


@pytest.mark.parametrize(
    ("rule", "name"),
    [("PD004", "imbalance"), ("PD005", "imbalance"), ("PD008", "odd-row"), ("PD009", "odd-row"), ("PD010", "odd-row")],
)
def test_what_is_alike_has_a_rule_of_its_own_all_the_same(rule: str, name: str) -> None:
    assert DATA_RULES[rule].name == name


def test_each_rule_finds_what_carries_its_own_id() -> None:
    odd = [("x", "  ", "sales"), ("y", "hello there", ""), ("z", "long " * LONG, "odd"), ("r1", "twice", "one")]
    rows = [*made(), *made(900, ("sales",))[200:], *(Example(name, {"text": text}, said) for name, text, said in odd)]
    again = [Example("a", rows[0].inputs, "other"), Example("b", rows[1].inputs, rows[1].expected)]
    near = Example("c", {"text": f"{rows[2].inputs['text']} more"}, "sales")
    splits = {one.id: ("train", "select")[place % 2] for place, one in enumerate([*rows, *again, near])}
    bad = Rows([*rows, *again, near], {**splits, "c": "test"}, {"r1": 2})
    leaky = Rows([Example(f"l{n}", {"text": f"the answer is {n * 7919}"}, f"{n * 7919}") for n in range(30)], {})
    for rule in DATA_RULES.values():
        found = [*rule.check(bad), *rule.check(leaky)]
        assert {one.id for one in found} == {rule.id}
        assert rule_of(found[0]) is rule


def test_each_check_says_why_it_is_made() -> None:
    assert all(rule.why.endswith(".") and rule.id == name for name, rule in DATA_RULES.items())
