"""The report of a run: a pure function of its history and its candidates' texts. Every output format renders this."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from promptprop.domain.breakdown import Breakdown, Steadiness
from promptprop.domain.events import Estimate
from promptprop.domain.history import CandidateRecord, History
from promptprop.domain.models import PICO, Candidate, Json

SIMULATED_NOTE = "simulated model: these numbers say something about the search, nothing about a real language model"


@dataclass(frozen=True, slots=True)
class Standing:
    """One prompt with what is known of it: scores on select and on the sealed test."""

    id: str
    prompt: str
    length: int
    select: Estimate | None = None
    test: Estimate | None = None
    usd_per_1000_rows: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has to say, in the words of its verdict; `failed_calls` would fail from its record on resume.

    An evaluation has a `breakdown` for each of its prompts.
    """

    run_id: str
    history: History
    seed: Standing
    winner: Standing
    verdict: str
    learned: tuple[CandidateRecord, ...]
    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    failed_calls: int = 0
    breakdown: tuple[Breakdown, ...] = ()

    @property
    def changed(self) -> bool:
        """True when the winner is another prompt than the seed."""
        return self.seed.id != self.winner.id

    @property
    def delta(self) -> Estimate | None:
        """The paired difference on the sealed test; None while the test is sealed."""
        return self.history.test.delta if self.history.test else None


def report_of(
    history: History,
    candidates: Mapping[str, Candidate],
    costs: Mapping[str, Decimal | None] | None = None,
) -> Report:
    """The report; `costs` are USD per 1000 rows by candidate id, where prices are known."""
    winner_id = history.test.winner_id if history.test else history.best_id
    verdict = history.test.verdict if history.test else "untested"
    learned = tuple(record for record in history.candidates.values() if record.state == "promoted")
    return Report(
        run_id=history.run_id,
        history=history,
        seed=_standing(history, history.seed_id, candidates, costs or {}),
        winner=_standing(history, winner_id, candidates, costs or {}),
        verdict=verdict,
        learned=learned,
        candidates=candidates,
    )


def _standing(
    history: History, candidate_id: str, candidates: Mapping[str, Candidate], costs: Mapping[str, Decimal | None]
) -> Standing:
    candidate = candidates.get(candidate_id)
    record = history.record(candidate_id)
    return Standing(
        id=candidate_id,
        prompt=candidate.text if candidate else "",
        length=candidate.length if candidate else record.length,
        select=record.scores.get("select"),
        test=record.scores.get("test"),
        usd_per_1000_rows=costs.get(candidate_id),
    )


def usd(picousd: int) -> str:
    """Money as a decimal string, at least cents, trailing zeros beyond them cut.

    >>> usd(1_234_500_000_000), usd(0)
    ('1.2345', '0.00')
    """
    whole, _, fraction = f"{Decimal(picousd) / PICO:.12f}".partition(".")
    return f"{whole}.{fraction.rstrip('0'):0<2}"


def per_million(picousd: int) -> str:
    """Money per token as USD per million tokens.

    >>> per_million(1_250_000), per_million(75_000)
    ('1.25', '0.075')
    """
    return usd(picousd * 10**6)


def known_usd(picousd: int, unpriced: int) -> str | None:
    """What is known of the money spent, beside `unpriced` calls of unknown price; None where nothing is.

    >>> known_usd(0, 3), known_usd(0, 0), known_usd(10_000_000_000, 3)
    (None, '0.00', '0.01')
    """
    return None if unpriced and not picousd else usd(picousd)


def estimate_json(estimate: Estimate | None) -> Json:
    """`{mean, low, high, n}` or None; on no row at all the figures are None."""
    if estimate is None:
        return None
    if not estimate.n:
        return {"mean": None, "low": None, "high": None, "n": 0}
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def spend_json(history: History) -> Json:
    """Calls, tokens and USD by role and in total; ledger hits apart; what no usage was seen for as unconfirmed.

    Beside calls of unknown price, `usd` is the least that was spent; None where no price is known.
    """
    roles: dict[str, dict[str, Any]] = {
        role: {
            "calls": spend.calls,
            "tokens": spend.tokens,
            "prompt_tokens": spend.prompt_tokens,
            "completion_tokens": spend.completion_tokens,
            "usd": known_usd(spend.picousd, spend.unpriced),
            "hits": spend.hits,
            "unconfirmed_calls": spend.unconfirmed,
            "unconfirmed_tokens": spend.unconfirmed_tokens,
            "unpriced_calls": spend.unpriced,
        }
        for role, spend in sorted(history.spend.roles.items())
    }
    total = history.spend.total
    summed = ("prompt_tokens", "completion_tokens", "hits", "unconfirmed_calls", "unconfirmed_tokens", "unpriced_calls")
    sums = {name: sum(role[name] for role in roles.values()) for name in summed}
    return {
        "total": {
            "calls": total.calls,
            "tokens": total.tokens,
            "usd": known_usd(total.picousd, sums["unpriced_calls"]),
            **sums,
        },
        "roles": roles,
    }


