"""Stored baselines: what stands for a row, what two sides do not share, and the answers that stand in for new ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.baseline import (
    Baseline,
    BaselineRow,
    Conditions,
    Difference,
    content_of,
    differences,
    row_of,
    shared_rows,
)
from promptprop.domain.models import Candidate, Evaluation, Example, Failure, Judgement, Prompt

CONDITIONS = Conditions(
    models={"task": {"model": "openai/small", "temperature": 0}},
    judges={"juror.a": {"model": "openai/judge"}},
    metrics={"label": {"type": "exact", "digest": "a1"}},
    steps=(("main", "output", "task"),),
)
ROWS = tuple(BaselineRow(f"r{n}", f"c{n}", (1.0, 0.0), answers=("yes", "no")) for n in range(4))
CONTENTS = {row.id: row.content for row in ROWS}


def baseline(**changes: Any) -> Baseline:
    made = Baseline("router", Candidate({"main": Prompt.of("{{ text }}")}), "all", CONDITIONS, ROWS)
    return replace(made, **changes)


def found(conditions: Conditions = CONDITIONS, contents: dict[str, str] | None = None, split: str = "all") -> list[str]:
    return [
        f"{one.aspect}: {one.text}"
        for one in differences(baseline(), conditions, CONTENTS if contents is None else contents, split)
    ]


def test_what_is_the_same_has_no_difference() -> None:
    assert found() == []
    assert shared_rows(baseline(), CONTENTS) == ["r0", "r1", "r2", "r3"]


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({**CONTENTS, "r1": "other"}, "rows: 1 row changed: r1"),
        (
            {"r9" if name == "r2" else name: content for name, content in CONTENTS.items()},
            "rows: 1 row renamed: r2 → r9",
        ),
        ({name: content for name, content in CONTENTS.items() if name != "r3"}, "rows: 1 row gone: r3"),
        ({**CONTENTS, "r7": "c7"}, "rows: 1 row new: r7"),
        ({}, "rows: 4 rows gone: r0, r1, r2, r3"),
        ({f"x{n}": f"y{n}" for n in range(9)}, "rows: 9 rows new: x0, x1, x2, x3, x4 and 4 more"),
    ],
)
def test_each_row_that_differs_is_named_by_what_became_of_it(contents: dict[str, str], said: str) -> None:
    assert said in found(contents=contents)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"models": {"task": {"model": "openai/large", "temperature": 0}}},
            "model: models.task.model: openai/small before, openai/large now",
        ),
        (
            {"models": {"task": {"model": "openai/small", "temperature": 0.7}}},
            "model: models.task.temperature: 0 before, 0.7 now",
        ),
        (
            {"models": {"task": {"model": "openai/small", "temperature": 0, "seed": 3}}},
            "model: models.task.seed: nothing before, 3 now",
        ),
        ({"judges": {"juror.b": {"model": "openai/judge"}}}, "judges: judges.juror.a: gone"),
        ({"judges": {"juror.a": {"model": "x"}}}, "judges: judges.juror.a.model: openai/judge before, x now"),
        (
            {"metrics": {"label": {"type": "exact", "digest": "b2"}}},
            "metrics: metrics.label: its code, its files or a template",
        ),
        (
            {"metrics": {"label": {"type": "f1", "digest": "b2"}}},
            "metrics: metrics.label.type: exact before, f1 now",
        ),
        ({"steps": (("a", "output", "task"),)}, "model: the steps of the chain"),
    ],
)
def test_each_condition_that_differs_is_named_by_its_place(changes: dict[str, Any], said: str) -> None:
    assert said in found(replace(CONDITIONS, **changes))


def test_another_split_is_a_difference_of_rows() -> None:
    assert found(split="test") == ["rows: the split: all before, test now"]


@given(st.dictionaries(st.sampled_from(["r0", "r1", "r2", "r3", "z"]), st.sampled_from(["c0", "c1", "c2", "c3", "q"])))
def test_rows_are_the_same_exactly_where_nothing_is_said_of_them(contents: dict[str, str]) -> None:
    assert (found(contents=contents) == []) == (contents == CONTENTS)
    assert all(contents[name] == CONTENTS[name] for name in shared_rows(baseline(), contents))


EXAMPLE = Example("r1", {"text": "hi"}, "yes", ("no",), ("never",), ("a", "b"), "c1", 2.0, "test")


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"text": "ho"}}, {"inputs": {"other": "hi"}}, {"expected": "no"}, {"soft_negatives": ()},
        {"hard_negatives": ("else",)}, {"tags": ("a",)}, {"cluster": None}, {"weight": 1.0},
    ],
)  # fmt: skip
def test_all_that_shapes_a_score_is_part_of_a_rows_content(changes: dict[str, Any]) -> None:
    assert content_of(replace(EXAMPLE, **changes)) != content_of(EXAMPLE)


@pytest.mark.parametrize("changes", [{"id": "other"}, {"split": None}, {"tags": ("b", "a")}])
def test_its_name_its_split_and_the_order_of_tags_are_not(changes: dict[str, Any]) -> None:
    assert content_of(replace(EXAMPLE, **changes)) == content_of(EXAMPLE)


def answer(replicate: int, score: float | None, **changes: Any) -> Evaluation:
    judged = {"label": Judgement(score), "form": Judgement(1.0)}
    made = Evaluation("c", "r1", replicate, f"answer {replicate}", (), judged, score, picousd=10**6, latency=2.0)
    return replace(made, **changes)


def test_a_row_keeps_each_answers_values_and_the_means_of_what_they_took() -> None:
    broken = answer(2, 1.0).with_error(Failure("call_timed_out", "late"))
    row = row_of(EXAMPLE, [answer(0, 1.0), answer(1, 0.0, latency=4.0), broken], 8)
    assert row.scores == (1.0, 0.0, None)
    assert row.metrics == {"label": (1.0, 0.0, None), "form": (1.0, 1.0, None)}
    assert (row.usd, row.seconds, row.length) == (1e-6, 3.0, 8.0)
    assert row.answers == ("answer 0", "answer 1", "answer 2")
    assert row_of(EXAMPLE, [answer(0, 1.0)], 4).answers == ("ans…",)
    assert row.mean == 0.5


def test_metrics_that_say_what_the_score_says_are_not_kept_twice() -> None:
    alone = replace(answer(0, 1.0), judgements={"label": Judgement(1.0)})
    assert row_of(EXAMPLE, [alone], 9).metrics == {}


def test_money_is_unknown_where_one_answers_price_is() -> None:
    assert row_of(EXAMPLE, [answer(0, 1.0), answer(1, 1.0, picousd=None)], 9).usd is None
    assert row_of(EXAMPLE, [], 9).seconds is None


def test_stored_answers_come_back_as_evaluations_under_the_baselines_own_id() -> None:
    kept = baseline(rows=(BaselineRow("r1", "c1", (1.0, None), {}, ("yes", "?"), 2e-6, 1.5, 3.0), *ROWS[2:]))
    first, second = kept.evaluations(["r1"])
    assert (first.candidate_id, first.example_id, first.replicate, first.score) == (kept.id, "r1", 0, 1.0)
    assert (first.output, first.picousd, first.latency) == ("yes", 2_000_000, 1.5)
    assert first.judgements["label"].score == 1.0
    assert second.error is not None
    assert second.score is None
    assert kept.evaluations([]) == []


def test_its_id_stands_for_all_that_it_says() -> None:
    assert baseline().id == baseline(name="other").id
    changed = replace(ROWS[0], scores=(1.0, 1.0))
    assert Baseline("router", baseline().candidate, "all", CONDITIONS, (changed, *ROWS[1:])).id != baseline().id
    assert baseline().id.startswith("stored")
    assert (baseline().replicates, baseline().score) == (2, 0.5)
    empty = Baseline("x", baseline().candidate, "all", CONDITIONS, ())
    assert (empty.replicates, empty.score) == (0, None)
    assert Difference("rows", "x") == Difference("rows", "x")
