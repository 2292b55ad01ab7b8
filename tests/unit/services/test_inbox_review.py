"""Reviews through the store: a run shows its rewrite, waits, and goes on as somebody rules elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from laboratory import Lab, decisions_of

from promptprop.domain.errors import Interrupted
from promptprop.domain.events import NoteLeft, RewriteReviewed
from promptprop.domain.models import Json
from promptprop.services.inbox_review import InboxReviewer

NewLab = Callable[[str], Lab]
TEXT = "You route messages of customers to a desk. One word.\n\nMessage: {{ text }}"
Act = Callable[[Lab, str, dict[str, Json]], Awaitable[Any]]


def ruling(candidate_id: str, action: str = "approve", prompts: Json = None, reason: str = "") -> dict[str, Json]:
    return {"candidate_id": candidate_id, "action": action, "prompts": prompts or {}, "reason": reason}


async def approve(lab: Lab, run_id: str, shown: dict[str, Json]) -> None:
    await lab.store.leave_wish(run_id, "rewrite_reviewed", ruling(shown["candidate"]["id"]), "alice")


async def reviewed(lab: Lab, run_id: str, *acts: Act) -> list[dict[str, Json]]:
    """Run with somebody who does one thing after another, and approves after that; returns what was shown each time."""
    shown: list[dict[str, Json]] = []
    left = list(acts)

    async def wait(seconds: float) -> None:
        assert seconds > 0
        lab.clock.seconds += 1000.0
        pending = lab.store.pending_review(run_id)
        assert pending is not None, "a run that waits shows what for"
        shown.append(dict(pending))
        await (left.pop(0) if left else approve)(lab, run_id, shown[-1])

    await lab.run(run_id, inbox=lab.store, reviewer=InboxReviewer(lab.store, run_id, wait))
    return shown


def reviews_of(lab: Lab, run_id: str) -> list[RewriteReviewed]:
    return [one.event for one in lab.store.events(run_id) if isinstance(one.event, RewriteReviewed)]


@pytest.mark.no_cover
async def test_what_is_approved_elsewhere_is_adopted_and_the_wait_costs_no_active_time(new_lab: NewLab) -> None:
    alone, lab = new_lab("alone"), new_lab("lab")
    await alone.run(await alone.new_run())
    run_id = await lab.new_run()
    shown = await reviewed(lab, run_id)
    assert shown
    assert [one.candidate_id for one in reviews_of(lab, run_id)] == [one["candidate"]["id"] for one in shown]
    assert set(shown[0]) == {"round", "candidate", "parent", "critiques", "screened", "raced", "calls"}
    assert shown[0]["candidate"]["prompts"]["main"] != shown[0]["parent"]["prompts"]["main"]
    assert decisions_of(lab.store.events(run_id)) == decisions_of(alone.store.events("run-1"))
    assert lab.engine().history(run_id).active_seconds < 1000
    assert lab.store.pending_review(run_id) is None
    assert lab.store.wishes(run_id) == []


@pytest.mark.no_cover
async def test_a_refusal_and_an_edit_count_as_at_the_terminal(lab: Lab) -> None:
    async def refuse(lab: Lab, run_id: str, shown: dict[str, Json]) -> None:
        word = ruling(shown["candidate"]["id"], "refuse", reason="it is rude")
        await lab.store.leave_wish(run_id, "rewrite_reviewed", word)

    async def edit(lab: Lab, run_id: str, shown: dict[str, Json]) -> None:
        word = ruling(shown["candidate"]["id"], "edit", {"main": TEXT}, "shorter")
        await lab.store.leave_wish(run_id, "rewrite_reviewed", word)

    run_id = await lab.new_run()
    shown = await reviewed(lab, run_id, refuse, edit)
    assert len(shown) > 1
    kinds = [one.candidate.hypothesis.kind for one in lab.store.candidates(run_id).values()]
    assert kinds.count("edit") == 1
    assert [one.action for one in reviews_of(lab, run_id)][:2] == ["refuse", "edit"]
    assert all(point.best_id != shown[0]["candidate"]["id"] for point in lab.engine().history(run_id).trajectory)


async def test_what_else_is_left_while_a_run_waits_counts_before_the_ruling(lab: Lab) -> None:
    async def note(lab: Lab, run_id: str, shown: dict[str, Json]) -> None:
        await lab.store.leave_wish(run_id, "note_left", {"text": "mind the tone"})
        await lab.store.leave_wish(run_id, "rewrite_reviewed", ruling("another"))
        await approve(lab, run_id, shown)

    run_id = await lab.new_run()
    await reviewed(lab, run_id, note)
    kinds = [one.event.kind for one in lab.store.events(run_id)]
    place = kinds.index("rewrite_reviewed")
    assert kinds[place - 1] == NoteLeft.kind
    said = [row.refused for row in lab.store.wish_rows(run_id)][:3]
    assert said == [
        None,
        "no rewrite 'another' waits for a ruling",
        None,
    ]


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ({"main": "no variable at all"}, "text"),
        ({"main": " "}, "not empty"),
        ({"other": TEXT}, "no step 'other'"),
        (None, "changes nothing"),
    ],
)
async def test_an_edit_that_cannot_stand_is_refused_and_the_run_waits_on(
    lab: Lab, prompts: dict[str, str] | None, words: str
) -> None:
    async def edit(lab: Lab, run_id: str, shown: dict[str, Json]) -> None:
        given = prompts or shown["candidate"]["prompts"]
        word = ruling(shown["candidate"]["id"], "edit", given, "x")
        await lab.store.leave_wish(run_id, "rewrite_reviewed", word)

    run_id = await lab.new_run()
    shown = await reviewed(lab, run_id, edit)
    assert shown[1]["candidate"]["id"] == shown[0]["candidate"]["id"], "asked once more"
    assert words in (lab.store.wish_rows(run_id)[0].refused or "")
    assert {one.action for one in reviews_of(lab, run_id)} == {"approve"}


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", ["paused", "cancelled"])
async def test_a_run_that_waits_can_be_ended_and_asks_again_when_it_is_taken_up(lab: Lab, kind: str) -> None:
    async def end(lab: Lab, run_id: str, _shown: dict[str, Json]) -> None:
        await lab.store.leave_wish(run_id, kind, {})

    run_id = await lab.new_run()
    with pytest.raises(Interrupted, match=f"was {kind}"):
        await reviewed(lab, run_id, end)
    assert lab.store.pending_review(run_id) is None
    assert reviews_of(lab, run_id) == []
    assert lab.store.wishes(run_id) == []
    await reviewed(lab, run_id)
    assert reviews_of(lab, run_id)


@pytest.mark.no_cover
async def test_a_ruling_on_record_is_not_asked_for_again(new_lab: NewLab) -> None:
    whole, cut = new_lab("whole"), new_lab("cut")
    run_id = await whole.new_run()
    count = len(await reviewed(whole, run_id))
    events = [one.event.kind for one in whole.store.events(run_id)]
    await cut.new_run()
    store = cut.store

    async def wait(_seconds: float) -> None:
        await approve(cut, run_id, dict(store.pending_review(run_id) or {}))

    reviewer = InboxReviewer(store, run_id, wait)
    await cut.run_and_die(run_id, events.index("rewrite_reviewed") + 1, inbox=store, reviewer=reviewer)
    assert len(reviews_of(cut, run_id)) == 1
    assert len(await reviewed(cut, run_id)) == count - 1
    assert decisions_of(cut.store.events(run_id)) == decisions_of(whole.store.events(run_id))


async def test_a_run_that_nobody_rules_on_pauses_with_its_rewrite_shown_and_goes_on_by_the_ruling(
    new_lab: NewLab,
) -> None:
    whole, slow = new_lab("whole"), new_lab("slow")
    run_id = await whole.new_run()
    await reviewed(whole, run_id)
    await slow.new_run()
    looks = []

    async def wait(_seconds: float) -> None:
        looks.append(1)

    with pytest.raises(Interrupted):
        await slow.run(run_id, inbox=slow.store, reviewer=InboxReviewer(slow.store, run_id, wait, patience=3))
    assert len(looks) == 6
    row = slow.store.run(run_id)
    assert (row.status, row.stop_reason) == ("stopped", "paused")
    shown = slow.store.pending_review(run_id)
    assert shown is not None
    await approve(slow, run_id, dict(shown))
    await reviewed(slow, run_id)
    assert reviews_of(slow, run_id)[0].candidate_id == shown["candidate"]["id"]
    assert slow.store.pending_review(run_id) is None
    assert decisions_of(slow.store.events(run_id)) == decisions_of(whole.store.events(run_id))