def report_json(report: Report, paths: Mapping[str, str] | None = None) -> Json:
    """The documented shape of `--json` and of the API."""
    history = report.history
    return {
        "run_id": report.run_id,
        "name": history.name,
        "activity": history.activity,
        "status": history.status,
        "stop_reason": history.stop_reason,
        "search_ended": history.search_ended,
        "detail": history.detail,
        "verdict": report.verdict,
        "simulated": history.simulated,
        "random_seed": history.seed,
        "optimizer": history.optimizer,
        "rows": dict(history.rows),
        "models": dict(history.models),
        "seed": standing_json(report.seed),
        "winner": standing_json(report.winner),
        "changed": report.changed,
        "delta": estimate_json(report.delta),
        "p_value": history.test.p_value if history.test else None,
        "rounds": len(history.trajectory),
        "origin": history.origin(report.winner.id).id,
        "screening": {
            "children": history.screening.children,
            "rows": history.screening.rows,
            "full_pass_rows": history.screening.full_pass,
        },
        "candidates": [_record_json(record) for record in history.candidates.values()],
        "reviews": [
            {"candidate": one.candidate_id, "action": one.action, "reason": one.reason} for one in history.reviews
        ],
        "overrides": [
            {"candidate": one.candidate_id, "row": one.example_id, "score": one.score, "reason": one.reason}
            for one in history.overrides
        ],
        "notes_left": list(history.notes),
        "earlier_looks": list(history.earlier_looks),
        "suspect_labels": list(history.suspects),
        "rubric": history.rubric_id or None,
        "refused": [
            {"round": drop.round, "hypothesis": drop.hypothesis, "reason": drop.reason} for drop in history.refused
        ],
        "spend": spend_json(history),
        "breakdown": [_breakdown_json(one) for one in report.breakdown],
        "active_seconds": round(history.active_seconds, 3),
        "paths": dict(paths or {}),
    }


def standing_json(standing: Standing) -> Json:
    """A prompt with its scores."""
    cost = standing.usd_per_1000_rows
    return {
        "id": standing.id,
        "prompt": standing.prompt,
        "length": standing.length,
        "select": estimate_json(standing.select),
        "test": estimate_json(standing.test),
        "usd_per_1000_rows": None if cost is None else str(cost),
    }


def _record_json(record: CandidateRecord) -> Json:
    return {
        "id": record.id,
        "round": record.round,
        "parents": list(record.parent_ids),
        "hypothesis": record.hypothesis,
        "summary": record.summary,
        "length": record.length,
        "state": record.state,
        **measured_json(record),
    }


def measured_json(record: CandidateRecord) -> dict[str, Json]:
    """What a candidate was measured at: screen, race, confirmation, and its means by split."""
    return {
        "screened": estimate_json(record.screened),
        "raced": estimate_json(record.raced),
        "confirmed": estimate_json(record.confirmed),
        "scores": {split: estimate_json(score) for split, score in record.scores.items()},
        "metrics": {split: dict(means) for split, means in record.metrics.items()},
        "missing": dict(record.missing),
    }


def _breakdown_json(breakdown: Breakdown) -> Json:
    kinds = {"tags": breakdown.worst("tag"), "clusters": breakdown.worst("cluster")}
    groups = {
        name: [
            {
                "name": group.name,
                "score": estimate_json(group.score),
                "rows": group.rows,
                "missing": group.missing,
                **_steadiness_json(group.steadiness),
            }
            for group in found
        ]
        for name, found in kinds.items()
    }
    return {"candidate": breakdown.candidate_id, **_steadiness_json(breakdown.steadiness), **groups}


def _steadiness_json(steadiness: Steadiness) -> Json:
    return {
        "repeated_rows": steadiness.rows,
        "flipping_rows": steadiness.flipping,
        "differing_rows": steadiness.differing,
        "flip_rate": steadiness.rate,
    }


def line_diff(before: str, after: str, before_name: str = "seed", after_name: str = "winner") -> list[str]:
    """A unified diff by lines, without line ends; empty where the texts are equal."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), before_name, after_name, lineterm="", n=2)
    return list(lines)


def word_diff(before: str, after: str) -> list[tuple[str, str]]:
    """The changes by words: pairs of `same`, `removed` or `added` and the text, in reading order.

    >>> word_diff("be kind", "be very kind")
    [('same', 'be '), ('added', 'very '), ('same', 'kind')]
    """
    old, new = _words(before), _words(after)
    changes: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            changes.append(("same", "".join(old[old_from:old_to])))
            continue
        if old_to > old_from:
            changes.append(("removed", "".join(old[old_from:old_to])))
        if new_to > new_from:
            changes.append(("added", "".join(new[new_from:new_to])))
    return changes


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)
