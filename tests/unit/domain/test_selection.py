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
    FailedRow,
    Standing,
    chance_better,
    choose_parent,
    cluster_failures,
    draw_kinds,
    pareto_wins,
    race_outcome,
    standing_of,
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


def test_the_best_lower_bound_is_the_parent_when_nothing_is_explored() -> None:
    standings = [Standing("lucky", 1.0, 0.5, 2, 10), Standing("sure", 0.8, 0.1, 50, 10)]
    assert choose_parent(random.Random(1), standings, {}, 1.0) == ("sure", "best lower bound on select")


def test_of_equal_candidates_the_shorter_one_is_the_parent() -> None:
    standings = [Standing("long", 0.8, 0.1, 50, 90), Standing("short", 0.8, 0.1, 50, 10)]
    for order in (standings, standings[::-1]):
        assert choose_parent(random.Random(1), order, {}, 0.0)[0] == "short"


def test_a_pareto_winner_is_explored_with_the_chance_asked_for_and_by_the_rows_that_it_wins() -> None:
    standings = [Standing("best", 0.8, 0.1, 50, 10), Standing("a", 0.5, 0.1, 50, 10), Standing("b", 0.5, 0.1, 50, 10)]
    scores = {"best": {"r1": 0.0, "r2": 0.0, "r3": 0.0, "r4": 1.0}, "a": {"r1": 1.0, "r2": 1.0, "r3": 1.0},
              "b": {"r1": 1.0, "r4": 0.5}}  # fmt: skip
    rng = random.Random(7)
    drawn = Counter(choose_parent(rng, standings, scores, 0.4) for _ in range(4000))
    shares = {name: count / 4000 for (name, _), count in drawn.items()}
    assert shares["best"] == pytest.approx(0.6, abs=0.05)
    assert shares["a"] == pytest.approx(0.3, abs=0.05)
    assert shares["b"] == pytest.approx(0.1, abs=0.05)
    assert ("a", "wins rows that the best one loses") in drawn


@given(st.integers(), st.floats(0, 1))
def test_the_same_randomness_chooses_the_same_parent(seed: int, explore: float) -> None:
    standings = [Standing("best", 0.8, 0.1, 50, 10), Standing("a", 0.5, 0.1, 50, 10)]
    scores = {"best": {"r": 0.0}, "a": {"r": 1.0}}
    first = choose_parent(random.Random(seed), standings, scores, explore)
    assert choose_parent(random.Random(seed), standings[::-1], dict(reversed(scores.items())), explore) == first


def test_only_rows_that_both_have_met_are_won() -> None:
    scores = {"best": {"r1": 0.5, "r2": 1.0}, "a": {"r1": 0.5, "r2": 0.9, "r3": 1.0}, "b": {"r1": 0.6, "r3": 1.0}}
    assert pareto_wins(scores, "best") == {"b": 1}
    assert pareto_wins(scores, "unheard-of") == {}


# --- races ----------------------------------------------------------------------------------------------------------


@given(DIFFERENCES)
def test_the_chance_is_a_probability_and_turns_round_with_its_sign(differences: list[float]) -> None:
    chance = chance_better(differences)
    assert 0 <= chance <= 1
    assert chance_better([-difference for difference in differences]) == pytest.approx(1 - chance)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(0, 0.5))
def test_the_chance_never_falls_when_every_row_gets_better(differences: list[float], shift: float) -> None:
    better = [difference + shift for difference in differences]
    assert chance_better(better) >= chance_better(differences) - 1e-9


@given(st.floats(0.05, 1), st.integers(1, 40))
def test_more_rows_of_the_same_gain_make_one_surer(gain: float, rows: int) -> None:
    assert chance_better([gain] * (rows + 1)) >= chance_better([gain] * rows)
    assert chance_better([gain] * rows) > 0.5


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=40), st.booleans(), st.booleans(), THRESHOLDS)
def test_a_race_ends_as_its_chance_says(
    pairs: list[tuple[float, float]], shorter: bool, at_cap: bool, thresholds: tuple[float, float]
) -> None:
    drop, promote = thresholds
    before, after = [one for one, _ in pairs], [two for _, two in pairs]
    differences = [two - one for one, two in pairs]
    chance = chance_better(differences, variance_of([*before, *after]))
    outcome = race_outcome(before, after, shorter=shorter, at_cap=at_cap, promote=promote, drop=drop)
    if chance < drop:
        assert outcome == "dropped"
    elif not at_cap:
        assert outcome is None
    elif chance >= promote:
        assert outcome == "promoted"
    else:
        gained = not differences or sum(differences) >= 0
        assert outcome == ("promoted" if shorter and gained else "undecided")


@pytest.mark.parametrize(
    ("differences", "shorter", "at_cap", "outcome"),
    [
        ([-1.0] * 20, True, False, "dropped"),
        ([1.0] * 20, False, False, None),
        ([1.0] * 20, False, True, "promoted"),
        ([0.0] * 20, True, True, "promoted"),
        ([0.0] * 20, False, True, "undecided"),
        ([0.1, -0.2] * 5, True, True, "undecided"),
        ([], False, False, None),
        ([], True, True, "promoted"),
    ],
)
def test_what_a_race_says(differences: list[float], shorter: bool, at_cap: bool, outcome: str | None) -> None:
    before, after = [max(0.0, -step) for step in differences], [max(0.0, step) for step in differences]
    assert race_outcome(before, after, shorter=shorter, at_cap=at_cap, promote=0.9, drop=0.1) == outcome


def test_a_small_gain_of_graded_scores_weighs_as_much_as_a_large_one_of_binary_scores() -> None:
    binary_before, binary_after = [0.0, 1.0] * 15, [1.0, 1.0, 0.0, 1.0] * 7 + [1.0, 1.0]
    graded_before, graded_after = ([0.8 + score / 10 for score in scores] for scores in (binary_before, binary_after))
    gains = [after - before for before, after in zip(binary_before, binary_after, strict=True)]
    small = [after - before for before, after in zip(graded_before, graded_after, strict=True)]
    assert chance_better(small, variance_of([*graded_before, *graded_after])) == pytest.approx(
        chance_better(gains, variance_of([*binary_before, *binary_after]))
    )
    assert chance_better(small) < chance_better(gains)


# --- odds of hypotheses ---------------------------------------------------------------------------------------------


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
