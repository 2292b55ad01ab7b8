"""Fixes: what a critique explains, which ones a rewrite carries, and what is learned from its screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.models import Critique
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.fixes import LARGEST_BUNDLE, Cause, Fix, Pool, fixes_of


def failed(name: str) -> FailedRow:
    return FailedRow(name, {"text": name}, "a", "b", "")


def fix(name: str, weight: float = 1.0, state: str = "new") -> Fix:
    return Fix(Critique("main", "c", f"fix {name}"), (failed(name),), weight, state)  # type: ignore[arg-type]


def written(*examples: str) -> Critique:
    return Critique("main", "c", "f", examples)


def test_a_critique_goes_with_the_failures_that_it_names_and_the_rest_of_their_cause() -> None:
    one = Cause((failed("a"), failed("b")), (failed("c"),))
    two = Cause((failed("x"), failed("y")), (failed("z"),))
    (first, second) = fixes_of([[one, two]], [[written("a", "b"), written("x")]], 2.0)
    assert [row.example_id for row in first.rows] == ["a", "b", "c"]
    assert [row.example_id for row in second.rows] == ["x"], "half of a cause is not most of it"
    assert (first.weight, second.weight) == (6.0, 2.0)


def test_a_critique_that_names_nothing_known_goes_with_all_of_its_group() -> None:
    (found,) = fixes_of([[Cause((failed("a"), failed("b")), (failed("c"),))]], [[written("unheard-of")]], 1.0)
    assert [row.example_id for row in found.rows] == ["a", "b", "c"]


def test_a_lost_critique_makes_no_fix() -> None:
    assert fixes_of([[Cause((failed("a"),))]], [()], 1.0) == []


@pytest.mark.parametrize(("scores", "state"), [({"a": 1.0}, "works"), ({"a": 0.49}, "failed"), ({"b": 1.0}, "new")])
def test_a_fix_works_where_half_of_its_rows_are_mended(scores: dict[str, float], state: str) -> None:
    one = fix("a")
    one.judge(scores)
    assert one.state == state


def test_a_bundle_carries_all_that_is_proven_and_the_heaviest_new_fixes() -> None:
    pool = Pool(1.0, [fix("old", state="works"), fix("bad", state="failed")])
    fresh = [fix("light", 1.0), fix("heavy", 3.0), fix("middle", 2.0)]
    bundles = pool.bundles(fresh, count=2, passes=2)
    assert [[one.critique.fix for one in bundle] for bundle in bundles] == [
        ["fix old", "fix heavy", "fix middle"], ["fix old", "fix light"],
    ]  # fmt: skip
    assert pool.bundles([], 2, 2) == [[pool.fixes[0]]]
    assert Pool(2.0).bundles([], 2, 2) == []
    assert pool.covered() == {"old"}


def test_what_the_parent_carries_or_what_failed_leaves_the_pool() -> None:
    carried, waiting = fix("a", state="works"), fix("b", state="works")
    pool = Pool(1.0, [carried, waiting, fix("c", state="failed")])
    pool.adopt([carried])
    assert pool.fixes == [waiting]


@given(st.lists(st.lists(st.booleans(), max_size=12), max_size=30))
def test_the_size_of_bundles_follows_what_rewrites_digest_and_keeps_its_bounds(rounds: list[list[bool]]) -> None:
    pool = Pool(4.0)
    for outcomes in rounds:
        before = pool.size
        pool.learn([fix(str(n), state="works" if won else "failed") for n, won in enumerate(outcomes)])
        assert 1 <= pool.size <= LARGEST_BUNDLE
        if len(outcomes) > 1 and all(outcomes):
            assert pool.size == min(before + 1, LARGEST_BUNDLE)
        if len(outcomes) > 1 and not any(outcomes):
            assert pool.size == max(before - 1, 1)
        if len(outcomes) < 2:
            assert pool.size == before
