"""Clusters of failures, parents, races and the odds of hypotheses."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.selection import (
    Belief,
    FailedRow,
    choose_parent,
    cluster_failures,
    draw_kinds,
    panel_error,
    pareto_wins,
    standing_of,
    update,
    variance_of,
)

WORDS = ["refund", "charge", "login", "password", "team", "invoice", "cancel", "über", "the", "my"]
SCORES = st.floats(0, 1)
DIFFERENCES = st.lists(st.floats(-1, 1), max_size=40)
THRESHOLDS = st.tuples(st.floats(0, 0.4), st.floats(0.6, 1))


def failed(row_id: str, expected: object, answer: str, text: str = "", feedback: str = "") -> FailedRow:
    return FailedRow(row_id, {"text": text}, expected, answer, feedback)


@st.composite
def failures(draw: st.DrawFn) -> list[FailedRow]:
    """Up to 30 failures with distinct ids: labels, long texts and fields, few words in common."""
    count = draw(st.integers(0, 30))
    return [
        FailedRow(
            f"r{number}",
            {"text": " ".join(draw(st.lists(st.sampled_from(WORDS), max_size=5)))},
            draw(st.sampled_from(["billing", "security", "x" * 80, {"vendor": "a"}, None])),
            draw(st.sampled_from(["billing", " Security ", "y" * 80, ""])),
            draw(st.sampled_from(["", "vendor: wrong", "vendor: wrong; due.date: missing"])),
            draw(st.floats(0, 1)),
        )
        for number in range(count)
    ]


# --- clusters -------------------------------------------------------------------------------------------------------


@given(failures(), st.integers(1, 8), st.randoms())
def test_clusters_hold_every_failure_once_are_bounded_and_do_not_depend_on_the_order(
    rows: list[FailedRow], largest: int, rng: random.Random
) -> None:
    clusters = cluster_failures(rows, largest)
    assert sorted(row.example_id for cluster in clusters for row in cluster) == sorted(row.example_id for row in rows)
    assert all(1 <= len(cluster) <= largest for cluster in clusters)
    mixed = list(rows)
    rng.shuffle(mixed)
    again = cluster_failures(mixed, largest)
    assert [[row.example_id for row in cluster] for cluster in again] == [
        [row.example_id for row in cluster] for cluster in clusters
    ]


@given(failures(), st.integers(1, 8))
def test_the_heaviest_cluster_comes_first(rows: list[FailedRow], largest: int) -> None:
    weights = [math.fsum(row.shortfall for row in cluster) for cluster in cluster_failures(rows, largest)]
    assert all(earlier >= later - 1e-9 for earlier, later in pairwise(weights))


def test_labels_are_grouped_by_their_confusion() -> None:
    rows = [
        failed("a", "security", "billing"), failed("b", "Security", " Billing "), failed("c", "sales", "billing"),
        failed("d", "security", "I would send this to the billing desk, since it is about money that was charged."),
    ]  # fmt: skip
    assert [[row.example_id for row in cluster] for cluster in cluster_failures(rows, 9)] == [["a", "b"], ["c"], ["d"]]


def test_answers_that_are_no_labels_are_grouped_by_the_fields_that_the_feedback_names() -> None:
    rows = [
        failed("a", {"v": 1}, "{}", feedback="vendor: missing"), failed("b", {"v": 2}, "{}", feedback="due: wrong"),
        failed("c", {"v": 3}, "[]", feedback="vendor: expected x"),
    ]  # fmt: skip
    assert [[row.example_id for row in cluster] for cluster in cluster_failures(rows, 9)] == [["a", "c"], ["b"]]


def test_a_large_group_is_parted_by_the_rare_words_that_its_rows_share() -> None:
    texts = {"a": "the fraud charge", "b": "the locked team", "c": "the fraud refund", "d": "the locked door"}
    rows = [failed(row_id, "x", "y", text) for row_id, text in texts.items()]
    clusters = cluster_failures(rows, 2)
    assert {frozenset(row.example_id for row in cluster) for cluster in clusters} == {
        frozenset("ac"), frozenset("bd"),
    }  # fmt: skip


CLUSTERS = """
import random
from promptprop.domain.selection import FailedRow, cluster_failures
rng = random.Random(5)
words = ["word" + letter * 3 for letter in "abcdefghijklmnopqrst"]
rows = [FailedRow(f"r{n:03}", {"text": " ".join(rng.sample(words, 8))}, "a", "b", "") for n in range(200)]
print([[row.example_id for row in cluster] for cluster in cluster_failures(rows, 6)])
"""


def test_another_process_clusters_the_same_way() -> None:
    """Sets are walked in another order in each process; a resumed run must see the clusters that it saw before."""
    found = set()
    for seed in ("1", "2", "4"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[3])}
        command = [sys.executable, "-c", CLUSTERS]
        found.add(subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout)
    assert len(found) == 1


def test_no_failures_make_no_clusters() -> None:
    assert cluster_failures([], 5) == []


# --- standings and parents ------------------------------------------------------------------------------------------


@given(st.lists(SCORES, max_size=30))
def test_a_standing_holds_the_mean_and_an_error_that_is_never_zero(scores: list[float]) -> None:
    standing = standing_of("a", scores, 10)
    assert standing.rows == len(scores)
    assert standing.mean == pytest.approx(sum(scores) / len(scores) if scores else 0.0)
    assert standing.error > 0
    assert standing.lower < standing.mean + 1e-12


def test_a_candidate_without_rows_stands_below_every_other() -> None:
    assert standing_of("a", [], 10).lower < standing_of("b", [0.0], 10).lower


def test_the_best_is_the_parent_where_nothing_is_explored_or_nobody_wins_a_row() -> None:
    scores = {"best": {"r": 0.0}, "other": {"r": 1.0}}
    assert choose_parent(random.Random(1), "best", scores, 0.0) == ("best", "the best so far")
    assert choose_parent(random.Random(1), "best", {"best": {"r": 1.0}, "other": {"r": 1.0}}, 1.0)[0] == "best"
    assert choose_parent(random.Random(1), "best", {}, 1.0)[0] == "best"


def test_a_pareto_winner_is_explored_with_the_chance_asked_for_and_by_the_rows_that_it_wins() -> None:
    scores = {"best": {"r1": 0.0, "r2": 0.0, "r3": 0.0, "r4": 1.0}, "a": {"r1": 1.0, "r2": 1.0, "r3": 1.0},
              "b": {"r1": 1.0, "r4": 0.5}}  # fmt: skip
    rng = random.Random(7)
    drawn = Counter(choose_parent(rng, "best", scores, 0.4) for _ in range(4000))
    shares = {name: count / 4000 for (name, _), count in drawn.items()}
    assert shares["best"] == pytest.approx(0.6, abs=0.05)
    assert shares["a"] == pytest.approx(0.3, abs=0.05)
    assert shares["b"] == pytest.approx(0.1, abs=0.05)
    assert ("a", "wins rows that the best one loses") in drawn


@given(st.integers(), st.floats(0, 1))
def test_the_same_randomness_chooses_the_same_parent(seed: int, explore: float) -> None:
    scores = {"best": {"r": 0.0}, "a": {"r": 1.0}, "b": {"r": 0.5}}
    first = choose_parent(random.Random(seed), "best", scores, explore)
    assert choose_parent(random.Random(seed), "best", dict(reversed(scores.items())), explore) == first


def test_only_rows_that_both_have_met_are_won() -> None:
    scores = {"best": {"r1": 0.5, "r2": 1.0}, "a": {"r1": 0.5, "r2": 0.9, "r3": 1.0}, "b": {"r1": 0.6, "r3": 1.0}}
    assert pareto_wins(scores, "best") == {"b": 1}
    assert pareto_wins(scores, "unheard-of") == {}


# --- beliefs --------------------------------------------------------------------------------------------------------

BELIEFS = st.builds(Belief, st.floats(-0.5, 0.5), st.floats(0.02, 0.5))
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=40)


@given(BELIEFS, st.floats(-1, 1))
def test_the_chance_is_a_probability_and_turns_round_with_its_sign(belief: Belief, least: float) -> None:
    mirrored = Belief(-belief.mean, belief.error)
    assert 0 <= belief.chance_above(least) <= 1
    assert mirrored.chance_above(-least) == pytest.approx(1 - belief.chance_above(least))


@given(BELIEFS, PAIRS)
def test_rows_make_one_surer_and_move_a_belief_towards_what_they_say(
    belief: Belief, pairs: list[tuple[float, float]]
) -> None:
    before, after = [one for one, _ in pairs], [two for _, two in pairs]
    said = sum(after) / len(after) - sum(before) / len(before)
    learned = update(belief, before, after)
    assert learned.error < belief.error
    assert min(belief.mean, said) - 1e-9 <= learned.mean <= max(belief.mean, said) + 1e-9


@given(st.floats(0.05, 1), st.integers(1, 40))
def test_more_rows_of_the_same_gain_make_one_surer(gain: float, rows: int) -> None:
    doubtful = Belief(0.0, 0.1)
    fewer = update(doubtful, [0.0] * rows, [gain] * rows)
    more = update(doubtful, [0.0] * (rows + 1), [gain] * (rows + 1))
    assert more.chance_above() >= fewer.chance_above() > 0.5


def test_a_belief_and_rows_are_weighed_by_their_precision() -> None:
    # mean 0.5 over four rows; their error: the spread 4 × 0.25 and two pseudo-rows of the scores' variance 0.1875
    before, after = [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]
    precision = 5 * 4 / (4 * 0.25 + 2 * 0.1875)
    learned = update(Belief(0.1, 0.2), before, after)
    assert learned.mean == pytest.approx((0.5 * precision + 0.1 * 25) / (precision + 25))
    assert learned.error == pytest.approx((precision + 25) ** -0.5)


def test_a_small_gain_of_graded_scores_weighs_as_much_as_a_large_one_of_binary_scores() -> None:
    binary_before, binary_after = [0.0, 1.0] * 15, [1.0, 1.0, 0.0, 1.0] * 7 + [1.0, 1.0]
    graded_before, graded_after = ([0.8 + score / 10 for score in scores] for scores in (binary_before, binary_after))
    coarse = update(Belief(0.0, 1.0), binary_before, binary_after)
    fine = update(Belief(0.0, 0.1), graded_before, graded_after)
    assert fine.chance_above() == pytest.approx(coarse.chance_above())
    assert fine.mean == pytest.approx(coarse.mean / 10)


@given(st.lists(SCORES, max_size=20))
def test_the_variance_of_scores_is_never_zero_and_never_above_a_coins(scores: list[float]) -> None:
    assert 0 < variance_of(scores) <= 0.25 + 1e-12


# --- odds of hypotheses ---------------------------------------------------------------------------------------------


def test_the_error_of_a_panel_is_what_its_jurors_differ_by_beyond_their_usual_distance() -> None:
    strict_and_kind = [{"a": 0.2, "b": 0.6}, {"a": 0.4, "b": 0.8}]
    assert panel_error(strict_and_kind) == pytest.approx(0)
    assert panel_error([{"a": 0.5}, {"b": 0.7}]) == 0.0
    assert panel_error([]) == 0.0
    unsteady = [{"a": 0.2, "b": 0.6}, {"a": 0.6, "b": 0.2}]
    assert panel_error(unsteady) == pytest.approx(0.2)


def test_panels_that_agree_within_themselves_are_sure_however_much_they_differ_from_each_other() -> None:
    tone = [{"tone/a": 0.9, "tone/b": 0.9}, {"tone/a": 0.1, "tone/b": 0.1}]
    facts = [{"facts/a": 0.1, "facts/b": 0.1}, {"facts/a": 0.9, "facts/b": 0.9}]
    assert panel_error([*tone, *facts]) == pytest.approx(0)


def test_kinds_are_drawn_by_how_often_they_were_promoted() -> None:
    record = {"cause": (8, 10), "format": (0, 6), "restart": (0, 0)}
    drawn = Counter(draw_kinds(random.Random(3), record, 9000))
    total = 9 / 12 + 1 / 8 + 1 / 2
    assert drawn["cause"] / 9000 == pytest.approx(9 / 12 / total, abs=0.02)
    assert drawn["format"] / 9000 == pytest.approx(1 / 8 / total, abs=0.02)
    assert drawn["restart"] / 9000 == pytest.approx(1 / 2 / total, abs=0.02)


@given(st.integers(), st.integers(0, 9))
def test_the_order_of_the_record_changes_no_draw(seed: int, count: int) -> None:
    record = {"cause": (1, 2), "format": (0, 6), "restart": (0, 0)}
    kinds = draw_kinds(random.Random(seed), record, count)
    assert len(kinds) == count
    assert draw_kinds(random.Random(seed), dict(reversed(record.items())), count) == kinds


def test_without_kinds_nothing_is_drawn() -> None:
    assert draw_kinds(random.Random(1), {}, 3) == []
