"""The anytime curves of a set of trials as one small SVG, written by hand: share of the ceiling over task calls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 56, 210, 40, 48
COLOURS = ("#b3261e", "#1b5e9e", "#2e7d32", "#8e5ab5", "#c77700", "#00838f", "#5d4037", "#78909c", "#ad1457", "#616161")

Curve = Sequence[tuple[int, float, float]]  # calls, mean, standard error


def anytime_svg(title: str, curves: Mapping[str, Curve]) -> str:
    """Curves by name, the x axis logarithmic; bars are one standard error to either side."""
    xs = sorted({calls for curve in curves.values() for calls, _, _ in curve})
    values = [value for curve in curves.values() for _, mean, error in curve for value in (mean - error, mean + error)]
    low, high = math.floor(min(values) * 10) / 10, min(1.0, math.ceil(max(values) * 10) / 10)
    first, last = math.log(xs[0]), math.log(xs[-1])

    def x(calls: int) -> float:
        share = (math.log(calls) - first) / (last - first) if last > first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / max(high - low, 1e-9) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>']
    for tick in range(round(low * 10), round(high * 10) + 1):
        place = y(tick / 10)
        parts.append(f'<path d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{tick / 10:.1f}</text>')
    parts += [
        f'<text x="{x(calls):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{calls}</text>' for calls in xs
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">task calls</text>')
    for place, (name, curve) in enumerate(curves.items()):
        parts += _curve(
            name, place, [(x(calls), y(mean), y(mean - error), y(mean + error)) for calls, mean, error in curve]
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _curve(name: str, place: int, points: Sequence[tuple[float, float, float, float]]) -> list[str]:
    colour = COLOURS[place % len(COLOURS)]
    dash = ' stroke-dasharray="5 3"' if place >= len(COLOURS) else ""
    line = " ".join(f"{across:.1f},{down:.1f}" for across, down, _, _ in points)
    legend = TOP + 8 + place * 17
    return [
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>',
        *(
            f'<path d="M{across:.1f} {under:.1f}V{over:.1f}" stroke="{colour}" opacity="0.6"/>'
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>'
            for across, down, under, over in points
        ),
        f'<path d="M{WIDTH - RIGHT + 12} {legend}h22" stroke="{colour}" stroke-width="2"{dash}/>',
        f'<text x="{WIDTH - RIGHT + 40}" y="{legend + 4}">{escape(name)}</text>',
    ]
