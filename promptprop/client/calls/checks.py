"""Hold a prompt against its baseline."""

from __future__ import annotations

from typing import Literal

from promptprop.client.call import Call, as_text, given, path, reads
from promptprop.client.calls.runs import Cache, Config, source
from promptprop.client.values import CheckBegun, CheckDetail


def start(
    config: Config,
    baseline: str | None = None,
    *,
    dataset: str | None = None,
    split: Literal["all", "train", "select", "test"] | None = None,
    rerun: bool | None = None,
    cache: Cache | None = None,
    priority: int | None = None,
) -> Call[CheckBegun]:
    """Begin a check as a job. `baseline` is NAME@VERSION, RUN:winner or the name of a stored one."""
    body = source(config) | given(
        baseline=baseline, dataset=dataset, split=split, rerun=rerun, cache=cache, priority=priority
    )
    return Call("POST", path("checks"), reads(CheckBegun), body=body, keyed=True)


def show(run: str) -> Call[CheckDetail]:
    """A check as of now."""
    return Call("GET", path("checks", run), reads(CheckDetail), {"format": "json"}, repeatable=True)


def report(run: str, form: Literal["md", "junit"] = "md") -> Call[str]:
    """A check that is over as Markdown or as JUnit's XML."""
    return Call("GET", path("checks", run), as_text, {"format": form}, repeatable=True)
