"""Agreement of jurors and labels: against the definitions, and against scipy and statsmodels as oracles."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from promptprop.domain.agreement import (
    Verdicts,
    calibration,
    class_table,
    cohen_kappa,
    juror_records,
    spearman,
)

LABELS = st.sampled_from("abcd")
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60)
SCORES = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=3, max_size=40)


@given(PAIRS)
def test_kappa_is_that_of_statsmodels(pairs: list[tuple[str, str]]) -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    table = [[sum(pair == (one, other) for pair in pairs) for other in "abcd"] for one in "abcd"]
    chance = sum(sum(row) * sum(column) for row, column in zip(table, zip(*table, strict=True), strict=True))
    assume(chance < len(pairs) ** 2)
    assert cohen_kappa(pairs) == pytest.approx(cohens_kappa(table, return_results=False))


def test_kappa_where_there_is_nothing_to_disagree_on() -> None:
    assert cohen_kappa([("a", "a")] * 3) == 1.0
    with pytest.raises(ValueError, match="at least one pair"):
        cohen_kappa([])


@given(SCORES)
def test_spearman_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    from scipy import stats

    ones, others = [float(one) for one, _ in pairs], [float(other) for _, other in pairs]
    found = spearman(ones, others)
    if len(set(ones)) == 1 or len(set(others)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(ones, others).statistic)


def test_too_few_pairs_have_no_correlation() -> None:
    assert spearman([1.0, 2.0], [1.0, 2.0]) is None


@given(PAIRS)
def test_classes_add_up(pairs: list[tuple[str, str]]) -> None:
    table = class_table(pairs)
    assert sum(row.expected for row in table.rows) == sum(row.answered for row in table.rows) == len(pairs)
    assert sum(row.right for row in table.rows) == sum(one == other for one, other in pairs)
    for row in table.rows:
        precision, recall = row.precision, row.recall
        harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert row.f1 == pytest.approx(harmonic)
    assert all(0 <= value <= 1 for value in table.macro)
    assert sum(count for _, _, count in table.confusions) <= len(pairs)


def test_classes_name_the_most_frequent_mistakes_first() -> None:
    table = class_table([("a", "b")] * 3 + [("b", "c")] + [("c", "c")] * 2)
    assert table.confusions == (("a", "b", 3), ("b", "c", 1))
    assert [row.label for row in table.rows] == ["a", "b", "c"]
    assert table.rows[2].precision == pytest.approx(2 / 3)
    assert table.macro[1] == pytest.approx((0 + 0 + 1) / 3)


def panel(count: int = 400, seed: int = 1) -> list[Verdicts]:
    """`strict` thinks less of answers, `wordy` more the longer they are, `eager` more where they come first."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        worth, length, first = rng.random() * 0.6 + 0.2, rng.randrange(10, 500), number % 2 == 0
        votes: dict[str, float | None] = {
            "strict": worth - 0.1 + rng.gauss(0, 0.02),
            "wordy": worth + length / 5000 + rng.gauss(0, 0.02),
            "eager": worth + 0.08 * first + rng.gauss(0, 0.02),
        }
        if number % 10 == 0:
            votes["strict"] = None
        made.append(Verdicts(("row", number), votes, 0, length, first))
    return made


def test_each_juror_shows_its_own_bias() -> None:
    strict, wordy, eager = juror_records(panel())
    assert (strict.name, strict.asked, strict.missing) == ("strict", 400, 40)
    assert strict.bias is not None
    assert strict.bias < -0.1
    assert wordy.length_bias is not None
    assert wordy.length_bias > 0.4
    assert eager.order_bias is not None
    assert eager.order_error is not None
    assert eager.order_bias == pytest.approx(0.08, abs=0.03)
    assert eager.order_bias > 4 * eager.order_error
    assert wordy.noise is not None
    assert strict.flips is None


def test_flips_are_answers_on_both_sides_of_the_line() -> None:
    votes = [(0, 0, 0.6), (0, 1, 0.4), (1, 0, 0.9), (1, 1, 0.8), (2, 0, 0.9)]
    (record,) = juror_records([Verdicts(answer, {"a": vote}, replicate) for answer, replicate, vote in votes])
    assert (record.flips, record.repeated) == (0.5, 2)
    assert record.bias is None, "there is nobody to compare with"


def test_nobody_and_a_silent_juror_have_a_record_all_the_same() -> None:
    assert juror_records([]) == ()
    (record,) = juror_records([Verdicts("a", {"silent": None})])
    assert (record.missing, record.mean, record.bias) == (1, None, None)


def test_calibration_counts_both_sides() -> None:
    found = calibration("strict", [(1.0, 0.9), (1.0, 0.3), (0.0, 0.1), (0.0, 0.2)])
    assert found.confusion == {(True, True): 1, (True, False): 1, (False, False): 2}
    assert found.agreement == 0.75
    assert found.kappa == pytest.approx(0.5)
    assert found.error == pytest.approx((0.1 + 0.7 + 0.1 + 0.2) / 4)
    assert found.bias == pytest.approx((-0.1 - 0.7 + 0.1 + 0.2) / 4)
    assert found.correlation is not None
    assert math.isfinite(found.correlation)
