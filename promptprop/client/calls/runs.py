"""Runs: begin, list, show, stop, resume and remove them, and read their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from promptprop.client.call import Call, Listing, as_nothing, given, listing, path, reads
from promptprop.client.values import Event, Run, RunDetail

Cache = Literal["read-write", "read", "off", "refresh"]
Config = Mapping[str, Any] | Path | str


def source(config: Config) -> dict[str, Any]:
    """A configuration as requests carry it: a mapping as it is, a Path's file of this machine or a text as YAML.

    Paths inside of it are those of the server's project folder. Raises ValueError.
    """
    if isinstance(config, Mapping):
        return {"config": config}
    if isinstance(config, Path):
        return {"yaml": config.read_text(encoding="utf-8")}
    if "\n" not in config and config.endswith((".yaml", ".yml")):
        raise ValueError(f"a text is taken for YAML: pass Path({config!r}) for a file")
    return {"yaml": config}


def start(
    config: Config,
    *,
    dataset: str | None = None,
    review: bool | None = None,
    cache: Cache | None = None,
    priority: int | None = None,
) -> Call[Run]:
    """Begin an optimization as a job: of a mapping, a YAML text, or a Path; `dataset` is the id of a stored one.

    Of jobs that wait, the one of the highest `priority` goes first. With `review` a person rules on each rewrite.
    """
    body = source(config) | given(dataset=dataset, review=review, cache=cache, priority=priority)
    return Call("POST", path("runs"), reads(Run), body={"activity": "optimize", **body}, keyed=True)


def evaluate(
    config: Config,
    *,
    dataset: str | None = None,
    split: Literal["all", "train", "select", "test"] | None = None,
    repeats: int | None = None,
    rows: Sequence[str] | None = None,
    cache: Cache | None = None,
    priority: int | None = None,
) -> Call[Run]:
    """Begin an evaluation of the configured prompt as a job; `rows` are the ids of the only ones to be answered."""
    chosen = None if rows is None else list(rows)
    body = source(config) | given(
        dataset=dataset, split=split, repeats=repeats, rows=chosen, cache=cache, priority=priority
    )
    return Call("POST", path("runs"), reads(Run), body={"activity": "evaluate", **body}, keyed=True)


def show(run: str) -> Call[RunDetail]:
    """A run with its report as of now; `run` is its id, the beginning of it, its name, or `latest`."""
    return Call("GET", path("runs", run), reads(RunDetail), repeatable=True)


def list_runs(
    *, status: str | None = None, activity: str | None = None, name: str | None = None, owner: str | None = None
) -> Listing[Run]:
    """Runs, newest first."""
    return listing(Run, path("runs"), status=status, activity=activity, name=name, owner=owner, limit=200)


def cancel(run: str) -> Call[Run]:
    """End a run; what it has paid for stays, and it can be resumed."""
    return Call("POST", path("runs", run, "cancel"), reads(Run), repeatable=True)


def pause(run: str) -> Call[Run]:
    """Stop a run until it is resumed."""
    return Call("POST", path("runs", run, "pause"), reads(Run), repeatable=True)


def resume(
    run: str,
    *,
    usd: Decimal | str | None = None,
    calls: int | None = None,
    tokens: int | None = None,
    seconds: float | None = None,
    retry_errors: bool = False,
    priority: int = 0,
) -> Call[Run]:
    """Let a run that stopped go on, with larger caps where they are given; nothing that was paid is paid again."""
    body = {"caps": caps(usd, calls, tokens, seconds), "retry_errors": retry_errors, "priority": priority}
    return Call("POST", path("runs", run, "resume"), reads(Run), body=body)


def caps(usd: Decimal | str | None, calls: int | None, tokens: int | None, seconds: float | None) -> dict[str, Any]:
    """Those caps that are given, as requests carry them."""
    money = None if usd is None else f"{Decimal(usd):f}"
    return given(usd=money, calls=calls, tokens=tokens, seconds=seconds)


def remove(run: str, *, purge: bool = False) -> Call[None]:
    """Erase a run that is over; `purge` also erases answers that no other run has used. Needs the scope admin."""
    return Call("DELETE", path("runs", run), as_nothing, params={"purge": purge})


def history(run: str, *, after: int = 0) -> Listing[Event]:
    """The events that a run has so far, those after `after` alone."""
    first = listing(Event, path("runs", run, "history"), after=after, limit=500).first
    return Listing(first, parameter="after")
