"""A run's events as they come over the wire: frames out of bytes, and where to go on after a break."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from promptprop.client.call import path
from promptprop.client.decoding import decoded
from promptprop.client.errors import ApiError, Unreachable, Unreadable, WaitedTooLong
from promptprop.client.retrying import Retries
from promptprop.client.values import Event

SILENCE = 45.0  # seconds without a byte, heartbeats included, after which the connection is taken for dead
PATIENCE = 300.0  # seconds without a byte over any connection, after which the server is
PAUSE = 1.0  # seconds before a reconnect, unless the server says otherwise
OnTick = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Frame:
    """A server-sent event."""

    event: str
    data: str
    id: str = ""


class Frames:
    r"""Frames out of chunks of bytes, wherever these are cut; lines end in LF or CRLF.

    >>> list(Frames().of(b": hi\n\nid: 1\nevent: a\ndata: {}\n\nevent: b\n"))
    [Frame(event='a', data='{}', id='1')]
    """

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._rest = b""
        self._fields: dict[str, list[str]] = {}
        self.retry: float | None = None

    def of(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that this chunk completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8", "replace")
            if line:
                name, _, value = line.partition(":")
                self._take(name, value.removeprefix(" "))
            elif (frame := self._made()) is not None:
                yield frame

    def _take(self, name: str, value: str) -> None:
        if name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000
        elif name:  # a line that begins with a colon is a comment
            self._fields.setdefault(name, []).append(value)

    def _made(self) -> Frame | None:
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        last = {name: values[-1] for name, values in fields.items()}
        return Frame(last.get("event", "message"), "\n".join(fields["data"]), last.get("id", ""))


class Following:
    """How far a run has been followed: `after` is the last event that was handed on, `over` its end."""

    def __init__(
        self, run: str, after: int, retries: Retries, on_tick: OnTick | None = None, timeout: float | None = None
    ) -> None:
        """`timeout` is in seconds, for all of it."""
        self.run = run
        self.after = after
        self.over = False
        self._retries = retries
        self._on_tick = on_tick
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._heard = time.monotonic()
        self._failures = 0
        self._pause = PAUSE
        self._frames = Frames()

    @property
    def path(self) -> str:
        """Where the events are."""
        return path("runs", self.run, "events")

    def headers(self) -> dict[str, str]:
        """The headers of the next connection; what a broken one left half read is forgotten."""
        self._frames = Frames()
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self.after)}

    def silence(self) -> float:
        """Seconds to wait for the next byte."""
        if self._deadline is None:
            return SILENCE
        return min(SILENCE, max(0.01, self._deadline - time.monotonic()))

    def events(self, chunk: bytes) -> Iterator[Event]:
        """The events of this chunk that were not handed on before. Raises WaitedTooLong, Unreadable."""
        self._heard, self._failures = time.monotonic(), 0
        for frame in self._frames.of(chunk):
            if self.over:
                return
            if frame.event == "end" and not frame.id:
                self.over = True
            elif frame.event == "tick" and not frame.id:
                if self._on_tick is not None:
                    self._on_tick(_json(frame))
            else:
                event = decoded(Event, _json(frame))
                if event.seq > self.after:
                    self.after = event.seq
                    yield event
        self._pause = self._frames.retry if self._frames.retry is not None else self._pause
        self._check_time()

    def pause_after(self, failure: httpx.TransportError | ApiError | None) -> float:
        """Seconds until the next connection, after one that broke or was closed. Raises what makes it pointless."""
        self._check_time()
        if isinstance(failure, ApiError) and failure.status not in (429, 502, 503, 504):
            raise failure
        silent = time.monotonic() - self._heard
        if silent > PATIENCE:
            raise Unreachable(
                f"no event and no heartbeat of run {self.run} for {silent:.0f} s",
                remedy=f"follow it from event {self.after} on once the server is back",
            ) from failure
        self._failures += 1
        if isinstance(failure, ApiError) and failure.retry_after is not None:
            return failure.retry_after
        return max(min(self._pause, self._retries.longest), self._retries.growing(self._failures))

    def _check_time(self) -> None:
        if self._deadline is not None and not self.over and time.monotonic() >= self._deadline:
            raise WaitedTooLong(f"run {self.run} still goes on", remedy="wait longer, or follow it from where it is")


def _json(frame: Frame) -> Any:
    try:
        return json.loads(frame.data)
    except ValueError as error:
        raise Unreadable(f"the event {frame.event!r} is not JSON") from error
