"""The archive: worth along ancestry, the best, and what ancestors have mended."""

from __future__ import annotations

from fake_bench import seed_candidate

from promptprop.domain.models import Candidate, Prompt
from promptprop.domain.selection import Belief
from promptprop.optimizers.archive import Archive

SEED = seed_candidate(0)


def grown(parent: Candidate, more: str) -> Candidate:
    return Candidate({"main": Prompt.of(parent.text + more)}, parents=(parent.id,))


def added(archive: Archive, parent: Candidate, more: str, gain: float) -> Candidate:
    candidate = grown(parent, more)
    archive.know(candidate)
    archive.add(candidate, parent, Belief(gain, 0.1), 10)
    return candidate


def test_worth_is_summed_along_the_ancestry() -> None:
    archive = Archive(SEED)
    first = added(archive, SEED, " a", 0.2)
    second = added(archive, first, " b", 0.1)
    other = added(archive, SEED, " c", 0.25)
    assert archive.choose([first.id, other.id]) is other
    assert archive.choose([second.id]) is second
    assert [one.id for one in archive.ranked()] == [second.id, other.id, first.id]


def test_a_candidate_that_was_not_promoted_never_leads() -> None:
    archive = Archive(SEED)
    added(archive, SEED, " a", 0.5)
    assert archive.choose([]) is SEED


def test_a_shorter_one_of_about_equal_worth_leads_and_a_longer_one_does_not() -> None:
    archive = Archive(SEED)
    long = added(archive, SEED, " many words that say nothing at all" * 3, 0.2)
    assert archive.choose([long.id]) is long
    short = added(archive, SEED, " x", 0.19)
    assert archive.choose([short.id]) is short
    longer = added(archive, SEED, " and again many words", 0.185)
    assert archive.choose([longer.id]) is short


def test_the_lineage_ends_at_what_is_unknown_and_carries_what_was_mended() -> None:
    archive = Archive(SEED)
    archive.know(SEED)
    first = added(archive, SEED, " a", 0.1)
    second = added(archive, first, " b", 0.1)
    archive.mended = {first.id: [["r1", "r2"]], second.id: [["r3"]]}
    assert archive.lineage(second) == [second, first, SEED]
    assert archive.mended_by(second) == [["r3"], ["r1", "r2"]]
    assert archive.lineage(grown(grown(SEED, "?"), "!")) == [grown(grown(SEED, "?"), "!")]
