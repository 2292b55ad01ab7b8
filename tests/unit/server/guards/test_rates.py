"""How often one may ask."""

from __future__ import annotations

import asyncio
import math

import pytest
from asgi_calls import Echo, call
from starlette.types import Receive, Scope, Send

from promptprop.server.guards.rates import Buckets, Rates, network_of

GOOD, BAD = [("authorization", "Bearer good")], [("authorization", "Bearer bad")]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Door:
    """Lets one token in."""

    def __init__(self) -> None:
        self.asked = 0
        self.good = "Bearer good"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        given = dict(scope["headers"]).get(b"authorization", b"").decode()
        await send({"type": "http.response.start", "status": 200 if given in {"", self.good} else 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    clock = Hand()
    buckets = Buckets(60, 3, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.seconds = 1
    assert [buckets.take("a"), buckets.take("a")] == [0, 1]
    clock.seconds = 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]


def test_a_bucket_bounds_its_memory_and_forgets_who_was_away_longest() -> None:
    buckets = Buckets(60, 1, most=3, clock=Hand())
    for key in "abcd":
        buckets.take(key)
    assert len(buckets._levels) == 3
    assert buckets.take("a") == 0
    assert buckets.take("d") > 0


def test_to_look_at_a_bucket_takes_nothing_and_leaves_no_trace() -> None:
    buckets = Buckets(60, 1, clock=Hand())
    assert [buckets.wait("a"), buckets.wait("a"), len(buckets._levels)] == [0, 0, 0]


async def test_whoever_asks_too_often_waits_as_long_as_they_are_told() -> None:
    clock = Hand()
    guard = Rates(Echo(), 60, 10, clock=clock)
    answers = [await call(guard) for _ in range(16)]
    assert [answer.status for answer in answers] == [200] * 15 + [429]
    assert (answers[-1].json["code"], answers[-1].header("retry-after")) == ("rate", "1")
    clock.seconds = 1
    assert (await call(guard)).status == 200


async def test_a_hundred_reads_a_second_for_a_minute_pass_by_default() -> None:
    clock = Hand()
    guard = Rates(Echo(), 12_000, 10, clock=clock)
    for number in range(6_000):
        clock.seconds = number / 100
        assert (await call(guard, headers=GOOD)).status == 200


async def test_addresses_do_not_stand_in_each_others_way() -> None:
    guard = Rates(Echo(), 4, 10, clock=Hand())
    assert [(await call(guard)).status for _ in range(2)] == [200, 429]
    assert (await call(guard, client="192.0.2.1")).status == 200


async def test_one_token_counts_across_addresses() -> None:
    guard = Rates(Echo(), 8, 10, clock=Hand())
    found = [(await call(guard, headers=GOOD, client=f"192.0.2.{number}")).status for number in range(3)]
    assert found == [200, 200, 429]


async def test_guessing_tokens_is_stopped_while_the_rate_is_far_from_reached() -> None:
    clock, door = Hand(), Door()
    guard = Rates(door, 12_000, 10, clock=clock)
    found = [await call(guard, headers=[("authorization", f"Bearer {number}")]) for number in range(50)]
    assert [answer.status for answer in found] == [401] * 10 + [429] * 40
    assert door.asked == 10
    assert (found[-1].json["code"], found[-1].header("retry-after")) == ("guesses", "6")
    clock.seconds = 6
    assert [(await call(guard, headers=BAD)).status for _ in range(2)] == [401, 429]


async def test_even_the_right_token_is_not_tried_while_its_address_guesses() -> None:
    guard = Rates(Door(), 12_000, 3, clock=Hand())
    for _ in range(3):
        await call(guard, headers=BAD)
    assert (await call(guard, headers=GOOD)).status == 429


async def test_a_token_that_was_let_in_before_stays_in() -> None:
    door = Door()
    guard = Rates(door, 12_000, 3, clock=Hand())
    await call(guard, headers=GOOD)
    for _ in range(5):
        await call(guard, headers=BAD)
    assert (await call(guard, headers=GOOD)).status == 200
    assert (await call(guard)).status == 200
    door.good = "revoked"
    assert (await call(guard, headers=GOOD)).status == 401
    assert (await call(guard, headers=GOOD)).status == 429


async def test_no_token_lies_in_memory() -> None:
    guard = Rates(Door(), 12_000, 3)
    await call(guard, headers=GOOD)
    assert "good" not in str([*guard._good, *guard._tokens._levels, *guard._addresses._levels])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("unix", "unix", True),
    ],
)
def test_a_client_is_what_it_cannot_choose_anew(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


async def test_a_refusal_says_when_to_come_back_in_whole_seconds() -> None:
    guard = Rates(Echo(), 1, 10, clock=Hand())
    await call(guard)
    assert (await call(guard)).header("retry-after") == str(math.ceil(60))


async def test_streams_of_one_address_are_bounded_in_number_and_let_go_when_they_end() -> None:
    going, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        begun.release()
        await going.wait()
        if scope["path"] == "/broken":
            raise ValueError("mine")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Rates(streaming, 12_000, 10, 2)
    tasks = [asyncio.create_task(call(guard, path)) for path in ("/x", "/broken")]
    for _ in tasks:
        await begun.acquire()
    refused = await call(guard)
    assert (refused.status, refused.json["code"], refused.header("retry-after")) == (429, "open", "1")
    other = asyncio.create_task(call(guard, client="192.0.2.1"))
    going.set()
    assert (await other).status == 200
    assert isinstance((await asyncio.gather(*tasks, return_exceptions=True))[1], ValueError)
    assert (await call(guard)).status == 200
    assert guard._open == {}
