"""The simulated task model: what a prompt makes of a row. Call noise is keyed on what the prompt means, not says.

A row is answered right with the chance `skill × (1 − difficulty) − length penalty` when every rule that it needs is
stated and no stated trap breaks it. Where a rule is missing or a trap breaks it, the chance is `luck`, and the answer
is else the wrong one that the world foresees. Worked examples in the prompt are weak evidence: each right one of a
rule closes `DEMO` of the gap between luck and full chance for rows that need this rule (and `DEMO_FORM` of the gap in
form); a row that is itself shown with its answer is copied.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptprop.adapters.models.offline.chance import happens, pick
from promptprop.adapters.models.offline.meaning import Stated, reader_of
from promptprop.adapters.models.offline.rows import Found, RowIndex
from promptprop.adapters.models.offline.world import World, WorldRow
from promptprop.domain.models import Json, Message, digest, text_of

DEMO = 0.35
DEMO_FORM = 0.5
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")
_CHAT = ("I would say **{}**.", "This looks like **{}** to me.", "My answer here is {}, I think.")
CHAT_TEXT = "Sure! Here is a reply that you could send:"
_CHAT_OBJECT = "Here is what I found:\n\n```json\n{}\n```"


@dataclass(frozen=True, slots=True)
class View:
    """What a task model makes of the text around a row: what it states, its characters, the ids of rows shown."""

    stated: Stated
    length: int
    demos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prospect:
    """What becomes of a row under a prompt: the chance to be right, the answer otherwise, and whether it chats.

    `key` holds all that the noise may depend on besides row and replicate.
    """

    chance: float
    wrong: Json
    chatty: bool
    key: tuple[Json, ...]


@lru_cache(maxsize=16)
def index_of(world: World) -> RowIndex:
    """The row index of a world, made once."""
    return RowIndex(world.rows)


@lru_cache(maxsize=16)
def _answered(world: World) -> re.Pattern[str]:
    labels = "|".join(re.escape(label) for label in sorted(world.answers, key=len, reverse=True))
    return re.compile(rf"\W*(?:[^\W\d]+\W+){{0,3}}?({labels})(?!\w)", re.IGNORECASE)


def answer_task(world: World, messages: Sequence[Message], replicate: int) -> str:
    """The answer to a task call. It always answers something: an unknown input gets a hash of what was asked."""
    text = "\n\n".join(message.content for message in messages)
    asked = _asked(world, text)
    if asked is None:
        key = [world.name, "unknown", digest([[m.role, m.content] for m in messages]), replicate]
        return pick(world.answers, *key) if world.task == "classify" else "{}" if world.task == "extract" else "Well."
    row, view = asked
    prospect = prospect_of(world, row, view)
    right = happens(prospect.chance, world.name, "answer", row.id, replicate, *prospect.key)
    value = shown_as(world, row.right if right else prospect.wrong)
    return _chat(world, row, value) if prospect.chatty else value


def shown_as(world: World, value: Json) -> str:
    """An answer as the model writes it: a label, an object, or the lines of a text."""
    return "\n".join(map(text_of, value.values())) if world.task == "write" else text_of(value)


def true_score(world: World, prompt_text: str, row_ids: Iterable[str] | None = None) -> float:
    """The mean chance that an answer equals the expected one exactly, over these rows (all by default); no noise.

    Of a text that was written, the share of right lines counts. Chatty answers count as wrong elsewhere, and so do,
    mostly, rows whose label is wrong, as an exact metric would have it. `prompt_text` is the template; its
    `{{ placeholders }}` stand for the row. Raises KeyError for an unknown row.
    """
    view = view_of(world, prompt_text)
    rows = [world.rows[key] for key in (world.rows if row_ids is None else row_ids)]
    return sum(_expected_score(world, row, prospect_of(world, row, view)) for row in rows) / len(rows)


def view_of(world: World, prompt_text: str) -> View:
    """What a template amounts to, for every row alike."""
    text = _PLACEHOLDER.sub("", prompt_text)
    found = index_of(world).find(text)
    demos = _demos(world, text, found)
    return View(reader_of(world).stated(_outside(text, found)), len(text), demos)


def prospect_of(world: World, row: WorldRow, view: View) -> Prospect:
    """What becomes of a row under a prompt."""
    excess = max(0, view.length - world.length.free) // 100
    full = max(0.0, min(1.0, world.skill * (1 - row.difficulty) - world.length.per_100 * excess))
    missing = [rule for rule in world.rules if rule in row.needs and rule not in view.stated.rules]
    broken = [key for key, trap in world.traps.items() if key in view.stated.traps and row.id in trap.breaks]
    shown = Counter(rule for demo in view.demos for rule in world.rows[demo].needs if rule in missing)
    prone = not happens(_bare(world, len(view.demos)), world.name, "bare", row.id)
    heeded = sorted(rule for rule in row.needs if rule in view.stated.rules)
    form: Json = view.stated.format if prone else None
    copied = row.id in view.demos
    key = (heeded, sorted(broken), sorted(shown.items()), copied, form, excess)
    chatty = prone and not view.stated.format
    if copied or not (broken or missing):
        return Prospect(full, _slip(world, row), chatty, key)
    low = min(full, world.luck)
    if broken:
        corruptions = [world.traps[broken[0]].breaks[row.id]]
        if world.task == "write":  # one wrong line does not bring the others right
            corruptions = [*(row.needs[rule] for rule in missing), *corruptions]
        return Prospect(low, _wrong(world, row, corruptions), chatty, key)
    learned = 1.0
    for rule in missing:
        learned *= 1 - (1 - DEMO) ** shown[rule]
    return Prospect(low + (full - low) * learned, _wrong(world, row, [row.needs[r] for r in missing]), chatty, key)


def _bare(world: World, demos: int) -> float:
    """The chance that an answer has the right form although the prompt does not say so."""
    if world.format is None:
        return 1.0
    return 1 - (1 - world.format.without) * (1 - DEMO_FORM) ** demos


def _expected_score(world: World, row: WorldRow, prospect: Prospect) -> float:
    if world.task == "write":
        kept: float = sum(prospect.wrong.get(name) == line for name, line in row.right.items()) / len(row.right)
        return prospect.chance + (1 - prospect.chance) * kept
    if prospect.chatty:
        return 0.0
    right = prospect.chance if row.right == row.expected else 0.0
    return right + (1 - prospect.chance if prospect.wrong == row.expected else 0.0)


def _wrong(world: World, row: WorldRow, corruptions: Sequence[Json]) -> Json:
    """The foreseen wrong answer: a label, or the right object with fields changed (None leaves one out)."""
    if world.task == "classify":
        return corruptions[0]
    fields = dict(row.right)
    for corruption in corruptions:
        fields.update(corruption)
    return {key: value for key, value in fields.items() if value is not None or row.right.get(key, 0) is None}


def _slip(world: World, row: WorldRow) -> Json:
    """The wrong answer of a row that had all it needs: always the same one, as models have it."""
    if world.task != "classify":
        field = pick(sorted(row.right), world.name, "slip", row.id) if row.right else ""
        return {key: value for key, value in row.right.items() if key != field}
    others = [answer for answer in world.answers if answer != row.right]
    return pick(others, world.name, "slip", row.id) if others else row.right


def _chat(world: World, row: WorldRow, value: str) -> str:
    if world.task == "extract":
        return _CHAT_OBJECT.format(value)
    if world.task == "write":
        return f"{CHAT_TEXT}\n\n{value}"
    return pick(_CHAT, world.name, "chat", row.id).format(value)


def _asked(world: World, text: str) -> tuple[WorldRow, View] | None:
    """The row that a call is about, and the prompt around it: the last row that is not followed by an answer."""
    found = index_of(world).find(text)
    if not found:
        return None
    target = found[-1]
    if len(found) > 1:
        open_ones = [item for item in found if _shown_answer(world, text, item, found) is None]
        target = open_ones[-1] if open_ones else target
    demos = _demos(world, text, [item for item in found if item is not target], found)
    outside = _outside(text, found)
    for value in target.row.inputs.values():  # the other inputs of the row are no part of the prompt either
        shown = text_of(value)
        if len(target.row.inputs) > 1 and len(shown) > 2:
            outside = outside.replace(shown, "", 1)
    length = len(text) - (target.end - target.start)
    return target.row, View(reader_of(world).stated(outside), length, demos)


def _outside(text: str, found: Sequence[Found]) -> str:
    """The text without the rows that it quotes: what an input says is not what the prompt states."""
    parts, last = [], 0
    for item in found:
        parts.append(text[last : item.start])
        last = item.end
    return "".join([*parts, text[last:]])


def _demos(world: World, text: str, quoted: Sequence[Found], found: Sequence[Found] | None = None) -> tuple[str, ...]:
    """The ids of rows that are quoted with their right answer."""
    shown = ((item.row, _shown_answer(world, text, item, found or quoted)) for item in quoted)
    return tuple(sorted({row.id for row, answer in shown if answer is not None and answer == row.right}))


def _shown_answer(world: World, text: str, item: Found, found: Sequence[Found]) -> Json:
    """The answer that follows a quoted row at once, before the next row; None where there is none."""
    following = [other.start for other in found if other.start >= item.end]
    segment = text[item.end : min([*following, item.end + 2000])]
    if world.task == "write":
        right = shown_as(world, item.row.right)
        return item.row.right if right and right in segment else None
    if world.task == "extract":
        start = segment.find("{", 0, 80)
        try:
            return json.JSONDecoder().raw_decode(segment, start)[0] if start >= 0 else None
        except (ValueError, RecursionError):
            return None
    match = _answered(world).match(segment)
    labels = {label.lower(): label for label in world.answers}
    return labels[match.group(1).lower()] if match else None
