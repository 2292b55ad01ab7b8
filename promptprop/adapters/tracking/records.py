"""What one event means to a tracker: metrics with their step, params, tags and a status. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptprop.domain import events as facts
from promptprop.domain.events import Estimate, StoredEvent
from promptprop.domain.history import History
from promptprop.domain.models import PICO, canonical

TAG = "promptprop."
STATUSES = {"interrupted": "KILLED", "cancelled": "KILLED", "failed": "FAILED", "errors": "FAILED"}


@dataclass(frozen=True, slots=True)
class Point:
    """A metric's value at a step; `at` is in milliseconds since 1970, UTC."""

    name: str
    value: float
    step: int
    at: int


@dataclass(frozen=True, slots=True)
class Records:
    """What is to be written. Params never change once written, tags may; `status` is one of MLflow's or None."""

    points: tuple[Point, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str | None = None

    def plus(self, later: Records) -> Records:
        """Both; where they speak of the same param the first stands, of the same tag or status the later."""
        return Records(
            self.points + later.points,
            {**later.params, **self.params},
            {**self.tags, **later.tags},
            later.status or self.status,
        )


def records_of(stored: StoredEvent, history: History) -> Records:
    """What this event adds, nothing where it says nothing to a tracker; `history` is the fold up to and with it."""
    event, at = stored.event, int(stored.at.timestamp() * 1000)
    if event.lifecycle:
        return _lifecycle(event, history, at)
    if isinstance(event, facts.HeadroomMeasured):
        values = {**_spread("headroom/score", event.score), "headroom/noise": event.noise}
        return Records(_points(values, 0, at), tags={f"{TAG}headroom": event.finding})
    if isinstance(event, facts.RoundEnded):
        return Records(_points({**_round(event, history), **_spend("spend", history)}, event.round, at))
    if isinstance(event, facts.CandidateConfirmed) and event.chosen:
        return Records(_points(_spread("confirm/delta", event.delta), 0, at))
    if isinstance(event, facts.WinnerTested):
        return Records(_points(_tested(event), 0, at), tags={f"{TAG}verdict": event.verdict})
    return Records()


def sanitise_name(text: str) -> str:
    """A prompt name that MLflow accepts: letters, digits, `-`, `_` and `.`; never empty.

    >>> sanitise_name("Support router: v2!")
    'Support-router-v2'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-") or "prompt"


def sanitise_key(text: str) -> str:
    """A metric, param or tag key that MLflow accepts: what it refuses becomes `_`, at most 250 characters.

    >>> sanitise_key("test/f1 (macro)")
    'test/f1 _macro_'
    """
    return re.sub(r"[^A-Za-z0-9_\-. /]", "_", text).strip("/ ")[:250] or "_"


def _lifecycle(event: facts.Event, history: History, at: int) -> Records:
    """Starts, stops and interventions: params, tags and status; the totals stand at the number of resumes."""
    caps = {f"{TAG}caps": canonical(dict(history.budget))}
    if isinstance(event, facts.RunStarted):
        params = {"activity": event.activity, "optimizer": event.optimizer, "seed": str(event.seed)}
        params |= {f"model.{role}": model for role, model in event.models.items()}
        params |= {f"rows.{split}": str(count) for split, count in event.rows.items()}
        return Records(params=params, tags={**caps, f"{TAG}simulated": str(event.simulated).lower()}, status="RUNNING")
    if isinstance(event, facts.RunResumed):
        return Records(tags={f"{TAG}stop_reason": ""}, status="RUNNING")
    if isinstance(event, facts.CapRaised):
        return Records(tags=caps)
    if isinstance(event, facts.RunFinished | facts.RunStopped):
        values = {**_spend("total", history), "total/active_seconds": history.active_seconds}
        status = "FINISHED" if history.finished else STATUSES.get(history.stop_reason, "KILLED")
        return Records(_points(values, history.resumed, at), {}, {f"{TAG}stop_reason": history.stop_reason}, status)
    return Records()


def _round(event: facts.RoundEnded, history: History) -> dict[str, float]:
    children = [
        record
        for record in history.candidates.values()
        if record.round == event.round and record.parent_ids and record.state != "seed"
    ]
    return {
        **_spread("score/best", event.score),
        "candidates/proposed": len(children),
        "candidates/kept": sum(1 for child in children if child.state != "refused"),
        "candidates/promoted": event.promoted,
        "candidates/dropped": sum(1 for drop in history.refused if drop.round == event.round),
    }


def _tested(event: facts.WinnerTested) -> dict[str, float]:
    values = {
        **_spread("test/seed", event.seed),
        **_spread("test/winner", event.winner),
        **_spread("test/delta", event.delta),
        "test/p_value": event.p_value,
        "test/rows": event.delta.n,
        "test/missing": event.missing,
    }
    for outer, inner in event.metrics.items():
        values |= {f"test/{outer}/{name}": value for name, value in inner.items()}
    return values


def _spend(prefix: str, history: History) -> dict[str, float]:
    total = history.spend.total
    unpriced = sum(spend.unpriced for spend in history.spend.roles.values())
    values: dict[str, float] = {
        f"{prefix}/calls": total.calls,
        f"{prefix}/tokens": total.tokens,
        f"{prefix}/hits": history.spend.hits,
    }
    if total.picousd or not unpriced:  # no money is no number where the price is unknown
        values[f"{prefix}/usd"] = total.picousd / PICO
    if unpriced:
        values[f"{prefix}/unpriced_calls"] = unpriced
    return values


def _spread(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _points(values: Mapping[str, Any], step: int, at: int) -> tuple[Point, ...]:
    return tuple(Point(sanitise_key(name), float(value), step, at) for name, value in values.items())
