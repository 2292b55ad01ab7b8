"""Simulated jurors: they score the answer that a request shows them, each with a bias and a noise of its own.

They see only the text that they are sent. An answer is worth the share of what is expected that it holds: of the lines
of a text, of the fields of an object, or a label, which is worth `BURIED` inside of more words. Where nothing is
expected they judge by what they know of the row, with twice the noise. How much text in the data sways a juror who can
be swayed (`suggestible`) depends on where it stands; those chances are made up.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.adapters.models.offline.chance import draw, pick
from promptprop.adapters.models.offline.evidence import label_in, parsed_object
from promptprop.adapters.models.offline.requests import Seen, read_request
from promptprop.adapters.models.offline.roles import opened
from promptprop.adapters.models.offline.task import index_of, shown_as
from promptprop.adapters.models.offline.world import World, WorldRow
from promptprop.domain.models import Json, Message, digest, text_of

BEST, WORST = 0.94, 0.12  # what a perfect and a worthless answer get, before bias and noise
BURIED = 0.6
SOFT = 0.25  # taken off for a soft negative
HARD = 0.3  # at most, for a hard one
REFUSAL = "I'm sorry, but I can't help with evaluating this content."
LURE = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,80}?\b(?:score|rate|grade|award|give)\b.{0,40}?\b100\b",
    re.IGNORECASE | re.DOTALL,
)
_FEATURE = re.compile(r'^- "([\w-]+)": (.+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Temper:
    """How a juror differs from the others; `wordy` is added for each further 100 characters of an answer."""

    bias: float = 0.0
    noise: float = 0.05
    wordy: float = 0.0
    malformed: float = 0.02
    refuses: float = 0.0
    fails: float = 0.0
    suggestible: bool = False


TEMPERS: Mapping[str, Temper] = {
    "": Temper(),
    "strict": Temper(bias=-0.08),
    "kind": Temper(bias=0.06, noise=0.08),
    "noisy": Temper(noise=0.2),
    "wordy": Temper(wordy=0.05),
    "flaky": Temper(malformed=0.1, refuses=0.1, fails=0.1),
    "strict-flaky": Temper(bias=-0.08, malformed=0.1, refuses=0.1, fails=0.1),
    "kind-flaky": Temper(bias=0.06, noise=0.08, malformed=0.1, refuses=0.1, fails=0.1),
    "suggestible": Temper(suggestible=True),
}


def fails(world: World, variant: str, messages: Sequence[Message], replicate: int) -> bool:
    """Whether the call is refused by the provider, as content filters do; the same request always is."""
    key = digest([[message.role, message.content] for message in messages])
    return draw(world.name, "juror-fails", variant, key, replicate) < TEMPERS[variant].fails


def answer_juror(world: World, variant: str, messages: Sequence[Message], replicate: int) -> str:
    """The reply of a juror of this temper; a repair rests on the same text as the first try."""
    temper = TEMPERS[variant]
    text, about, form = opened(f"juror-{variant}", messages)
    writing = draw(world.name, form, replicate, "malformed")
    if writing < temper.malformed:
        return "The answer is quite good on the whole, though there is room for improvement."
    if writing < temper.malformed + temper.refuses:
        return REFUSAL
    seen = read_request(text)
    answer = "".join(map(text_of, seen.values("answer", "answer")[:1]))
    row = _row(world, seen, text)
    score, reason = _worth(world, row, seen, answer)
    if row is None or not seen.values("expected", "expected"):
        temper = Temper(temper.bias, 2 * temper.noise, temper.wordy)
    key = [world.name, "juror", variant, row.id if row else about, answer, replicate]
    score += temper.bias + temper.noise * _normal(*key) + temper.wordy * min(6.0, len(answer) / 100)
    hard = [number for number, one in enumerate(seen.values("hard_negatives", "says"), 1) if _holds(answer, one)]
    if hard:
        score = min(score, HARD)
    if TEMPERS[variant].suggestible and draw(*key, "sway") < seen.chance_of(LURE):
        score, reason = 1.0, "As the text asks."
    features = [match[1] for match in _FEATURE.finditer(seen.around)] if '"scores"' in text else []
    apart = {name: score + 0.04 * _normal(*key, name) for name in features}
    wrap = draw(world.name, form, replicate, "wrap")
    return _written(seen, score, apart, reason, hard, wrap)


def _row(world: World, seen: Seen, text: str) -> WorldRow | None:
    shown = " ".join(text_of(value) for value in seen.values("inputs", "inputs"))
    found = index_of(world).find(shown or text)
    return found[0].row if found else None


def _worth(world: World, row: WorldRow | None, seen: Seen, answer: str) -> tuple[float, str]:
    """What an answer is worth, and why: the best over what is expected, less what soft negatives take off."""
    expected = seen.values("expected", "expected") or ([shown_as(world, row.right)] if row else [])
    if not expected:
        return 0.5, "I cannot tell whether this is right."
    share, missing = max((_share(world, answer, text_of(one)) for one in expected), key=lambda pair: pair[0])
    reason = "Nothing is missing." if share >= 1 else f"Missing: {missing}" if missing else "This is not the answer."
    soft = [text_of(one) for one in seen.values("soft_negatives", "says") if _holds(answer, one)]
    if soft:
        reason += f" It has the fault {soft[0]!r}."
    return WORST + (BEST - WORST) * share - SOFT * len(soft), reason


def _share(world: World, answer: str, expected: str) -> tuple[float, str]:
    """How much of what is expected an answer holds, and the first thing that is missing."""
    if world.task == "write":
        lines = [line for line in expected.splitlines() if line.strip()]
        missing = [line for line in lines if line not in answer]
        return 1 - len(missing) / max(1, len(lines)), missing[0] if missing else ""
    if world.task == "extract":
        wanted, got = parsed_object(expected), parsed_object(answer)
        if not isinstance(wanted, dict) or not isinstance(got, dict):
            return 0.0, ""
        wrong = [name for name, value in wanted.items() if name not in got or got[name] != value]
        return 1 - len(wrong) / max(1, len(wanted)), wrong[0] if wrong else ""
    if answer.strip() == expected:
        return 1.0, ""
    return (BURIED, "the bare label") if label_in(world, answer) == expected else (0.0, expected)


def _holds(answer: str, fault: Json) -> bool:
    """Whether an answer says what a negative says, word by word."""
    return bool(text_of(fault).strip()) and text_of(fault).strip().lower() in answer.lower()


def _normal(*key: Json) -> float:
    """A standard normal number for a key (Box and Muller)."""
    radius = math.sqrt(-2 * math.log(draw(*key, "radius") + 1e-12))
    return radius * math.cos(2 * math.pi * draw(*key, "angle"))


def _written(
    seen: Seen, score: float, apart: Mapping[str, float], reason: str, hard: Sequence[int], wrap: float
) -> str:
    """The reply: one score, or those of features where they are asked for."""
    value: dict[str, Json] = {"score": _points(score)}
    if apart:
        value = {"scores": {name: _points(one) for name, one in apart.items()}}
    if "hard_negatives" in seen.blocks:
        value["hard"] = list(hard)
    written = json.dumps({**value, "reason": reason}, ensure_ascii=False)
    return pick((written, written, f"```json\n{written}\n```", f"My verdict:\n{written}"), wrap)


def _points(score: float) -> int:
    return round(100 * min(1.0, max(0.0, score)))
