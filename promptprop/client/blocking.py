"""The client that waits for its answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx

from promptprop.client.blocking_groups import Groups
from promptprop.client.call import Call, Listing, Page
from promptprop.client.connection import (
    BASE_URL,
    TIMEOUT,
    chunks,
    headers_of,
    options,
    reading,
    request_of,
    unreachable,
)
from promptprop.client.errors import ApiError, error_of
from promptprop.client.retrying import Retries
from promptprop.client.stream import Following, OnTick
from promptprop.client.values import Event, RunDetail

T = TypeVar("T")


class Client(Groups):
    """A connection to `promptprop serve`, to be closed, or used in a `with`. Threads may share it."""

    def __init__(
        self,
        base_url: str = BASE_URL,
        token: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`token` is PROMPTPROP_TOKEN's unless given; `timeout` in seconds holds for one answer."""
        self._http = httpx.Client(**options(base_url, token, timeout), transport=transport)
        self._retries = retries
        super().__init__(self)

    def __enter__(self) -> Client:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send a call, several times where that is safe and of use. Raises ClientError."""
        headers = headers_of(call)
        attempt = 0
        while True:
            attempt += 1
            outcome = self._attempt(call, headers)
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return call.read(outcome)
            wait = self._retries.wait(call, attempt, outcome)
            if wait is None:
                if isinstance(outcome, httpx.Response):
                    raise error_of(outcome)
                raise unreachable(outcome, self._http.base_url) from outcome
            time.sleep(wait)

    def pages(self, listing: Listing[T]) -> Iterator[T]:
        """The items of a list, each page read when it is needed."""
        following: Call[Page[T]] | None = listing.first
        while following is not None:
            page = self.send(following)
            yield from page.items
            following = listing.after(page)

    def follow(
        self, run: str, *, after: int = 0, on_tick: OnTick | None = None, timeout: float | None = None
    ) -> Iterator[Event]:
        """The events of a run after one of them, each once and in order, as they come, until the run is over.

        A connection that breaks or falls silent is made again. `on_tick` is called with what a running one tells of
        its progress. Raises ClientError, WaitedTooLong once `timeout` seconds are over.
        """
        following = Following(run, after, self._retries, on_tick, timeout)
        while not following.over:
            failure: httpx.TransportError | ApiError | None = None
            try:
                yield from self._connection(following)
            except (httpx.TransportError, ApiError) as error:
                failure = error
            if not following.over:
                time.sleep(following.pause_after(failure))

    def wait(self, run: str, *, on_tick: OnTick | None = None, timeout: float | None = None) -> RunDetail:
        """The run once it is over, however it ended. Raises WaitedTooLong once `timeout` seconds are over."""
        for _ in self.follow(run, on_tick=on_tick, timeout=timeout):
            pass
        return self.runs.get(run)

    def _attempt(self, call: Call[Any], headers: dict[str, str]) -> httpx.Response | httpx.TransportError:
        sent = request_of(call, headers, self._http.timeout)
        if isinstance(call.upload, Path):
            sent["content"] = chunks(call.upload)
        try:
            return self._http.request(**sent)
        except httpx.TransportError as error:
            return error

    def _connection(self, following: Following) -> Iterator[Event]:
        """The events that one connection brings. Raises TransportError, ApiError."""
        timeout = reading(self._http.timeout, following.silence())
        with self._http.stream("GET", following.path, headers=following.headers(), timeout=timeout) as response:
            if not response.is_success:
                response.read()
                raise error_of(response)
            for chunk in response.iter_bytes():
                yield from following.events(chunk)
                if following.over:
                    return
