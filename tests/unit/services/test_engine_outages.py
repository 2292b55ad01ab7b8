"""What endpoints have to say is stored among the decisions, by a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from laboratory import Lab, Listener, MortalStore, comparable, decisions_of

from promptprop.domain.errors import StorageFull
from promptprop.domain.events import EndpointPaused, EndpointRecovered, Event, StoredEvent

PAUSED = EndpointPaused("task", "offline/task", "provider_unavailable", "500", 40.0)
RECOVERED = EndpointRecovered("task", "offline/task", 3.0)
NewLab = Callable[[str], Lab]


class Told:
    """Lets a lab's ledgers say these things, one at each of these calls to a model."""

    def __init__(self, lab: Lab, news: list[Event], every: int) -> None:
        inner = lab.assembly
        left = list(news)

        def assembly(store: object, run: object) -> object:
            made = inner(store, run)  # type: ignore[arg-type]  # as the lab calls it
            ledger = made.ledger

            def fault(_request: object, _nth: int) -> None:
                if left and sum(lab.sent.values()) % every == 0:
                    ledger._notices.put_nowait(left.pop(0))  # type: ignore[attr-defined]  # a LedgerModels

            lab.faults = fault  # type: ignore[assignment]
            return made

        lab.assembly = assembly  # type: ignore[method-assign,assignment]


async def test_pauses_are_stored_in_sequence_and_decide_nothing(new_lab: NewLab) -> None:
    quiet, noisy = new_lab("quiet"), new_lab("noisy")
    expected = await quiet.run(await quiet.new_run())
    Told(noisy, [PAUSED, RECOVERED, PAUSED, RECOVERED], every=5)
    run_id = await noisy.new_run()
    report = await noisy.run(run_id)
    stored = noisy.store.events(run_id)
    assert [one.seq for one in stored] == list(range(1, len(stored) + 1))
    told = [one.event for one in stored if isinstance(one.event, EndpointPaused | EndpointRecovered)]
    assert told == [PAUSED, RECOVERED, PAUSED, RECOVERED]
    assert decisions_of(stored) == decisions_of(quiet.store.events("run-1"))
    assert comparable(report) == comparable(expected)
    assert report.history.paused == ()
    assert stored[-1].event.kind == "run_finished"


async def test_a_run_with_a_pause_in_its_record_is_replayed_without_showing_it_again(new_lab: NewLab) -> None:
    whole, cut = new_lab("whole"), new_lab("cut")
    expected = await whole.run(await whole.new_run())
    Told(cut, [PAUSED, RECOVERED], every=5)
    run_id = await cut.new_run()
    await cut.run_and_die(run_id, 20)
    assert "endpoint_paused" in [one.event.kind for one in cut.store.events(run_id)]
    sink = Listener()
    assert comparable(await cut.run(run_id, sinks=[sink])) == comparable(expected)
    assert not [one for one in sink.events if isinstance(one.event, EndpointPaused)]


async def test_a_pause_that_cannot_be_stored_ends_the_run(lab: Lab) -> None:
    class Refusing(MortalStore):
        async def append(self, event: StoredEvent) -> None:
            await asyncio.sleep(0)
            if isinstance(event.event, EndpointPaused):
                raise StorageFull("the disk is full")
            await super().append(event)

    Told(lab, [PAUSED], every=5)
    run_id = await lab.new_run()
    with pytest.raises(StorageFull):
        await lab.run(run_id, Refusing(lab.open(), 1000, StorageFull("unused")))
    stored = lab.store.events(run_id)
    assert [one.seq for one in stored] == list(range(1, len(stored) + 1))
    assert stored[-1].event.kind == "run_stopped"
