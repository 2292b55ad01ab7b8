"""The engine and budgets: wherever a cap cuts the search, FINISH is paid; raised caps are met at their place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from interruptions import cut_anywhere
from laboratory import Lab, comparable, decisions_of, lifecycle_of

from promptprop.domain.budget import Budget
from promptprop.domain.errors import BudgetExhausted, Interrupted, ProviderUnavailable
from promptprop.domain.models import ModelRequest
from promptprop.ports import RunRow
from promptprop.services.course import Assembly
from promptprop.services.desk import Interventions
from promptprop.services.evaluate import Scoring

NewLab = Callable[[str], Lab]


def kinds(lab: Lab, run_id: str) -> list[str]:
    return [stored.event.kind for stored in lab.store.events(run_id)]


@pytest.mark.no_cover
async def test_wherever_a_cap_cuts_the_search_finish_is_paid_and_the_cap_holds(new_lab: NewLab) -> None:
    await cut_anywhere(new_lab, 4)  # more in a campaign


@pytest.mark.no_cover
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


@pytest.mark.no_cover
async def test_a_resume_without_larger_caps_stops_at_the_same_place(lab: Lab) -> None:
    run_id = await run_to_a_dear_finish(lab)
    for _ in range(2):
        with pytest.raises(BudgetExhausted):
            await lab.run(run_id)
    stored = lab.store.events(run_id)
    assert lifecycle_of(stored) == ["run_started", "run_stopped", *["run_resumed", "run_stopped"] * 2]


@pytest.mark.no_cover
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


@pytest.mark.no_cover
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


@pytest.mark.no_cover
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


@pytest.mark.no_cover
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


@pytest.mark.no_cover
async def test_a_later_deadline_lets_an_interrupted_search_go_on(lab: Lab) -> None:
    lab.seconds_a_call, lab.budget = 1.0, Budget(seconds=60.0)
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 12)
    await lab.store.update_run(run_id, active_seconds=60.0)  # the deadline is met as soon as the replay is over
    with_more = await lab.run(run_id, interventions=Interventions(caps={"seconds": 100_000}))
    assert with_more.history.stop_reason == "rounds"


# --- caps that are lower than those in force, or the first of their kind ----------------------------------------------


class ScoringLab(Lab):
    """A laboratory that scores the seed on its select rows, as `eval` does."""

    def assembly(self, store: Any, run: RunRow) -> Assembly:
        return replace(super().assembly(store, run), optimizer=Scoring("select", repeats=8))


def calls_of(lab: Lab) -> int:
    return sum(lab.sent.values())


async def interrupt_after(lab: Lab, run_id: str, calls: int) -> int:
    """Cancel the run once so many calls are made or under way; returns how many calls were made in the end."""
    asked: list[int] = []

    def cancel(_request: ModelRequest, _nth: int) -> None:
        if calls_of(lab) >= calls and not asked:
            asked.append(calls_of(lab))
            task.cancel()

    lab.faults = cancel
    task = asyncio.ensure_future(lab.run(run_id))
    with pytest.raises(Interrupted):
        await task
    lab.faults = lambda _request, _nth: None
    return calls_of(lab)


@pytest.mark.no_cover
@pytest.mark.parametrize(("earlier", "cap"), [(None, 5), (1000, 20)])
async def test_a_cap_given_on_resume_holds_at_once_in_an_evaluation(
    tmp_path: Path, earlier: int | None, cap: int
) -> None:
    whole, lab = (ScoringLab(tmp_path / name) for name in ("whole", "cut"))
    for one in (whole, lab):
        one.folder.mkdir()
        one.budget = Budget(calls=earlier)
    reference = await whole.run(await whole.new_run())
    assert calls_of(whole) > 30
    run_id = await lab.new_run()
    paid = await interrupt_after(lab, run_id, 10)
    assert 10 <= paid < 20
    for given in (Interventions(caps={"calls": cap}), None):
        with pytest.raises(BudgetExhausted) as exhausted:
            await lab.run(run_id, interventions=given)
        assert exhausted.value.exit_code == 5
        assert calls_of(lab) == max(cap, paid)
    report = await lab.run(run_id, interventions=Interventions(caps={"calls": 1000}))
    assert comparable(report) == comparable(reference)
    assert calls_of(lab) == calls_of(whole)
    for one in (*whole.stores, *lab.stores):
        one.close()


@pytest.mark.no_cover
@pytest.mark.parametrize(("earlier", "cap"), [(1000, 30), (None, 60), (1000, 80)])
async def test_a_cap_given_on_resume_holds_at_once_in_a_search_and_in_every_later_replay(
    new_lab: NewLab, earlier: int | None, cap: int
) -> None:
    ends = []
    for name, deaths in (("straight", []), ("killed", [1, 2, 2])):
        lab = new_lab(name)
        lab.budget = Budget(calls=earlier)
        run_id = await lab.new_run()
        paid = await interrupt_after(lab, run_id, 40)
        given: Interventions | None = Interventions(caps={"calls": cap})
        for events in deaths:
            await lab.run_and_die(run_id, events, interventions=given)
            given = None if "cap_raised" in kinds(lab, run_id) else given
        with contextlib.suppress(BudgetExhausted):
            await lab.run(run_id, interventions=given)
        assert calls_of(lab) <= max(cap, paid)
        assert lab.engine().report(run_id).history.spend.total.calls == calls_of(lab)
        ends.append((decisions_of(lab.store.events(run_id)), calls_of(lab)))
    assert ends[0] == ends[1]
    assert '"reason":"calls"' in ends[0][0][-1] or len(ends[0][0]) > 4


@pytest.mark.no_cover
@pytest.mark.parametrize("retries", [0, 7])
async def test_another_number_of_retries_changes_nothing_of_what_a_cap_has_decided(lab: Lab, retries: int) -> None:
    run_id = await run_to_a_dear_finish(lab)
    before, sent = decisions_of(lab.store.events(run_id)), calls_of(lab)
    lab.retries = retries
    with pytest.raises(BudgetExhausted):
        await lab.run(run_id)
    assert decisions_of(lab.store.events(run_id)) == before
    assert calls_of(lab) == sent <= 110
