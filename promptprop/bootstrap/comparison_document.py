"""A comparison of two prompts as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptprop.adapters.files.report_words import points
from promptprop.bootstrap.prompt_diff import changed_lines
from promptprop.domain.models import Json
from promptprop.domain.report import estimate_json

if TYPE_CHECKING:
    from promptprop.bootstrap.comparing import ComparisonReport, Stand
    from promptprop.services.comparison import Comparison, Found, Measured, Taken

FOUND: dict[Found, str] = {"better": "surely better", "worse": "surely worse", "open": "the rows do not tell"}


def comparison_json(report: ComparisonReport) -> Json:
    """For `--json`."""
    comparison = report.comparison
    overlap = comparison.overlap
    sides = (report.before, report.after)
    measured = [_side_json(side, taken) for side, taken in zip(sides, comparison.taken, strict=True)]
    return {
        "verdict": comparison.score.found,
        "sentence": found_words(comparison.score, report.after.label),
        "before": measured[0],
        "after": measured[1],
        "split": report.split,
        "flattered": report.flattered,
        "differences": list(report.differences),
        "rows": comparison.score.before.n,
        "answers": comparison.answers,
        "missing": comparison.missing,
        "only_before": overlap.only_before,
        "only_after": overlap.only_after,
        "changed": overlap.changed,
        "metrics": {one.metric: _measured_json(one) for one in (comparison.score, *comparison.metrics)},
        **rows_of(comparison),
        "diff": _diff(report),
        "simulated": report.simulated,
    }


def _side_json(side: Stand, taken: Taken) -> Json:
    usd = taken.usd_per_1000_rows
    return {
        "label": side.label,
        "candidate": side.candidate.id,
        "prompt": side.candidate.text,
        "run_id": side.run.id,
        "activity": side.run.activity,
        "models": dict(side.history.models),
        "usd_per_1000_rows": None if usd is None else str(usd),
        "latency_seconds": taken.seconds,
        "tokens_per_row": taken.tokens,
    }


def _measured_json(measured: Measured) -> Json:
    look = measured.look
    before, after = (estimate_json(one) for one in (measured.before, measured.after))
    bounds = None if look is None else {"mean": look.mean, "lower": look.lower, "upper": look.upper}
    return {"verdict": measured.found, "before": before, "after": after, "delta": bounds}


def rows_of(comparison: Comparison) -> dict[str, list[Json]]:
    """The rows that differ by what became of them, those that got worse first."""
    return {
        "worse": [flip.as_json() for flip in comparison.worse],
        "better": [flip.as_json() for flip in comparison.better],
    }


def _diff(report: ComparisonReport) -> list[str]:
    sides = report.before, report.after
    return changed_lines(sides[0].candidate.text, sides[1].candidate.text, (sides[0].label, sides[1].label)) or []


def found_words(measured: Measured, label: str) -> str:
    """What the rows tell of a metric under the prompt of this label, with its figures."""
    look = measured.look
    said = FOUND["open"] if measured.found == "open" else f"{label} is {FOUND[measured.found]}"
    if look is None:
        return f"{said}: none has a value on both sides"
    if look.clusters < 2:
        return f"{said}: {points(look.mean)} points on one cluster, which says nothing of others"
    return f"{said}: {points(look.mean)} points, surely above {points(look.lower)} and below {points(look.upper)}"
