"""Lists and tables: how they are read, and what counts as in common."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.lists import alike, table_of
from promptprop.metrics.scoring import MetricSpec, build_scorer

ITEMS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8)


def judge(kind: str, output: str, expected: Any, **options: Any) -> Judgement:
    return build_scorer([MetricSpec("m", kind, options=options)], Path()).judge(output, Example("1", {}, expected))["m"]


def test_a_list_is_compared_in_its_order_or_in_any() -> None:
    assert judge("list", "1. b\n2. a", ["a", "b"]).score == pytest.approx(0.5)
    assert judge("list", "1. b\n2. a", ["a", "b"]).feedback.startswith("the items come in another order")
    assert judge("list", "- b\n- a", ["a", "b"], order=False).score == 1
    said = judge("list", "a\nx", ["a", "b", "b"])
    assert said.score == pytest.approx(2 / 5)
    assert said.feedback == 'missing: "b", "b"; too many: "x"'


def test_lists_that_are_empty_or_not_expected() -> None:
    assert judge("list", "", []).score == 1
    assert judge("list", "a", []).score == 0
    assert judge("list", "a", None).score is None


@given(one=ITEMS, other=ITEMS, order=st.booleans())
def test_the_share_in_common_is_bounded_symmetric_and_one_for_equal_lists(
    one: list[str], other: list[str], order: bool
) -> None:
    share = alike(one, other, order=order)
    assert 0 <= share <= 1
    assert share == pytest.approx(alike(other, one, order=order))
    assert alike(one, one, order=order) == 1
    assert alike(one, other, order=True) <= alike(one, other, order=False) + 1e-12


TABLE = [{"item": "tea", "price": 2}, {"item": "cake", "price": 3.5}]


@pytest.mark.parametrize(
    "output",
    [
        "Here it is:\n\n| price | item |\n|---:|:---|\n| 3.5 | Cake |\n| 2 | tea |\n",
        "item,price\ntea,2\ncake,3.5",
        "item\tprice\ntea\t2\ncake\t3.5\n",
        '[["item", "price"], ["tea", 2], ["cake", 3.5]]',
        '```json\n[{"price": 3.5, "item": "cake"}, {"item": "tea", "price": 2}]\n```',
        "| item | price | note |\n|--|--|--|\n| tea | 2 | hot |\n| cake | 3.5 | |",
    ],
)
def test_a_table_is_read_in_the_forms_that_models_write(output: str) -> None:
    assert judge("table", output, TABLE).score == 1, judge("table", output, TABLE).feedback


def test_rows_count_as_a_whole_and_columns_by_name() -> None:
    half = judge("table", "item,price\ntea,2\ncake,4", TABLE)
    assert half.score == pytest.approx(0.5)
    assert "rows missing" in half.feedback
    assert judge("table", "| item |\n|---|\n| tea |\n| cake |", TABLE).score == 0, "the prices are missing"
    assert judge("table", "tea,2\ncake,3.5", TABLE).score == 1, "cells by their place, where no name is known"
    assert judge("table", "cake,3.5\ntea,2", "a,b\ntea,2\ncake,3.5", order=True, header="ignore").score is not None


def test_what_is_no_table() -> None:
    assert judge("table", "I cannot tell.", TABLE).score == 0
    assert judge("table", "x", "no table").score is None
    assert judge("table", "x", None).score is None
    assert table_of("just words") == []
    assert table_of('a,"b\nc') == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        *(("|---|---|", True), ("| :-- | --: |", True), (" |:--:", True), ("|--", True), ("|-|-|", False)),
        *(("||--||", False), ("| -- | x |", False), ("|--|--||", False), ("|", False), ("|-- --|", False)),
    ],
)
def test_a_line_of_dashes_is_no_row(line: str, rule: bool) -> None:
    rows = table_of(f"| a | b |\n{line}\n| 1 | 2 |")
    assert len(rows) == (2 if rule else 3)


@pytest.mark.parametrize(
    "answer", [" " * 49_000 + "| x |", "|" + " " * 49_000 + "x", "| --" + " -" * 20_000, "|" * 50_000]
)
def test_a_table_is_read_in_time_that_grows_with_it(answer: str) -> None:
    began = time.thread_time()
    judge("table", answer, "| a |\n|---|\n| 1 |")
    assert time.thread_time() - began < 20, "a minute before"
