"""A report as Markdown: for the run's folder, for MLflow, for `report RUN --md`."""

from __future__ import annotations

from collections.abc import Sequence

from promptprop.adapters.files.markdown import fenced, plain, table_lines
from promptprop.adapters.files.report_words import (
    caps_text,
    counted,
    dollars,
    duration,
    gain,
    hypothesis_text,
    looks_sentence,
    noise_sentence,
    origin_sentence,
    p_value,
    people_sentence,
    score,
    screening_sentence,
    spent,
    stop_sentence,
    unknown_spend,
    verdict_sentence,
)
from promptprop.domain.breakdown import Breakdown, Kind
from promptprop.domain.history import History
from promptprop.domain.report import SIMULATED_NOTE, Report, Standing, line_diff

GROUPS = 30  # tags or clusters that are shown


def render_markdown(report: Report, by: Sequence[Kind] = ()) -> str:
    """The report of a run in any state. Texts of models are escaped or fenced, so that they cannot pose as markup.

    `by` says which groups of an evaluation are shown, tags unless given.
    """
    history = report.history
    lines = [f"# {plain(history.name)}", ""]
    if history.simulated:
        lines += [f"> **{SIMULATED_NOTE}**", ""]
    if history.activity in ("evaluate", "check"):
        lines += _scores_of_evaluation(history)
        for breakdown in report.breakdown:
            lines += _groups(breakdown, by or ("tag",))
    else:
        lines += _claim(report)
    lines += [*_setting(report), *_learned(report), *_spend(history)]
    if history.activity not in ("evaluate", "check"):
        lines += _prompts(report)
    return "\n".join(lines).rstrip() + "\n"


def _claim(report: Report) -> list[str]:
    history = report.history
    sentence = verdict_sentence(report)
    p_text = f" ({p_value(history.test.p_value)})" if history.test and report.changed else ""
    lines = [f"**{plain(sentence)}**{p_text}", ""]
    if looks := looks_sentence(history):
        lines += [f"This is {looks}.", ""]
    trained = "train" in history.record(report.seed.id).scores and report.seed.select is None
    named = (("seed", report.seed), ("winner", report.winner))
    rows = [[name, *_standing(one, history if trained else None)] for name, one in named]
    lines += table_lines(["", "train" if trained else "select", "sealed test", "USD per 1000 rows", "characters"], rows)
    if report.delta is not None and report.changed:
        lines += ["", f"Δ on the sealed test: {gain(report.delta)} points."]
    if sentence := origin_sentence(report):
        lines += ["", f"{len(history.seeds)} seeds were raced; {sentence}."]
    if sentence := people_sentence(history):
        lines += ["", f"Decided {sentence}.", *_overrides(history)]
    lines += ["", f"Why it stopped: {plain(stop_sentence(history))}.", ""]
    return lines


def _overrides(history: History) -> list[str]:
    return [
        f"- `{one.candidate_id}` on row `{plain(one.example_id)}`: {one.score:g}, since {plain(one.reason)}"
        for one in history.overrides
    ]


def _standing(standing: Standing, trained: History | None) -> list[str]:
    """A prompt's line; `trained` is the history of a run that has scored on train alone."""
    cost = standing.usd_per_1000_rows
    return [
        score(trained.record(standing.id).scores.get("train") if trained else standing.select),
        score(standing.test),
        "–" if cost is None else dollars(cost),
        f"{standing.length:,}",
    ]


def _scores_of_evaluation(history: History) -> list[str]:
    rows = []
    for record in history.candidates.values():
        for split, estimate in record.scores.items():
            means = ", ".join(f"{plain(name)} {mean:.3f}" for name, mean in record.metrics.get(split, {}).items())
            rows.append(
                [f"`{record.id}`", split, score(estimate), str(estimate.n), str(record.missing.get(split, 0)), means]
            )
    lines = table_lines(["prompt", "rows of", "score", "rows", "missing", "metrics"], rows)
    return [*lines, "", f"Why it stopped: {plain(stop_sentence(history))}.", ""]


def _groups(breakdown: Breakdown, by: Sequence[Kind]) -> list[str]:
    lines: list[str] = []
    for kind in by:
        found = breakdown.worst(kind)
        if not found:
            continue
        rows = [
            [plain(one.name), score(one.score), str(one.rows), str(one.missing), str(one.steadiness.flipping)]
            for one in found[:GROUPS]
        ]
        lines += [f"## By {kind}, `{breakdown.candidate_id}`", ""]
        lines += [*table_lines([kind, "score", "rows", "missing", "flip"], rows), ""]
        if len(found) > GROUPS:
            lines += [f"And {len(found) - GROUPS} more.", ""]
    noise = noise_sentence(breakdown.steadiness)
    return [*lines, f"Noise: {noise}.", ""] if noise else lines


def _setting(report: Report) -> list[str]:
    history = report.history
    rows = ", ".join(f"{count} {split}" for split, count in history.rows.items() if count)
    models = ", ".join(f"{alias} `{model}`" for alias, model in history.models.items())
    lines = ["## The run", "", f"- run `{report.run_id}`, status {history.status}, random seed {history.seed}"]
    if history.optimizer:
        lines.append(f"- optimizer {plain(history.optimizer)}, {len(history.trajectory)} rounds")
    lines += [
        f"- rows: {rows or 'none'}",
        f"- models: {models or 'none'}",
        f"- caps: {caps_text(history.budget)}",
        f"- active time: {duration(history.active_seconds)}",
        "",
    ]
    return lines


def _learned(report: Report) -> list[str]:
    history = report.history
    lines: list[str] = []
    if report.learned:
        lines = ["## What was learned", ""]
        for record in report.learned:
            rows = counted(record.raced.n if record.raced else 0, "row")
            said = plain(hypothesis_text(record))
            lines.append(f"- round {record.round}: {gain(record.raced)} points on {rows}, {said}")
        lines.append("")
    if history.suspects:
        ids = ", ".join(f"`{plain(row)}`" for row in history.suspects)
        lines += ["## Suspect labels", "", f"Every candidate fails these rows; look at their labels: {ids}", ""]
    return lines


def _spend(history: History) -> list[str]:
    rows = [
        [
            role,
            f"{one.calls:,}",
            f"{one.tokens:,}",
            spent(one.picousd, one.unpriced),
            f"{one.hits:,}",
            f"{one.unconfirmed:,}",
        ]
        for role, one in sorted(history.spend.roles.items())
    ]
    total = history.spend.total
    unconfirmed = sum(one.unconfirmed for one in history.spend.roles.values())
    unpriced = sum(one.unpriced for one in history.spend.roles.values())
    rows.append(
        [
            "**total**",
            f"{total.calls:,}",
            f"{total.tokens:,}",
            spent(total.picousd, unpriced),
            f"{history.spend.hits:,}",
            f"{unconfirmed:,}",
        ]
    )
    head = ["role", "calls", "tokens", "USD", "from the ledger", "unconfirmed"]
    note = [f"Spent: {unknown_spend(total.picousd, unpriced)}.", ""] if unpriced else []
    if sentence := screening_sentence(history):
        note = [f"{sentence}.", "", *note]
    return ["## Spend", "", *table_lines(head, rows), "", *note]


def _prompts(report: Report) -> list[str]:
    lines = ["## The prompt", "", *fenced(report.winner.prompt, "text"), ""]
    if report.changed:
        diff = "\n".join(line_diff(report.seed.prompt, report.winner.prompt))
        lines += ["## The changes", "", *fenced(diff, "diff"), ""]
    return lines
