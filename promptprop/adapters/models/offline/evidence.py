"""What the text of a role's request shows: prompts, quoted rows with their answers, remarks, what was tried.

Nothing is read but the text, in whichever form an optimizer writes it: tagged blocks and lines of JSON, or prompts in
fences and examples under headings. Of a quoted row, `expected` and `answer` are what the text says, never the world's.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from promptprop.adapters.models.offline.meaning import reader_of
from promptprop.adapters.models.offline.rows import Found
from promptprop.adapters.models.offline.task import CHAT_TEXT, index_of
from promptprop.adapters.models.offline.world import World, WorldRow
from promptprop.domain.models import Json, text_of

_TAGGED = re.compile(r"<prompt step=\"([^\"]*)\">\n?(.*?)\n?</prompt>", re.DOTALL)
_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_KIND = re.compile(r"Hypothesis kind:\s*([a-z]+)")
_TASK = re.compile(r"^(?:#+[ \t]*)?task[ \t]*:?[ \t]*\n*(.+)$", re.IGNORECASE | re.MULTILINE)
_KEYS = {"inputs", "cause", "fix", "delta", "prompts"}  # by which a line of JSON is more than an answer
_EXPECTED = r"(?<!in)(?:expected|correct|should|right answer|gold|target|reference|truth)"
_HEADED = re.compile(
    r"(?<!expected )(?<!correct )(?<!right )(?<!gold )(?<!reference )(?<!target )"
    r"\b(?:outputs?|responses?|answers?|prediction|completion)[\"'*`]*[ \t]*[:\n]\s*([^\n]+)",
    re.IGNORECASE,
)
_INLINE = re.compile(r"\b(?:got|answered|predicted|said)\b[ :=]*([^\n]+)", re.IGNORECASE)
_TEXT_EXPECTED = re.compile(rf"{_EXPECTED}[^\n:]{{0,40}}:\s*(.+?)(?=\n\s*#|\Z)", re.IGNORECASE | re.DOTALL)
_TEXT_SAID = re.compile(r"\b(?:outputs?|responses?|answers?)\b[^\n]*\n(.+?)(?=\n\s*#|\Z)", re.IGNORECASE | re.DOTALL)
_FIELD = re.compile(r"[\"'`]?(\w+)[\"'`]?\W{1,4}expected\W+(.+?)[\"'`]?,? (?:but )?got ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A row as a message quotes it: what was expected and answered as far as the text says; `n` is its number."""

    row: WorldRow
    n: int
    expected: Json
    answer: str | None

    def failing(self) -> bool:
        """True where the text shows an answer that differs from the expected one."""
        if self.expected is None or self.answer is None:
            return False
        if isinstance(self.expected, dict):
            bare = self.answer.lstrip().startswith("{")  # an object inside of prose fails a strict metric
            return not bare or bool(parsed_object(self.answer) != self.expected)
        return self.answer.strip() not in _listed(self.expected)


@dataclass(frozen=True, slots=True)
class Remark:
    """A cause and fix in words, for a step where the text names one."""

    text: str
    step: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a request shows. `prompts` holds the current texts by step; `kind` is what is asked for."""

    prompts: Mapping[str, str]
    quoted: tuple[Quoted, ...]
    remarks: tuple[Remark, ...]
    refused: tuple[str, ...]
    kind: str
    task: str
    tagged: bool
    wants_object: bool

    def failures(self) -> list[Quoted]:
        """The quoted rows that were answered wrong, as the text shows."""
        return [item for item in self.quoted if item.failing()]


def read_evidence(world: World, text: str) -> Evidence:
    """Read a request's text."""
    prompts, spans = _prompts(world, text)
    outside = _cut(text, spans)
    lines = [(line, object_of(line)) for line in outside.splitlines()]
    quoted = list(_quoted_objects(world, [value for _, value in lines if value]))
    plain = "\n".join(line for line, value in lines if value is None)
    found = index_of(world).find(plain)
    quoted += _quoted_passages(world, plain, found, len(quoted))
    remarks = [_remark(value) for _, value in lines if value and not {"inputs", "delta", "prompts"} & set(value)]
    remarks.append(Remark(_cut(plain, [(item.start, item.end) for item in found])))
    tried = [value for _, value in lines if value and "delta" in value]
    kind, task = _KIND.search(outside), _TASK.search(outside)
    return Evidence(
        prompts=prompts,
        quoted=tuple(quoted),
        remarks=tuple(remarks),
        refused=tuple(text_of(value.get("hypothesis", "")) for value in tried if _refused(value)),
        kind=kind.group(1) if kind else "cause",
        task=task.group(1).strip() if task else "",
        tagged=bool(_TAGGED.search(text)),
        wants_object="JSON" in outside and '"prompts"' in outside,
    )


