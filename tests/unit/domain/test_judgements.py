"""Names of judgements: metrics, votes, and parts of votes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.judgements import (
    features_in,
    judgement_id,
    metric_means,
    mistakable,
    panels_in,
    parts_of,
    votes_in,
)
from promptprop.domain.models import Evaluation, Judgement

JUDGED = {
    "label": Judgement(1.0),
    "own/metric": Judgement(0.0),
    "panel": Judgement(0.5),
    "panel/kind": Judgement(0.8),
    "panel/openai/gpt-5": Judgement(None, "no vote"),
    "panel/kind/tone": Judgement(0.9),
    "panel/kind/facts": Judgement(None),
    "second": Judgement(0.1),
    "second/openai/gpt-5": Judgement(0.1),
    "second/openai/gpt-5/tone": Judgement(0.2),
}
NAMES = st.text("ab/", min_size=1, max_size=5)


def test_a_juror_that_is_called_after_its_model_keeps_the_slash_in_its_name() -> None:
    assert votes_in(JUDGED) == {
        ("panel", "kind"): 0.8,
        ("panel", "openai/gpt-5"): None,
        ("second", "openai/gpt-5"): 0.1,
    }


def test_the_votes_of_two_juries_are_kept_apart_and_those_that_are_missing_left_out() -> None:
    assert panels_in(JUDGED) == {
        "panel": {"panel/kind": 0.8},
        "second": {"second/openai/gpt-5": 0.1},
    }


def test_parts_of_votes_without_a_score_are_left_out() -> None:
    assert list(features_in(JUDGED)) == [("panel", "tone", 0.9), ("second", "tone", 0.2)]


def test_a_metric_with_a_slash_in_its_id_is_no_vote() -> None:
    assert parts_of("own/metric", JUDGED) == ("own/metric",)


@given(NAMES, st.lists(NAMES, min_size=1, max_size=4, unique=True), st.sampled_from(["tone", "facts"]))
def test_names_that_no_other_one_begins_with_come_back_as_they_were_given(
    metric: str, jurors: list[str], feature: str
) -> None:
    votes = [judgement_id(metric, juror) for juror in jurors]
    judged = [metric, *votes, *(judgement_id(metric, juror, feature) for juror in jurors)]
    clear = mistakable(jurors) is None
    found = [parts_of(name, judged) for name in judged]
    expected = [(metric,), *((metric, one) for one in jurors), *((metric, one, feature) for one in jurors)]
    assert not clear or found == expected


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["openai/gpt-5", "openai"], ("openai", "openai/gpt-5")),
        (["openai/gpt-5", "openai/gpt-5-mini", "open"], None),
        ([], None),
    ],
)
def test_a_name_is_mistakable_where_another_one_and_a_slash_begin_it(
    names: list[str], found: tuple[str, str] | None
) -> None:
    assert mistakable(names) == found


def test_means_are_of_metrics_and_jurors_over_what_they_could_judge() -> None:
    other = {"label": Judgement(0.0), "panel": Judgement(None), "panel/openai/gpt-5": Judgement(0.4)}
    cells = [Evaluation("c", "a", 0, "x", judgements=JUDGED, score=1.0), Evaluation("c", "b", 0, "x", judgements=other)]
    assert metric_means(cells) == {
        "label": 0.5,
        "own/metric": 0.0,
        "panel": 0.5,
        "panel/kind": 0.8,
        "panel/openai/gpt-5": 0.4,
        "second": 0.1,
        "second/openai/gpt-5": 0.1,
    }
