"""`promptprop models ping`: one cheap call to a model, with the client that a run would use."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import EnvFile, Sets
from promptprop.cli.plain import one_line
from promptprop.cli.shell import Shell
from promptprop.domain.errors import InputError, PromptPropError, UsageError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.bootstrap.models_ping import Ping
    from promptprop.domain.config import RunConfig

PRICE_REMEDY = "price: {prompt_usd_per_million: …, completion_usd_per_million: …}"


def ping_models(
    shell: Shell,
    target: Annotated[
        str, typer.Argument(metavar="MODEL|CONFIG", help="Such as openai/gpt-5, or a YAML file.", show_default=False)
    ],
    api_base: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Option("--api-base", metavar="URL", help="Where the model is.", show_default=False),
    ] = None,
    alias: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--alias", metavar="NAME", help="Only this model of CONFIG, such as task.", show_default=False),
    ] = None,
    timeout: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--timeout", metavar="TIME", help="For each call, such as 10s.", show_default=False),
    ] = None,
    sets: Sets = None,
    env_file: EnvFile = None,
) -> int:
    """Call a model, to see that it answers.

    Two or three small calls to each model: does it answer, how fast, with structured output, at a known price? They
    cost what they cost, which is shown. Ends as a run would that meets the same error: 2 for a bad key, 4 for trouble
    at the provider.
    """
    seconds = _seconds(timeout)
    config, env = _opened(target, api_base, alias, sets, env_file)
    pings = asyncio.run(ping_all(config, alias, env, seconds))
    first = next((one.error for one in pings if one.error), None)
    shell.show(document_of(pings), lambda: drawn(pings))
    return first.exit_code if first else 0


async def ping_all(config: RunConfig, alias: str | None, env: Mapping[str, str], seconds: float | None) -> list[Ping]:
    """Try each model of a configuration once, side by side. Raises UsageError for an alias that it lacks."""
    from promptprop.bootstrap.models_ping import distinct_models, ping

    models = distinct_models(config, alias)
    return list(await asyncio.gather(*(ping(config, names, model, env, seconds) for names, model in models)))


def _seconds(timeout: str | None) -> float | None:
    """The seconds of --timeout. Raises UsageError."""
    from pydantic_core import PydanticCustomError

    from promptprop.domain.settings import seconds_of

    if timeout is None:
        return None
    try:
        seconds = float(timeout) if timeout.replace(".", "", 1).isdecimal() else float(seconds_of(timeout))
    except (PydanticCustomError, ValueError):
        seconds = 0.0
    if seconds <= 0:
        raise UsageError(f"--timeout {timeout!r} is no time", remedy="write 10, 10s or 2m")
    return seconds


def _opened(
    target: str, api_base: str | None, alias: str | None, sets: list[str] | None, env_file: Path | None
) -> tuple[RunConfig, Mapping[str, str]]:
    """The configuration to take models from: the file, or one made up around a model's name."""
    if Path(target).suffix.lower() in {".yaml", ".yml"} or Path(target).is_file():
        from promptprop.bootstrap.configuration import load

        if api_base is not None:
            raise UsageError("--api-base goes with a model's name", remedy="use --set models.task.api_base=URL")
        loaded = load(target, sets or [], None, env_file)
        return loaded.config, loaded.environment
    from promptprop.adapters.logs import register_environment
    from promptprop.bootstrap.models_ping import config_of
    from promptprop.cli.running import environment_of

    if alias is not None or sets:
        raise UsageError("--alias and --set go with a configuration", remedy="leave them out, or name a YAML file")
    env = environment_of(env_file)
    register_environment(env)
    return config_of(target, api_base), env


def document_of(pings: list[Ping]) -> Json:
    """`{pings, error, exit_code}`; the error is the first one."""
    from promptprop.bootstrap.models_ping import ping_json
    from promptprop.cli.failures import error_json

    first = next((one.error for one in pings if one.error), None)
    return {
        "ok": first is None,
        "pings": [ping_json(one, error_json) for one in pings],
        "error": error_json(first) if first else None,
        "exit_code": first.exit_code if first else 0,
    }


def drawn(pings: list[Ping]) -> Iterable[RenderableType]:
    """The page for people: a heading and the facts of each model."""
    from rich.text import Text

    for ping in pings:
        good = ping.error is None
        names = f" ({', '.join(ping.aliases)})" if ping.aliases != ("task",) else ""
        client = f", client {ping.client}" if ping.client else ""
        yield Text(f"{one_line(ping.model)}{names}{client}", style="bold" if good else "bold red")
        for name, said in facts_of(ping):
            yield Text.assemble((f"  {name:<11}", "dim"), one_line(said))


def told_apart(error: PromptPropError) -> tuple[str, str]:
    """Message and remedy of an error; what is wrong with an input has its remedy in its only problem."""
    problems = error.problems if isinstance(error, InputError) else ()
    return (problems[0].message, problems[0].remedy) if len(problems) == 1 else (error.message, error.remedy)


def facts_of(ping: Ping) -> Iterator[tuple[str, str]]:
    """What is said of one ping, one fact a line."""
    from promptprop.adapters.files.report_words import counted, money
    from promptprop.domain.report import per_million

    if ping.simulated:
        yield "simulated", "answers come from this machine: nothing to reach, nothing to pay"
        return
    if ping.error is not None:
        message, remedy = told_apart(ping.error)
        yield "error", message
        if remedy:
            yield "remedy", remedy
    elif ping.seconds is not None:
        named = ping.answered_as and ping.answered_as not in (ping.model, ping.model.partition("/")[2])
        yield "answers", f"in {ping.seconds * 1000:,.0f} ms" + (f", as {ping.answered_as}" if named else "")
    if ping.error is None and ping.embeds:
        yield "embedding", f"{ping.dimensions:,} numbers"
    elif ping.error is None:
        why = f": {ping.structured_error.message}" if ping.structured_error else ""
        yield "structured", f"{ping.structured}{why}"
    if ping.price is not None:
        prompt, completion = per_million(ping.price.prompt), per_million(ping.price.completion)
        yield "price", f"${prompt} / ${completion} per million tokens of prompt / answer"
    elif ping.client:
        yield "price", f"not known: a money budget needs it; write {PRICE_REMEDY} at this model"
    if ping.calls:
        tokens = "" if ping.embeds else f", {ping.usage.prompt_tokens:,} + {ping.usage.completion_tokens:,} tokens"
        cost = "cost not known" if ping.picousd is None else money(ping.picousd)
        yield "spent", f"{counted(ping.calls, 'call')}{tokens}, {cost}"
