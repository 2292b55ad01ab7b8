"""The engine: fresh runs, resumption from any place, failures, budgets, interventions, sinks and locks."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from decimal import Decimal

import pytest
from laboratory import Lab, Listener, MortalStore, comparable, decisions_of, lifecycle_of, seeded_latency

from promptprop.domain.budget import Budget
from promptprop.domain.errors import (
    AuthenticationFailed,
    BudgetExhausted,
    Interrupted,
    ProviderUnavailable,
    ReplayDiverged,
    RequestRefused,
    RunLocked,
    StorageFull,
    TooManyErrors,
    UsageError,
)
from promptprop.domain.events import StoredEvent, body_of
from promptprop.domain.models import ModelRequest
from promptprop.ports import RunRow
from promptprop.services.engine import Assembly, Engine, Interventions

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


async def test_a_finished_run_only_shows_its_report(lab: Lab) -> None:
    run_id = await lab.new_run()
    first = await lab.run(run_id)
    calls, events = sum(lab.sent.values()), len(lab.store.events(run_id))
    again = await lab.run(run_id)
    assert comparable(again) == comparable(first)
    assert (sum(lab.sent.values()), len(lab.store.events(run_id))) == (calls, events)
    with pytest.raises(UsageError, match="finished"):
        await lab.run(run_id, interventions=RETRY)


def places(stored: int, count: int) -> list[int]:
    """So many places from the first event to the last but one, in all parts of a run."""
    return sorted({1 + number * (stored - 2) // (count - 1) for number in range(count)})


async def test_a_run_cancelled_at_any_decision_goes_on_to_the_same_end(new_lab: NewLab) -> None:
    whole = new_lab("whole")
    reference = await whole.run(await whole.new_run())
    expected = whole.store.events("run-1")
    for events in [2, 3, *places(len(expected), 7)]:
        cut = new_lab(f"cut-{events}")
        run_id = await cut.new_run()
        with pytest.raises(Interrupted) as interrupted:
            await cut.run_until(run_id, events)
        assert interrupted.value.exit_code == 130
        assert cut.store.run(run_id).status == "stopped"
        assert body_of(cut.store.events(run_id)[-1].event) == {"reason": "interrupted", "detail": ""}
        assert cut.engine().history(run_id).spend.total.calls == sum(cut.sent.values()), "what was under way is counted"
        resumed = await cut.run(run_id)
        assert decisions_of(cut.store.events(run_id)) == decisions_of(expected)
        assert comparable(resumed) == comparable(reference)
        assert set(cut.sent.values()) == {1}, "no call was made twice"
        assert lifecycle_of(cut.store.events(run_id)) == ["run_started", "run_stopped", "run_resumed", "run_finished"]


async def test_a_killed_run_goes_on_to_the_same_end_and_repeats_no_committed_call(new_lab: NewLab) -> None:
    whole = new_lab("whole")
    reference = await whole.run(await whole.new_run())
    expected = whole.store.events("run-1")
    for events in places(len(expected), 7):
        cut = new_lab(f"cut-{events}")
        run_id = await cut.new_run()
        await cut.run_and_die(run_id, events)
        assert cut.store.run(run_id).status == "running"
        assert "run_stopped" not in kinds(cut, run_id)
        committed = {key for key in cut.sent if cut.store.find_call(run_id, key)}
        cut.sent.clear()
        resumed = await cut.run(run_id, cut.open())
        assert not committed & set(cut.sent)
        assert decisions_of(cut.store.events(run_id)) == decisions_of(expected)
        assert comparable(resumed) == comparable(reference)


async def test_a_run_killed_again_and_again_still_comes_to_the_same_end(new_lab: NewLab) -> None:
    whole, cut = new_lab("whole"), new_lab("cut")
    reference = await whole.run(await whole.new_run())
    run_id = await cut.new_run()
    for _ in range(6):
        await cut.run_and_die(run_id, 8)
    assert comparable(await cut.run(run_id)) == comparable(reference)
    assert decisions_of(cut.store.events(run_id)) == decisions_of(whole.store.events("run-1"))


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
    with sqlite3.connect(f"{lab.folder}/lab.db") as connection:
        changed = connection.execute(
            "UPDATE events SET body = json_set(body, '$.failing', 3) WHERE kind = 'headroom_measured'"
        )
        assert changed.rowcount == 1
    with pytest.raises(ReplayDiverged, match=r"event 3: headroom_measured\.failing was 3, is 4") as diverged:
        await lab.run(run_id)
    assert diverged.value.exit_code == 70
    assert lab.store.run(run_id).stop_reason == "failed"


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

        def score(self, output: str, example: object) -> None:
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


async def test_failures_that_a_decision_rests_on_stay_as_they_were(lab: Lab) -> None:
    run_id = await lab.new_run()
    lab.faults = lab.refuse(run_id, "select", REFUSED)
    lab.options = {**lab.options, "headroom_rows": 2, "rounds": 1}
    lab.max_error_rate = 0.3
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 3)
    decided = decisions_of(lab.store.events(run_id))
    assert '"finding":"hopeless"' in decided[1]
    lab.faults = no_fault
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 5)
    await lab.run(run_id, interventions=RETRY)
    assert decisions_of(lab.store.events(run_id))[: len(decided)] == decided


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


async def test_an_error_that_stops_the_run_is_asked_again_on_resume(lab: Lab) -> None:
    lab.faults = lambda request, _nth: AuthenticationFailed("no key") if request.role == "critic" else None
    run_id = await lab.new_run()
    with pytest.raises(AuthenticationFailed):
        await lab.run(run_id)
    assert lab.store.run(run_id).stop_reason == "failed"
    lab.faults = no_fault
    assert (await lab.run(run_id)).history.finished


# --- budgets -----------------------------------------------------------------------------------------------------


async def caps_that_cut(new_lab: NewLab, count: int) -> list[tuple[str, Budget]]:
    """Budgets that end the search at many different places, for each kind of cap."""
    free = new_lab("free")
    await free.run(await free.new_run())
    total = free.engine().history("run-1").spend.total
    finish = 28
    calls = [finish + place * (total.calls - finish) // count for place in range(1, count)]
    # what FINISH holds back in tokens and money is a worst case: what the search may take comes on top of it
    tokens = [16_000 + place * 54_000 // count for place in range(count)]
    money = [Decimal("0.002") + place * Decimal("0.056") / count for place in range(count)]
    return [
        *(("calls", Budget(calls=cap)) for cap in calls),
        *(("tokens", Budget(tokens=cap)) for cap in tokens),
        *(("usd", Budget(usd=cap)) for cap in money),
    ]


async def test_wherever_a_cap_cuts_the_search_finish_is_paid_and_the_cap_holds(new_lab: NewLab) -> None:
    cuts: dict[str, set[int]] = {}
    for number, (cap, budget) in enumerate(await caps_that_cut(new_lab, 6)):
        ends = []
        for pace in (None, seeded_latency(number)):
            lab = new_lab(f"{number}-{len(ends)}")
            lab.budget, lab.latency = budget, pace
            report = await lab.run(await lab.new_run())
            spent = report.history.spend.total
            assert report.history.search_ended in {cap, "rounds", "no promotion", "no failures left"}
            assert report.history.stop_reason == report.history.search_ended
            assert report.verdict in {"better", "no proven gain", "worse", "unchanged"}
            assert budget.calls is None or spent.calls <= budget.calls
            assert budget.tokens is None or spent.tokens <= budget.tokens
            assert budget.picousd is None or spent.picousd <= budget.picousd
            assert spent.calls == sum(lab.sent.values())
            ends.append((decisions_of(lab.store.events("run-1")), comparable(report)))
        assert ends[0] == ends[1], f"latency must not matter under {budget}"
        if ends[0][1]["search_ended"] == cap:
            cuts.setdefault(cap, set()).add(len(ends[0][0]))
    assert sum(len(places) for places in cuts.values()) >= 12, cuts
    assert all(len(places) >= 3 for places in cuts.values()), cuts


async def test_a_run_cut_by_its_budget_resumes_like_any_other(new_lab: NewLab) -> None:
    whole, cut = new_lab("whole"), new_lab("cut")
    whole.budget = cut.budget = Budget(calls=90)
    reference = await whole.run(await whole.new_run())
    assert reference.history.stop_reason == "calls"
    run_id = await cut.new_run()
    for events in (5, 8, 4):
        await cut.run_and_die(run_id, events)
    assert comparable(await cut.run(run_id)) == comparable(reference)


async def run_to_a_dear_finish(lab: Lab) -> str:
    """A run whose search is cut at its cap, and whose test rows then take four calls each: it cannot be finished."""
    run_id = await lab.new_run()
    lab.retries, lab.budget = 4, Budget(calls=110)
    lab.faults = lab.refuse(run_id, "test", ProviderUnavailable("busy"), times=3)
    with pytest.raises(BudgetExhausted) as exhausted:
        await lab.run(run_id)
    assert exhausted.value.exit_code == 5
    return run_id


async def test_where_finish_cannot_be_paid_the_run_stops_and_larger_caps_let_it_go_on(lab: Lab) -> None:
    run_id = await run_to_a_dear_finish(lab)
    assert lab.store.run(run_id).stop_reason == "budget"
    assert "winner_tested" not in kinds(lab, run_id), "the test stays sealed"
    assert lab.engine().history(run_id).spend.total.calls == sum(lab.sent.values()) <= 110
    committed = {key for key in lab.sent if (found := lab.store.find_call(run_id, key)) and found.reply}
    before = dict(lab.sent)
    report = await lab.run(run_id, interventions=Interventions(caps={"calls": 400}))
    assert report.history.finished
    assert report.history.budget["calls"] == 400
    assert all(lab.sent[key] == before[key] for key in committed)
    assert report.history.spend.total.calls == sum(lab.sent.values())


async def test_a_resume_without_larger_caps_stops_at_the_same_place(lab: Lab) -> None:
    run_id = await run_to_a_dear_finish(lab)
    for _ in range(2):
        with pytest.raises(BudgetExhausted):
            await lab.run(run_id)
    stored = lab.store.events(run_id)
    assert lifecycle_of(stored) == ["run_started", "run_stopped", *["run_resumed", "run_stopped"] * 2]


@pytest.mark.parametrize("deaths", [[1], [2, 3], [30], [25, 2, 9]])
async def test_a_raised_cap_is_met_at_its_place_in_every_later_replay(new_lab: NewLab, deaths: list[int]) -> None:
    ends = []
    for name, killed in (("straight", []), ("killed", deaths)):
        lab = new_lab(name)
        lab.budget = Budget(calls=70)
        run_id = await lab.new_run()
        with pytest.raises(Interrupted):
            await lab.run_until(run_id, 10)
        raised = Interventions(caps={"calls": 140})
        for number, events in enumerate(killed):
            await lab.run_and_die(run_id, events, interventions=None if number else raised)
        if "cap_raised" in kinds(lab, run_id):
            report = await lab.run(run_id)
        else:
            report = await lab.run(run_id, interventions=raised)
        ends.append((decisions_of(lab.store.events(run_id)), comparable(report)))
        assert 70 < report.history.spend.total.calls <= 140
    assert ends[0] == ends[1]


async def test_a_cap_raised_in_finish_is_met_at_its_place_in_a_later_replay(new_lab: NewLab) -> None:
    ends = []
    for name, deaths in (("straight", []), ("killed", [2, 2])):
        lab = new_lab(name)
        run_id = await run_to_a_dear_finish(lab)
        raised = Interventions(caps={"calls": 400})
        for number, events in enumerate(deaths):
            await lab.run_and_die(run_id, events, interventions=None if number else raised)
        report = await lab.run(run_id, interventions=None if deaths else raised)
        ends.append((decisions_of(lab.store.events(run_id)), report.history.test))
    assert ends[0] == ends[1]


async def test_the_deadline_ends_the_search_and_replays_at_any_speed(new_lab: NewLab) -> None:
    whole, cut = new_lab("whole"), new_lab("cut")
    for lab in (whole, cut):
        lab.seconds_a_call, lab.budget = 1.0, Budget(seconds=80.0)
    reference = await whole.run(await whole.new_run())
    assert reference.history.stop_reason == "seconds"
    run_id = await cut.new_run()
    ended = kinds(whole, "run-1").index("search_ended")
    await cut.run_and_die(run_id, ended + 1)
    cut.seconds_a_call = 0.0
    await cut.run_and_die(run_id, 1)
    cut.clock.seconds += 5000
    resumed = await cut.run(run_id)
    assert decisions_of(cut.store.events(run_id)) == decisions_of(whole.store.events("run-1"))
    assert comparable(resumed) == comparable(reference)


async def test_the_seconds_of_all_passes_count_together(lab: Lab) -> None:
    lab.seconds_a_call, lab.budget = 1.0, Budget(seconds=80.0)
    run_id = await lab.new_run()
    for _ in range(20):
        await lab.run_and_die(run_id, 6)
        if "search_ended" in kinds(lab, run_id):
            break
    history = (await lab.run(run_id)).history
    assert history.search_ended == "seconds"
    assert history.spend.total.calls < 80 + 40 + 20


async def test_a_later_deadline_lets_an_interrupted_search_go_on(lab: Lab) -> None:
    lab.seconds_a_call, lab.budget = 1.0, Budget(seconds=60.0)
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 12)
    lab.clock.seconds += 0
    with_more = await lab.run(run_id, interventions=Interventions(caps={"seconds": 100_000}))
    assert with_more.history.stop_reason == "no failures left"


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


async def test_a_run_that_another_process_has_just_finished_is_only_shown(lab: Lab) -> None:
    run_id = await lab.new_run()
    other = lab.engine(lab.open())
    engine = lab.engine()
    first_look = engine.history

    def history(reference: str) -> object:
        """The other process finishes between the first look and the lock."""
        engine.history = first_look  # type: ignore[method-assign]
        return first_look(reference)

    engine.history = history  # type: ignore[method-assign, assignment]
    unlocked = engine._lock

    def lock(reference: str) -> object:
        assert finished.done()
        return unlocked(reference)

    engine._lock = lock  # type: ignore[assignment]
    finished = asyncio.ensure_future(other.run(run_id))
    reference = await finished
    engine.history = history  # type: ignore[method-assign, assignment]
    calls = sum(lab.sent.values())
    assert comparable(await engine.run(run_id)) == comparable(reference)
    assert sum(lab.sent.values()) == calls


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


async def test_another_runs_answers_are_free(lab: Lab) -> None:
    first, second = await lab.new_run(), await lab.new_run()
    await lab.run(first)
    calls = sum(lab.sent.values())
    report = await lab.run(second)
    assert sum(lab.sent.values()) == calls
    assert report.history.spend.total.calls == 0
    assert report.history.spend.hits >= calls
    assert decisions_of(lab.store.events(second)) == decisions_of(lab.store.events(first))


async def test_a_run_that_cannot_be_composed_stays_as_it_was(lab: Lab) -> None:
    run_id = await lab.new_run()

    async def refuse(_run: RunRow) -> Assembly:
        raise UsageError("no such model")

    engine = Engine(lab.store, lab.clock, refuse, lab.engine()._lock)
    with pytest.raises(UsageError, match="no such model"):
        await engine.run(run_id)
    assert lab.store.run(run_id).status == "created"
    assert lab.store.events(run_id) == []
