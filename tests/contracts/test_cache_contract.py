"""What every Store must do about the calls that runs share: cache modes, spend by role, counting and pruning."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from store_rows import model_reply, model_request, run_row

from promptprop.adapters.storage.cache import CallSums
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.budget import RoleSpend
from promptprop.domain.models import Attempts, Failure
from promptprop.ports import CACHE_MODES, CacheMode, FailedCall, RecordedCall

ASKED = model_request("asked")
OWN: tuple[CacheMode, ...] = ("read", "off", "refresh")


@pytest.fixture
def cache_store(any_database_url: str) -> Iterator[SqlStore]:
    """A store with the runs `run-1` to `run-4`."""
    with closing(open_store(any_database_url)) as opened:
        for number in range(1, 5):
            asyncio.run(opened.create_run(run_row(f"run-{number}")))
        yield opened


async def record(store: SqlStore, run_id: str, text: str, cache: CacheMode = "read-write") -> RecordedCall:
    return await store.record_call(run_id, ASKED, model_reply(text), Attempts(), 0, cache)


def answer(store: SqlStore, run_id: str, cache: CacheMode = "read-write") -> str | None:
    found = store.find_call(run_id, ASKED.key, 0, cache)
    return found.reply.text if found and found.reply else None


# --- modes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", CACHE_MODES)
async def test_other_runs_answer_in_the_modes_that_read(cache_store: SqlStore, cache: CacheMode) -> None:
    await record(cache_store, "run-1", "theirs")
    assert answer(cache_store, "run-2", cache) == ("theirs" if cache in ("read-write", "read") else None)


@pytest.mark.parametrize("cache", CACHE_MODES)
async def test_answers_are_offered_in_the_modes_that_write(cache_store: SqlStore, cache: CacheMode) -> None:
    await record(cache_store, "run-1", "ours", cache)
    assert answer(cache_store, "run-2") == ("ours" if cache in ("read-write", "refresh") else None)


@pytest.mark.parametrize("cache", CACHE_MODES)
async def test_in_every_mode_a_run_answers_itself_and_keeps_what_it_consumed(
    cache_store: SqlStore, cache: CacheMode
) -> None:
    mine = await record(cache_store, "run-1", "mine", cache)
    await record(cache_store, "run-2", "newer", "refresh")
    assert cache_store.find_call("run-1", ASKED.key, 0, cache) == mine
    assert mine.reply == model_reply("mine")
    again = await record(cache_store, "run-1", "asked twice", cache)
    assert cache_store.find_call("run-1", ASKED.key, 0, cache) != again, "attempts were added"
    assert answer(cache_store, "run-1", cache) == "mine", "what was pinned first stands"


@pytest.mark.parametrize("cache", OWN)
async def test_a_mode_with_an_edition_of_its_own_consumes_what_it_paid_for(
    cache_store: SqlStore, cache: CacheMode
) -> None:
    await record(cache_store, "run-1", "common")
    assert (await record(cache_store, "run-2", "own", cache)).reply == model_reply("own")
    assert answer(cache_store, "run-2", cache) == "own"


async def test_a_refreshed_answer_is_the_newest_from_then_on(cache_store: SqlStore) -> None:
    await record(cache_store, "run-1", "old")
    await record(cache_store, "run-2", "fresh", "refresh")
    assert answer(cache_store, "run-3") == "fresh"
    assert answer(cache_store, "run-1") == "old"


async def test_two_refreshing_runs_side_by_side_keep_their_own_and_the_later_one_answers(cache_store: SqlStore) -> None:
    await record(cache_store, "run-1", "first", "refresh")
    await record(cache_store, "run-2", "second", "refresh")
    assert (answer(cache_store, "run-1", "refresh"), answer(cache_store, "run-2", "refresh")) == ("first", "second")
    assert answer(cache_store, "run-3") == "second"


async def test_a_common_answer_that_came_too_late_loses_to_the_newest_shared_one(cache_store: SqlStore) -> None:
    await record(cache_store, "run-1", "old")
    fresh = await record(cache_store, "run-2", "fresh", "refresh")
    late = await record(cache_store, "run-3", "late")
    assert (late.call_id, late.reply) == (fresh.call_id, fresh.reply)
    assert answer(cache_store, "run-3") == "fresh"
    assert answer(cache_store, "run-4") == "fresh"


async def test_a_kept_answer_does_not_stand_in_the_way_of_a_common_one(cache_store: SqlStore) -> None:
    await record(cache_store, "run-1", "kept", "read")
    assert (await record(cache_store, "run-2", "common")).reply == model_reply("common")
    assert answer(cache_store, "run-3") == "common"


async def test_many_modes_in_one_batch_each_get_their_own(cache_store: SqlStore) -> None:
    modes: list[CacheMode] = ["read-write", "read", "off", "refresh"]
    requests = [model_request("batch", replicate=number) for number in range(150)]
    recorded = await asyncio.gather(
        *(
            cache_store.record_call(f"run-{run}", request, model_reply(mode), Attempts(), 0, mode)
            for request in requests
            for run, mode in enumerate(modes, start=1)
        )
    )
    texts = [call.reply.text for call in recorded if call.reply]
    assert all(texts[place] == modes[place % 4] for place in range(600) if place % 4)
    assert {text for place, text in enumerate(texts) if place % 4 == 0} <= {"read-write", "refresh"}
    for number, request in enumerate(requests):
        for run, mode in enumerate(modes, start=1):
            assert cache_store.find_call(f"run-{run}", request.key, 0, mode) == recorded[4 * number + run - 1]


# --- spend by role --------------------------------------------------------------------------------------------------


async def test_what_a_run_has_paid_is_told_by_role(cache_store: SqlStore) -> None:
    critic = model_request("why", role="critic")
    lost = Failure("rate_limited", "429")
    await cache_store.commit_block("run-1", [], [FailedCall(ASKED, lost, Attempts(1))], "", generation=-1)
    await cache_store.record_call("run-1", ASKED, model_reply(picousd=70), Attempts(2, 1, 10, 5))
    await cache_store.record_call("run-1", critic, model_reply(picousd=None), Attempts(1))
    waiting = FailedCall(model_request("how", role="critic"), lost, Attempts(3, 2, 7, None))
    await cache_store.commit_block("run-1", [], [waiting], "", generation=-1)
    found = cache_store.find_call("run-2", ASKED.key)
    assert found is not None
    await cache_store.pin_call("run-2", ASKED, found)
    usage = model_reply().usage
    assert cache_store.paid_by_role("run-1").roles == {
        "task": RoleSpend(2, usage.prompt_tokens, usage.completion_tokens, 75, 0, 1, 10, 0),
        "critic": RoleSpend(4, usage.prompt_tokens, usage.completion_tokens, 0, 0, 2, 7, 3),
    }
    assert cache_store.paid("run-1") == cache_store.paid_by_role("run-1").total
    assert cache_store.paid_by_role("run-2").roles == {"task": RoleSpend(hits=1)}
    assert cache_store.paid_by_role("run-3").roles == {}


async def test_failures_that_were_made_again_stay_paid(cache_store: SqlStore) -> None:
    failed = FailedCall(ASKED, Failure("call_timed_out", "no answer"), Attempts(3, 3, 99, 9))
    await cache_store.commit_block("run-1", [], [failed], "f")
    await cache_store.record_call("run-1", ASKED, model_reply(picousd=70), Attempts(), generation=1)
    spend = cache_store.paid_by_role("run-1").of("task")
    assert (spend.calls, spend.unconfirmed_tokens, spend.picousd) == (4, 99, 79)


async def test_calls_that_have_failed_for_good_are_counted_by_generation(cache_store: SqlStore) -> None:
    final = FailedCall(ASKED, Failure("request_refused", "no"), Attempts(1))
    lost = FailedCall(model_request("how"), Failure("rate_limited", "429"), Attempts(3))
    await cache_store.commit_block("run-1", [], [final], "f")
    await cache_store.commit_block("run-1", [], [lost], "", generation=-1)
    await cache_store.record_call("run-1", model_request("why"), model_reply(), Attempts())
    assert [cache_store.failed_calls("run-1", generation) for generation in (0, 1)] == [1, 0]
    assert cache_store.failed_calls("run-2") == 0


# --- counting and pruning -------------------------------------------------------------------------------------------


async def test_what_the_hits_have_saved_is_counted_with_unknown_prices_apart(cache_store: SqlStore) -> None:
    other = model_request("other", replicate=1)
    await cache_store.record_call("run-1", ASKED, model_reply(picousd=70), Attempts())
    await cache_store.record_call("run-1", other, model_reply(picousd=None), Attempts(), 0, "refresh")
    await cache_store.record_call("run-1", model_request("kept"), model_reply(picousd=1), Attempts(), 0, "off")
    for run_id in ("run-2", "run-3"):
        for request in (ASKED, other):
            found = cache_store.find_call(run_id, request.key)
            assert found is not None
            await cache_store.pin_call(run_id, request, found)
    stats = cache_store.cache_stats()
    assert stats.held == CallSums(3, 54, 71, 1)
    assert (stats.shared, stats.pinned, stats.prunable) == (2, 3, 0)
    assert stats.saved == CallSums(4, 72, 140, 2)
    assert [(one.model, one.held, one.prunable) for one in stats.models] == [("m", stats.held, 0)]
    assert stats.size_bytes > 10_000


async def test_an_empty_ledger_counts_as_nothing(cache_store: SqlStore) -> None:
    stats = cache_store.cache_stats()
    assert (stats.held, stats.saved, stats.models, stats.prunable) == (CallSums(), CallSums(), (), 0)
    assert await cache_store.prune_calls() == 0


async def test_pruning_spares_what_is_pinned_and_what_was_not_meant(cache_store: SqlStore) -> None:
    await record(cache_store, "run-1", "pinned")
    old, other = model_request("old"), model_request("x")
    other = type(other)("task", "m-2", other.messages)
    for request in (old, other):
        await cache_store.record_call("run-2", request, model_reply(picousd=4), Attempts())
    await cache_store.delete_run("run-2")
    hour = timedelta(hours=1)
    assert await cache_store.prune_calls(datetime.now(timezone.utc) - hour) == 0
    assert cache_store.prunable(model="m-2") == CallSums(1, 18, 4, 0)
    assert await cache_store.prune_calls(model="m-2") == 1
    assert cache_store.find_call("run-3", other.key) is None
    assert cache_store.prunable(datetime.now(timezone.utc) + hour) == CallSums(1, 18, 4, 0)
    assert await cache_store.prune_calls(datetime.now(timezone.utc) + hour) == 1
    assert cache_store.find_call("run-3", old.key) is None
    assert answer(cache_store, "run-3") == "pinned"


async def test_many_calls_are_pruned_a_part_at_a_time(cache_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptprop.adapters.storage.cache.PRUNED_AT_ONCE", 7)
    requests = [model_request("many", replicate=number) for number in range(30)]
    await asyncio.gather(*(cache_store.record_call("run-1", one, model_reply(), Attempts()) for one in requests))
    await cache_store.delete_run("run-1")
    assert await cache_store.prune_calls() == 30
    assert cache_store.cache_stats().held.calls == 0


async def test_a_call_that_is_pruned_between_lookup_and_pin_is_kept_by_the_run_alone(cache_store: SqlStore) -> None:
    await record(cache_store, "run-1", "theirs")
    found = cache_store.find_call("run-2", ASKED.key)
    assert found is not None
    await cache_store.delete_run("run-1")
    assert await cache_store.prune_calls() == 1
    newcomer = model_request("newcomer")
    await cache_store.record_call("run-3", newcomer, model_reply("may have got the same id"), Attempts())
    await cache_store.pin_call("run-2", ASKED, found)
    assert answer(cache_store, "run-2") == "theirs"
    assert answer(cache_store, "run-4") is None
    kept = cache_store.find_call("run-2", ASKED.key)
    assert kept is not None
    assert (kept.mine, kept.paid) == (True, False)
