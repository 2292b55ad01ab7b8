"""Normal forms of texts: what may differ between two answers that mean the same."""

from __future__ import annotations

import unicodedata
from typing import Literal

from pydantic import Field

from promptprop.metrics.base import MetricOptions

QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "„": "“", "‹": "›"}


class NormalOptions(MetricOptions):
    """Which differences between answer and expected answer do not count."""

    strip: bool = Field(default=True, description="Ignore white space around the text.")
    casefold: bool = Field(default=False, description="Ignore upper and lower case.")
    collapse_whitespace: bool = Field(default=False, description="Any run of white space equals one space.")
    strip_punctuation: bool = Field(default=False, description="Ignore punctuation around the text.")
    strip_quotes: bool = Field(default=False, description="Ignore pairs of quotes around the text.")
    unicode: Literal["NFC", "NFKC"] | None = Field(
        default=None, description="Unicode normal form; NFKC also equates full-width letters, ligatures and the like."
    )


LOOSEST = NormalOptions(
    casefold=True, collapse_whitespace=True, strip_punctuation=True, strip_quotes=True, unicode="NFKC"
)


def normalise(text: str, options: NormalOptions) -> str:
    """The text in the normal form that the options describe.

    >>> normalise(" 'Billing'.  ", LOOSEST)
    'billing'
    """
    if options.unicode:
        text = unicodedata.normalize(options.unicode, text)
    if options.collapse_whitespace:
        text = " ".join(text.split()) if options.strip else _collapse(text)
    if options.casefold:
        text = text.casefold()
    before = None
    while before != text:
        before = text
        if options.strip:
            text = text.strip()
        if options.strip_quotes:
            text = _without_quotes(text)
        if options.strip_punctuation:
            text = _without_punctuation(text)
    return text


def _collapse(text: str) -> str:
    words = " ".join(text.split())
    if not words:
        return " " if text else ""
    return (" " if text[0].isspace() else "") + words + (" " if text[-1].isspace() else "")


def _without_quotes(text: str) -> str:
    first, last = 0, len(text)
    while last - first >= 2 and QUOTES.get(text[first]) == text[last - 1]:
        first, last = first + 1, last - 1
    return text[first:last]


def _without_punctuation(text: str) -> str:
    first, last = 0, len(text)
    while first < last and _is_punctuation(text[first]):
        first += 1
    while last > first and _is_punctuation(text[last - 1]):
        last -= 1
    return text[first:last]


def _is_punctuation(char: str) -> bool:
    return char == "`" or unicodedata.category(char).startswith("P")
