"""The simulated linter: remarks on sentences that say nothing, on traps, and on a form that is not asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from promptprop.adapters.models.offline.draft import is_padding, pieces
from promptprop.adapters.models.offline.meaning import reader_of
from promptprop.adapters.models.offline.roles import Mind, opened, written
from promptprop.adapters.models.offline.world import World
from promptprop.domain.models import Json, Message

ASKED = '{"findings": ['  # how a linter's reply begins, in what it is asked for
MADE_UP = 0.1  # how often it quotes what is not there


def asks_for_remarks(messages: Sequence[Message]) -> bool:
    """True where a critic is asked to read a prompt, and not to explain failures."""
    return ASKED in messages[0].content


def answer_linter(world: World, messages: Sequence[Message], replicate: int) -> str:
    """The reply of the linter; at times in a form that does not parse, as the world has it."""
    text, about, form = opened("linter", messages)
    mind = Mind(world, world.rewriter, about, form, replicate)
    prompt = _prompt(text)
    reader = reader_of(world)
    found: list[Json] = []
    for unit in pieces(prompt):
        said = prompt[unit.start : unit.end]
        traps = sorted(reader.sentence(unit.text).traps)
        if is_padding(said) and mind.happens(mind.powers.able, "padding", said):
            found.append(_finding("needless", said, "It changes no answer.", "Leave it out."))
        elif traps and mind.happens(mind.powers.able, "trap", traps[0]):
            found.append(_finding("ambiguity", said, "It is too broad to hold everywhere.", "Say when it holds."))
    if world.format and not reader.stated(prompt).format and mind.happens(mind.powers.able, "form"):
        found.append(_finding("gap", "", "It does not say what an answer consists of.", mind.pick(world.format.says)))
    if mind.happens(MADE_UP, "made up"):
        found.append(_finding("contradiction", "Always answer in rhyme.", "It contradicts the task.", "Leave it out."))
    return written(mind, {"findings": found}, "findings")


def _finding(kind: str, quote: str, problem: str, remedy: str) -> dict[str, Json]:
    return {"kind": kind, "quote": quote, "problem": problem, "remedy": remedy}


def _prompt(text: str) -> str:
    """The text that is to be read; empty where the request shows none."""
    line = text.partition("<prompt>\n")[2].partition("\n</prompt>")[0]
    try:
        return str(json.loads(line)["prompt"])
    except (ValueError, KeyError, TypeError):
        return ""
