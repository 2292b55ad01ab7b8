"""Sets of labels: how items are read, and precision, recall and F1 against an oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.models import Example
from promptprop.metrics.sets import SetOverlap, SetOverlapOptions, overlap

LABELS = st.frozensets(st.sampled_from(["billing", "sales", "returns", "account", "security"]))


def judge(output: str, expected: Any, **options: Any) -> Any:
    return SetOverlap("m", SetOverlapOptions(**options), Path()).judge(output, Example("1", {}, expected))


@pytest.mark.parametrize(
    "output",
    [
        '["Billing", "sales"]',
        "billing, sales",
        "- billing\n- sales\n",
        "1. sales\n2) Billing.",
        "sales;  billing;",
        "“sales”, 'billing'",
    ],
)
def test_items_are_read_in_the_forms_that_models_write(output: str) -> None:
    assert judge(output, ["billing", "sales"]).score == 1


def test_what_is_missing_and_what_is_too_much_are_named() -> None:
    said = judge("billing, returns", ["billing", "sales"])
    assert said.score == pytest.approx(0.5)
    assert said.feedback == 'missing: "sales"; too many: "returns"'


def test_an_empty_set_can_be_right_and_no_expectation_cannot_be_judged() -> None:
    assert judge("", []).score == 1
    assert judge("billing", []).score == 0
    assert judge("", ["billing"]).score == 0
    assert judge("billing", None).score is None


@given(wanted=LABELS, got=LABELS)
def test_measures_are_what_their_definitions_say(wanted: frozenset[str], got: frozenset[str]) -> None:
    both = len(wanted & got)
    precision, recall = both / len(got) if got else 0.0, both / len(wanted) if wanted else 0.0
    harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    if not wanted and not got:
        precision = recall = harmonic = 1.0
    for measure, value in (("precision", precision), ("recall", recall), ("f1", harmonic)):
        assert judge(", ".join(got), sorted(wanted), measure=measure).score == pytest.approx(value)
    assert judge(", ".join(got), sorted(wanted), measure="equal").score == float(wanted == got)


@given(wanted=LABELS, got=LABELS)
def test_f1_and_jaccard_are_symmetric(wanted: frozenset[str], got: frozenset[str]) -> None:
    for measure in ("f1", "jaccard"):
        there = judge(", ".join(got), sorted(wanted), measure=measure).score
        assert there == pytest.approx(judge(", ".join(wanted), sorted(got), measure=measure).score)


def test_more_cannot_be_shared_than_there_is() -> None:
    assert overlap(0, 0, 3, "precision") == 0
    assert overlap(0, 3, 0, "recall") == 0
