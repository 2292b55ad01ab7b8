from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Judgement
from promptprop.metrics.base import Seat, Setting
from promptprop.metrics.scoring import (
    HARD_NEGATIVE_CAP,
    HARD_NEGATIVES,
    MetricSpec,
    Scorer,
    Share,
    build_scorer,
    combine,
)


def mean_of(scores: dict[str, float | None], **shares: Share) -> float | None:
    return combine({name: Judgement(score) for name, score in scores.items()}, shares)


def test_the_score_is_the_weighted_mean() -> None:
    assert mean_of({"a": 1, "b": 0}, a=Share(3), b=Share(1)) == 0.75
    assert mean_of({"a": 1, "b": 0}, a=Share(1), b=Share(0)) == 1


def test_what_is_unscored_is_left_out_and_weights_are_renormalised() -> None:
    assert mean_of({"a": None, "b": 0.5, "c": 1}, a=Share(8), b=Share(1), c=Share(1)) == 0.75
    assert mean_of({"a": None}, a=Share()) is None
    assert mean_of({}, a=Share()) is None


def test_a_failed_gate_makes_the_score_zero_even_where_others_are_unscored() -> None:
    gate = Share(0, gate=True)
    assert mean_of({"a": 1, "g": 0.99}, a=Share(), g=gate) == 0
    assert mean_of({"a": None, "g": 0}, a=Share(), g=gate) == 0
    assert mean_of({"a": 0.5, "g": 1}, a=Share(), g=gate) == 0.5


def test_a_gate_can_have_a_threshold_and_a_weight() -> None:
    gate = Share(1, gate=True, threshold=0.5)
    assert mean_of({"a": 1, "g": 0.5}, a=Share(), g=gate) == 0.75
    assert mean_of({"a": 1, "g": 0.4}, a=Share(), g=gate) == 0


def test_a_gate_that_could_not_judge_leaves_no_score_unless_another_gate_failed() -> None:
    gate = Share(0, gate=True)
    assert mean_of({"a": 1, "g": None}, a=Share(), g=gate) is None
    assert mean_of({"a": 1, "g": None, "h": 0}, a=Share(), g=gate, h=gate) == 0


def test_gates_alone_score_one_when_all_are_passed() -> None:
    gate = Share(0, gate=True)
    assert mean_of({"g": 1, "h": 1}, g=gate, h=gate) == 1
    assert mean_of({"g": 1, "a": None}, g=gate, a=Share()) is None


def test_a_literal_hard_negative_caps_the_score_and_is_told() -> None:
    scorer = build_scorer([MetricSpec("m", "contains")], Path())
    example = Example(
        "1", {}, "yes", hard_negatives=({"literal": "guarantee"}, "prose is for the jury", {"literal": ""})
    )
    judgements, score = scorer.score("yes, we guarantee it", example)
    assert score == HARD_NEGATIVE_CAP == 0.39
    assert judgements[HARD_NEGATIVES].score == 0
    assert '"guarantee"' in judgements[HARD_NEGATIVES].feedback
    assert scorer.score("yes, Guarantee", example)[1] == 1
    assert scorer.score("no guarantee", Example("1", {}, "x", hard_negatives=({"literal": "guarantee"},)))[1] == 0


def test_rows_without_literals_have_no_judgement_on_hard_negatives() -> None:
    scorer = build_scorer([MetricSpec("m", "contains")], Path())
    assert set(scorer.judge("yes", Example("1", {}, "yes", hard_negatives=("prose",)))) == {"m"}


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.tuples(
            st.none() | st.floats(0, 1),
            st.builds(Share, st.floats(0, 1e6), st.booleans(), st.floats(0, 1)),
        ),
    ),
    st.booleans(),
)
def test_the_score_stays_between_the_least_and_the_best_judgement_or_is_zero(
    parts: dict[str, tuple[float | None, Share]], negative: bool
) -> None:
    judgements = {name: Judgement(score) for name, (score, _) in parts.items()}
    if negative:
        judgements[HARD_NEGATIVES] = Judgement(0.0)
    score = combine(judgements, {name: share for name, (_, share) in parts.items()})
    assert score is None or 0 <= score <= (HARD_NEGATIVE_CAP if negative else 1)
    known = [s for s, share in parts.values() if s is not None and share.weight]
    if score and not negative and known:
        assert min(known) - 1e-9 <= score <= max(known) + 1e-9


def test_weights_default_to_one_and_for_gates_to_zero(tmp_path: Path) -> None:
    specs = [
        MetricSpec("a", "exact"),
        MetricSpec("g", "regex", gate=True, options={"pattern": "x", "threshold": 0.5}),
        MetricSpec("h", "regex", weight=2, gate=True, options={"pattern": "x"}),
    ]
    assert build_scorer(specs, tmp_path).shares == {"a": Share(1), "g": Share(0, True, 0.5), "h": Share(2, True)}


def scorer_of(tmp_path: Path, *specs: MetricSpec) -> Scorer:
    (tmp_path / "s.json").write_text(json.dumps({"type": "object"}))
    return build_scorer(specs, tmp_path)


