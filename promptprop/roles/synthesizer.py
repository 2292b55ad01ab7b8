"""The synthesizer: invents rows that are hard to get right, with what is expected of them, for a person to review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.models import Json, Message, storable, text_of
from promptprop.roles.envelope import data_lines, read_object, storable_value
from promptprop.roles.template import fill

KINDS: dict[str, str] = {
    "edge": "at the edges of what the task says: two matters in one, unusual length or wording, missing facts, "
    "words that point to one answer while the matter asks for another, cases that rules tell apart by a detail.",
    "adversarial": "written to lead the model astray: instructions inside the input, claims of authority, quoted or "
    "made-up rules, threats, flattery, other languages, noise around what counts. The right answer stays the one that "
    "the task asks for, as if the trick were not there.",
    "rare": "with right answers that few of the existing cases have.",
}
LONGEST = 300  # characters of why a row is hard
MOST_NEGATIVES = 6
_FORMS: dict[type, str] = {list: "a list", dict: "an object", str: "a text"}


@dataclass(frozen=True, slots=True)
class InventedRow:
    """A row as the model wrote it: inputs, what is expected (None where rows expect nothing), negatives, and why."""

    inputs: Mapping[str, Json]
    expected: Json
    soft_negatives: tuple[Json, ...]
    hard_negatives: tuple[Json, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one reply held: rows that can be used, and why others cannot."""

    rows: tuple[InventedRow, ...]
    refused: tuple[str, ...] = ()


class Synthesizer:
    """Inputs: `task`, `rows` (as for the manager), `known` ([{inputs}]), `kind`, `count`, `names`, `labels`, `expects`.

    `names` are the input columns, `labels` the answers to choose from (empty: any), `expects` and `negatives` whether
    rows have expected answers and negatives. Reply: `{"rows": [{"inputs", "expected", "soft_negatives",
    "hard_negatives", "why"}]}`; rows that cannot be used are left out, and a reply without a usable one is refused.
    """

    name = "synthesizer"
    summary = "invents rows that are hard to get right, for `data review`"
    reply_schema: Mapping[str, Json] = {
        "type": "object",
        "required": ["rows"],
        "properties": {
            "rows": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "inputs": {"type": "object"},
                        "expected": {},
                        "soft_negatives": {"type": "array"},
                        "hard_negatives": {"type": "array"},
                        "why": {"type": "string"},
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
        shown = ("inputs", "expected", "soft_negatives", "hard_negatives")
        rows = [{key: row[key] for key in shown if row.get(key) not in (None, "", [], ())} for row in inputs["rows"]]
        values = {
            "task": inputs["task"],
            "rows": data_lines(rows),
            "known": data_lines(inputs.get("known", ())),
            "wanted": KINDS[inputs["kind"]],
            "count": inputs["count"],
            "names": ", ".join(inputs["names"]),
            "labels": ", ".join(inputs.get("labels", ())),
            "expects": bool(inputs.get("expects")),
            "negatives": bool(inputs.get("negatives")),
        }
        return (Message("user", fill(self.template, values)),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Batch:
        """The rows that can be used, at most as many as were asked for. Raises ValueError where there is none."""
        items = read_object(text, "rows")["rows"]
        if not isinstance(items, list) or not items:
            raise ValueError('"rows" must be a list with at least one object')
        rows: list[InventedRow] = []
        refused: list[str] = []
        for item in items[: int(inputs.get("count") or len(items))]:
            try:
                rows.append(_row(item, inputs))
            except ValueError as problem:
                refused.append(str(problem))
        if not rows:
            raise ValueError(f"none of the rows can be used: {refused[0]}")
        return Batch(tuple(rows), tuple(refused))


def _row(item: Json, inputs: Mapping[str, Json]) -> InventedRow:
    """One row of a reply. Raises ValueError with what to mend."""
    given = item.get("inputs") if isinstance(item, dict) else None
    if not isinstance(given, dict):
        raise ValueError("each row must be an object with inputs")
    names: Sequence[str] = inputs.get("names", ())
    if set(given) != set(names):
        raise ValueError(f"inputs must have exactly the keys {', '.join(names)}")
    if not any(text_of(value).strip() for value in given.values()):
        raise ValueError("the inputs of a row are empty")
    expected = item.get("expected") if inputs.get("expects") else None
    if inputs.get("expects"):
        _check_expected(expected, inputs)
    why = item.get("why", "")
    return InventedRow(
        {name: storable_value(given[name]) for name in names},
        storable_value(expected),
        _negatives(item, "soft_negatives", inputs),
        _negatives(item, "hard_negatives", inputs),
        storable(" ".join(why.split())[:LONGEST]) if isinstance(why, str) else "",
    )


def _check_expected(expected: Json, inputs: Mapping[str, Json]) -> None:
    """Raise ValueError where an expected answer is none, or has another form than those that exist."""
    if expected is None or (isinstance(expected, str) and not expected.strip()):
        raise ValueError("each row needs its expected answer")
    labels = inputs.get("labels") or ()
    if labels and text_of(expected) not in labels:
        raise ValueError(f"expected must be one of: {', '.join(labels)}")
    forms = {type(row["expected"]) for row in inputs.get("rows", ()) if row.get("expected") is not None}
    if forms and type(expected) not in forms:
        wanted = " or ".join(sorted(_FORMS.get(form, "a number, or true or false") for form in forms))
        raise ValueError(f"expected must be {wanted}, as in the rows that exist")


def _negatives(item: Mapping[str, Json], name: str, inputs: Mapping[str, Json]) -> tuple[Json, ...]:
    """Texts and `{"literal": text}` alone, where negatives were asked for."""
    given = item.get(name) if inputs.get("negatives") else None
    found: list[Json] = []
    for one in given if isinstance(given, list) else ():
        literal = one.get("literal") if isinstance(one, dict) else None
        if isinstance(one, str) and one.strip():
            found.append(storable(one.strip()))
        elif isinstance(literal, str) and literal.strip() and name == "hard_negatives":
            found.append({"literal": storable(literal)})
    return tuple(found[:MOST_NEGATIVES])
