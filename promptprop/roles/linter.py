"""The linter: reads a prompt as a careful stranger would, and says where its wording leaves one in doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from promptprop.domain.models import Json, Message, storable
from promptprop.roles.envelope import data_lines, read_object
from promptprop.roles.template import fill

KINDS: dict[str, str] = {
    "contradiction": "two instructions that cannot both be followed for some input.",
    "ambiguity": "an instruction that can be read in two ways which lead to different answers.",
    "gap": "inputs that the task plainly has, and for which the prompt does not say what to do.",
    "needless": "an instruction that changes no answer, or says again what was said.",
}
MOST = 8
LONGEST = 400  # characters of a problem or a remedy


@dataclass(frozen=True, slots=True)
class Remark:
    """What a model finds in a prompt; `start` and `end` are the place of its quote, 0 where it quotes nothing."""

    kind: str
    problem: str
    remedy: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Remarks:
    """What one reply held, in the order of the reply; `unplaced` remarks quoted what the prompt does not say."""

    remarks: tuple[Remark, ...]
    unplaced: int = 0


class Linter:
    """Inputs: `task`, `prompt` (the text), `variables`, `labels` (lists of names), `rows` ([{inputs, expected}]).

    Reply: `{"findings": [{"kind", "quote", "problem", "remedy"}]}`, which may be empty. A remark whose quote is not in
    the prompt is left out: nobody could look it up.
    """

    name = "linter"
    summary = "reads a prompt for contradictions, ambiguities and gaps, for `lint --model`"
    reply_schema: Mapping[str, Json] = {
        "type": "object",
        "required": ["findings"],
        "properties": {
            "findings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["kind", "problem"],
                    "properties": {
                        "kind": {"enum": list(KINDS)},
                        "quote": {"type": "string"},
                        "problem": {"type": "string", "minLength": 1},
                        "remedy": {"type": "string"},
                    },
                },
            }
        },
    }

    def __init__(self, template: str) -> None:
        """Take the template's text."""
        self.template = template

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """One user message."""
        rows = [{key: row[key] for key in ("inputs", "expected") if row.get(key) is not None} for row in inputs["rows"]]
        values = {
            "task": inputs["task"],
            "prompt": data_lines([{"prompt": inputs["prompt"]}]),
            "variables": ", ".join(inputs.get("variables") or ()),
            "labels": ", ".join(inputs.get("labels") or ()),
            "rows": data_lines(rows),
            "kinds": KINDS,
            "most": MOST,
        }
        return (Message("user", fill(self.template, values)),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Remarks:
        """The remarks. Raises ValueError with what to mend."""
        items = read_object(text, "findings")["findings"]
        if not isinstance(items, list):
            raise ValueError('"findings" must be a list of objects, or an empty one')
        prompt = str(inputs.get("prompt", ""))
        placed = [_remark(item, prompt) for item in items[:MOST]]
        found = [remark for remark in placed if remark is not None]
        return Remarks(tuple(found), len(placed) - len(found))


def _remark(item: Json, prompt: str) -> Remark | None:
    """A remark with its place; None where its quote has none. Raises ValueError."""
    if not isinstance(item, dict) or item.get("kind") not in KINDS:
        raise ValueError(f"each finding must be an object whose kind is one of: {', '.join(KINDS)}")
    problem, remedy, quote = (item.get(key, "") for key in ("problem", "remedy", "quote"))
    if not isinstance(problem, str) or not problem.strip():
        raise ValueError("each finding needs the text problem")
    place = _place(quote if isinstance(quote, str) else "", prompt)
    if place is None and item["kind"] != "gap":
        return None
    return Remark(item["kind"], _sentence(problem), _sentence(remedy), *(place or (0, 0)))


def _sentence(said: Json) -> str:
    """What a model says, on one line and not too long; empty where it is no text."""
    return " ".join(storable(said).split())[:LONGEST] if isinstance(said, str) else ""


def _place(quote: str, prompt: str) -> tuple[int, int] | None:
    """Where a quote stands, whatever its white space; None where it does not, or says too little to be found.

    >>> _place("two  words", "Here: two" + chr(10) + "words.")
    (6, 15)
    """
    words = quote.strip().strip("…").split()
    if not words:
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), prompt)
    return match.span() if match else None
