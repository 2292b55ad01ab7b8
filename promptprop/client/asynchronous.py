"""The client whose answers are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx

from promptprop.client.asynchronous_groups import AsyncGroups
from promptprop.client.call import Call, Listing, Page
from promptprop.client.connection import (
    BASE_URL,
    TIMEOUT,
    achunks,
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


class AsyncClient(AsyncGroups):
    """A connection to `promptprop serve`, to be closed, or used in an `async with`; for one event loop."""

    def __init__(
        self,
        base_url: str = BASE_URL,
        token: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`token` is PROMPTPROP_TOKEN's unless given; `timeout` in seconds holds for one answer."""
        self._http = httpx.AsyncClient(**options(base_url, token, timeout), transport=transport)
        self._retries = retries
        super().__init__(self)

    async def __aenter__(self) -> AsyncClient:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a call, several times where that is safe and of use. Raises ClientError."""
        headers = headers_of(call)
        attempt = 0
        while True:
            attempt += 1
            outcome = await self._attempt(call, headers)
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return call.read(outcome)
            wait = self._retries.wait(call, attempt, outcome)
            if wait is None:
                if isinstance(outcome, httpx.Response):
                    raise error_of(outcome)
                raise unreachable(outcome, self._http.base_url) from outcome
            await asyncio.sleep(wait)

    async def pages(self, listing: Listing[T]) -> AsyncIterator[T]:
        """The items of a list, each page read when it is needed."""
        following: Call[Page[T]] | None = listing.first
        while following is not None:
            page = await self.send(following)
            for item in page.items:
                yield item
            following = listing.after(page)

    async def follow(
        self, run: str, *, after: int = 0, on_tick: OnTick | None = None, timeout: float | None = None
    ) -> AsyncIterator[Event]:
        """The events of a run after one of them, each once and in order, as they come, until the run is over.

        A connection that breaks or falls silent is made again. `on_tick` is called with what a running one tells of
        its progress. Raises ClientError, WaitedTooLong once `timeout` seconds are over.
        """
        following = Following(run, after, self._retries, on_tick, timeout)
        while not following.over:
            failure: httpx.TransportError | ApiError | None = None
            try:
                async for event in self._connection(following):
                    yield event
            except (httpx.TransportError, ApiError) as error:
                failure = error
            if not following.over:
                await asyncio.sleep(following.pause_after(failure))

    async def wait(self, run: str, *, on_tick: OnTick | None = None, timeout: float | None = None) -> RunDetail:
        """The run once it is over, however it ended. Raises WaitedTooLong once `timeout` seconds are over."""
        async for _ in self.follow(run, on_tick=on_tick, timeout=timeout):
            pass
        return await self.runs.get(run)

    async def _attempt(self, call: Call[Any], headers: dict[str, str]) -> httpx.Response | httpx.TransportError:
        sent = request_of(call, headers, self._http.timeout)
        if isinstance(call.upload, Path):
            sent["content"] = achunks(call.upload)
        try:
            return await self._http.request(**sent)
        except httpx.TransportError as error:
            return error

    async def _connection(self, following: Following) -> AsyncIterator[Event]:
        """The events that one connection brings. Raises TransportError, ApiError."""
        timeout = reading(self._http.timeout, following.silence())
        async with self._http.stream("GET", following.path, headers=following.headers(), timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                raise error_of(response)
            async for chunk in response.aiter_bytes():
                for event in following.events(chunk):
                    yield event
                if following.over:
                    return
