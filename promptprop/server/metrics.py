"""`/metrics` for Prometheus: counts and times, and never a text of a prompt, a row or a model."""

from __future__ import annotations

import bisect
import os
import threading
from collections import Counter
from collections.abc import Iterable

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptprop import __version__
from promptprop.server.auth import Reader
from promptprop.server.context import Ctx
from promptprop.server.problems import answers

router = APIRouter(tags=["service"])
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class RequestCounts:
    """How many requests were answered how, and how long it took to begin the answer."""

    def __init__(self) -> None:
        """Count from 0."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[tuple[str, str], list[int]] = {}
        self._sums: Counter[tuple[str, str]] = Counter()

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is a template, so that ids do not become labels."""
        with self._lock:
            self._counts[method, route, status] += 1
            buckets = self._times.setdefault((method, route), [0] * (len(BOUNDS) + 1))
            buckets[bisect.bisect_left(BOUNDS, seconds)] += 1
            self._sums[method, route] += seconds  # type: ignore[assignment]  # a Counter adds floats as well

    def lines(self) -> Iterable[str]:
        """In Prometheus' text format."""
        with self._lock:
            counts, sums = dict(self._counts), dict(self._sums)
            times = {key: list(buckets) for key, buckets in self._times.items()}
        yield "# HELP promptprop_http_requests_total Answers by method, route and status."
        yield "# TYPE promptprop_http_requests_total counter"
        for (method, route, status), count in sorted(counts.items()):
            yield f"promptprop_http_requests_total{_labels(method=method, route=route, status=status)} {count}"
        yield "# HELP promptprop_http_seconds Time until an answer begins."
        yield "# TYPE promptprop_http_seconds histogram"
        for (method, route), buckets in sorted(times.items()):
            so_far = 0
            for bound, count in zip((*BOUNDS, "+Inf"), buckets, strict=True):
                so_far += count
                yield f"promptprop_http_seconds_bucket{_labels(method=method, route=route, le=bound)} {so_far}"
            yield f"promptprop_http_seconds_sum{_labels(method=method, route=route)} {sums[method, route]:.6f}"
            yield f"promptprop_http_seconds_count{_labels(method=method, route=route)} {so_far}"


COUNTS = RequestCounts()


class Counting:
    """Counts answers as they begin."""

    def __init__(self, app: ASGIApp, counts: RequestCounts = COUNTS) -> None:
        """Wrap `app`."""
        self.app = app
        self.counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass through, and count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        import time

        began = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "(none)")
                self.counts.count(scope["method"], route, message["status"], time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, counted)


@router.get("/metrics", response_class=Response, responses={**answers(), 200: {"content": {MEDIA_TYPE: {}}}})
async def metrics(context: Ctx, _caller: Reader) -> Response:
    """Runs by status, the queue, followers, requests and memory."""
    counts = await run_in_threadpool(context.store.run_counts)
    depth = await context.service.queue.depth()
    lines = [
        *_gauge("promptprop_info", "The version that runs.", 1, version=__version__),
        "# HELP promptprop_runs Runs by status.",
        "# TYPE promptprop_runs gauge",
        *(f"promptprop_runs{_labels(status=status)} {count}" for status, count in sorted(counts.items())),
        *_gauge("promptprop_queue_jobs_queued", "Jobs that wait for a worker.", depth.queued),
        *_gauge("promptprop_queue_jobs_running", "Jobs that a worker runs.", depth.running),
        *_gauge(
            "promptprop_event_followers", "Clients that follow a run through this process.", context.feeds.followers
        ),
        *_gauge("promptprop_draining", "1 once the server was asked to end.", int(context.draining)),
        *_gauge("process_resident_memory_bytes", "Memory of this process.", resident_bytes()),
        *COUNTS.lines(),
    ]
    return Response("\n".join(lines) + "\n", media_type=MEDIA_TYPE)


def resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file of anyone's
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _gauge(name: str, text: str, value: float, **labels: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name}{_labels(**labels)} {value}"]


def _labels(**labels: object) -> str:
    r"""Labels as Prometheus writes them.

    >>> _labels(route='/a"b', status=200)
    '{route="/a\\"b",status="200"}'
    """
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(str(value))}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
