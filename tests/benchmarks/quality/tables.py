"""Tables of trials in Markdown: shares of ceiling and headroom by contender and cap, over all worlds and by family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

Trial = Mapping[str, Any]
ROOM = 0.05  # a family whose seed is nearer to the ceiling has no headroom to take a share of
BELOW = 0.02  # a score so far under the seed's is more than noise: true scores have none


def share_of_ceiling(trial: Trial) -> float:
    """True score over that of the best prompt."""
    return float(trial["score"] / trial["ceiling"])


def share_of_headroom(trial: Trial) -> float:
    """How far the returned prompt has come from the seed to the best prompt."""
    return float((trial["score"] - trial["seed_score"]) / (trial["ceiling"] - trial["seed_score"]))


def has_room(trial: Trial) -> bool:
    """Whether there is anything to gain."""
    return bool(trial["ceiling"] - trial["seed_score"] >= ROOM)


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
    if not trials:
        return ""
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


def curves(trials: Sequence[Trial]) -> dict[str, list[tuple[int, float, float]]]:
    """By contender: calls, mean share of the ceiling, and its standard error over worlds."""
    caps = sorted({trial["cap"] for trial in trials})
    found: dict[str, list[tuple[int, float, float]]] = {}
    for name in dict.fromkeys(trial["contender"] for trial in trials):
        by_cap = {
            cap: [share_of_ceiling(one) for one in trials if (one["contender"], one["cap"]) == (name, cap)]
            for cap in caps
        }
        found[name] = [(cap, *mean_error(values)) for cap, values in by_cap.items() if values]
    return found


def area(curve: Sequence[tuple[int, float, float]]) -> float:
    """The mean share of the ceiling over calls from the least to the largest cap, by trapezes."""
    if len(curve) < 2:
        return curve[0][1]
    pieces = pairwise(curve)
    whole = sum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in pieces)
    return whole / (curve[-1][0] - curve[0][0])


def reaches(curve: Sequence[tuple[int, float, float]], goal: float) -> float:
    """The calls at which a curve first comes to `goal`, between two caps by a straight line; NaN if it never does."""
    if curve[0][1] >= goal:
        return float(curve[0][0])
    for left, right in pairwise(curve):
        if left[1] < goal <= right[1]:
            return left[0] + (right[0] - left[0]) * (goal - left[1]) / (right[1] - left[1])
    return math.nan


def best_rival(found: Mapping[str, Sequence[tuple[int, float, float]]]) -> str | None:
    """The GEPA variant with the highest mean at the largest cap."""
    rivals = [name for name in found if name.startswith("gepa")]
    return max(rivals, key=lambda name: found[name][-1][1]) if rivals else None


def _anytime(trials: Sequence[Trial]) -> str:
    found = curves(trials)
    rival = best_rival(found)
    goal = found[rival][-1][1] if rival else math.nan
    rows = []
    for name, curve in found.items():
        calls = reaches(curve, goal)
        shown = "never" if math.isnan(calls) else ("≤ " if calls == curve[0][0] else "") + f"{calls:.0f}"
        rows.append([name, f"{area(curve):.3f}", shown if rival else "–"])
    last = max(trial["cap"] for trial in trials)
    goal_named = f"calls to {goal:.3f} ({rival} at {last})" if rival else "calls to GEPA's best"
    return table(["contender", "area under the curve", goal_named], rows)


def _losses(trials: Sequence[Trial]) -> str:
    """Families and caps where GEPA's best variant there has the higher mean, with the paired difference."""
    rows = []
    for family, cap in dict.fromkeys((trial["family"], trial["cap"]) for trial in trials):
        scores: dict[str, dict[int, float]] = {}
        for one in trials:
            if (one["family"], one["cap"]) == (family, cap):
                scores.setdefault(one["contender"], {})[one["world"]] = share_of_ceiling(one)
        rivals = {name: sum(by.values()) / len(by) for name, by in scores.items() if name.startswith("gepa")}
        if "backprop" not in scores or not rivals:
            continue
        best = max(rivals, key=lambda name: rivals[name])
        mean, error = mean_error([ours - scores[best][world] for world, ours in scores["backprop"].items()])
        if mean < 0:
            sure = "one world" if len(scores[best]) < 2 else "yes" if mean < -2 * error else "no"
            rows.append([family, str(cap), best, f"{mean:+.3f} ± {error:.3f}", sure])
    heads = ["family", "calls", "the better one", "backprop minus it", "beyond 2 standard errors"]
    return table(heads, rows) if rows else "Nowhere: no family and cap has a GEPA variant with the higher mean."


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
        "Share of the headroom (families that have any)": _pivot([t for t in trials if has_room(t)], share_of_headroom),
        "Task calls made": _pivot(trials, lambda one: one["calls"], 0),
        "Calls of critic and rewriter": _pivot(trials, lambda one: one["role_calls"], 0),
        "Thousand weighted tokens (roles × 10)": _pivot(trials, lambda one: one["weighted_tokens"] / 1000, 0),
        "Length over the best prompt's": _pivot(trials, lambda one: one["length"] / one["best_length"], 2),
        "Ours / GEPA's best variant, share of the ceiling by family": _by_family(trials),
        "Anytime": _anytime(trials),
        "Where we lose": _losses(trials),
        "Change of the true score where there is nothing to gain": _pivot(
            [one for one in trials if not has_room(one)], lambda one: one["score"] - one["seed_score"]
        ),
        "Runs that end below the seed": "\n".join(below),
        "Seconds a run": _pivot(trials, lambda one: one["seconds"], 2),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items() if text)
