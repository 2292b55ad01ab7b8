"""The engine: fresh runs, resumption from any place, failures, budgets, interventions, sinks and locks."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from interruptions import OPTIONS, cancelled_anywhere, killed_anywhere
from laboratory import Lab, Listener, MortalStore, comparable, decisions_of, seeded_latency

from promptprop.adapters.storage.store import SqlStore
from promptprop.domain.errors import (
    AuthenticationFailed,
    Interrupted,
    ReplayDiverged,
    RequestRefused,
    RunLocked,
    StorageFull,
    TooManyErrors,
    UsageError,
)
from promptprop.domain.events import StoredEvent
from promptprop.domain.models import ModelRequest
from promptprop.ports import RunRow
from promptprop.services.course import Assembly
from promptprop.services.desk import Interventions
from promptprop.services.engine import Engine

NewLab = Callable[[str], Lab]
RETRY = Interventions(retry_errors=True)
REFUSED = RequestRefused("the provider does not accept this")


def no_fault(_request: ModelRequest, _nth: int) -> None:
    """All is well again."""


def kinds(lab: Lab, run_id: str) -> list[str]:
    return [stored.event.kind for stored in lab.store.events(run_id)]


async def test_a_fresh_run_is_stored_from_its_start_to_its_end(lab: Lab) -> None:
    run_id = await lab.new_run()
    sink = Listener()
    report = await lab.run(run_id, sinks=[sink])
    stored = lab.store.events(run_id)
    row = lab.store.run(run_id)
    assert [one.seq for one in stored] == list(range(1, len(stored) + 1))
    assert kinds(lab, run_id)[0] == "run_started"
    assert kinds(lab, run_id)[-2:] == ["winner_tested", "run_finished"]
    assert [one.seq for one in sink.events] == [one.seq for one in stored]
    assert sink.ticks
    assert sink.closed == 1
    assert row.status == "finished"
    assert row.summary["calls"] == sum(lab.sent.values()) == report.history.spend.total.calls
    assert {version.aliases for version in lab.store.prompts()} == {("seed",), ("unproven",)}


@pytest.mark.no_cover
async def test_a_finished_run_only_shows_its_report(lab: Lab) -> None:
    run_id = await lab.new_run()
    first = await lab.run(run_id)
    calls, events = sum(lab.sent.values()), len(lab.store.events(run_id))
    again = await lab.run(run_id)
    assert comparable(again) == comparable(first)
    assert (sum(lab.sent.values()), len(lab.store.events(run_id))) == (calls, events)
    with pytest.raises(UsageError, match="finished"):
        await lab.run(run_id, interventions=RETRY)


@pytest.mark.no_cover
@pytest.mark.parametrize("optimizer", OPTIONS)
async def test_a_run_cancelled_at_any_decision_goes_on_to_the_same_end(new_lab: NewLab, optimizer: str) -> None:
    await cancelled_anywhere(new_lab, optimizer, 4 if optimizer == "backprop" else 2)  # more in a campaign


class Interrupting(MortalStore):
    """A store during whose first write the run is interrupted."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store, 0, Interrupted("unused"))
        self.victim: asyncio.Task[object] | None = None

    async def append(self, event: StoredEvent) -> None:
        victim, self.victim = self.victim, None
        if victim is not None:
            victim.cancel()
        await self._store.append(event)


async def test_a_run_interrupted_while_its_first_event_is_written_is_stopped_and_goes_on_to_the_same_end(
    new_lab: NewLab,
) -> None:
    whole, cut = new_lab("whole"), new_lab("cut")
    reference = await whole.run(await whole.new_run())
    run_id = await cut.new_run()
    for begun in ("run_started", "run_resumed", "run_resumed"):
        store = Interrupting(cut.open())
        store.victim = run = asyncio.ensure_future(cut.run(run_id, store))
        with pytest.raises(Interrupted):
            await run
        assert kinds(cut, run_id)[-2:] == [begun, "run_stopped"]
        assert cut.store.run(run_id).status == "stopped"
    assert comparable(await cut.run(run_id)) == comparable(reference)