def test_the_fingerprint_changes_with_all_that_shapes_scores(tmp_path: Path) -> None:
    base = MetricSpec("a", "exact")
    variants = [
        (base,),
        (MetricSpec("b", "exact"),),
        (MetricSpec("a", "contains"),),
        (MetricSpec("a", "exact", weight=2),),
        (MetricSpec("a", "exact", weight=1, gate=True),),
        (MetricSpec("a", "exact", weight=1, gate=True, options={"threshold": 0.5}),),
        (MetricSpec("a", "exact", options={"casefold": True}),),
        (base, MetricSpec("s", "json_schema", options={"file": "s.json"})),
    ]
    prints = [scorer_of(tmp_path, *specs).fingerprint for specs in variants]
    assert len(set(prints)) == len(prints)
    (tmp_path / "s.json").write_text('{"type": "array"}')
    assert build_scorer(variants[-1], tmp_path).fingerprint not in prints


def test_the_fingerprint_ignores_order_and_options_spelt_out_as_their_defaults(tmp_path: Path) -> None:
    a, b = MetricSpec("a", "exact", 1.0, options={"strip": True}), MetricSpec("b", "contains")
    assert scorer_of(tmp_path, MetricSpec("a", "exact"), b).fingerprint == scorer_of(tmp_path, b, a).fingerprint


def test_a_scorer_knows_whether_it_needs_expected_answers(tmp_path: Path) -> None:
    given_pattern = MetricSpec("r", "regex", options={"pattern": "x"})
    assert not scorer_of(tmp_path, given_pattern).needs_expected
    assert scorer_of(tmp_path, given_pattern, MetricSpec("n", "regex")).needs_expected
    assert scorer_of(tmp_path, given_pattern, MetricSpec("e", "exact")).needs_expected


def test_every_problem_is_told_at_once_with_the_metric_it_is_in(tmp_path: Path) -> None:
    specs = [
        MetricSpec("a", "exat"),
        MetricSpec("b", "exact", options={"casefolded": True, "unicode": "NFX"}),
        MetricSpec("b", "exact", weight=-1),
        MetricSpec(HARD_NEGATIVES, "exact", options={"threshold": 0.5}),
    ]
    with pytest.raises(ConfigError) as caught:
        build_scorer(specs, tmp_path)
    told = str(caught.value)
    for part in (
        "two metrics have the id `b`",
        "`hard_negatives` is reserved",
        "metric `a`: unknown metric type `exat`",
        "did you mean `exact`?",
        "metric `b`: unknown option `casefolded`",
        "did you mean `casefold`?",
        "metric `b`: option `unicode`",
        "weight -1 is not",
        "`threshold` has a meaning for gates only",
    ):
        assert part in told


def test_weights_of_zero_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no metric has a weight"):
        build_scorer([MetricSpec("a", "exact", weight=0)], tmp_path)


JURY = Setting("Answer.", (Seat("one"), Seat("two")))


def test_metrics_that_ask_models_share_in_score_and_fingerprint(tmp_path: Path) -> None:
    code = MetricSpec("a", "exact")
    scorers = [
        build_scorer([code, MetricSpec("panel", "jury", 3, options={"aggregate": how})], tmp_path, JURY)
        for how in ("median", "mean")
    ]
    judgements, alone = scorers[0].score("x", Example("1", {}, "x"))
    assert alone == 1
    assert scorers[0].combine({**judgements, "panel": Judgement(0.6)}) == pytest.approx(0.7)
    assert len({build_scorer([code], tmp_path).fingerprint, *(scorer.fingerprint for scorer in scorers)}) == 3


def test_who_judges_by_which_task_and_template_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    panel = MetricSpec("panel", "jury")
    settings = [
        JURY,
        Setting("Another task.", JURY.jury),
        Setting("Answer.", (Seat("one"), Seat("two", 2.0))),
        Setting("Answer.", JURY.jury, juror_template="Score it."),
    ]
    assert len({build_scorer([panel], tmp_path, setting).fingerprint for setting in settings}) == 4


def test_a_jury_alone_is_capped_by_hard_negatives() -> None:
    scorer = build_scorer([MetricSpec("panel", "jury")], Path(), JURY)
    judgements, alone = scorer.score("we guarantee it", Example("1", {}, hard_negatives=({"literal": "guarantee"},)))
    assert alone is None
    assert scorer.combine({**judgements, "panel": Judgement(0.9)}) == HARD_NEGATIVE_CAP


def test_a_jury_without_jurors_and_a_cascade_after_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metric `panel`: a jury needs jurors"):
        build_scorer([MetricSpec("panel", "jury")], tmp_path)
    with pytest.raises(ConfigError, match="there is no juror `three`"):
        build_scorer([MetricSpec("panel", "jury", options={"jurors": ["three"]})], tmp_path, JURY)
    with pytest.raises(ConfigError, match="no metric in code has the id `label`"):
        build_scorer([MetricSpec("panel", "jury", options={"cascade": {"after": "label"}})], tmp_path, JURY)


def test_ids_are_distinct_from_those_of_metrics_that_ask(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two metrics have the id `a`"):
        build_scorer([MetricSpec("a", "exact"), MetricSpec("a", "jury")], tmp_path, JURY)


def test_no_metrics_at_all_give_no_score() -> None:
    assert build_scorer([], Path()).score("x", Example("1", {})) == ({}, None)


def test_an_id_that_reads_as_a_juror_of_another_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match="`panel/x` reads as a juror of the metric `panel`"):
        build_scorer([MetricSpec("panel/x", "contains"), MetricSpec("panel", "exact")], Path())
    assert build_scorer([MetricSpec("own/x", "contains"), MetricSpec("panel", "exact")], Path()).fingerprint
