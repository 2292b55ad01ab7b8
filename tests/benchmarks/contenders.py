"""Ways to make the same calls, each in a process of its own: `contenders.py NAME --url URL --rows N --folder FOLDER`.

It prints `ready` once all is loaded, then for each line on its standard input makes a round of N calls and prints what
the round took as JSON, `{"wall": seconds, "cpu": seconds}`. It ends when its input does. So rounds of several
contenders can be interleaved, while none pays for what another has imported.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from stopwatch import Measures, Stopwatch
from workload import FLIGHT, KEY, MAX_TOKENS, SYSTEM, messages, user_text, write_run

Call = Callable[[int], Awaitable[str]]
Round = Callable[[], Awaitable[Measures]]
NEEDS = {"aiohttp": "aiohttp", "httpx": "httpx", "openai": "openai", "litellm": "litellm", "gepa": "gepa"}


async def in_flight(call: Call, rows: int) -> None:
    """Make `rows` calls with FLIGHT workers, and check every answer."""
    numbers: Iterator[int] = iter(range(rows))

    async def work() -> None:
        for number in numbers:
            if await call(number) != "yes":
                raise ValueError("the server did not answer as it should")

    await asyncio.gather(*(work() for _ in range(FLIGHT)))


def body(number: int) -> dict[str, Any]:
    """What goes over the wire."""
    return {"model": "task", "messages": messages(number), "max_tokens": MAX_TOKENS}


async def raw_aiohttp(url: str, stack: AsyncExitStack) -> Call:
    """The floor: a session, POST, JSON."""
    import aiohttp

    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=FLIGHT), headers={"Authorization": f"Bearer {KEY}"})
    )

    async def call(number: int) -> str:
        async with session.post(f"{url}/chat/completions", json=body(number)) as answer:
            return str((await answer.json())["choices"][0]["message"]["content"])

    return call


async def raw_httpx(url: str, stack: AsyncExitStack) -> Call:
    """A client, POST, JSON."""
    import httpx

    limits = httpx.Limits(max_connections=FLIGHT, max_keepalive_connections=FLIGHT)
    headers = {"Authorization": f"Bearer {KEY}"}
    client = await stack.enter_async_context(httpx.AsyncClient(limits=limits, timeout=60.0, headers=headers))

    async def call(number: int) -> str:
        answer = await client.post(f"{url}/chat/completions", json=body(number))
        return str(answer.json()["choices"][0]["message"]["content"])

    return call


async def openai_sdk(url: str, stack: AsyncExitStack) -> Call:
    """OpenAI's own client with its defaults."""
    from openai import AsyncOpenAI

    client = await stack.enter_async_context(AsyncOpenAI(api_key=KEY, base_url=url))

    async def call(number: int) -> str:
        answer = await client.chat.completions.create(**body(number))
        return str(answer.choices[0].message.content)

    return call


async def raw_litellm(url: str, _stack: AsyncExitStack) -> Call:
    """`acompletion` and nothing else."""
    import litellm

    async def call(number: int) -> str:
        answer = await litellm.acompletion(
            model="openai/task", messages=messages(number), max_tokens=MAX_TOKENS, api_base=url, api_key=KEY
        )
        return str(answer.choices[0].message.content)

    return call


async def rounds_of(open_call: Callable[[str, AsyncExitStack], Awaitable[Call]], options: Any, stack: Any) -> Round:
    """Rounds of a contender that makes single calls."""
    call = await open_call(options.url, stack)

    async def one() -> Measures:
        wall, cpu = time.perf_counter(), time.process_time()
        await in_flight(call, options.rows)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    return one


async def gepa_rounds(options: Any) -> Round:
    """GEPA's default adapter evaluating a batch, with FLIGHT of its workers; it scores as well."""
    from gepa.adapters.default_adapter.default_adapter import DefaultAdapter

    named = {"api_base": options.url, "api_key": KEY, "max_tokens": MAX_TOKENS}
    adapter = DefaultAdapter("openai/task", max_litellm_workers=FLIGHT, litellm_batch_completion_kwargs=named)
    batch: Any = [
        {"input": user_text(number), "additional_context": {}, "answer": "yes"} for number in range(options.rows)
    ]

    async def one() -> Measures:
        wall, cpu = time.perf_counter(), time.process_time()
        scored = adapter.evaluate(batch, {"system_prompt": SYSTEM})  # blocks this loop, on which nothing else runs
        if sum(scored.scores) != options.rows:
            raise ValueError("the server did not answer as it should")
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    return one


async def own_rounds(options: Any, client: str) -> Round:
    """PromptProp with everything: each round a run on a fresh database; `wall` and `cpu` are of its phase of calls."""
    from promptprop.bootstrap.assembly import build_engine
    from promptprop.bootstrap.configuration import load, open_database
    from promptprop.bootstrap.preparation import create_run, prepare

    config = write_run(options.folder, options.url, options.rows, client)
    watch, numbers = Stopwatch(), itertools.count()
    watch.watch_runs()

    async def one() -> Measures:
        url = f"sqlite:///{options.folder / f'{client}-{next(numbers)}.db'}"
        store = open_database(url)
        loaded = load(config, [])
        run = await create_run(store, await prepare(store, loaded), "evaluate", {"split": "all", "repeats": 1})
        report = await build_engine(store, url, loaded.environment).run(run.id)
        if report.history.spend.total.calls != options.rows:
            raise ValueError("not every row was asked")
        store.close()
        taken = watch.take()
        return {**taken, "wall": taken["phase_wall"], "cpu": taken["phase_cpu"]}

    return one


SINGLE = {"aiohttp": raw_aiohttp, "httpx": raw_httpx, "openai": openai_sdk, "litellm": raw_litellm}
OWN = {"promptprop-http": "http", "promptprop-litellm": "litellm"}
NAMES = (*SINGLE, "gepa", *OWN)


def installed(name: str) -> bool:
    """Whether this contender can be measured here."""
    return name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None


async def compete(options: Any) -> None:
    """Rounds on demand, until standard input closes."""
    async with AsyncExitStack() as stack:
        if options.name in SINGLE:
            one = await rounds_of(SINGLE[options.name], options, stack)
        elif options.name == "gepa":
            one = await gepa_rounds(options)
        else:
            one = await own_rounds(options, OWN[options.name])
        await one()  # connections, caches and imports: nobody's steady state
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            gc.collect()
            print(json.dumps(await one()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--folder", type=Path, required=True, help="where databases and datasets may lie")
    asyncio.run(compete(parser.parse_args()))
