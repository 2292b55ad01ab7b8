"""What a run says that it has spent is all that was paid for it, whatever the last pass met of it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from laboratory import Fault, Lab, comparable

from promptprop.domain.budget import Budget, Spend
from promptprop.domain.errors import (
    AuthenticationFailed,
    BudgetExhausted,
    Interrupted,
    PromptPropError,
    ProviderUnavailable,
    RequestRefused,
    TooManyErrors,
)
from promptprop.domain.models import ModelRequest
from promptprop.services.desk import Interventions

NewLab = Callable[[str], Lab]
RETRY = Interventions(retry_errors=True)


def no_fault(_request: ModelRequest, _nth: int) -> None:
    """All is well again."""


def spend_told(lab: Lab, run_id: str) -> Spend:
    """What the newest event says."""
    return Spend.from_json(lab.store.events(run_id)[-1].meta["spend"])


def answered(lab: Lab, run_id: str) -> list[str]:
    """The calls that have a reply on record."""
    return [key for key in lab.sent if (found := lab.store.find_call(run_id, key)) and found.reply]


def assert_all_is_told(lab: Lab, run_id: str) -> None:
    """Event, report and row of the run all name every call that was made."""
    sent = sum(lab.sent.values())
    assert spend_told(lab, run_id).total.calls == sent
    assert lab.engine().report(run_id).history.spend.total.calls == sent
    assert lab.store.run(run_id).summary["calls"] == sent


async def test_calls_that_had_failed_for_good_stay_in_the_spend_when_they_are_made_again(lab: Lab) -> None:
    run_id = await lab.new_run()
    lab.faults = lab.refuse(run_id, "train", RequestRefused("the provider does not accept this"))
    with pytest.raises(TooManyErrors):
        await lab.run(run_id)
    failed = sum(lab.sent.values())
    lab.faults = no_fault
    await lab.run(run_id, interventions=RETRY)
    assert sum(lab.sent.values()) > failed
    assert max(lab.sent.values()) == 2
    assert_all_is_told(lab, run_id)


@pytest.mark.no_cover
async def test_attempts_that_a_stop_cut_short_stay_in_the_spend_after_a_retry(lab: Lab) -> None:
    def fault(request: ModelRequest, nth: int) -> Exception | None:
        if request.role != "critic":
            return None
        return ProviderUnavailable("busy") if nth == 1 else AuthenticationFailed("no key")

    lab.faults, lab.retries = fault, 2
    run_id = await lab.new_run()
    with pytest.raises(AuthenticationFailed):
        await lab.run(run_id)
    assert_all_is_told(lab, run_id)
    lab.faults = no_fault
    assert (await lab.run(run_id, interventions=RETRY)).history.finished
    assert_all_is_told(lab, run_id)


@pytest.mark.no_cover
async def test_what_was_paid_behind_a_refusal_is_told_although_it_is_not_met_again(lab: Lab) -> None:
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 30)
    paid = sum(lab.sent.values())
    lab.budget = Budget(calls=paid // 2)  # less than is spent: the replay is refused before it is through
    with pytest.raises(BudgetExhausted):
        await lab.run(run_id)
    assert sum(lab.sent.values()) == paid
    assert_all_is_told(lab, run_id)


async def test_a_report_counts_the_calls_that_stay_failed_until_errors_are_retried(lab: Lab) -> None:
    run_id = await lab.new_run()
    lab.faults = lab.refuse(run_id, "train", RequestRefused("the provider does not accept this"))
    with pytest.raises(TooManyErrors):
        await lab.run(run_id)
    assert lab.engine().report(run_id).failed_calls == len(lab.sent) - len(answered(lab, run_id)) > 0
    with pytest.raises(TooManyErrors):
        await lab.run(run_id, interventions=RETRY)
    assert lab.engine().report(run_id).failed_calls > 0
    lab.faults = no_fault
    assert (await lab.run(run_id, interventions=RETRY)).failed_calls == 0


@pytest.mark.no_cover
async def test_a_killed_run_reports_what_it_has_paid_since_its_last_event(lab: Lab) -> None:
    run_id = await lab.new_run()
    await lab.run_and_die(run_id, 3)
    assert spend_told(lab, run_id).total.calls < sum(lab.sent.values()), "an event after the last call proves nothing"
    assert lab.engine().report(run_id).history.spend.total.calls == sum(lab.sent.values())


@pytest.mark.no_cover
async def test_hits_are_those_of_the_pass_that_met_them(lab: Lab) -> None:
    await lab.run(await lab.new_run())
    sent = sum(lab.sent.values())
    again = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(again, 8)
    report = await lab.run(again)
    assert sum(lab.sent.values()) == sent
    assert report.history.spend.total.calls == 0
    assert report.history.spend.hits >= sent
    assert spend_told(lab, again) == report.history.spend


def storm(seed: int) -> Fault:
    """Half of all calls fail: most may be tried again, some are refused, and now and then a key is."""

    def fault(request: ModelRequest, nth: int) -> Exception | None:
        roll = random.Random(f"{seed} {request.key} {nth}").random()
        if roll < 0.03:
            return AuthenticationFailed("no key")
        if roll < 0.1:
            return RequestRefused("the provider does not accept this")
        return ProviderUnavailable("busy") if roll < 0.5 else None

    return fault


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(4))
async def test_a_cap_on_calls_holds_over_all_retries_of_errors_together(lab: Lab, seed: int) -> None:
    cap, sessions = 120, 0
    lab.budget, lab.retries, lab.faults = Budget(calls=cap), 2, storm(seed)
    run_id = await lab.new_run()
    for sessions in range(1, 13):
        before = sum(lab.sent.values())
        try:
            report = await lab.run(run_id, interventions=RETRY if sessions > 1 else None)
        except PromptPropError:
            report = lab.engine().report(run_id)
        assert report.history.spend.total.calls == sum(lab.sent.values()) <= cap
        assert_all_is_told(lab, run_id)
        if report.history.finished or sum(lab.sent.values()) == before:
            break
    assert sessions > 2, "nothing was retried"
    assert report.history.search_ended == "calls", "the cap was never met"


@pytest.mark.no_cover
async def test_a_run_without_faults_tells_the_same_spend_however_often_it_was_stopped(new_lab: NewLab) -> None:
    ends = []
    for name, stops in (("straight", ()), ("stopped", (3, 9))):
        lab = new_lab(name)
        run_id = await lab.new_run()
        for events in stops:
            with pytest.raises(Interrupted):
                await lab.run_until(run_id, events)
        report = await lab.run(run_id)
        ends.append((comparable(report), report.history.spend))
    assert ends[0] == ends[1]