def causes(world: World, failures: Sequence[Quoted]) -> dict[str, list[Quoted]]:
    """The rules that quoted failures are evidence of, with those failures.

    A failure is evidence of a rule that it needs where the text shows a phrase of the rule in the inputs, the right
    answer as the expected one, and another answer; so a wrong label teaches nothing.
    """
    found: dict[str, list[Quoted]] = {}
    for item in failures:
        at_stake = reader_of(world).at_stake(" ".join(map(text_of, item.row.inputs.values())))
        for rule in item.row.needs:
            if rule in at_stake and _shows_wrong(world, item, rule):
                found.setdefault(rule, []).append(item)
    return found


def shown_by_labels(world: World, quoted: Sequence[Quoted]) -> dict[str, list[Quoted]]:
    """The rules that labelled rows are evidence of: the text shows a phrase of the rule, and the right answer."""
    found: dict[str, list[Quoted]] = {}
    for item in quoted:
        at_stake = reader_of(world).at_stake(" ".join(map(text_of, item.row.inputs.values())))
        for rule in item.row.needs:
            if rule in at_stake and item.expected == item.row.right:
                found.setdefault(rule, []).append(item)
    return found


def chatty(world: World, item: Quoted) -> bool:
    """True for a failure whose answer holds more than the answer."""
    if item.answer is None or item.expected is None:
        return False
    if world.task == "extract":
        return not item.answer.lstrip().startswith("{") and "{" in item.answer
    if world.task == "write":
        return item.answer.lstrip().startswith(CHAT_TEXT)
    label = label_in(world, item.answer)
    return label is not None and item.answer.strip() != label


def label_in(world: World, answer: str) -> str | None:
    """The label that an answer names, the first one if there are several."""
    labels = {label.lower(): label for label in world.answers}
    pattern = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    match = re.search(rf"(?<!\w)(?:{pattern})(?!\w)", answer.lower()) if labels else None
    return labels[match.group()] if match else None


def parsed_object(text: str) -> Json:
    """The first JSON object in a text, or None."""
    start = text.find("{")
    while start >= 0:
        value = _decoded(text, start)
        if value is not None:
            return value
        start = text.find("{", start + 1)
    return None


def _decoded(text: str, start: int) -> Json:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return _literal(text[start : start + 2000])


def _literal(text: str) -> Json:
    """The dictionary at the beginning of a text that shows it as Python does; None where there is none."""
    if not re.match(r"\{\s*'", text):
        return None
    for match in list(re.finditer(r"\}", text))[:4]:
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return ast.literal_eval(text[: match.end()])
    return None


def _shows_wrong(world: World, item: Quoted, rule: str) -> bool:
    if world.task == "classify":
        label = label_in(world, item.answer or "")
        return _listed(item.expected) == [item.row.right] and label is not None and label != item.row.right
    if world.task == "write":
        lines = [line for name in item.row.needs[rule] if (line := item.row.right.get(name))]
        return any(line in text_of(item.expected) and line not in (item.answer or "") for line in lines)
    got = parsed_object(item.answer or "")
    if not isinstance(got, dict) or not isinstance(item.expected, dict):
        return False
    right = item.row.right
    return any(
        text_of(item.expected.get(name)) == text_of(right.get(name)) and got.get(name) != right.get(name)
        for name in item.row.needs[rule]
    )


def _listed(expected: Json) -> list[Json]:
    return expected if isinstance(expected, list) else [expected]


def _prompts(world: World, text: str) -> tuple[dict[str, str], list[tuple[int, int]]]:
    """The current prompts by step and their spans: tagged, else in the first fence that quotes no row."""
    tagged = list(_TAGGED.finditer(text))
    if tagged:
        first: dict[str, str] = {}
        for match in tagged:
            first.setdefault(match.group(1), match.group(2))
        used = {step: next(match for match in tagged if match.group(1) == step) for step in first}
        return first, [match.span() for match in used.values()]
    fenced = list(_FENCED.finditer(text))
    if not fenced:
        return {}, []
    fitting = [m for m in fenced if "{{" in m.group(1) or not index_of(world).find(m.group(1))]
    match = (fitting or fenced)[0]
    return {"main": match.group(1).strip("\n")}, [match.span()]


