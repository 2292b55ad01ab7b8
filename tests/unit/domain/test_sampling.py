"""Splits, slices, samples and blocks."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.config import SplitConfig
from promptprop.domain.errors import DataError
from promptprop.domain.models import Example, Row, Split
from promptprop.domain.sampling import blocks, cut, ratios_of, row_of, split_rows, spread, stratum_of, stream

RATIOS: dict[Split, float] = {"train": 0.4, "select": 0.3, "test": 0.3}
HALVES: dict[Split, float] = {"train": 0.5, "test": 0.5}


def singles(count: int, strata: int = 1) -> list[Row]:
    return [Row(f"r{number}", f"s{number % strata}", f"r{number}") for number in range(count)]


def ids(rows: Iterable[Row]) -> set[str]:
    return {row.id for row in rows}


@st.composite
def clustered_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of 12 to 40 clusters of 1 to 6 rows, in 1 to 4 strata that clusters may straddle."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=12, max_size=40))
    labels = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=7))
    members = [(number, member) for number, size in enumerate(sizes) for member in range(size)]
    return [
        Row(f"{number}.{member}", labels[(3 * number + member) % len(labels)], f"c{number}")
        for number, member in members
    ]


@given(clustered_rows(), st.integers())
def test_every_row_is_in_one_split_and_clusters_stay_whole(rows: list[Row], seed: int) -> None:
    parts = split_rows(rows, RATIOS, seed)
    assert sorted(row.id for part in parts.values() for row in part) == sorted(ids(rows))
    homes = defaultdict(set)
    for name, part in parts.items():
        for row in part:
            homes[row.cluster].add(name)
    assert all(len(found) == 1 for found in homes.values())


@given(clustered_rows(), st.integers(), st.randoms())
def test_the_order_of_the_rows_changes_nothing(rows: list[Row], seed: int, rng: random.Random) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert split_rows(shuffled, RATIOS, seed) == split_rows(rows, RATIOS, seed)
    assert cut(shuffled, 0.25, seed, "confirm") == cut(rows, 0.25, seed, "confirm")
    assert blocks(shuffled, 4, seed, "race") == blocks(rows, 4, seed, "race")
    assert spread(shuffled, 5, stream(seed)) == spread(rows, 5, stream(seed))


@given(clustered_rows(), st.integers())
def test_the_ratios_are_met_within_half_a_cluster(rows: list[Row], seed: int) -> None:
    largest = max(Counter(row.cluster for row in rows).values())
    for name, part in split_rows(rows, RATIOS, seed).items():
        assert abs(len(part) - RATIOS[name] * len(rows)) <= largest / 2 + 1


@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=200),
    st.tuples(*[st.floats(0.1, 1)] * 3),
    st.integers(),
)
def test_single_rows_meet_the_ratios_exactly_and_in_every_stratum(
    labels: list[int], sizes: tuple[float, float, float], seed: int
) -> None:
    rows = [Row(f"r{number}", f"s{label}", f"r{number}") for number, label in enumerate(labels)]
    ratios: dict[Split, float] = dict(zip(RATIOS, sizes, strict=True))
    whole = Counter(row.stratum for row in rows)
    for name, part in split_rows(rows, ratios, seed).items():
        share = ratios[name] / sum(sizes)
        assert abs(len(part) - share * len(rows)) < 1
        found = Counter(row.stratum for row in part)
        assert all(abs(found[stratum] - share * whole[stratum]) <= 1.5 for stratum in whole)


@given(st.integers(), st.integers(40, 200), st.integers(1, 5))
def test_one_more_row_moves_few_others(seed: int, count: int, strata: int) -> None:
    rows = singles(count, strata)
    before = split_rows(rows, RATIOS, seed)
    after = split_rows([*rows, Row("new", "s0", "new")], RATIOS, seed)
    moved = sum(len(ids(before[name]) - ids(after[name])) for name in before)
    assert moved <= 6


def test_another_seed_gives_another_split() -> None:
    rows = singles(100)
    assert ids(split_rows(rows, RATIOS, 1)["test"]) != ids(split_rows(rows, RATIOS, 2)["test"])


def test_a_split_is_the_same_on_every_machine_and_version() -> None:
    parts = split_rows(singles(8), HALVES, 7)
    assert {name: [row.id for row in part] for name, part in parts.items()} == {
        "train": ["r5", "r7", "r6", "r2"],
        "test": ["r1", "r4", "r3", "r0"],
    }
    assert stream(7, "round", 1).getrandbits(32) == 767472199


def test_a_cluster_larger_than_a_split_goes_where_it_harms_least() -> None:
    rows = [Row(f"r{number}", "s", name) for number, name in enumerate("AAAAAABCDE")]
    for seed in range(20):
        parts = split_rows(rows, RATIOS, seed)
        assert {name: len(part) for name, part in parts.items()} == {"train": 6, "select": 2, "test": 2}


def test_a_row_without_a_cluster_stands_alone() -> None:
    parts = split_rows([Row(f"r{number}", "s", "") for number in range(10)], HALVES, 1)
    assert len(parts["train"]) == len(parts["test"]) == 5


def test_many_strata_count_as_one() -> None:
    rows = [Row(f"r{number}", f"only {number}", f"r{number}") for number in range(40)]
    plain = [Row(row.id, "", row.cluster) for row in rows]
    found, expected = split_rows(rows, RATIOS, 3), split_rows(plain, RATIOS, 3)
    assert [ids(part) for part in found.values()] == [ids(part) for part in expected.values()]


def test_a_split_without_a_share_is_empty_and_no_error() -> None:
    parts = split_rows(singles(10), {"train": 0, "select": 0.5, "test": 0.5}, 1)
    assert parts["train"] == ()
    assert list(parts) == ["train", "select", "test"]


def test_the_ratios_of_a_configuration_come_in_the_order_of_the_splits() -> None:
    assert list(ratios_of(SplitConfig(train=0.5, select=0.2, test=0.3)).items()) == [
        ("train", 0.5),
        ("select", 0.2),
        ("test", 0.3),
    ]


@pytest.mark.parametrize("ratios", [{"train": -1.0, "test": 2.0}, {"train": 0.0}, {"train": float("nan")}, {}])
def test_shares_that_are_none_are_refused(ratios: dict[Split, float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        split_rows(singles(4), ratios, 1)


def test_an_empty_split_is_named_with_the_rows_there_are() -> None:
    rows = [Row(f"r{number}", "s", f"c{number % 2}") for number in range(9)]
    with pytest.raises(DataError, match=r"the split '(train|select|test)' ends empty: there are 9 rows in 2 clusters"):
        split_rows(rows, RATIOS, 1)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(DataError, match="no rows"):
        split_rows([], RATIOS, 1)


def test_rows_that_carry_a_split_keep_it() -> None:
    names: tuple[Split, ...] = ("train", "train", "select", "test")
    rows = [Row(f"r{number}", "s", f"r{number}", name) for number, name in enumerate(names)]
    parts = split_rows(rows, RATIOS, 1)
    assert {name: ids(part) for name, part in parts.items()} == {
        "train": {"r0", "r1"},
        "select": {"r2"},
        "test": {"r3"},
    }


def test_a_carried_split_that_is_needed_and_empty_is_an_error() -> None:
    with pytest.raises(DataError, match="'select' ends empty"):
        split_rows([Row("a", "s", "a", "train"), Row("b", "s", "b", "test")], RATIOS, 1)


def test_rows_of_which_only_some_carry_a_split_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 rows carry no split, such as 'b'"):
        split_rows([Row("a", "s", "a", "train"), Row("b", "s", "b")], RATIOS, 1)


@given(clustered_rows(), st.floats(0, 1), st.integers())
def test_a_cut_parts_the_rows_with_clusters_whole(rows: list[Row], share: float, seed: int) -> None:
    kept, slice_ = cut(rows, share, seed, "confirm")
    assert ids(kept) | ids(slice_) == ids(rows)
    assert not ids(kept) & ids(slice_)
    assert not {row.cluster for row in kept} & {row.cluster for row in slice_}
    assert abs(len(slice_) - share * len(rows)) <= 4


def test_a_cut_is_stratified_and_depends_on_its_purpose() -> None:
    rows = singles(80, strata=4)
    _, slice_ = cut(rows, 0.25, 1, "confirm")
    assert Counter(row.stratum for row in slice_) == {"s0": 5, "s1": 5, "s2": 5, "s3": 5}
    assert slice_ != cut(rows, 0.25, 1, "other")[1]


def test_a_share_outside_of_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        cut(singles(3), 1.5, 1, "confirm")


@given(clustered_rows(), st.integers(0, 60), st.integers())
def test_a_spread_sample_is_distinct_and_takes_turns_over_the_strata(rows: list[Row], count: int, seed: int) -> None:
    sample = spread(rows, count, stream(seed))
    assert len(sample) == len(ids(sample)) == min(count, len(rows))
    whole, found = Counter(row.stratum for row in rows), Counter(row.stratum for row in sample)
    open_strata = [found[name] for name in whole if found[name] < whole[name]]
    assert not open_strata or max(found.values(), default=0) - min(open_strata) <= 1


@given(clustered_rows(), st.integers(1, 9), st.integers())
def test_blocks_hold_every_row_once_and_every_stretch_is_stratified(rows: list[Row], size: int, seed: int) -> None:
    found = blocks(rows, size, seed, "race")
    assert all(len(block) == size for block in found[:-1])
    order = [row for block in found for row in block]
    assert len(order) == len(rows)
    assert ids(order) == ids(rows)
    whole = Counter(row.stratum for row in rows)
    for end in range(len(order)):
        head = Counter(row.stratum for row in order[:end])
        assert all(abs(head[name] - end * whole[name] / len(rows)) <= len(whole) for name in whole)


def test_a_block_of_no_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        blocks(singles(3), 0, 1, "race")


def test_streams_of_different_purposes_differ() -> None:
    draws = [stream(*key).random() for key in ((1,), (2,), (1, "a"), (1, "a", 1), (1, "a", "1"), (1, "a1"))]
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize(
    ("expected", "stratum"),
    [("spam", "spam"), (3, "3"), (False, "false"), (None, ""), ({"a": 1}, ""), ([1], ""), ("x" * 61, ""), ("a\nb", "")],
)
def test_short_scalars_are_strata_and_nothing_else(expected: object, stratum: str) -> None:
    assert stratum_of(expected) == stratum


def test_rows_with_equal_inputs_share_a_cluster_unless_one_is_given() -> None:
    one, two = (row_of(Example(name, {"text": "same"}, "label")) for name in "ab")
    assert one.cluster == two.cluster
    assert row_of(Example("a", {"text": "same"}, cluster="own", split="test")) == Row("a", "", "own", "test")
