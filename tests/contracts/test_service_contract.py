"""What every store must do for `serve`: tokens, the inbox, lists, progress, idempotency keys and the audit log."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from store_rows import BAD, GOOD, NOON, candidate, evaluation, run_row

from promptprop.adapters.logs import register_secret
from promptprop.adapters.storage import audit
from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.adapters.storage.tables import api_tokens
from promptprop.domain.errors import AmbiguousRun, RunNotFound, UsageError
from promptprop.domain.events import NoteLeft, StoredEvent
from promptprop.domain.models import Example
from promptprop.ports import AuditRow, Cursor, RunHead, WishRow

NOTE = {"text": "mind the tone"}


@pytest.fixture
def store(any_database_url: str) -> Iterator[SqlStore]:
    with closing(open_store(any_database_url)) as opened:
        yield opened


def soon() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


# --- tokens ---------------------------------------------------------------------------------------------------------


async def test_a_token_is_found_by_its_secret_and_by_nothing_else(store: SqlStore) -> None:
    row, secret = await store.create_token("ci", "run", max_runs=3, expires_at=soon())
    assert store.find_token(secret) == row
    assert (row.name, row.scope, row.max_runs, row.used_at) == ("ci", "run", 3, None)
    others = [secret[:-1], secret + "x", secret.upper(), "", "pp_", row.id, "pp_" + "é" * 43, "pp_" + "a" * 10**6]
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    assert [store.find_token(other) for other in (*others, hashed, f"pp_{hashed}")] == [None] * (len(others) + 2)


async def test_no_column_holds_a_secret(store: SqlStore) -> None:
    _, secret = await store.create_token("ci", "admin")
    with store.reading() as connection:
        (stored,) = connection.execute(select(api_tokens)).all()
    assert secret.startswith("pp_")
    assert len(secret) == 3 + 43
    assert not any(secret[3:] in str(value) for value in stored)


async def test_secrets_differ(store: SqlStore) -> None:
    assert len({(await store.create_token(f"t{number}", "read"))[1] for number in range(20)}) == 20


async def test_a_token_that_has_expired_is_not_found_but_listed(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, secret = await store.create_token("ci", "read", expires_at=soon())
    later = soon() + timedelta(seconds=1)
    monkeypatch.setattr("promptprop.adapters.storage.tokens.utc_now", lambda: later)
    assert store.find_token(secret) is None
    assert store.tokens() == [row]
    assert not store.has_tokens()
    assert row.state(later) == "expired"
    await store.create_token("ci", "read")  # its name is free again


async def test_a_token_that_is_revoked_is_not_found_but_listed(store: SqlStore) -> None:
    row, secret = await store.create_token("ci", "read")
    assert store.has_tokens()
    revoked = await store.revoke_token("ci")
    assert revoked.id == row.id
    assert revoked.state(soon()) == "revoked"
    assert store.find_token(secret) is None
    assert store.tokens() == [revoked]
    assert await store.revoke_token(row.id) == revoked, "a second time is a no-op"
    assert not store.has_tokens()


async def test_tokens_answer_to_id_name_and_the_beginning_of_an_id(store: SqlStore) -> None:
    old, _ = await store.create_token("ci", "read")
    await store.revoke_token(old.id[:6])
    new, _ = await store.create_token("ci", "read")
    assert (await store.revoke_token("ci")).id == new.id, "a name stands for the token in force"
    for unknown in ("nobody", new.id[:3], "", "%"):
        with pytest.raises(UsageError, match="no token answers"):
            await store.revoke_token(unknown)


async def test_a_name_is_given_to_one_token_in_force(store: SqlStore) -> None:
    await store.create_token("ci", "read")
    with pytest.raises(UsageError, match="named 'ci'"):
        await store.create_token(" ci ", "admin")
    assert len(store.tokens()) == 1


async def test_tokens_that_cannot_be_are_refused(store: SqlStore) -> None:
    for name in ("", " ", "x" * 201, "a\x1b[31m"):
        with pytest.raises(UsageError, match="cannot name a token"):
            await store.create_token(name, "read")
    with pytest.raises(UsageError, match="scope"):
        await store.create_token("ci", "root")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expired already"):
        await store.create_token("ci", "read", expires_at=NOON)
    with pytest.raises(UsageError, match="less than 0"):
        await store.create_token("ci", "read", max_runs=-1)
    assert store.tokens() == []


async def test_the_use_of_a_token_is_noted_once_a_minute(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    row, secret = await store.create_token("ci", "read")
    now = datetime.now(timezone.utc)
    seen = []
    for seconds in (0, 30, 59, 61, 62):
        monkeypatch.setattr(
            "promptprop.adapters.storage.tokens.utc_now", lambda after=seconds: now + timedelta(0, after)
        )
        await store.touch_token(row.id)
        found = store.find_token(secret)
        assert found is not None
        assert found.used_at is not None
        seen.append((found.used_at - now).total_seconds())
    assert seen == [0, 0, 0, 61, 61]


def test_a_scope_holds_the_ones_before_it() -> None:
    from promptprop.ports import SCOPES, TokenRow

    allowed = {one: [other for other in SCOPES if TokenRow("i", "n", one, NOON).allows(other)] for one in SCOPES}
    assert allowed == {"read": ["read"], "run": ["read", "run"], "admin": ["read", "run", "admin"]}


# --- the inbox ------------------------------------------------------------------------------------------------------


async def test_wishes_wait_in_their_order_until_they_are_settled(store: SqlStore) -> None:
    await store.create_run(run_row("one"))
    await store.create_run(run_row("two"))
    first = await store.leave_wish("one", "note_left", NOTE, "alice")
    await store.leave_wish("two", "errors_retried", {})
    second = await store.leave_wish("one", "cap_raised", {"caps": {"calls": 9}})
    assert (first.run_id, first.kind, first.body, first.author) == ("one", "note_left", NOTE, "alice")
    assert store.wishes("one") == [first, second]
    await store.settle_wish(first.id)
    await store.settle_wish(second.id, "too late")
    assert store.wishes("one") == []
    rows = store.wish_rows("one")
    assert [(row.wish, row.refused) for row in rows] == [(first, None), (second, "too late")]
    assert all(row.taken_at is not None for row in rows)
    assert store.wish_rows("one", first.id, 1) == rows[1:]
    assert store.wish_row("one", second.id) == rows[1]
    assert store.wish_row("two", second.id) is None


async def test_what_is_settled_stays_as_it_is(store: SqlStore) -> None:
    await store.create_run(run_row("one"))
    wish = await store.leave_wish("one", "note_left", NOTE)
    await store.settle_wish(wish.id)
    before = store.wish_row("one", wish.id)
    await store.settle_wish(wish.id, "refused after all")
    assert store.wish_row("one", wish.id) == before
    assert isinstance(before, WishRow)
    assert before.refused is None


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("run_started", {}, "nothing to ask"),
        ("note_left", {}, "takes text"),
        ("note_left", {"text": "x", "more": 1}, "takes text"),
        ("note_left", {"text": " "}, "empty"),
        ("note_left", {"text": 5}, "strings"),
        ("note_left", {"text": "x" * 20_001}, "20,000"),
        ("errors_retried", {"x": 1}, "takes nothing"),
        ("paused", {"x": 1}, "takes nothing"),
        ("interrupted", {}, "nothing to ask"),
        ("cap_raised", {"caps": {}}, "some of"),
        ("cap_raised", {"caps": {"money": 5}}, "some of"),
        ("cap_raised", {"caps": {"calls": None}}, "whole number"),
        ("cap_raised", {"caps": {"calls": 2.5}}, "whole number"),
        ("cap_raised", {"caps": {"calls": True}}, "whole number"),
        ("cap_raised", {"caps": {"usd": "NaN"}}, "number from 0"),
        ("cap_raised", {"caps": {"usd": "-1"}}, "number from 0"),
        ("cap_raised", {"caps": {"seconds": "5"}}, "number from 0"),
        ("cap_raised", {"caps": {"seconds": float("inf")}}, "number from 0"),
        ("score_overridden", {"candidate_id": "c", "example_id": "r", "score": 2, "reason": "x"}, "0 to 1"),
        ("score_overridden", {"candidate_id": "c", "example_id": "r", "score": 1, "reason": ""}, "reason"),
        ("rewrite_reviewed", {"candidate_id": "c", "action": "burn", "prompts": {}, "reason": ""}, "one of"),
        ("rewrite_reviewed", {"candidate_id": "c", "action": "edit", "prompts": {}, "reason": ""}, "edit"),
        ("rewrite_reviewed", {"candidate_id": "c", "action": "approve", "prompts": {"m": "t"}, "reason": ""}, "edit"),
    ],
)
async def test_a_wish_that_can_never_be_is_refused_at_once(
    store: SqlStore, kind: str, body: dict[str, object], words: str
) -> None:
    await store.create_run(run_row("one"))
    with pytest.raises(UsageError, match=words):
        await store.leave_wish("one", kind, body)
    assert store.wish_rows("one") == []


async def test_nothing_can_be_asked_of_a_run_that_is_not_there(store: SqlStore) -> None:
    with pytest.raises(RunNotFound):
        await store.leave_wish("nobody", "paused", {})


async def test_nothing_can_be_asked_of_a_run_that_is_finished(store: SqlStore) -> None:
    await store.create_run(run_row("one", status="finished"))
    with pytest.raises(UsageError, match="is finished"):
        await store.leave_wish("one", "note_left", NOTE)


async def test_a_run_ends_as_the_waiting_wishes_say(store: SqlStore) -> None:
    await store.create_run(run_row("one"))
    assert store.ending("one") == "interrupted"
    await store.leave_wish("one", "cancelled", {})
    await store.leave_wish("one", "paused", {})
    note = await store.leave_wish("one", "note_left", NOTE)
    assert store.ending("one") == "cancelled"
    await store.withdraw_endings("one")
    assert store.ending("one") == "interrupted"
    assert store.wishes("one") == [note], "only endings are withdrawn"
    await store.leave_wish("one", "paused", {})
    assert store.ending("one") == "paused"


async def test_a_review_is_shown_while_it_is_pending(store: SqlStore) -> None:
    await store.create_run(run_row("one"))
    assert store.pending_review("one") is None
    await store.show_review("one", {"round": 1})
    await store.show_review("one", {"round": 2, "text": BAD})
    assert store.pending_review("one") == {"round": 2, "text": GOOD}
    await store.show_review("one", None)
    await store.show_review("one", None)
    assert store.pending_review("one") is None


async def test_all_that_belongs_to_a_run_goes_with_it(store: SqlStore) -> None:
    await store.create_run(run_row("one"))
    await store.leave_wish("one", "note_left", NOTE)
    await store.show_review("one", {})
    await store.keep_progress("one", {})
    await store.delete_run("one")
    assert (store.wish_rows("one"), store.pending_review("one"), store.progress(["one"])) == ([], None, {})


# --- progress -------------------------------------------------------------------------------------------------------


async def test_the_last_tick_of_each_run_is_kept(store: SqlStore) -> None:
    for name in ("one", "two", "three"):
        await store.create_run(run_row(name))
    await store.keep_progress("one", {"done": 1})
    await store.keep_progress("one", {"done": 2})
    await store.keep_progress("two", {"done": 5})
    await store.keep_progress("gone", {"done": 5})
    found = store.progress(["one", "two", "three", "gone"])
    assert {run_id: row.body for run_id, row in found.items()} == {"one": {"done": 2}, "two": {"done": 5}}
    assert found["one"].at.utcoffset() == timedelta(0)


# --- lists of runs --------------------------------------------------------------------------------------------------


async def many_runs(store: SqlStore) -> None:
    """Twelve runs in three moments, so that ids decide among those of one moment."""
    for number in range(12):
        moment = NOON + timedelta(seconds=number // 4)
        await store.create_run(
            run_row(
                f"r{number:02}",
                created_at=moment,
                status=("finished", "queued", "running")[number % 3],
                activity=("optimize", "evaluate")[number % 2],
                name=f"n{number % 4}",
                owner=("", "alice")[number // 6],
                summary={"score": number},
            )
        )


def all_pages(store: SqlStore, size: int, **filters: str) -> list[str]:
    found: list[RunHead] = []
    after: Cursor | None = None
    while page := store.run_page(size, after, **filters):  # type: ignore[arg-type]
        assert len(page) <= size
        found.extend(page)
        after = page[-1].cursor
    return [run.id for run in found]


@pytest.mark.parametrize("size", [1, 2, 5, 12, 50])
async def test_pages_hold_every_run_once_newest_first(store: SqlStore, size: int) -> None:
    await many_runs(store)
    assert all_pages(store, size) == [run.id for run in store.runs()]


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({"status": "queued"}, [10, 7, 4, 1]),
        ({"activity": "evaluate", "owner": "alice"}, [11, 9, 7]),
        ({"name": "n3", "status": "finished", "owner": ""}, [3]),
        ({"owner": ""}, [5, 4, 3, 2, 1, 0]),
        ({"owner": "bob"}, []),
        ({"name": "' OR 1=1 --"}, []),
    ],
)
async def test_pages_are_filtered(store: SqlStore, filters: dict[str, str], numbers: list[int]) -> None:
    await many_runs(store)
    wanted = [f"r{number:02}" for number in numbers]
    assert sorted(all_pages(store, 2, **filters)) == sorted(wanted)
    assert all_pages(store, 2, **filters) == [run.id for run in store.runs() if run.id in wanted]


async def test_a_run_that_begins_between_two_pages_moves_nothing(store: SqlStore) -> None:
    await many_runs(store)
    first = store.run_page(5)
    await store.create_run(run_row("newest", created_at=NOON + timedelta(days=1)))
    second = store.run_page(5, first[-1].cursor)
    assert [run.id for run in (*first, *second)] == [run.id for run in store.runs() if run.id != "newest"][:10]


async def test_a_head_says_what_the_run_says(store: SqlStore) -> None:
    run = run_row("one", owner="alice", summary={"score": 0.5}, stop_reason="budget", active_seconds=1.5)
    await store.create_run(run)
    assert store.run("one") == run
    (head,) = store.run_page(1)
    assert head == store.run_head("one")
    assert all(getattr(run, name) == getattr(head, name) for name in RunHead.__dataclass_fields__)
    for unknown in ("on", "latest", "router"):
        with pytest.raises(RunNotFound):
            store.run_head(unknown)


async def test_the_head_of_a_run_is_found_by_whatever_names_it(store: SqlStore) -> None:
    for number in (1, 2):
        await store.create_run(run_row(f"aaaa{number}"))
    for reference in ("aaaa1", "aaaa2", "latest", store.run("aaaa1").name):
        assert store.find_run_head(reference) == store.run_head(store.run(reference).id)
    with pytest.raises(AmbiguousRun, match="aaaa1"):
        store.find_run_head("aaaa")
    with pytest.raises(RunNotFound):
        store.find_run_head("nope")


async def test_runs_are_counted(store: SqlStore) -> None:
    assert store.run_counts() == {}
    await many_runs(store)
    assert store.run_counts() == {"finished": 4, "queued": 4, "running": 4}
    assert (store.live_runs_of(""), store.live_runs_of("alice"), store.live_runs_of("bob")) == (4, 4, 0)


async def test_a_status_changes_only_from_where_it_may(store: SqlStore) -> None:
    await store.create_run(run_row("one", status="queued"))
    assert not await store.change_status("one", ["running"], "stopped", "paused")
    assert not await store.change_status("nobody", ["queued"], "cancelled")
    both = await asyncio.gather(
        *(store.change_status("one", ["created", "queued"], "cancelled", "cancelled") for _ in range(2))
    )
    assert sorted(both) == [False, True]
    assert (store.run("one").status, store.run("one").stop_reason) == ("cancelled", "cancelled")


async def test_a_run_is_queued_while_its_owner_has_room(store: SqlStore) -> None:
    for name in ("a", "b", "c", "d"):
        await store.create_run(run_row(name, owner="alice", stop_reason="errors"))
    await store.create_run(run_row("other", owner="bob", status="running"))
    told = await asyncio.gather(*(store.queue_run(name, ["created"], 2) for name in "abcd"))
    assert sorted(told) == ["full", "full", "queued", "queued"]
    assert store.live_runs_of("alice") == 2
    queued, full = (
        next(name for name, one in zip("abcd", told, strict=True) if one == word) for word in ("queued", "full")
    )
    assert store.run(queued).stop_reason is None
    assert (store.run(full).status, store.run(full).stop_reason) == ("created", "errors")
    assert await store.queue_run(queued, ["created"], 9) == "elsewhere"
    assert await store.queue_run("nobody", ["created"]) == "elsewhere"
    assert await store.queue_run(full, ["created"]) == "queued"


# --- pages of a run -------------------------------------------------------------------------------------------------


async def test_events_come_by_the_page(store: SqlStore) -> None:
    for name in ("one", "two", "none"):
        await store.create_run(run_row(name))
    for seq in range(1, 8):
        await store.append(StoredEvent("one", seq, NOON, NoteLeft(str(seq))))
    await store.append(StoredEvent("two", 1, NOON, NoteLeft("x")))
    assert [event.seq for event in store.event_page("one", 2, 3)] == [3, 4, 5]
    assert store.event_page("one", 7, 3) == []
    assert (store.last_seq("one"), store.last_seq("none")) == (7, 0)
    assert store.last_seqs(["one", "two", "none"]) == {"one": 7, "two": 1}
    assert store.last_seqs([]) == {}


async def test_evaluations_come_by_the_page(store: SqlStore) -> None:
    for name in ("one", "two"):
        await store.create_run(run_row(name))
        for letter in "ab":
            rows = [evaluation(f"{name}{letter}{number}", candidate_id=letter) for number in range(3)]
            await store.commit_block(name, rows, [], "m", 1)
    everything = list(store.evaluations("two"))
    first = store.evaluation_page("two", limit=4)
    rest = store.evaluation_page("two", after_id=first[-1].id, limit=4)
    assert [row.evaluation for row in (*first, *rest)] == everything
    assert {(row.metrics_fingerprint, row.generation) for row in first} == {("m", 1)}
    of_one = store.evaluation_page("two", "b", 0, 2)
    assert [row.evaluation.example_id for row in of_one] == ["twob0", "twob1"]
    assert [row.evaluation.example_id for row in store.evaluation_page("two", "b", of_one[-1].id)] == ["twob2"]


# --- datasets and prompts -------------------------------------------------------------------------------------------


async def test_datasets_and_their_rows_come_by_the_page(store: SqlStore) -> None:
    splits = ("train", "test", None)
    ids = [
        await store.put_dataset(
            f"d{size}", [Example(f"r{number}", {"t": size}, split=splits[number % 3]) for number in range(size)]
        )
        for size in (3, 4, 5)
    ]
    first = store.dataset_heads(2)
    assert [(head.name, head.size) for head in first] == [("d5", 5), ("d4", 4)]
    assert [head.id for head in store.dataset_heads(2, first[-1].cursor)] == [ids[0]]
    assert store.dataset_head(ids[2]) == first[0]
    assert store.dataset_head("nothing") is None
    rows = store.dataset_rows(ids[2], limit=2)
    assert [(row.position, row.example.id) for row in rows] == [(0, "r0"), (1, "r1")]
    assert [row.example.id for row in store.dataset_rows(ids[2], 1)] == ["r2", "r3", "r4"]
    assert [row.position for row in store.dataset_rows(ids[2], split="train")] == [0, 3]
    assert store.dataset_rows("nothing") == []
    assert store.dataset_splits(ids[2]) == {"train": 2, "test": 2, "": 1}
    assert store.dataset_splits("nothing") == {}


async def test_a_dataset_goes_with_its_rows_once_no_run_is_made_of_it(store: SqlStore) -> None:
    kept, gone = [await store.put_dataset(f"d{size}", [Example("r", {"t": size})]) for size in (1, 2)]
    await store.create_run(run_row("run-1", dataset_id=kept))
    assert [await store.delete_dataset(one) for one in (kept, gone, "nothing")] == [1, 0, 0]
    assert [head.id for head in store.dataset_heads(5)] == [kept]
    assert (len(store.dataset_rows(kept)), store.dataset_rows(gone)) == (1, [])
    await store.delete_run("run-1")
    assert await store.delete_dataset(kept) == 0
    assert store.dataset_heads(5) == []


async def test_named_prompts_and_their_versions_come_by_the_page(store: SqlStore) -> None:
    for name, text, aliases in (("b", "one", ["live"]), ("a", "one", []), ("b", "two", ["next"]), ("c", "one", [])):
        await store.save_prompt(name, candidate(text), None, aliases)
    first = store.prompt_page(2)
    assert [(head.name, head.version, head.versions, dict(head.aliases)) for head in first] == [
        ("a", 1, 1, {}),
        ("b", 2, 2, {"live": 1, "next": 2}),
    ]
    assert first[1].candidate_id == candidate("two").id
    assert [head.name for head in store.prompt_page(2, "b")] == ["c"]
    assert store.prompt_page(2, "c") == []
    assert [(one.version, one.aliases) for one in store.prompt_versions("b", 9)] == [(2, ("next",)), (1, ("live",))]
    assert [one.version for one in store.prompt_versions("b", 1, before=2)] == [1]
    assert store.prompt_versions("nothing", 9) == []


@pytest.mark.parametrize("version", ["0", "4294967296", "9" * 400])
async def test_a_version_that_no_prompt_has_is_unknown_however_large_it_is(store: SqlStore, version: str) -> None:
    await store.save_prompt("b", candidate("one"), None)
    with pytest.raises(UsageError, match="no version or alias"):
        store.prompt(f"b@{version}")


async def test_aliases_are_set_and_removed(store: SqlStore) -> None:
    for text in ("one", "two"):
        await store.save_prompt("router", candidate(text), None, ["newest"])
    assert (await store.set_alias("router", "production", 1)).aliases == ("production",)
    assert store.prompt("router@production").version == 1
    assert (await store.set_alias("router", "production", 2)).aliases == ("newest", "production")
    await store.remove_alias("router", "production")
    for attempt in (
        store.remove_alias("router", "production"),
        store.set_alias("router", "production", 3),
        store.set_alias("nobody", "production", 1),
        store.set_alias("router", "7", 1),
    ):
        with pytest.raises(UsageError):
            await attempt
    assert store.prompt("router").aliases == ("newest",)


# --- idempotency ----------------------------------------------------------------------------------------------------


async def test_a_key_is_taken_once_and_answers_from_then_on(store: SqlStore) -> None:
    assert await store.begin_request("alice", "k", "f1") is None
    under_way = await store.begin_request("alice", "k", "f2")
    assert under_way is not None
    assert (under_way.fingerprint, under_way.status, under_way.body) == ("f1", None, None)
    await store.keep_answer("alice", "k", 202, '{"id": 1}', "/runs/1")
    kept = await store.begin_request("alice", "k", "f1")
    assert kept is not None
    assert (kept.fingerprint, kept.status, kept.location, kept.body) == ("f1", 202, "/runs/1", '{"id": 1}')
    assert await store.begin_request("bob", "k", "f1") is None, "keys are each owner's own"


async def test_of_many_requests_at_once_one_has_the_key(store: SqlStore) -> None:
    taken = await asyncio.gather(*(store.begin_request("alice", "k", "f") for _ in range(20)))
    assert sum(one is None for one in taken) == 1


async def test_a_request_that_came_to_nothing_gives_its_key_back(store: SqlStore) -> None:
    await store.begin_request("alice", "k", "f")
    await store.drop_request("alice", "k")
    assert await store.begin_request("alice", "k", "f") is None
    await store.keep_answer("alice", "k", 202, "{}")
    await store.drop_request("alice", "k")
    assert await store.begin_request("alice", "k", "f") is not None, "what was answered stays"


async def test_a_request_that_was_lost_with_its_process_may_be_made_again(store: SqlStore) -> None:
    await store.begin_request("alice", "k", "f1")
    assert await store.begin_request("alice", "k", "f2", stale_seconds=60) is not None
    assert await store.begin_request("alice", "k", "f2", stale_seconds=-1) is None
    kept = await store.begin_request("alice", "k", "f2")
    assert kept is not None
    assert kept.fingerprint == "f2"


async def test_old_answers_are_forgotten(store: SqlStore) -> None:
    await store.begin_request("alice", "k", "f")
    assert await store.prune_answers(NOON) == 0
    assert await store.prune_answers(soon()) == 1
    assert await store.begin_request("alice", "k", "f") is None


# --- the audit log --------------------------------------------------------------------------------------------------


async def test_old_rows_leave_the_audit_log_and_refusals_sooner(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SLICE", 3)
    statuses = [200, 403, 202, 401, 421, 204, 404]
    for days in (400, 100, 40, 10):
        rows = [AuditRow(NOON - timedelta(days=days), f"{days}", "", "a", "", one, "::1") for one in statuses]
        await store.record_audit(rows)
    year, month = NOON - timedelta(days=365), NOON - timedelta(days=30)
    assert await store.prune_audit(year, month) == 7 + 3 + 3
    left = [(row.request_id, row.status) for row in reversed(store.audit_page(50))]
    kept = [200, 202, 204, 404]
    assert left == [(days, one) for days in ("100", "40") for one in kept] + [("10", one) for one in statuses]
    assert await store.prune_audit(year, month) == 0


async def test_the_audit_log_is_read_newest_first(store: SqlStore) -> None:
    register_secret("hunter2-hunter2")
    row = AuditRow(NOON, "q1", "alice", "POST /api/v1/runs", "run-1", 202, "127.0.0.1", f"{BAD} hunter2-hunter2")
    await store.record_audit([row])
    await store.record_audit([])
    await store.record_audit([AuditRow(NOON, f"q{number}", "", "a", "", 403, "::1") for number in range(2, 5)])
    page = store.audit_page(2)
    assert [one.request_id for one in page] == ["q4", "q3"]
    rest = store.audit_page(9, page[-1].id)
    assert [one.request_id for one in rest] == ["q2", "q1"]
    assert (rest[1].at, rest[1].actor, rest[1].status) == (NOON, "alice", 202)
    assert GOOD in rest[1].detail
    assert "hunter2" not in rest[1].detail
