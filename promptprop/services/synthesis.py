"""`data synth`: rows invented by the synthesizer, each held against the data and against its own expected answer.

What comes of it is a proposal: nothing uses an invented row before a person has accepted it. Only train rows are shown
to the model, so that nothing of the sealed rows gets into what is learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from promptprop.domain.models import Answer, Ask, Example, Json, Judgement, Row, text_of
from promptprop.domain.sampling import spread, stream
from promptprop.ports import Scorer
from promptprop.roles.synthesizer import Batch, InventedRow
from promptprop.services.asking import TRIES
from promptprop.services.data_checks import LONG, NEAR

EACH = 5  # rows that are asked for at once: more of them repeat each other
ROWS = 8  # shown to the synthesizer
KNOWN = 12  # invented rows that it is shown, so that it does not write them again
KNOWN_LENGTH = 200  # characters of each
STAGES = 4  # rounds of questions at most, where rows are left out
RARE_SHARE = 3  # a third of all labels, the rarest, are rare

Values = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: how many rows of which kinds, and what rows of this task look like.

    `names` are the input columns; `labels` counts the rows of each label (empty: answers are no labels); `expects` and
    `negatives` say what rows have; `train` are rows that the model may see, and the values of their input columns.
    """

    task: str
    count: int
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    train: Sequence[tuple[Row, Example, Values]]
    labels: Mapping[str, int] = field(default_factory=dict)
    expects: bool = True
    negatives: bool = False
    seed: int = 7

    @property
    def rare(self) -> list[str]:
        """The rarest third of the labels, at least one."""
        ranked = sorted(self.labels, key=lambda label: (self.labels[label], label))
        return ranked[: max(1, len(ranked) // RARE_SHARE)]


@dataclass(frozen=True, slots=True)
class Synthesis:
    """The rows that are new, each with its kind, and how many replies and rows were left out for which reason."""

    rows: tuple[tuple[str, InventedRow], ...]
    left_out: Mapping[str, int]


def most_calls(count: int) -> int:
    """The most calls that so many rows can take: all rounds of questions, each with a repair."""
    return STAGES * TRIES * -(-count // EACH)


async def synthesize(
    ask: Callable[[Sequence[Ask]], Awaitable[list[Answer]]], order: Order, known: Sequence[Values], texts: Sequence[str]
) -> Synthesis:
    """Invent rows until there are as many as wanted, or no more come. Raises BudgetSpent, ModelError.

    `texts` are the inputs of all rows that exist, invented ones among them; `known` are the values of the latter.
    """
    crowd = Crowd(texts)
    found: list[tuple[str, InventedRow]] = []
    left_out: Counter[str] = Counter()
    kinds = cycle(order.kinds)
    for stage in range(STAGES):
        lacking = order.count - len(found)
        sizes = [EACH] * (lacking // EACH) + ([lacking % EACH] if lacking % EACH else [])
        before = [*known, *(row.inputs for _, row in found)]
        turns = zip(sizes, kinds, strict=False)  # kinds take turns without end
        asks = [_ask(order, before, kind, size, (stage, place)) for place, (size, kind) in enumerate(turns)]
        answers = await ask(asks) if asks else []
        new = len(found)
        for question, answer in zip(asks, answers, strict=True):
            if not isinstance(answer.value, Batch):
                left_out[answer.failure.message if answer.failure else "the reply could not be read"] += 1
                continue
            left_out.update(answer.value.refused)
            for row in answer.value.rows:
                if why_not := crowd.add(input_text(row.inputs)):
                    left_out[why_not] += 1
                else:
                    found.append((question.inputs["kind"], row))
        if len(found) in (new, order.count):
            break
    return Synthesis(tuple(found), dict(left_out))


def _ask(order: Order, known: Sequence[Values], kind: str, count: int, place: tuple[int, int]) -> Ask:
    by_id = {row.id: (example, values) for row, example, values in order.train}
    rows = spread([row for row, _, _ in order.train], ROWS, stream(order.seed, "synthesize", *place))
    shown: list[Json] = [
        {
            "inputs": dict(values),
            "expected": example.expected,
            "soft_negatives": list(example.soft_negatives),
            "hard_negatives": list(example.hard_negatives),
        }
        for example, values in (by_id[row.id] for row in rows)
    ]
    inputs = {
        "task": order.task,
        "kind": kind,
        "count": count,
        "names": list(order.names),
        "labels": order.rare if kind == "rare" else sorted(order.labels),
        "expects": order.expects,
        "negatives": order.negatives,
        "known": [{"inputs": _shortened(values)} for values in known[-KNOWN:]],
        "rows": shown,
    }
    return Ask("synthesizer", inputs, place[1])


def _shortened(values: Values) -> dict[str, Json]:
    texts = {name: text_of(value) for name, value in values.items()}
    return {name: text if len(text) <= KNOWN_LENGTH else text[: KNOWN_LENGTH - 1] + "…" for name, text in texts.items()}


class Crowd:
    """The inputs that exist already, invented ones included; tells which new ones are none."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Take the inputs of all rows, as `input_text` gives them."""
        self._texts = dict.fromkeys(map(_plain, texts))

    def add(self, text: str) -> str:
        """Why a row is no new one; empty, and the row remembered, where it is."""
        from rapidfuzz import fuzz, process

        plain = _plain(text)
        if plain in self._texts:
            return "the same as a row that exists"
        if process.extractOne(plain, self._texts.keys(), scorer=fuzz.ratio, score_cutoff=NEAR) is not None:
            return "nearly the same as a row that exists"
        self._texts[plain] = None
        return ""


def input_text(inputs: Values) -> str:
    """All inputs of a row as one text."""
    return "\n".join(text_of(value) for value in inputs.values())


def _plain(text: str) -> str:
    """A text as it is compared: letters and digits in lower case, single spaces; as it is where it has none."""
    from rapidfuzz import utils

    return " ".join(utils.default_process(text[:LONG]).split()) or text.strip()


def doubts_of(example: Example, scorer: Scorer) -> tuple[str, ...]:
    """What the metrics in code say against a row's own expected answer: it should score 1 by each of them.

    A list is one answer for some metrics, and several acceptable ones for others: it is enough that one way scores.
    """
    wanted = example.expected
    if wanted is None:
        return ()
    several = wanted[:1] if isinstance(wanted, list | tuple) else ()
    best: dict[str, Judgement] = {}
    for way in (wanted, *several):
        for name, word in scorer.score(text_of(way), example)[0].items():
            if word.score is not None and (name not in best or word.score > (best[name].score or 0)):
                best[name] = word
    return tuple(
        f"its own expected answer scores {word.score:.2f} by {name}: {word.feedback}"
        for name, word in best.items()
        if word.score is not None and word.score < 1
    )