async def test_an_interrupt_while_a_run_replays_leaves_its_summary_as_it_was(lab: Lab) -> None:
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 20)
    before = lab.store.run(run_id).summary
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 3)
    assert lab.store.run(run_id).summary == before


@pytest.mark.no_cover
@pytest.mark.parametrize("optimizer", OPTIONS)
async def test_a_killed_run_goes_on_to_the_same_end_and_repeats_no_committed_call(
    new_lab: NewLab, optimizer: str
) -> None:
    await killed_anywhere(new_lab, optimizer, 4 if optimizer == "backprop" else 2)  # more in a campaign


@pytest.mark.no_cover
async def test_a_run_killed_again_and_again_still_comes_to_the_same_end(new_lab: NewLab) -> None:
    whole, cut = new_lab("whole"), new_lab("cut")
    reference = await whole.run(await whole.new_run())
    run_id = await cut.new_run()
    for _ in range(6):
        await cut.run_and_die(run_id, 8)
    assert comparable(await cut.run(run_id)) == comparable(reference)
    assert decisions_of(cut.store.events(run_id)) == decisions_of(whole.store.events("run-1"))


@pytest.mark.no_cover
async def test_spend_and_seconds_never_fall_while_a_run_is_resumed(lab: Lab) -> None:
    lab.seconds_a_call = 1.0
    run_id = await lab.new_run()
    await lab.run_and_die(run_id, 30)
    before = lab.engine().history(run_id)
    await lab.run_and_die(run_id, 1)
    after = lab.engine().history(run_id)
    assert after.resumed == 1
    assert after.spend.total == before.spend.total
    assert after.active_seconds >= before.active_seconds > 0


async def test_a_tampered_decision_is_named(lab: Lab) -> None:
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 20)
    with closing(sqlite3.connect(f"{lab.folder}/lab.db")) as connection, connection:
        changed = connection.execute(
            "UPDATE events SET body = json_set(body, '$.failing', 3) WHERE kind = 'headroom_measured'"
        )
        assert changed.rowcount == 1
    with pytest.raises(ReplayDiverged, match=r"event 3: headroom_measured\.failing was 3, is 4") as diverged:
        await lab.run(run_id)
    assert diverged.value.exit_code == 70
    assert lab.store.run(run_id).stop_reason == "failed"


