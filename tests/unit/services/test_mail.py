"""The inbox of a run: wishes are taken between decisions, each once, and a replay meets them where they took effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from interruptions import Letters, interventions_of, wished_at_any_moment
from laboratory import Lab, Listener, MovableClock, brief_of, comparable, decisions_of, lifecycle_of

from promptprop.domain.errors import Interrupted, StorageError, StorageFull
from promptprop.domain.events import Event, NoteLeft
from promptprop.domain.people import Ending, Wish
from promptprop.services.mail import EVERY, Mail

NewLab = Callable[[str], Lab]


async def run_with(lab: Lab, inbox: Any, run_id: str = "run-1", **options: Any) -> Any:
    """Run, with every moment long enough for a look into the inbox."""
    lab.seconds_a_call = EVERY
    return await lab.run(run_id, inbox=inbox, **options)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(2))
async def test_wishes_of_any_moment_are_met_again_where_they_took_effect(
    new_lab: NewLab, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptprop.services.mail.EVERY", 0.0)  # or where a wish is taken would depend on the time
    await wished_at_any_moment(new_lab, seed, deaths=2)  # more in a campaign


async def test_a_wish_is_taken_while_the_run_goes_on_and_says_whose_it_is(lab: Lab) -> None:
    run_id = await lab.new_run()
    left = asyncio.Event()

    def leave(count: int) -> None:
        if count == 5:
            pending.append(asyncio.ensure_future(lab.store.leave_wish(run_id, "note_left", {"text": "be kind"}, "bob")))

    pending: list[asyncio.Future[Wish]] = []
    report = await run_with(lab, lab.store, run_id, sinks=[Listener(leave)])
    wish = pending[0].result()
    (noted,) = [one for one in lab.store.events(run_id) if isinstance(one.event, NoteLeft)]
    assert not left.is_set()
    assert report.history.notes == ("be kind",)
    assert (noted.meta["wish"], noted.meta["author"]) == (wish.id, "bob")
    row = lab.store.wish_row(run_id, wish.id)
    assert row is not None
    assert row.taken_at is not None
    assert row.refused is None


@pytest.mark.no_cover
async def test_an_inbox_in_which_nothing_lies_changes_nothing(new_lab: NewLab) -> None:
    alone, watched = new_lab("alone"), new_lab("watched")
    reference = await alone.run(await alone.new_run())
    report = await watched.run(await watched.new_run(), inbox=watched.store)
    assert comparable(report) == comparable(reference)
    assert decisions_of(watched.store.events("run-1")) == decisions_of(alone.store.events("run-1"))


@pytest.mark.no_cover
async def test_what_cannot_be_is_refused_with_the_reason_and_ends_nothing(new_lab: NewLab) -> None:
    alone, watched = new_lab("alone"), new_lab("watched")
    await alone.run(await alone.new_run())
    run_id = await watched.new_run()
    brief = brief_of(watched.store, watched.store.run(run_id))
    override = {"candidate_id": brief.seeds[0].id, "score": 1, "reason": "x"}
    ruling = {"candidate_id": brief.seeds[0].id, "action": "approve", "prompts": {}, "reason": ""}
    plan = [
        (3, "score_overridden", {**override, "example_id": brief.test[0].id}),
        (3, "score_overridden", {**override, "example_id": "no row"}),
        (3, "score_overridden", {**override, "example_id": brief.train[0].id, "candidate_id": "nobody"}),
        (4, "rewrite_reviewed", ruling),
        (5, "unheard_of", {}),
        (6, "note_left", {"text": 5}),
    ]
    letters = Letters(watched, run_id, plan)
    await run_with(watched, letters)
    words = ["sealed", "scores no row", "no candidate", "waits for a ruling", "nothing to ask", "strings"]
    assert [word in (letters.settled[number] or "") for number, word in enumerate(words)] == [True] * 6
    assert decisions_of(watched.store.events(run_id)) == decisions_of(alone.store.events("run-1"))
    assert interventions_of(watched.store.events(run_id)) == []


@pytest.mark.no_cover
@pytest.mark.parametrize(("kind", "status"), [("paused", "stopped"), ("cancelled", "cancelled")])
async def test_a_run_that_is_paused_or_cancelled_says_so_and_can_be_taken_up(
    new_lab: NewLab, kind: str, status: str
) -> None:
    whole, lab = new_lab("whole"), new_lab("lab")
    reference = await whole.run(await whole.new_run())
    run_id = await lab.new_run()
    letters = Letters(lab, run_id, [(6, kind, {})])
    with pytest.raises(Interrupted, match=f"was {kind}"):
        await run_with(lab, letters)
    row = lab.store.run(run_id)
    assert (row.status, row.stop_reason) == (status, kind)
    assert lab.engine().history(run_id).status == status
    assert letters.settled == {0: None}, "the wish is fulfilled, and does not end the next attempt"
    resumed = await run_with(lab, letters)
    assert lab.store.run(run_id).status == "finished"
    assert lab.store.run(run_id).stop_reason != kind
    assert decisions_of(lab.store.events(run_id)) == decisions_of(whole.store.events("run-1"))
    assert resumed.winner == reference.winner


async def test_a_run_that_is_cancelled_before_its_first_call_makes_none(lab: Lab) -> None:
    run_id = await lab.new_run()
    await lab.store.leave_wish(run_id, "cancelled", {})
    with pytest.raises(Interrupted, match="was cancelled"):
        await lab.run(run_id, inbox=lab.store)
    assert not lab.sent
    assert lifecycle_of(lab.store.events(run_id)) == ["run_started", "run_stopped"]
    assert lab.store.wishes(run_id) == []


@pytest.mark.parametrize("kind", ["paused", "cancelled", "interrupted"])
async def test_a_cancellation_from_outside_ends_as_the_inbox_says(lab: Lab, kind: str) -> None:
    run_id = await lab.new_run()
    if kind != "interrupted":
        await lab.store.leave_wish(run_id, kind, {})
    task = asyncio.ensure_future(
        lab.run(run_id, inbox=lab.store, sinks=[Listener(lambda count: task.cancel() if count == 1 else None)])
    )
    with pytest.raises(Interrupted, match=f"was {kind}"):
        await task
    assert lab.store.run(run_id).stop_reason == kind


async def test_a_run_is_ended_in_the_middle_of_a_decision(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptprop.services.mail.WATCHED", 0.001)
    run_id = await lab.new_run()
    slow = asyncio.Event()
    lab.latency = lambda: 0.2 if slow.is_set() else 0.0

    def leave(count: int) -> None:
        if count == 3:  # the headroom is measured, and a round begins
            slow.set()
            left.append(asyncio.ensure_future(lab.store.leave_wish(run_id, "paused", {})))

    left: list[asyncio.Future[Wish]] = []
    sink = Listener(leave)
    with pytest.raises(Interrupted, match="was paused"):
        await lab.run(run_id, inbox=lab.store, sinks=[sink])
    assert lab.store.run(run_id).stop_reason == "paused"
    assert lab.store.wishes(run_id) == []
    assert [one.event.kind for one in lab.store.events(run_id)][3:] == ["run_stopped"], "it decided nothing more"


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_however_often_a_cancelled_run_is_cancelled_its_end_is_stored(lab: Lab, times: int) -> None:
    run_id = await lab.new_run()

    async def insist() -> None:
        await lab.store.leave_wish(run_id, "cancelled", {})
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)

    insisting: list[asyncio.Future[None]] = []
    sink = Listener(lambda count: insisting.append(asyncio.ensure_future(insist())) if count == 5 else None)
    task = asyncio.ensure_future(lab.run(run_id, inbox=lab.store, sinks=[sink]))
    with pytest.raises(Interrupted, match="was cancelled"):
        await task
    assert lab.store.run(run_id).status == "cancelled"
    assert lifecycle_of(lab.store.events(run_id)) == ["run_started", "run_stopped"]


async def test_a_cancellation_that_comes_when_all_is_done_leaves_a_finished_run(lab: Lab) -> None:
    run_id = await lab.new_run()

    def cancel(_count: int) -> None:
        if sink.events[-1].event.kind == "run_finished":
            task.cancel()

    sink = Listener(cancel)
    task = asyncio.ensure_future(lab.run(run_id, sinks=[sink]))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lab.store.events(run_id)[-1].event.kind == "run_finished"
    assert (lab.store.run(run_id).status, lab.engine().history(run_id).status) == ("finished", "finished")


async def test_wishes_that_come_too_late_are_refused(lab: Lab) -> None:
    run_id = await lab.new_run()
    late: list[asyncio.Future[Wish]] = []

    def leave(count: int) -> None:
        if count == 9:  # no second has passed since the first look, so there is no other one
            late.append(asyncio.ensure_future(lab.store.leave_wish(run_id, "note_left", {"text": "too late"})))

    await lab.run(run_id, inbox=lab.store, sinks=[Listener(leave)])
    row = lab.store.wish_row(run_id, (await late[0]).id)
    assert row is not None
    assert row.refused == "the run had come to its end"


class Sick:
    """An inbox that cannot be read or written."""

    def wishes(self, _run_id: str) -> list[Wish]:
        raise StorageFull("the disk is full")

    def ending(self, _run_id: str) -> Ending:
        raise StorageFull("the disk is full")


async def test_an_inbox_that_cannot_be_read_at_the_end_leaves_the_run_interrupted() -> None:
    async def record(_event: Event, _wish: Wish | None) -> None:
        raise AssertionError

    mail = Mail(Sick(), "run-1", MovableClock(), record)  # type: ignore[arg-type]
    assert mail.ending() == "interrupted"
    await mail.close()
    with pytest.raises(StorageError):
        await mail.take()


async def test_looks_into_the_inbox_are_half_a_second_apart(lab: Lab) -> None:
    async def record(_event: Event, _wish: Wish | None) -> None:
        raise AssertionError

    clock, letters = MovableClock(), Letters(lab, "run-1", [])
    lab.open()
    mail = Mail(letters, "run-1", clock, record)  # type: ignore[arg-type]
    seen = []
    for seconds in (0.0, 0.1, 0.4, 0.6, 0.9, 1.2):
        clock.seconds = seconds
        await mail.take()
        seen.append(letters.looks)
    assert seen == [1, 1, 1, 2, 2, 3]
