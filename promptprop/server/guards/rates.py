"""How often one address and one token may ask, and how many tokens an address may guess."""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptprop.server.guards.answers import refuse, values_of
from promptprop.server.guards.identity import address_of

MOST_KNOWN = 10_000  # addresses, or tokens: whoever has not asked for longest is forgotten
BURST = 0.25  # minutes: a quarter of what a minute allows may come at once
Clock = Callable[[], float]


class Buckets:
    """A token bucket for each key: so many a minute, and at most `burst` at once. Its memory is bounded."""

    def __init__(self, per_minute: float, burst: float, most: int = MOST_KNOWN, clock: Clock = time.monotonic) -> None:
        """Every bucket is full at first."""
        self._rate = per_minute / 60
        self._burst = max(1.0, burst)
        self._most = most
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one from the bucket of `key`; returns 0, or after how many seconds there is one."""
        level = self._level(key)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate
        self._keep(key, level if wait else level - 1)
        return wait

    def wait(self, key: str) -> float:
        """After how many seconds there is one for `key`, which stays there; 0 where there is."""
        level = self._level(key)
        return 0.0 if level >= 1 else (1 - level) / self._rate

    def _level(self, key: str) -> float:
        level, at = self._levels.get(key, (self._burst, 0.0))
        return min(self._burst, level + (self._clock() - at) * self._rate) if key in self._levels else self._burst

    def _keep(self, key: str, level: float) -> None:
        self._levels[key] = (level, self._clock())
        self._levels.move_to_end(key)
        while len(self._levels) > self._most:
            self._levels.popitem(last=False)


class Rates:
    """Answers 429 with Retry-After to whoever asks too often.

    An address that has sent too many refused tokens waits, whatever it sends next, but for tokens that were let in
    before: who guesses behind the same router as somebody else does not shut them out.
    """

    def __init__(
        self,
        app: ASGIApp,
        per_minute: int,
        guesses_per_minute: int,
        most_open: int = 500,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """Wrap `app`; at most so many requests of an address are under way at once."""
        self.app = app
        self._most_open = most_open
        self._open: dict[str, int] = {}
        self._addresses = Buckets(per_minute, per_minute * BURST, clock=clock)
        self._tokens = Buckets(per_minute, per_minute * BURST, clock=clock)
        self._guesses = Buckets(guesses_per_minute, guesses_per_minute, clock=clock)
        self._good: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what does not come too often, and count refused tokens."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        address, token = network_of(address_of(scope)), _digest(scope)
        if wait := max(self._addresses.take(address), self._tokens.take(token) if token else 0.0):
            await _too_often(scope, send, wait, "rate", "too many requests")
            return
        if token and token not in self._good and (wait := self._guesses.wait(address)):
            await _too_often(scope, send, wait, "guesses", "too many refused tokens from this address")
            return

        async def watched(message: Message) -> None:
            if token and message["type"] == "http.response.start":
                self._judge(address, token, message["status"])
            await send(message)

        if self._open.get(address, 0) >= self._most_open:
            await _too_often(scope, send, 1, "open", "too many requests of this address are under way")
            return
        self._open[address] = self._open.get(address, 0) + 1
        try:
            await self.app(scope, receive, watched)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _judge(self, address: str, token: str, status: int) -> None:
        """Learn from an answer whether a token is good."""
        if status == 401:
            self._good.pop(token, None)
            self._guesses.take(address)
        elif status < 400:
            self._good[token] = None
            self._good.move_to_end(token)
            while len(self._good) > MOST_KNOWN:
                self._good.popitem(last=False)


def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 client can choose its addresses from.

    >>> network_of("192.0.2.7"), network_of("2001:db8::1"), network_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::', '192.0.2.7')
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64)) if not found.is_loopback else str(found)


def _digest(scope: Scope) -> str:
    """What stands for a token here, so that memory holds none; empty where there is none."""
    given = b"\n".join(values_of(scope, b"authorization"))
    return hashlib.sha256(given).hexdigest() if given else ""


async def _too_often(scope: Scope, send: Send, wait: float, code: str, detail: str) -> None:
    seconds = str(max(1, math.ceil(wait))).encode()
    remedy = "ask again after the seconds that Retry-After says"
    await refuse(scope, send, 429, code, detail, remedy=remedy, headers=[(b"retry-after", seconds)])