@pytest.mark.no_cover
async def test_a_sink_that_raises_is_left_out_and_the_run_goes_on(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    def fail(count: int) -> None:
        if count == 3:
            raise RuntimeError("no listener")

    bad, good = Listener(fail), Listener()
    run_id = await lab.new_run()
    with caplog.at_level(logging.ERROR, logger="promptprop.engine"):
        report = await lab.run(run_id, sinks=[bad, good])
    assert report.history.finished
    assert (len(bad.events), len(good.events)) == (3, len(lab.store.events(run_id)))
    assert (bad.closed, good.closed) == (1, 1)
    assert [record.message for record in caplog.records] == ["a sink failed and is left out from here on"]


@pytest.mark.no_cover
@pytest.mark.parametrize("events", [1, 5, 40])
async def test_a_store_that_is_full_ends_the_run_with_its_error(lab: Lab, events: int) -> None:
    run_id = await lab.new_run()
    with pytest.raises(StorageFull, match="disk"):
        await lab.run(run_id, MortalStore(lab.open(), events, StorageFull("the disk is full")))
    assert len(lab.store.events(run_id)) == events
    assert (await lab.run(run_id)).history.finished


async def test_a_store_that_fails_once_keeps_the_sequence_whole(lab: Lab) -> None:
    class Hiccup(MortalStore):
        async def append(self, event: StoredEvent) -> None:
            try:
                await super().append(event)
            except StorageFull:
                self.dead, self._left = False, 1000
                raise

    run_id = await lab.new_run()
    with pytest.raises(StorageFull):
        await lab.run(run_id, Hiccup(lab.open(), 10, StorageFull("the disk is full")))
    stored = lab.store.events(run_id)
    assert [one.seq for one in stored] == list(range(1, 12))
    assert (stored[-1].event.kind, lab.store.run(run_id).stop_reason) == ("run_stopped", "failed")


async def test_a_bug_is_stored_as_a_failed_stop_and_comes_out(lab: Lab) -> None:
    class Broken:
        fingerprint = "f"
        asking = ()
        awaiting = ()
        wants_rubric = False

        def score(self, output: str, example: object, effort: object, known: object) -> None:
            raise ZeroDivisionError("a bug")

    lab.scorer = Broken()
    run_id = await lab.new_run()
    with pytest.raises(ZeroDivisionError):
        await lab.run(run_id)
    assert lab.store.events(run_id)[-1].event.detail == "ZeroDivisionError: a bug"  # type: ignore[attr-defined]


# --- failures ----------------------------------------------------------------------------------------------------


async def test_too_many_errors_stop_the_run_and_a_plain_resume_replays_them(lab: Lab) -> None:
    run_id = await lab.new_run()
    lab.faults = lab.refuse(run_id, "train", REFUSED)
    with pytest.raises(TooManyErrors, match="does not accept") as stopped:
        await lab.run(run_id)
    assert stopped.value.exit_code == 4
    assert lab.store.run(run_id).stop_reason == "errors"
    calls = sum(lab.sent.values())
    with pytest.raises(TooManyErrors):
        await lab.run(run_id)
    assert sum(lab.sent.values()) == calls
    assert lab.engine().history(run_id).spend.total.calls == calls


@pytest.mark.no_cover
async def test_a_retry_of_errors_makes_exactly_the_failed_calls_again(lab: Lab) -> None:
    run_id = await lab.new_run()
    refuse = lab.refuse(run_id, "train", REFUSED)
    failed: set[str] = set()

    def note(request: ModelRequest, nth: int) -> Exception | None:
        error = refuse(request, nth)
        failed.update([request.key] if error else [])
        return error

    lab.faults = note
    with pytest.raises(TooManyErrors):
        await lab.run(run_id)
    lab.faults = no_fault
    report = await lab.run(run_id, interventions=RETRY)
    assert report.history.finished
    assert failed
    assert {key for key, count in lab.sent.items() if count == 2} == failed
    assert max(lab.sent.values()) == 2


@pytest.mark.no_cover
async def test_failures_that_a_decision_rests_on_stay_as_they_were(lab: Lab) -> None:
    run_id = await lab.new_run()
    first: list[str] = []

    def refuse_one_row(request: ModelRequest, _nth: int) -> Exception | None:
        text = request.messages[-1].content
        first.append(text)
        return REFUSED if text == first[0] else None

    lab.faults = refuse_one_row
    lab.options = {**lab.options, "headroom_rows": 2, "rounds": 1}
    lab.max_error_rate = 0.3
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 3)
    decided = decisions_of(lab.store.events(run_id))
    assert '"n":1' in decided[1], "one of the two rows is missing"
    lab.faults = no_fault
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 5)
    await lab.run(run_id, interventions=RETRY)
    assert decisions_of(lab.store.events(run_id))[: len(decided)] == decided


@pytest.mark.no_cover
async def test_a_run_that_was_retried_and_stopped_again_replays_the_retry_at_its_place(new_lab: NewLab) -> None:
    ends = []
    for name, deaths in (("straight", []), ("stopped", [6, 20, 3])):
        lab = new_lab(name)
        run_id = await lab.new_run()
        lab.faults = lab.refuse(run_id, "train", REFUSED)
        with pytest.raises(TooManyErrors):
            await lab.run(run_id)
        lab.faults = no_fault
        for number, events in enumerate(deaths):
            await lab.run_and_die(run_id, events, interventions=None if number else RETRY)
        report = await lab.run(run_id, interventions=None if deaths else RETRY)
        ends.append((decisions_of(lab.store.events(run_id)), comparable(report)))
    assert ends[0] == ends[1]


@pytest.mark.no_cover
async def test_an_error_that_stops_the_run_is_asked_again_on_resume(lab: Lab) -> None:
    lab.faults = lambda request, _nth: AuthenticationFailed("no key") if request.role == "critic" else None
    run_id = await lab.new_run()
    with pytest.raises(AuthenticationFailed):
        await lab.run(run_id)
    assert lab.store.run(run_id).stop_reason == "failed"
    lab.faults = no_fault
    assert (await lab.run(run_id)).history.finished


