"""What every Store must do: runs, events, calls, and rows that no column can hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from store_rows import (
    BAD,
    GOOD,
    NOON,
    candidate,
    cells,
    evaluation,
    model_reply,
    model_request,
    run_row,
)

from promptprop.adapters.storage.cache import CallSums
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.budget import Amount
from promptprop.domain.errors import AmbiguousRun, RunNotFound, StorageError
from promptprop.domain.events import (
    CandidateRaced,
    EndpointPaused,
    ErrorsRetried,
    Estimate,
    RunStarted,
    RunStopped,
    StoredEvent,
)
from promptprop.domain.models import (
    Attempts,
    Critique,
    Example,
    Failure,
    Judgement,
    Proposal,
)
from promptprop.ports import CacheMode, FailedCall, RecordedCall, RecordedReply, Store


@pytest.fixture
def store(any_database_url: str) -> Iterator[Store]:
    with closing(open_store(any_database_url)) as opened:
        yield opened


# --- runs -----------------------------------------------------------------------------------------------------------


async def test_a_run_comes_back_as_it_was_stored(store: Store) -> None:
    run = run_row(summary={"score": 0.5}, stop_reason="budget", active_seconds=1.5, seed=2**40)
    await store.create_run(run)
    assert store.run(run.id) == run


async def test_a_time_in_another_zone_comes_back_as_the_same_moment_in_utc(store: Store) -> None:
    await store.create_run(run_row(created_at=NOON.astimezone(timezone(timedelta(hours=9)))))
    found = store.run("latest").created_at
    assert found == NOON
    assert found.utcoffset() == timedelta(0)


async def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(StorageError, match="no time zone"):
        await store.create_run(run_row(created_at=NOON.replace(tzinfo=None)))


async def test_a_run_id_is_taken_once(store: Store) -> None:
    await store.create_run(run_row())
    with pytest.raises(StorageError, match="stored already"):
        await store.create_run(run_row(name="other"))
    assert store.run("latest").name == "router"


async def test_a_run_answers_to_id_prefix_name_and_latest(store: Store) -> None:
    await store.create_run(run_row("aaaa1", name="first"))
    await store.create_run(run_row("aaaa2", name="second", created_at=NOON + timedelta(seconds=2)))
    await store.create_run(run_row("bbbb3", name="first", created_at=NOON + timedelta(seconds=1)))
    assert store.run("aaaa1").id == "aaaa1"
    assert store.run("bbbb").id == "bbbb3"
    assert store.run("first").id == "bbbb3", "the newest of that name"
    assert store.run("latest").id == "aaaa2"
    assert [run.id for run in store.runs()] == ["aaaa2", "bbbb3", "aaaa1"]
    assert [run.id for run in store.runs(limit=1, offset=1)] == ["bbbb3"]


async def test_an_exact_id_and_then_a_name_win_over_prefixes(store: Store) -> None:
    await store.create_run(run_row("abcd", name="one"))
    await store.create_run(run_row("abcde", name="abcd"))
    await store.create_run(run_row("nightly-1", name="two"))
    await store.create_run(run_row("xyz", name="nightly"))
    assert store.run("abcd").id == "abcd"
    assert store.run("nightly").id == "xyz"


async def test_a_prefix_of_several_runs_is_ambiguous_and_names_them(store: Store) -> None:
    await store.create_run(run_row("aaaa1"))
    await store.create_run(run_row("aaaa2"))
    with pytest.raises(AmbiguousRun, match="aaaa1"):
        store.run("aaaa")


@pytest.mark.parametrize("reference", ["aaa", "nope", "aaaa%", "", "____", "latest"])
async def test_what_no_run_answers_to_is_not_found(store: Store, reference: str) -> None:
    if reference != "latest":
        await store.create_run(run_row("aaaa1"))
    with pytest.raises(RunNotFound, match="promptprop runs list"):
        store.run(reference)


async def test_updating_a_run_changes_only_what_is_given(store: Store) -> None:
    run = run_row(stop_reason="errors")
    await store.create_run(run)
    await store.update_run(run.id, status="running", summary={"best": 1})
    found = store.run(run.id)
    assert found == replace(run, status="running", stop_reason=None, summary={"best": 1}, updated_at=found.updated_at)
    assert found.updated_at > NOON
    await store.update_run(run.id, status="stopped", stop_reason="budget")
    await store.update_run(run.id, active_seconds=2.0)
    assert store.run(run.id).stop_reason == "budget", "it goes only when the run goes on"
    await store.update_run(run.id, snapshot={"config": {"name": "é"}})
    assert store.run(run.id).snapshot == {"config": {"name": "é"}}
    assert store.run(run.id).summary == {"best": 1}
    with pytest.raises(RunNotFound):
        await store.update_run("nobody", status="running")


async def test_finished_runs_that_opened_the_same_rows_are_found_oldest_first(store: Store) -> None:
    for number, (name, status, opened) in enumerate(
        [("b", "finished", "rows"), ("a", "finished", "rows"), ("c", "stopped", "rows"), ("d", "finished", "others")]
    ):
        row = run_row(name * 8, created_at=NOON + timedelta(minutes=number))
        await store.create_run(replace(row, status=status, summary={"opened": opened}))
    await store.create_run(replace(run_row("e" * 8), status="finished", summary={"opened": None, "on": "rows"}))
    assert store.runs_that_opened("rows") == ["b" * 8, "a" * 8]
    assert store.runs_that_opened("none") == []


# --- events ---------------------------------------------------------------------------------------------------------


async def test_events_come_back_in_order_with_their_meta(store: Store) -> None:
    await store.create_run(run_row())
    started = RunStarted(
        "router", "optimize", "backprop", 7, {"test": 3}, {"task": "m"}, {"usd": "1.5"}, simulated=True
    )
    raced = CandidateRaced(1, "c2", "c1", Estimate(0.1, -0.05, 0.25, 40), "promoted")
    stored = [
        StoredEvent("k3v9-router", seq, NOON + timedelta(seconds=seq), event, {"hits": seq})
        for seq, event in enumerate((started, raced, ErrorsRetried()), start=1)
    ]
    for event in stored:
        await store.append(event)
    assert store.events("k3v9-router") == stored
    assert store.events("k3v9-router", after=2) == stored[2:]
    assert store.events("other") == []


@pytest.mark.parametrize("seq", [1, 3])
async def test_an_event_whose_seq_is_not_the_next_one_is_refused(store: Store, seq: int) -> None:
    await store.create_run(run_row())
    await store.append(StoredEvent("k3v9-router", 1, NOON, ErrorsRetried()))
    with pytest.raises(StorageError, match="not the next one"):
        await store.append(StoredEvent("k3v9-router", seq, NOON, ErrorsRetried()))
    assert len(store.events("k3v9-router")) == 1


async def test_rows_of_a_run_that_is_not_stored_are_refused(store: Store) -> None:
    with pytest.raises(StorageError):
        await store.append(StoredEvent("nobody", 1, NOON, ErrorsRetried()))
    with pytest.raises(StorageError):
        await store.record_call("nobody", model_request(), model_reply(), Attempts())
    assert store.find_call("nobody", model_request().key) is None


# --- calls ----------------------------------------------------------------------------------------------------------


async def test_a_recorded_call_is_the_runs_own_and_paid(store: Store) -> None:
    await store.create_run(run_row())
    request, reply = model_request(), model_reply(simulated=True)
    attempts = Attempts(3, 1, 120, None)
    assert store.find_call("k3v9-router", request.key) is None
    recorded = await store.record_call("k3v9-router", request, reply, attempts)
    assert recorded == RecordedCall(recorded.call_id, reply, None, attempts, paid=True, mine=True)
    assert store.find_call("k3v9-router", request.key) == recorded


async def test_another_runs_call_is_a_hit_that_costs_nothing_once_pinned(store: Store) -> None:
    await store.create_run(run_row("run-1"))
    await store.create_run(run_row("run-2"))
    request = model_request()
    paid = await store.record_call("run-1", request, model_reply(), Attempts(2))
    hit = store.find_call("run-2", request.key)
    assert hit == RecordedCall(paid.call_id, model_reply(), None, Attempts(0), paid=False, mine=False)
    assert hit.call_id is not None
    await store.pin_call("run-2", request, hit)
    await store.pin_call("run-2", request, hit)
    assert store.find_call("run-2", request.key) == replace(hit, mine=True)


async def test_recorded_replies_answer_the_run_that_was_given_them_free_of_charge_and_no_other(store: Store) -> None:
    for run_id in ("run-1", "run-2"):
        await store.create_run(run_row(run_id))
    asked = [model_request(f"row {n}") for n in range(1200)]
    paid = await store.record_call("run-1", asked[0], model_reply("mine"), Attempts(2))
    given = [RecordedReply(request, model_reply(f"recorded {n}")) for n, request in enumerate(asked)]
    await store.pin_replies("run-1", given)
    await store.pin_replies("run-1", given)
    await store.pin_replies("run-2", [])
    modes: tuple[CacheMode, ...] = ("off", "read-write")
    for mode in modes:
        found = store.find_calls("run-1", [request.key for request in asked], 0, mode)
        assert found[asked[0].key] == paid, "what the run has recorded stands"
        assert all(found[one.key].mine and not found[one.key].paid for one in asked[1:])
        assert found[asked[7].key].reply == model_reply("recorded 7")
    assert store.find_calls("run-2", [request.key for request in asked[1:]]) == {}
    assert store.paid("run-1").calls == 2
    replies = {one.request.key: one for one in store.replies("run-1")}
    assert len(replies) == 1200
    assert replies[asked[0].key].reply == model_reply("mine")
    (seventh,) = (replies[asked[7].key],)
    assert (seventh.request.role, seventh.request.endpoint, seventh.request.model) == ("task", "task", "m")
    assert store.replies("run-2") == []


async def test_the_reply_that_was_stored_first_wins_and_both_runs_have_paid(store: Store) -> None:
    await store.create_run(run_row("run-1"))
    await store.create_run(run_row("run-2"))
    request = model_request()
    first = await store.record_call("run-1", request, model_reply("first"), Attempts(1))
    second = await store.record_call("run-2", request, model_reply("second"), Attempts(4, 1, 9, 8))
    assert second == replace(first, attempts=Attempts(4, 1, 9, 8))
    assert store.find_call("run-2", request.key) == second


async def test_a_call_recorded_twice_by_one_run_adds_up_its_attempts(store: Store) -> None:
    await store.create_run(run_row())
    for sent in (1, 2):
        await store.record_call("k3v9-router", model_request(), model_reply(), Attempts(sent, 1, 10, 5))
    found = store.find_call("k3v9-router", model_request().key)
    assert found is not None
    assert found.attempts == Attempts(3, 2, 20, 10)


async def test_a_failure_answers_in_its_generation_and_not_after_a_retry(store: Store) -> None:
    await store.create_run(run_row())
    request, failure = model_request(), Failure("call_timed_out", "no answer", "wait", stops=True)
    await store.commit_block("k3v9-router", [], [FailedCall(request, failure, Attempts(3, 3, 99, 7))], "f")
    found = store.find_call("k3v9-router", request.key)
    assert found == RecordedCall(None, None, failure, Attempts(3, 3, 99, 7), paid=True, mine=True)
    assert store.find_call("k3v9-router", request.key, generation=1) is None
    retried = await store.record_call("k3v9-router", request, model_reply(), Attempts(1), generation=1)
    assert store.find_call("k3v9-router", request.key, generation=1) == retried
    assert store.find_call("k3v9-router", request.key, generation=5) == retried
    assert store.find_call("k3v9-router", request.key) == found, "a later record is not seen from before"


async def test_a_failure_of_one_run_does_not_answer_another(store: Store) -> None:
    await store.create_run(run_row("run-1"))
    await store.create_run(run_row("run-2"))
    failed = FailedCall(model_request(), Failure("rate_limited", "429"), Attempts())
    await store.commit_block("run-1", [], [failed], "f")
    assert store.find_call("run-2", model_request().key) is None


async def test_a_later_generation_may_consume_another_runs_reply(store: Store) -> None:
    await store.create_run(run_row("run-1"))
    await store.create_run(run_row("run-2"))
    failed = FailedCall(model_request(), Failure("rate_limited", "429"), Attempts())
    await store.commit_block("run-1", [], [failed], "f")
    other = await store.record_call("run-2", model_request(), model_reply(), Attempts())
    hit = store.find_call("run-1", model_request().key, generation=1)
    assert hit is not None
    assert (hit.call_id, hit.mine, hit.paid) == (other.call_id, False, False)


async def test_many_calls_at_once_are_each_recorded(store: Store) -> None:
    await store.create_run(run_row())
    requests = [model_request("same", replicate=number) for number in range(1200)]
    recorded = await asyncio.gather(
        *(
            store.record_call("k3v9-router", request, model_reply(str(number)), Attempts())
            for number, request in enumerate(requests)
        )
    )
    assert len({call.call_id for call in recorded}) == 1200
    assert [call.reply.text for call in recorded if call.reply] == [str(number) for number in range(1200)]
    assert [store.find_call("k3v9-router", request.key) for request in requests] == recorded


# --- what no column can hold ----------------------------------------------------------------------------------------


async def test_surrogates_and_nul_are_replaced_wherever_they_stand(store: Store) -> None:
    await store.create_run(run_row(name=BAD, snapshot={BAD: [BAD]}))
    assert store.run("latest").snapshot == {GOOD: [GOOD]}
    assert store.run(BAD).name == GOOD
    request = model_request(BAD)
    recorded = await store.record_call(
        "k3v9-router", request, model_reply(BAD, finish_reason=BAD, model=BAD), Attempts()
    )
    assert recorded.reply is not None
    assert (recorded.reply.text, recorded.reply.finish_reason, recorded.reply.model) == (GOOD, GOOD, GOOD)
    assert store.find_call("k3v9-router", request.key) == recorded
    program = candidate(BAD)
    await store.keep_candidate("k3v9-router", Proposal(program, (Critique(BAD, BAD, BAD, (BAD,)),)))
    assert store.candidates("k3v9-router")[program.id].candidate.text == GOOD
    failure = Failure(BAD, BAD, BAD)
    await store.commit_block(
        "k3v9-router",
        [evaluation(BAD, candidate_id=program.id, output=BAD, error=failure, judgements={BAD: Judgement(0.5, BAD)})],
        [FailedCall(model_request("other"), failure, Attempts())],
        "f",
    )
    [found] = store.find_evaluations("k3v9-router", cells(program, BAD), "f")
    assert found is not None
    assert (found.output, found.error, found.example_id) == (GOOD, Failure(GOOD, GOOD, GOOD), GOOD)
    dataset = await store.put_dataset(BAD, [Example(BAD, {BAD: BAD}, BAD)])
    assert [(row.id, row.stratum) for row in store.rows(dataset)] == [(GOOD, GOOD)]
    assert store.examples(dataset, [BAD]) == [Example(GOOD, {GOOD: GOOD}, GOOD)]
    assert (await store.save_prompt(BAD, program, BAD, [BAD])).aliases == (GOOD,)
    assert store.prompt(f"{BAD}@{BAD}").candidate.id == program.id


async def test_a_row_that_cannot_be_stored_fails_alone(store: Store) -> None:
    await store.create_run(run_row())
    numbers = range(40)
    results = await asyncio.gather(
        *(
            store.record_call(
                "k3v9-router",
                model_request(str(number)),
                model_reply(picousd=2**70 if number == 7 else number),
                Attempts(),
            )
            for number in numbers
        ),
        return_exceptions=True,
    )
    assert [number for number, result in zip(numbers, results, strict=True) if isinstance(result, StorageError)] == [7]
    for number in numbers:
        found = store.find_call("k3v9-router", model_request(str(number)).key)
        assert (found is None) == (number == 7)


# --- the end --------------------------------------------------------------------------------------------------------


async def test_a_purged_run_takes_along_only_the_calls_that_no_other_run_pins(store: SqlStore) -> None:
    await store.create_run(run_row("run-1"))
    await store.create_run(run_row("run-2"))
    shared = await store.record_call("run-1", model_request("shared"), model_reply(), Attempts())
    await store.record_call("run-1", model_request("own"), model_reply(), Attempts())
    await store.pin_call("run-2", model_request("shared"), shared)
    await store.append(StoredEvent("run-1", 1, NOON, ErrorsRetried()))
    await store.keep_candidate("run-1", Proposal(candidate()))
    await store.commit_block("run-1", [evaluation("r1")], [], "f")
    await store.delete_run("run-1", purge=True)
    with pytest.raises(RunNotFound):
        store.run("run-1")
    assert (store.events("run-1"), store.candidates("run-1"), list(store.evaluations("run-1"))) == ([], {}, [])
    assert store.find_call("run-2", model_request("own").key) is None
    assert store.find_call("run-2", model_request("shared").key) is not None
    with pytest.raises(RunNotFound):
        await store.delete_run("run-1")


async def test_a_run_deleted_without_purge_leaves_its_calls_to_others_until_pruned(store: SqlStore) -> None:
    await store.create_run(run_row("run-1"))
    await store.create_run(run_row("run-2"))
    await store.record_call("run-1", model_request("old"), model_reply(picousd=5), Attempts())
    await store.record_call("run-2", model_request("new"), model_reply(picousd=6), Attempts())
    await store.delete_run("run-1")
    assert store.find_call("run-2", model_request("old").key) is not None
    stats = store.cache_stats()
    assert (stats.held, stats.shared, stats.pinned, stats.prunable) == (CallSums(2, 36, 11, 0), 2, 1, 1)
    assert await store.prune_calls() == 1
    assert store.find_call("run-2", model_request("old").key) is None
    assert store.find_call("run-2", model_request("new").key) is not None


async def test_a_store_may_be_closed_twice_and_refuses_work_afterwards(store: Store) -> None:
    await store.create_run(run_row())
    store.close()
    store.close()
    with pytest.raises(StorageError, match="closed"):
        await store.create_run(run_row("other"))
    with pytest.raises(StorageError, match="closed"):
        store.run("latest")


async def test_closing_commits_what_is_queued(store: Store) -> None:
    await store.create_run(run_row())
    pending = [
        asyncio.ensure_future(store.record_call("k3v9-router", model_request(str(number)), model_reply(), Attempts()))
        for number in range(50)
    ]
    await asyncio.sleep(0)
    store.close()
    assert all(call.call_id for call in await asyncio.gather(*pending))


async def test_attempts_that_brought_nothing_answer_nobody_and_are_replaced_by_newer_ones(store: Store) -> None:
    await store.create_run(run_row("run-1"))
    request = model_request()
    for sent in (1, 2):
        lost = FailedCall(request, Failure("rate_limited", "429"), Attempts(sent, 1, 10, 5))
        await store.commit_block("run-1", [], [lost], "", generation=-1)
    found = RecordedCall(None, None, None, Attempts(2, 1, 10, 5), paid=True, mine=True)
    assert store.find_call("run-1", request.key) == found
    assert store.find_call("run-1", request.key, generation=1) is None
    assert store.paid("run-1") == Amount(2, 10, 5)


async def test_what_a_run_has_paid_counts_every_attempt_once(store: Store) -> None:
    for run_id in ("run-1", "run-2"):
        await store.create_run(run_row(run_id))
    assert store.paid("run-1") == Amount()
    request, reply = model_request(), model_reply()
    lost = FailedCall(request, Failure("rate_limited", "429"), Attempts(1))
    await store.commit_block("run-1", [], [lost], "", generation=-1)
    recorded = await store.record_call("run-1", request, reply, Attempts(2, 1, 10, 5))
    failed = FailedCall(model_request("other"), Failure("rate_limited", "429"), Attempts(3, 1, 7, None))
    await store.commit_block("run-1", [], [failed], "f")
    await store.pin_call("run-2", request, recorded)
    assert store.paid("run-1") == Amount(5, reply.usage.total + 17, (reply.picousd or 0) + 5)
    assert store.paid("run-2") == Amount()


async def test_a_failure_is_stored_without_secrets(store: Store) -> None:
    await store.create_run(run_row("run-1"))
    words = "refused Authorization: Bearer sk-abcdefgh12345678"
    failed = FailedCall(model_request(), Failure("request_refused", words, words), Attempts())
    await store.commit_block("run-1", [], [failed], "f")
    stopped = RunStopped("failed", words)
    await store.append(StoredEvent("run-1", 1, NOON, stopped))
    found = store.find_call("run-1", model_request().key)
    assert found is not None
    assert found.failure is not None
    await store.append(StoredEvent("run-1", 2, NOON, EndpointPaused("task", "m", "rate_limited", words, 3.0)))
    for text in (found.failure.message, found.failure.remedy, *map(str, store.events("run-1"))):
        assert "refused" in text
        assert "abcdefgh" not in text


@pytest.mark.parametrize("cache", ["read-write", "off"])
@pytest.mark.parametrize("generation", [0, 1, 2])
async def test_many_keys_are_looked_up_at_once_as_they_are_one_by_one(
    store: Store, generation: int, cache: CacheMode
) -> None:
    for run_id in ("run-1", "run-2"):
        await store.create_run(run_row(run_id))
    names = ("mine", "pinned", "failed", "lost", "lost and shared", "retried", "shared", "unknown")
    asked = {name: model_request(name) for name in names}
    failure = Failure("rate_limited", "429")
    await store.record_call("run-1", asked["mine"], model_reply("m"), Attempts(2))
    for name in ("pinned", "lost and shared", "shared"):
        await store.record_call("run-2", asked[name], model_reply(name), Attempts())
    hit = store.find_call("run-1", asked["pinned"].key)
    assert hit is not None
    await store.pin_call("run-1", asked["pinned"], hit)
    for name in ("failed", "retried"):
        await store.commit_block("run-1", [], [FailedCall(asked[name], failure, Attempts(3))], "f")
    await store.record_call("run-1", asked["retried"], model_reply("r"), Attempts(), generation=1)
    for name in ("lost", "lost and shared"):
        await store.commit_block("run-1", [], [FailedCall(asked[name], failure, Attempts(1))], "", generation=-1)
    keys = [request.key for request in asked.values()]
    one_by_one = {key: store.find_call("run-1", key, generation, cache) for key in keys}
    found = store.find_calls("run-1", [*keys, *keys], generation, cache)
    assert found == {key: record for key, record in one_by_one.items() if record is not None}
    assert store.find_calls("run-1", [], generation, cache) == {}
