"""A server from its start to its end: store, queue and workers around the application, and a good order at the end."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta, timezone

import uvicorn

from promptprop.domain.errors import PromptPropError, UsageError
from promptprop.server.app import build_app
from promptprop.server.connections import Connection
from promptprop.server.context import Context
from promptprop.server.settings import ServerSettings, is_loopback_address

log = logging.getLogger("promptprop.server")
DRAIN_SECONDS = 10  # from SIGTERM to the end of the process
STREAM_SECONDS = 2  # for answers under way, once the streams have been told to end
BACKLOG = 2048
CHORE_SECONDS = 30.0
DAY_ROUNDS, AUDIT_ROUND = int(86_400 / CHORE_SECONDS), 20
KEEP_ANSWERS = timedelta(days=1)  # answers to requests with an Idempotency-Key
KEEP_REFUSALS = timedelta(days=30)  # rows of the audit log that anybody can cause
THREADS = 3  # that read the database at once: more of them fight over the interpreter, and all get slower


@asynccontextmanager
async def started(settings: ServerSettings) -> AsyncIterator[Context]:
    """The context of a server: its store, its queue, its workers. Raises StorageError."""
    from promptprop.bootstrap.assembly import build_engine
    from promptprop.bootstrap.configuration import open_database
    from promptprop.bootstrap.jobs import build_dispatch, build_queue, build_supervisor
    from promptprop.bootstrap.requests import Lender
    from promptprop.bootstrap.service import Service
    from promptprop.server.feed import Feeds

    async with AsyncExitStack() as stack:
        store = open_database(settings.url)
        stack.callback(store.close)
        require_tokens(settings, has_tokens=store.has_tokens())
        queue = build_queue(settings.url)
        stack.push_async_callback(queue.close)
        dispatch = build_dispatch(store, queue)
        engine = build_engine(store, settings.url, settings.environment)
        lender = Lender(settings.folder, settings.serve, settings.environment, settings.workers > 0)
        service = Service(store, engine, queue, dispatch, lender)
        feeds = Feeds(store)
        stack.push_async_callback(feeds.close)
        context = Context(settings, store, service, feeds)
        if settings.workers:
            numbers = (settings.workers, settings.concurrency)
            supervisor = build_supervisor(settings.url, *numbers, settings.environment, quiet=settings.quiet)
            await supervisor.start()
            stack.push_async_callback(supervisor.stop)
            context.workers = supervisor
        chores = asyncio.create_task(_chores(context))
        stack.callback(chores.cancel)
        yield context


async def _chores(context: Context) -> None:
    for number in itertools.count():
        try:
            await tidy(context, number)
        except PromptPropError as error:
            log.warning("what is done now and then could not be done: %s", error.message)
        await asyncio.sleep(CHORE_SECONDS)


async def tidy(context: Context, number: int) -> None:
    """Open the queue, so that the first run need not wait; then put right what crashes have left, now and then.

    `number` counts the rounds from 0. Once a day old rows leave the audit log, for the first time ten minutes after
    the start.
    """
    await context.service.queue.ping()
    await context.service.dispatch.settle()
    now = datetime.now(timezone.utc)
    await context.store.prune_answers(now - KEEP_ANSWERS)
    if number % DAY_ROUNDS == AUDIT_ROUND:
        days = context.settings.serve.audit_days
        pruned = await context.store.prune_audit(
            now - timedelta(days=days), now - min(KEEP_REFUSALS, timedelta(days=days))
        )
        log.info("rows that left the audit log, for they were old: %d", pruned)


class Listening(uvicorn.Server):
    """uvicorn's server, which leaves signals to us: it would end the process by the one that it took."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield

    def end(self) -> None:
        """Finish what is under way; asked a second time, end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def serve(settings: ServerSettings, ready: Callable[[Sequence[str]], None] = lambda _urls: None) -> None:
    """Serve until a signal ends it; `ready` is told the addresses once requests are answered.

    Raises UsageError where an address cannot be listened on, or others could reach a server that has no token.
    """
    sockets: list[socket.socket] = []
    try:
        for host in settings.hosts:  # a port that is free for the first address is taken for all
            sockets.append(listening(host, sockets[0].getsockname()[1] if sockets else settings.port))
        asyncio.run(_serve(settings, sockets, ready))
    finally:
        for one in sockets:
            one.close()


async def _serve(
    settings: ServerSettings, sockets: list[socket.socket], ready: Callable[[Sequence[str]], None]
) -> None:
    from anyio.to_thread import current_default_thread_limiter

    from promptprop.server.guards import GuardSettings, guarded

    current_default_thread_limiter().total_tokens = THREADS
    async with started(settings) as context:
        config = uvicorn.Config(
            guarded(build_app(context), GuardSettings.of(settings.serve, context.trail, settings.hosts)),
            http=Connection,  # h11: bounds the head of a request
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STREAM_SECONDS,
            backlog=BACKLOG,
        )
        loop, drains = asyncio.get_running_loop(), list[asyncio.Task[None]]()

        server = Listening(config)

        def end() -> None:
            if not server.should_exit:
                drains.append(loop.create_task(drain(context)))
            server.end()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        loop.call_soon(ready, [url_of(one) for one in sockets])
        await server.serve(sockets=sockets)
        await asyncio.gather(*drains)
        await context.trail.flush()


async def drain(context: Context) -> None:
    """Tell the streams to end and the workers to stop, side by side."""
    context.draining = True
    log.info("draining: running jobs go back to the queue")
    ends = [context.feeds.close(), *([context.workers.stop()] if context.workers else [])]
    for failure in await asyncio.gather(*ends, return_exceptions=True):
        if isinstance(failure, BaseException):
            log.error("a part did not end well", exc_info=failure)


def require_tokens(settings: ServerSettings, *, has_tokens: bool) -> None:
    """Raises UsageError where others could reach a server that no token protects."""
    if settings.serve.tokens == "always" and not has_tokens:
        raise UsageError(
            "serve.tokens says that a token is always needed, and there is none yet",
            remedy="`promptprop token create NAME --scope run` makes one",
        )
    if settings.open_to_others and not has_tokens:
        named = ", ".join(host for host in settings.hosts if not is_loopback_address(host))
        raise UsageError(
            f"{named} can be reached by others, and there is no token yet that they would have to know",
            remedy="`promptprop token create NAME --scope run` makes one; or listen on 127.0.0.1",
        )


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError where the address is taken, or is none of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only where the protocol is named, and else each answer would wait for 40 ms
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        reason = error.strerror or str(error)
        taken = error.errno == errno.EADDRINUSE
        remedy = "end what listens there, or name another port with --port"
        remedy = remedy if taken else "name an address of this machine with --host, and a port that you may listen on"
        raise UsageError(f"cannot listen on {host} port {port}: {reason}", remedy=remedy) from error
    return made


def url_of(listener: socket.socket) -> str:
    """The address of a listening socket as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    if not socket.has_ipv6:
        return False
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False