# --- side by side -------------------------------------------------------------------------------------------------


async def test_a_second_engine_on_the_same_run_is_refused(lab: Lab) -> None:
    run_id = await lab.new_run()
    refusals: list[str] = []

    async def second() -> None:
        try:
            await lab.run(run_id, lab.open())
        except RunLocked as locked:
            refusals.append(locked.code)

    tasks: list[asyncio.Task[None]] = []
    sink = Listener(lambda count: tasks.append(asyncio.ensure_future(second())) if count == 5 else None)
    report = await lab.run(run_id, sinks=[sink])
    await asyncio.gather(*tasks)
    assert refusals == ["run_locked"]
    assert report.history.finished


@pytest.mark.no_cover
async def test_a_run_that_another_process_has_just_finished_is_only_shown(lab: Lab) -> None:
    class Stale:
        """A store that is first asked a moment before the other process is done."""

        looks = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(lab.store, name)

        def events(self, run_id: str, after: int = 0) -> list[StoredEvent]:
            self.looks += 1
            return lab.store.events(run_id, after)[:10] if self.looks == 1 else lab.store.events(run_id, after)

    run_id = await lab.new_run()
    reference = await lab.run(run_id)
    calls, events = sum(lab.sent.values()), len(lab.store.events(run_id))
    assert comparable(await lab.run(run_id, Stale())) == comparable(reference)
    assert (sum(lab.sent.values()), len(lab.store.events(run_id))) == (calls, events)


@pytest.mark.no_cover
async def test_two_runs_side_by_side_do_not_disturb_each_other(new_lab: NewLab) -> None:
    alone, both = new_lab("alone"), new_lab("both")
    expected = []
    for seed in (1, 2):
        run_id = await alone.new_run(seed)
        await alone.run(run_id)
        expected.append(decisions_of(alone.store.events(run_id)))
    both.latency = seeded_latency(3)
    ids = [await both.new_run(1), await both.new_run(2)]
    engine = both.engine()
    reports = await asyncio.gather(*(engine.run(run_id) for run_id in ids))
    assert [decisions_of(both.store.events(run_id)) for run_id in ids] == expected
    assert all(report.history.finished for report in reports)


@pytest.mark.no_cover
async def test_another_runs_answers_are_free(lab: Lab) -> None:
    first, second = await lab.new_run(), await lab.new_run()
    await lab.run(first)
    calls = sum(lab.sent.values())
    report = await lab.run(second)
    assert sum(lab.sent.values()) == calls
    assert report.history.spend.total.calls == 0
    assert report.history.spend.hits >= calls
    assert decisions_of(lab.store.events(second)) == decisions_of(lab.store.events(first))


@pytest.mark.no_cover
async def test_a_run_names_those_that_opened_its_sealed_rows_before_it(lab: Lab) -> None:
    first, second, third = [await lab.new_run() for _ in range(3)]
    looks = [(await lab.run(run_id)).history.earlier_looks for run_id in (first, second, third)]
    assert looks == [(), (first,), (first, second)]
    assert (await lab.run(first)).history.earlier_looks == (), "a report stays as it was"


@pytest.mark.no_cover
async def test_notes_and_caps_given_to_a_run_that_never_began_are_in_force_from_its_start(lab: Lab) -> None:
    run_id = await lab.new_run()
    report = await lab.run(run_id, interventions=Interventions(caps={"calls": 7000}, notes=("mind the tone",)))
    assert report.history.budget["calls"] == 7000
    assert report.history.notes == ("mind the tone",)
    assert report.history.resumed == 0


async def test_a_run_that_cannot_be_composed_stays_as_it_was(lab: Lab) -> None:
    run_id = await lab.new_run()

    async def refuse(_run: RunRow) -> Assembly:
        raise UsageError("no such model")

    engine = Engine(lab.store, lab.clock, refuse, lab.engine()._lock)
    with pytest.raises(UsageError, match="no such model"):
        await engine.run(run_id)
    assert lab.store.run(run_id).status == "created"
    assert lab.store.events(run_id) == []
