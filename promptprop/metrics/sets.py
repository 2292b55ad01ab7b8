"""Sets of labels: precision, recall and F1 of what an answer lists."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from promptprop.domain.models import Example, Json, Judgement, text_of
from promptprop.metrics.base import UNEXPECTED, CodeMetric, judged
from promptprop.metrics.items import differing, read_items
from promptprop.metrics.normalise import NormalOptions, normalise

LONGEST = 20_000  # characters of an answer that are read


class SetOverlapOptions(NormalOptions):
    """How items are read and compared, and which measure counts."""

    measure: Literal["f1", "precision", "recall", "jaccard", "equal"] = Field(
        default="f1", description="`equal` is 1 where both sets are the same, else 0."
    )
    separators: str = Field(
        default=",;\n",
        min_length=1,
        max_length=20,
        description="Characters between items, where there is no JSON.",
    )
    casefold: bool = Field(default=True, description="Ignore upper and lower case.")
    collapse_whitespace: bool = Field(default=True, description="Any run of white space equals one space.")
    strip_punctuation: bool = Field(default=True, description="Ignore punctuation around the text.")
    strip_quotes: bool = Field(default=True, description="Ignore pairs of quotes around the text.")


class SetOverlap(CodeMetric[SetOverlapOptions]):
    """Precision, recall or F1 of the items that the answer lists, in any order, against the expected ones.

    The answer is a JSON list, or items between separators or on lines of their own, with or without bullets. Where both
    sides are empty the score is 1. The mean over a run is the average over rows, not over classes: `runs show
    RUN --classes` has precision, recall and F1 of each label, and their mean.
    """

    Options = SetOverlapOptions
    needs_expected = True
    sample = "{id: topics, type: set, measure: f1}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The measure; None where the row expects nothing."""
        if example.expected is None:
            return UNEXPECTED
        wanted, got = self._items(example.expected), self._items(output)
        right, missing, extra = wanted & got, sorted(wanted - got), sorted(got - wanted)
        score = overlap(len(right), len(wanted), len(got), self.options.measure)
        if score >= 1:
            return judged(1.0)
        return judged(score, differing(missing, extra, 5, 40))

    def _items(self, value: Json) -> set[str]:
        listed = value if isinstance(value, list | tuple) else read_items(text_of(value), LONGEST, self._split)
        return {item for item in (normalise(text_of(one), self.options) for one in listed) if item}

    def _split(self, text: str) -> list[str]:
        return re.split(f"[{re.escape(self.options.separators)}]", text)


def overlap(right: int, wanted: int, got: int, measure: str) -> float:
    """A measure of two sets by the sizes of both and of what they share; 1 where both are empty.

    >>> overlap(2, 4, 2, "f1"), overlap(2, 4, 2, "precision"), overlap(2, 4, 2, "recall"), overlap(2, 4, 2, "jaccard")
    (0.6666666666666666, 1.0, 0.5, 0.5)
    """
    if not wanted and not got:
        return 1.0
    if measure == "equal":
        return float(right == wanted == got)
    if measure == "jaccard":
        return right / (wanted + got - right)
    if measure == "precision":
        return right / got if got else 0.0
    if measure == "recall":
        return right / wanted if wanted else 0.0
    return 2 * right / (wanted + got)
