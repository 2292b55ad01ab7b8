"""Tables of trials in Markdown: shares of ceiling and headroom by contender and cap, over all worlds and by family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Trial = Mapping[str, Any]
BELOW = 0.02  # a score so far under the seed's is more than noise: true scores have none


def share_of_ceiling(trial: Trial) -> float:
    """True score over that of the best prompt."""
    return float(trial["score"] / trial["ceiling"])


def share_of_headroom(trial: Trial) -> float:
    """How far the returned prompt has come from the seed to the best prompt."""
    return float((trial["score"] - trial["seed_score"]) / (trial["ceiling"] - trial["seed_score"]))


def mean_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned."""
    widths = [max(len(str(row[place])) for row in [heads, *rows]) for place in range(len(heads))]
    lines = ["| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in [heads, *rows]]  # fmt: skip
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _pivot(trials: Sequence[Trial], value: Callable[[Trial], float], digits: int = 3) -> str:
    names = list(dict.fromkeys(trial["contender"] for trial in trials))
    caps = sorted({trial["cap"] for trial in trials})
    rows = []
    for name in names:
        cells = [name]
        for cap in caps:
            values = [value(one) for one in trials if one["contender"] == name and one["cap"] == cap]
            mean, error = mean_error(values) if values else (math.nan, 0.0)
            cells.append(f"{mean:.{digits}f} ± {error:.{digits}f}")
        rows.append(cells)
    return table(["contender", *(f"{cap} calls" for cap in caps)], rows)


def _mean(trials: Sequence[Trial], value: Callable[[Trial], float]) -> float:
    return mean_error([value(trial) for trial in trials])[0]


def _by_family(trials: Sequence[Trial]) -> str:
    """Each family: our share of the ceiling, that of GEPA's best variant there, and their ratio."""
    caps = sorted({trial["cap"] for trial in trials})
    rows = []
    for family in dict.fromkeys(trial["family"] for trial in trials):
        cells = [family]
        for cap in caps:
            mine = [one for one in trials if (one["family"], one["cap"]) == (family, cap)]
            means = {
                name: _mean([one for one in mine if one["contender"] == name], share_of_ceiling)
                for name in dict.fromkeys(one["contender"] for one in mine)
            }
            rivals = {name: mean for name, mean in means.items() if name.startswith("gepa")}
            own = means.get("backprop", math.nan)
            if rivals:
                best = max(rivals, key=lambda name: rivals[name])
                cells.append(f"{own:.3f} / {rivals[best]:.3f} = {own / rivals[best]:.2f} ({best})")
            else:
                cells.append(f"{own:.3f}")
        rows.append(cells)
    return table(["family", *(f"{cap} calls" for cap in caps)], rows)


def report(trials: Sequence[Trial]) -> str:
    """The whole report."""
    below = [
        f"{name}: {sum(one['score'] < one['seed_score'] - BELOW for one in mine)} of {len(mine)}"
        for name in dict.fromkeys(trial["contender"] for trial in trials)
        if (mine := [one for one in trials if one["contender"] == name])
    ]
    parts = {
        "Share of the ceiling": _pivot(trials, share_of_ceiling),
        "Share of the headroom": _pivot(trials, share_of_headroom),
        "Task calls made": _pivot(trials, lambda one: one["calls"], 0),
        "Calls of critic and rewriter": _pivot(trials, lambda one: one["role_calls"], 0),
        "Thousand weighted tokens (roles × 10)": _pivot(trials, lambda one: one["weighted_tokens"] / 1000, 0),
        "Length over the best prompt's": _pivot(trials, lambda one: one["length"] / one["best_length"], 2),
        "Ours / GEPA's best variant, share of the ceiling by family": _by_family(trials),
        "Runs that end below the seed": "\n".join(below),
        "Seconds a run": _pivot(trials, lambda one: one["seconds"], 2),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items())