def _cut(text: str, spans: Sequence[tuple[int, int]]) -> str:
    parts, last = [], 0
    for start, end in sorted(spans):
        parts.append(text[last:start])
        last = end
    return "\n".join([*parts, text[last:]]) if spans else text


def object_of(line: str) -> dict[str, Json] | None:
    """The JSON object that a line of a request is, where its keys make it more than an answer."""
    stripped = line.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _KEYS & set(value) else None


def _quoted_objects(world: World, values: Sequence[dict[str, Json]]) -> Iterator[Quoted]:
    for place, value in enumerate((value for value in values if "inputs" in value), 1):
        inputs = value["inputs"]
        shown = " | ".join(map(text_of, inputs.values())) if isinstance(inputs, dict) else text_of(inputs)
        found = index_of(world).find(shown)
        if found:
            answer = value.get("answer", value.get("output"))
            n = value.get("n")
            number = n if isinstance(n, int) else place
            yield Quoted(found[0].row, number, value.get("expected"), None if answer is None else text_of(answer))


def _quoted_passages(world: World, text: str, found: Sequence[Found], before: int) -> list[Quoted]:
    """Rows quoted outside of JSON lines: what is said of a row stands between it and the next one."""
    quoted = []
    for place, item in enumerate(found):
        end = found[place + 1].start if place + 1 < len(found) else len(text)
        passage = text[item.end : end]
        if world.task == "classify":
            expected, answer = _said_label(world, passage)
        elif world.task == "write":
            expected, answer = _said_text(passage)
        else:
            expected, answer = _said_object(passage)
        quoted.append(Quoted(item.row, before + place + 1, expected, answer))
    return quoted


def _said_label(world: World, passage: str) -> tuple[Json, str | None]:
    labels = "|".join(re.escape(label) for label in sorted(world.answers, key=len, reverse=True))
    match = re.search(rf"{_EXPECTED}[\W\w]{{0,60}}?(?<!\w)({labels})(?!\w)", passage, re.IGNORECASE)
    said = _HEADED.search(passage) or _INLINE.search(passage)
    return label_in(world, match.group(1)) if match else None, _unquoted(said.group(1)) if said else None


def _unquoted(text: str) -> str:
    """What stands between the quotes, where a text begins with one."""
    stripped = text.strip()
    mark = stripped[:1]
    end = stripped.rfind(mark) if mark and mark in "\"'`" else 0
    return stripped[1:end] if end > 0 else stripped


def _said_text(passage: str) -> tuple[Json, str | None]:
    """A text that was expected, and the one that was answered, each up to the next heading."""
    expected = _TEXT_EXPECTED.search(passage)
    said = _TEXT_SAID.search(passage[: expected.start()] if expected else passage)
    return expected.group(1).strip() if expected else None, said.group(1).strip() if said else None


def _said_object(passage: str) -> tuple[Json, str | None]:
    """The answer is the first object that is not introduced as expected; fields named in feedback count too."""
    match = re.search(rf"{_EXPECTED}[^{{}}]{{0,80}}(?=\{{)", passage, re.IGNORECASE)
    expected = parsed_object(passage[match.end() :]) if match else None
    if not isinstance(expected, dict):
        expected = {name: value.strip("'\"") for name, value in _FIELD.findall(passage)} or None
    before = passage[: match.start()] if match and "{" in passage[: match.start()] else passage
    said = _HEADED.search(before) or _INLINE.search(before)
    answer = before[said.start(1) :] if said else before[before.find("{") :]
    return expected, answer if "{" in answer else None


def _remark(value: Mapping[str, Json]) -> Remark:
    texts = [text_of(item) for key, item in value.items() if isinstance(item, str) and key not in {"step", "n", "kind"}]
    return Remark("\n".join(texts), text_of(value.get("step", "")), text_of(value.get("fix", "")))


def _refused(value: Mapping[str, Json]) -> bool:
    """True for something tried that did harm, as far as its standard error tells."""
    delta, se = value.get("delta"), value.get("se", 0)
    return isinstance(delta, int | float) and isinstance(se, int | float) and delta + se < 0
