"""Stored baselines as files that people review: JSON in a fixed order, a prompt line by line, a row on each line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from promptprop.adapters.files.writing import make_folder, write_atomically
from promptprop.adapters.logs import redact
from promptprop.domain.baseline import Baseline, BaselineRow, Conditions
from promptprop.domain.errors import BaselineMissing, Place
from promptprop.domain.models import Candidate, Demo, Json, Message, Prompt

FORMAT = 1
FOLDER = "promptprop-baselines"
DIGITS = 4  # of money, seconds and lengths
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def baseline_path(name: str, folder: Path | None = None) -> Path:
    """Where the baseline of this name lies: `promptprop-baselines/NAME.json`, characters that files lack replaced."""
    return (folder or Path(FOLDER)) / f"{_UNSAFE.sub('-', name).strip('.-') or 'baseline'}.json"


def recording_path(baseline: Path) -> Path:
    """The recording of calls that lies beside a baseline."""
    return baseline.with_name(baseline.name.removesuffix(".json") + ".calls.jsonl.gz")


def baseline_files(folder: Path | None = None) -> list[Path]:
    """The baselines of a folder, by name."""
    return sorted((folder or Path(FOLDER)).glob("*.json"))


def render_baseline(baseline: Baseline) -> str:
    """The file's text. Secrets that answers repeat are left out."""
    head: dict[str, Json] = {
        "promptprop_baseline": FORMAT,
        "name": baseline.name,
        "prompts": {step: _prompt_json(prompt) for step, prompt in baseline.candidate.prompts.items()},
    }
    if baseline.candidate.demos:
        head["demos"] = [[demo.example_id, dict(demo.inputs), demo.output] for demo in baseline.candidate.demos]
    score = baseline.score
    head |= baseline.conditions.as_json()
    head |= {"split": baseline.split, "score": None if score is None else round(score, DIGITS)}
    parts = [f"  {json.dumps(name)}: {_laid_out(name, value)}" for name, value in head.items()]
    body = "{\n" + ",\n".join(parts)
    rows = ",\n".join(f"    {json.dumps(_row_json(row), ensure_ascii=False)}" for row in baseline.rows)
    return f'{body},\n  "rows": [\n{rows}\n  ]\n}}\n'


def _laid_out(name: str, value: Json) -> str:
    """What is long is spread over lines, and indented as a part of the whole."""
    if name in ("prompts", "demos", "models", "judges", "metrics") and value:
        return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  ")
    return json.dumps(value, ensure_ascii=False)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file, and its folder where there is none. Raises NotWritable, StorageFull."""
    make_folder(path.parent)
    write_atomically(path, render_baseline(baseline))


def read_baseline(path: Path) -> Baseline:
    """The baseline of a file. Raises BaselineMissing where there is none, or where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BaselineMissing(
            f"there is no baseline {path}", remedy="`promptprop baseline accept CONFIG` makes one"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineMissing(f"the baseline {path} cannot be read: {error}") from error
    return parse_baseline(text, str(path))


def parse_baseline(text: str, where: str) -> Baseline:
    """The baseline of a text; `where` names it. Raises BaselineMissing where it is none that can be read."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        remedy = "a merge may have left its marks; take one side, or accept it anew"
        raise BaselineMissing(f"{Place(where, line)}: this is no JSON: {error}", remedy=remedy) from error
    if not isinstance(value, dict) or "promptprop_baseline" not in value:
        raise BaselineMissing(f"{where} is no baseline", remedy="`promptprop baseline accept CONFIG` makes one")
    if value["promptprop_baseline"] != FORMAT:
        raise BaselineMissing(
            f"{where} has the format {value['promptprop_baseline']}, and this version reads {FORMAT}",
            remedy="use the version of promptprop that wrote it, or accept it anew",
        )
    try:
        return _baseline_of(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        named = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise BaselineMissing(f"{where} is no whole baseline: {named}", remedy="accept it anew") from error


def _baseline_of(value: Mapping[str, Json]) -> Baseline:
    prompts = {step: _prompt_of(prompt) for step, prompt in value["prompts"].items()}
    demos = tuple(Demo(example, inputs, output) for example, inputs, output in value.get("demos", ()))
    conditions = Conditions(value["models"], value["judges"], value["metrics"], value["steps"])
    rows = tuple(_row_of(row) for row in value["rows"])
    known: set[str] = set()
    for row in rows:
        if row.id in known:
            raise ValueError(f"the row {row.id} is there twice")
        known.add(row.id)
    return Baseline(value["name"], Candidate(prompts, demos), value["split"], conditions, rows)


def _prompt_json(prompt: Prompt) -> Json:
    messages = [{"role": message.role, "lines": message.content.split("\n")} for message in prompt.messages]
    framed = {"frame": prompt.frame} if prompt.frame else {}
    return {"messages": messages, "literal": True, **framed} if prompt.literal else {"messages": messages}


def _prompt_of(value: Mapping[str, Json]) -> Prompt:
    messages = tuple(Message(message["role"], "\n".join(message["lines"])) for message in value["messages"])
    return Prompt(messages, bool(value.get("literal", False)), str(value.get("frame", "")))


def _row_json(row: BaselineRow) -> dict[str, Json]:
    value: dict[str, Json] = {"id": row.id, "content": row.content, "scores": [_tidy(score) for score in row.scores]}
    if row.metrics:
        value["metrics"] = {name: [_tidy(score) for score in scores] for name, scores in row.metrics.items()}
    efforts = {"usd": row.usd, "seconds": row.seconds, "length": row.length}
    value |= {name: _tidy(float(f"{one:.{DIGITS}g}")) for name, one in efforts.items() if one is not None}
    answers = [redact(answer) for answer in row.answers]
    return {**value, "answers": answers[:1] if len(set(answers)) == 1 else answers}


def _row_of(value: Mapping[str, Json]) -> BaselineRow:
    metrics = {name: _scores(scores) for name, scores in value.get("metrics", {}).items()}
    answers = tuple(map(str, value.get("answers", ())))
    return BaselineRow(
        id=str(value["id"]),
        content=str(value["content"]),
        scores=_scores(value["scores"]),
        metrics=metrics,
        answers=answers if len(answers) > 1 else answers * len(value["scores"]),
        usd=value.get("usd"),
        seconds=value.get("seconds"),
        length=value.get("length"),
    )


def _scores(values: Sequence[Json]) -> tuple[float | None, ...]:
    scores = tuple(None if value is None else float(value) for value in values)
    if any(score is not None and not 0 <= score <= 1 for score in scores):
        raise ValueError(f"a score lies outside of 0 to 1: {values}")
    return scores


def _tidy(value: float | None) -> float | int | None:
    """Whole numbers without a point, so that a line of 0 and 1 reads well."""
    return int(value) if value is not None and float(value).is_integer() else value
