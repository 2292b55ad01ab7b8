"""`promptprop models list`: what the keys in the environment can reach."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from promptprop.cli.options import EnvFile
from promptprop.cli.plain import one_line
from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.models.listing import ListedModel, Listing
    from promptprop.bootstrap.models_reach import Reach
    from promptprop.domain.budget import Price

OFFLINE = "offline/NAME is a simulated model: it needs no key and costs nothing"


def list_models(
    shell: Shell,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it on Python 3.10
        typer.Argument(metavar="[CONFIG]", help="Ask the servers that it names, too.", show_default=False),
    ] = None,
    provider: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--provider", metavar="NAME", help="Only this one, such as gemini.", show_default=False),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask anew, whatever was said ten minutes ago.")] = False,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--limit", metavar="N", min=1, help="How many of each at most.", show_default=False),
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """List the models that your keys can reach.

    Asks the providers whose keys are in the environment or in .env; prices are in USD per million tokens. In a pipe,
    each line is a model: its name, the prices of prompt and answer, and its context, apart by tabs.
    """
    reach = asyncio.run(_reach(config, provider, refresh, env_file))
    if shell.json:
        from promptprop.bootstrap.models_reach import reach_json
        from promptprop.cli.failures import error_json

        shell.write_json(reach_json(reach, error_json, limit))
    elif shell.output is None and sys.stdout.isatty():
        shell.draw(drawn(reach, limit))
    else:
        for listing in reach.listings:
            shell.note(_heading(listing))
        for line in _notes(reach):
            shell.note(line)
        shell.write("".join(f"{line}\n" for listing in reach.listings for line in _lines(listing, limit)))


async def _reach(config: Path | None, provider: str | None, refresh: bool, env_file: Path | None) -> Reach:
    from promptprop.bootstrap.models_reach import find_reach

    env: Mapping[str, str]
    if config is None:
        from promptprop.cli.running import environment_of

        wanted, env = None, environment_of(env_file)
    else:
        from promptprop.bootstrap.configuration import load

        loaded = load(config, [], None, env_file)
        wanted, env = loaded.config, loaded.environment
    return await find_reach(env, wanted, provider=provider, refresh=refresh)


def _price(listing: Listing, model: ListedModel) -> Price | None:
    from promptprop.bootstrap.models_reach import price_of

    return price_of(listing.source, model.name)


def _lines(listing: Listing, limit: int | None) -> Iterator[str]:
    from promptprop.domain.report import per_million

    for model in listing.models[:limit]:
        price = _price(listing, model)
        money = [per_million(price.prompt), per_million(price.completion)] if price else ["", ""]
        yield "\t".join([one_line(model.name), *money, str(model.context or "")]).rstrip("\t")


def drawn(reach: Reach, limit: int | None) -> Iterable[RenderableType]:
    """The page for a terminal: a heading and a table for each server."""
    from rich.text import Text

    from promptprop.cli.drawing import table_of
    from promptprop.domain.report import per_million

    for listing in reach.listings:
        heading = _heading(listing)
        yield Text(heading, style="red" if listing.error else "bold")
        rows = []
        for model in listing.models[:limit]:
            price = _price(listing, model)
            money = f"${per_million(price.prompt)} / ${per_million(price.completion)}" if price else ""
            rows.append([one_line(model.name), money, f"{model.context:,}" if model.context else ""])
        if rows:
            yield table_of(["model", "USD per million", "context"], rows, right=(1, 2))
        left = len(listing.models) - len(rows)
        if left > 0:
            yield Text(f"… and {left:,} more", style="dim")
        yield Text("")
    yield from (Text(line, style="dim") for line in _notes(reach))


def _heading(listing: Listing) -> str:
    """Which server, with what came of it."""
    source = listing.source
    if listing.error is not None:
        return f"{one_line(listing.error.message)}\n    → {one_line(listing.error.remedy)}"
    count = len(listing.models)
    parts = [f"{count:,} model{'' if count == 1 else 's'}"]
    if source.variable:
        parts.append(f"key: {source.variable}")
    if source.custom:
        parts.append(f"api_base: {one_line(source.base)}")
    parts.append(f"asked {_age(listing.age)} ago" if listing.age else "asked now")
    return f"{source.provider or source.base}: {' · '.join(parts)}"


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _notes(reach: Reach) -> Iterator[str]:
    """What else there is to say: providers that cannot be asked, and those that a key would open."""
    for one in reach.unlisted:
        key = f" ({one.variable} is set)" if one.variable else ""
        yield f"{one_line(one.provider)} does not list its models{key}: name them as {one_line(one.provider)}/MODEL"
    if not reach.listings and not reach.unlisted:
        yield "no key is set; each of these, exported or in .env, opens a provider:"
        yield from (f"  {provider:<13} {variable}" for provider, variable in reach.closed.items())
        yield OFFLINE
