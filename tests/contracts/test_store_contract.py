"""What every Store must do. SQLite always; PostgreSQL where PROMPTPROP_TEST_POSTGRES_URL names an empty one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.adapters.storage.tables import metadata
from promptprop.domain.errors import AmbiguousRun, DataError, RunNotFound, StorageError, UsageError
from promptprop.domain.events import CandidateRaced, ErrorsRetried, Estimate, RunStarted, StoredEvent
from promptprop.domain.models import (
    Attempts,
    Candidate,
    Cell,
    Critique,
    Demo,
    Evaluation,
    Example,
    Failure,
    Hypothesis,
    Judgement,
    Message,
    ModelRequest,
    Prompt,
    Proposal,
    Reply,
    StepTrace,
    Usage,
)
from promptprop.ports import FailedCall, RecordedCall, RunRow, Store

POSTGRES = os.environ.get("PROMPTPROP_TEST_POSTGRES_URL")
NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=timezone.utc)
BAD = "a\x00b\ud800c"
GOOD = "a\ufffdb\ufffdc"


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param(
            "postgresql",
            marks=pytest.mark.skipif(POSTGRES is None, reason="PROMPTPROP_TEST_POSTGRES_URL names no database"),
        ),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else str(POSTGRES)
    opened = open_store(url)
    yield opened
    opened.close()
    if request.param == "postgresql":
        empty_server(url)


def empty_server(url: str) -> None:
    from promptprop.adapters.storage.connection import make_engine

    engine = make_engine(url, "write")
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
    engine.dispose()


def run_row(run_id: str = "k3v9-router", **changes: Any) -> RunRow:
    fields = {"name": "router", "activity": "optimize", "status": "created", "seed": 7, "dataset_id": "d"}
    times = {"created_at": NOON, "updated_at": NOON}
    return RunRow(id=run_id, **{**fields, **times, "snapshot": {"config": {"b": [1, None]}, "a": "é"}, **changes})


def model_request(text: str = "hi", **changes: Any) -> ModelRequest:
    return ModelRequest("task", "m", (Message("user", text),), {"temperature": 0}, **changes)


def model_reply(text: str = "yes", **changes: Any) -> Reply:
    return replace(Reply(text, Usage(11, 7, 3, 2), 5 * 10**18, "stop", "m-1", 0.25), **changes)


def candidate(text: str = "Answer {{ text }}", **changes: Any) -> Candidate:
    return Candidate({"main": Prompt.of(text)}, **changes)


def evaluation(example_id: str, *, candidate_id: str = "c", **changes: Any) -> Evaluation:
    return replace(Evaluation(candidate_id, example_id, 0, output="o", score=0.5), **changes)


def cells(program: Candidate, *ids: str) -> list[Cell]:
    return [Cell(program, row_id) for row_id in ids]


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
    assert found == replace(run, status="running", summary={"best": 1}, updated_at=found.updated_at)
    assert found.updated_at > NOON
    with pytest.raises(RunNotFound):
        await store.update_run("nobody", status="running")


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
    await store.pin_call("run-2", request.key, hit.call_id)
    await store.pin_call("run-2", request.key, hit.call_id)
    assert store.find_call("run-2", request.key) == replace(hit, mine=True)


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


# --- evaluations ----------------------------------------------------------------------------------------------------


async def test_evaluations_come_back_whole_in_the_order_asked(store: Store) -> None:
    await store.create_run(run_row())
    program = candidate()
    trace = (StepTrace("main", "out", "k"),)
    words = {"label": Judgement(0.5, "near"), "panel": Judgement(None)}
    full = Evaluation(program.id, "r1", 0, "out", trace, words, 0.5, Usage(1, 2, 3, 4), None, 0.75)
    failed = evaluation("r2", candidate_id=program.id).with_error(Failure("context_too_long", "too long"))
    await store.commit_block("k3v9-router", [full, failed], [], "f")
    asked = cells(program, "r3", "r2", "r1", "r1")
    assert store.find_evaluations("k3v9-router", asked, "f") == [None, failed, full, full]
    assert store.find_evaluations("k3v9-router", asked, "other metrics") == [None] * 4
    assert store.find_evaluations("k3v9-router", [replace(asked[2], replicate=1)], "f") == [None]
    assert store.find_evaluations("k3v9-router", [], "f") == []


async def test_a_stored_evaluation_stays_as_it_is(store: Store) -> None:
    await store.create_run(run_row())
    program = candidate()
    for score in (0.25, 0.75):
        await store.commit_block("k3v9-router", [evaluation("r1", candidate_id=program.id, score=score)], [], "f")
    [found] = store.find_evaluations("k3v9-router", cells(program, "r1"), "f")
    assert found is not None
    assert found.score == 0.25


async def test_a_missing_evaluation_answers_only_in_its_generation(store: Store) -> None:
    await store.create_run(run_row())
    program = candidate()
    error = evaluation("r1", candidate_id=program.id).with_error(Failure("rate_limited", "429"))
    unscored = evaluation("r2", candidate_id=program.id, score=None)
    scored = evaluation("r3", candidate_id=program.id)
    await store.commit_block("k3v9-router", [error, unscored, scored], [], "f")
    asked = cells(program, "r1", "r2", "r3")
    assert store.find_evaluations("k3v9-router", asked, "f") == [error, unscored, scored]
    assert store.find_evaluations("k3v9-router", asked, "f", generation=1) == [None, None, scored]
    retried = evaluation("r1", candidate_id=program.id, score=1.0)
    await store.commit_block("k3v9-router", [retried], [], "f", generation=1)
    assert store.find_evaluations("k3v9-router", asked, "f", generation=2) == [retried, None, scored]
    assert store.find_evaluations("k3v9-router", asked, "f") == [error, unscored, scored]


async def test_a_block_is_stored_whole_or_not_at_all(store: Store) -> None:
    await store.create_run(run_row())
    too_large = FailedCall(model_request(), Failure("rate_limited", "429"), Attempts(sent=2**70))
    with pytest.raises(StorageError):
        await store.commit_block("k3v9-router", [evaluation("r1")], [too_large], "f")
    assert list(store.evaluations("k3v9-router")) == []


async def test_all_evaluations_stream_in_the_order_stored_while_others_write(store: Store) -> None:
    await store.create_run(run_row())
    ids = [f"r{number}" for number in range(1100, 0, -1)]
    await store.commit_block("k3v9-router", [evaluation(row_id) for row_id in ids], [], "f")
    await store.commit_block("k3v9-router", [evaluation("x", candidate_id="d")], [], "f")
    stream = store.evaluations("k3v9-router")
    first = next(stream)
    await store.create_run(run_row("other"))
    assert store.run("other").id == "other", "an open stream hides nothing that is committed meanwhile"
    assert [first.example_id, *(one.example_id for one in stream)] == [*ids, "x"]
    assert [one.example_id for one in store.evaluations("k3v9-router", "d")] == ["x"]


async def test_candidates_come_back_with_their_critiques_in_the_order_stored(store: Store) -> None:
    await store.create_run(run_row())
    prompts = {"z": Prompt((Message("system", "s"), Message("user", "{{ a }}"))), "a": Prompt.of("{x}", literal=True)}
    demo = Demo("r1", {"text": "é", "n": 1}, "out")
    child = Candidate(prompts, (demo,), ("p1", "p2"), Hypothesis("shorten", "less is more"))
    proposals = [
        Proposal(child, (Critique("z", "cause", "fix", ("r1", "r2")),)),
        Proposal(candidate()),
    ]
    for proposal in (*proposals, replace(proposals[0], critiques=())):
        await store.keep_candidate("k3v9-router", proposal)
    found = store.candidates("k3v9-router")
    assert list(found.values()) == proposals
    assert list(found) == [child.id, candidate().id]
    assert list(found[child.id].candidate.prompts) == ["z", "a"], "steps keep their order"


# --- datasets -------------------------------------------------------------------------------------------------------

INPUTS = {"text": "é", "n": [1, {"a": None}]}
EXAMPLES = [
    Example("r1", INPUTS, "billing", ("soft",), ({"literal": "x"},), ("vip",), "c1", 2.0, "test"),
    Example("r2", {"text": "b"}, {"a": 1}),
    Example("r0", {"text": "c"}, True),
]


async def test_a_dataset_is_stored_once_under_its_fingerprint(store: Store) -> None:
    first = await store.put_dataset("support", iter(EXAMPLES))
    assert await store.put_dataset("another name", EXAMPLES) == first
    assert await store.put_dataset("support", EXAMPLES[:2]) != first
    assert [(row.id, row.stratum, row.split) for row in store.rows(first)] == [
        ("r1", "billing", "test"),
        ("r2", "", None),
        ("r0", "true", None),
    ]
    assert store.rows(first)[0].cluster == "c1"


async def test_examples_come_back_whole_in_the_order_asked(store: Store) -> None:
    dataset = await store.put_dataset("support", EXAMPLES)
    assert store.examples(dataset, ["r0", "r1", "r0"]) == [EXAMPLES[2], EXAMPLES[0], EXAMPLES[2]]
    with pytest.raises(StorageError, match="nobody"):
        store.examples(dataset, ["r1", "nobody"])


async def test_a_large_dataset_keeps_its_order(store: Store) -> None:
    ids = [f"r{number}" for number in range(2500, 0, -1)]
    dataset = await store.put_dataset("large", (Example(row_id, {"text": row_id}) for row_id in ids))
    assert [row.id for row in store.rows(dataset)] == ids
    assert [example.id for example in store.examples(dataset, ids)] == ids


async def test_two_rows_of_one_id_are_refused_with_it(store: Store) -> None:
    with pytest.raises(DataError, match="r2"):
        await store.put_dataset("support", [*EXAMPLES, EXAMPLES[1]])


async def test_a_dataset_that_is_not_stored_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        store.rows("nowhere")


async def test_an_empty_dataset_has_no_rows(store: Store) -> None:
    assert store.rows(await store.put_dataset("empty", [])) == []


# --- prompts --------------------------------------------------------------------------------------------------------


async def test_prompts_count_their_versions_and_aliases_move(store: Store) -> None:
    old, new = candidate("old"), candidate("new")
    first = await store.save_prompt("router", old, None, ["production"])
    assert (first.version, first.aliases, first.candidate) == (1, ("production",), old)
    again = await store.save_prompt("router", old, "run", ["staging"])
    assert (again.version, again.aliases) == (1, ("production", "staging"))
    second = await store.save_prompt("router", new, "run", ["production"])
    assert (second.version, second.run_id, second.aliases) == (2, "run", ("production",))
    third = await store.save_prompt("router", old, None)
    assert third.version == 3
    await store.save_prompt("other", new, None)
    assert store.prompt("router") == third
    assert store.prompt("router@1").aliases == ("staging",)
    assert store.prompt("router@production") == second
    assert [(one.name, one.version) for one in store.prompts()] == [
        ("other", 1),
        ("router", 1),
        ("router", 2),
        ("router", 3),
    ]


@pytest.mark.parametrize("reference", ["nobody", "router@2", "router@nobody", "other@production", ""])
async def test_a_prompt_that_is_not_there_is_a_usage_error(store: Store, reference: str) -> None:
    await store.save_prompt("router", candidate(), None, ["production"])
    await store.save_prompt("other", candidate(), None)
    with pytest.raises(UsageError, match="prompts list"):
        store.prompt(reference)


@pytest.mark.parametrize(("name", "alias"), [("a@b", "x"), ("", "x"), ("a", "3"), ("a", "x@y"), ("a", "")])
async def test_names_that_could_not_be_referred_to_are_refused(store: Store, name: str, alias: str) -> None:
    with pytest.raises(UsageError):
        await store.save_prompt(name, candidate(), None, [alias])
    assert store.prompts() == []


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
    assert shared.call_id is not None
    await store.pin_call("run-2", model_request("shared").key, shared.call_id)
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
    assert (stats.calls, stats.pinned, stats.tokens, stats.picousd) == (2, 1, 36, 11)
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
