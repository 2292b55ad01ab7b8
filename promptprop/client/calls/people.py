"""What people decide about a run while it goes on; it takes each at its next decision."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from promptprop.client.call import Call, Listing, given, json_of, listing, path, reads
from promptprop.client.calls.runs import caps
from promptprop.client.values import Intervention, JsonObject


def _left(run: str, kind: str, **body: Any) -> Call[Intervention]:
    where = path("runs", run, "interventions")
    return Call("POST", where, reads(Intervention), body={"kind": kind, **given(**body)}, keyed=True)


def note(run: str, text: str) -> Call[Intervention]:
    """Leave a note, which the next critiques and rewrites are told."""
    return _left(run, "note", text=text)


def override(run: str, candidate: str, row: str, score: float, reason: str) -> Call[Intervention]:
    """Correct the score of a candidate on a row."""
    return _left(run, "override", candidate=candidate, row=row, score=score, reason=reason)


def raise_caps(
    run: str,
    *,
    usd: Decimal | str | None = None,
    calls: int | None = None,
    tokens: int | None = None,
    seconds: float | None = None,
) -> Call[Intervention]:
    """Raise caps of the budget."""
    return _left(run, "raise_caps", caps=caps(usd, calls, tokens, seconds))


def retry_errors(run: str) -> Call[Intervention]:
    """Make calls again that have failed for good."""
    return _left(run, "retry_errors")


def approve(run: str, *, candidate: str | None = None, reason: str | None = None) -> Call[Intervention]:
    """Let the rewrite that waits be adopted; with `candidate` only where it is this one."""
    return _left(run, "approve", candidate=candidate, reason=reason)


def edit(
    run: str, prompts: Mapping[str, str], *, candidate: str | None = None, reason: str | None = None
) -> Call[Intervention]:
    """Have these texts by step raced in place of the rewrite that waits."""
    return _left(run, "edit", prompts=dict(prompts), candidate=candidate, reason=reason)


def refuse(run: str, *, candidate: str | None = None, reason: str | None = None) -> Call[Intervention]:
    """Drop the rewrite that waits."""
    return _left(run, "refuse", candidate=candidate, reason=reason)


def review(run: str) -> Call[JsonObject]:
    """The rewrite that waits for a word. NotFound where none does."""
    return Call("GET", path("runs", run, "review"), json_of, repeatable=True)


def list_interventions(run: str) -> Listing[Intervention]:
    """What was left for a run, and what became of it."""
    return listing(Intervention, path("runs", run, "interventions"), limit=200)


def show_intervention(run: str, intervention: int) -> Call[Intervention]:
    """One thing that was left for a run."""
    return Call("GET", path("runs", run, "interventions", str(intervention)), reads(Intervention), repeatable=True)
