"""How alike two texts are: by edits, by the longest common subsequence, and by n-grams as in machine translation."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.base import UNEXPECTED, CodeMetric, acceptable, judged, shown
from promptprop.metrics.normalise import NormalOptions, normalise

LONGEST = 20_000  # characters that are compared: edits take time by the product of both lengths
_WORD = re.compile(r"\w+")


class EditOptions(NormalOptions):
    """How edits are counted, and which differences do not count."""

    by: Literal["levenshtein", "indel", "jaro_winkler", "token_set"] = Field(
        default="levenshtein",
        description="Insertions, deletions and substitutions; without substitutions; names and short strings; words in "
        "any order.",
    )


class Edit(CodeMetric[EditOptions]):
    """1 less the share of characters that have to be edited, against the nearest acceptable answer (rapidfuzz)."""

    Options = EditOptions
    needs_expected = True
    sample = "{id: close, type: edit, by: levenshtein, casefold: true}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The similarity to the nearest acceptable answer; None where the row expects nothing."""
        answers = acceptable(example.expected)
        if not answers:
            return UNEXPECTED
        got = normalise(output[:LONGEST], self.options)
        scored = [(self._alike(got, normalise(answer[:LONGEST], self.options)), answer) for answer in answers]
        return _best(scored, output)

    def _alike(self, one: str, other: str) -> float:
        from rapidfuzz import fuzz
        from rapidfuzz.distance import Indel, JaroWinkler, Levenshtein

        if one == other:
            return 1.0
        if self.options.by == "token_set":
            return float(fuzz.token_set_ratio(one, other)) / 100
        measures = {"levenshtein": Levenshtein, "indel": Indel, "jaro_winkler": JaroWinkler}
        return float(measures[self.options.by].normalized_similarity(one, other))


class RougeOptions(NormalOptions):
    """Which part of the longest common subsequence counts."""

    measure: Literal["f1", "precision", "recall"] = Field(
        default="f1", description="Of the words of the answer (precision), of the expected text (recall), or of both."
    )
    casefold: bool = Field(default=True, description="Ignore upper and lower case.")


class RougeL(CodeMetric[RougeOptions]):
    """ROUGE-L: the longest common subsequence of words, as F1, precision or recall (Lin 2004; β = 1).

    Words are runs of letters and digits. Against several acceptable answers, the best counts.
    """

    Options = RougeOptions
    needs_expected = True
    sample = "{id: summary, type: rouge_l, measure: recall}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The measure against the nearest acceptable answer; None where the row expects nothing."""
        answers = acceptable(example.expected)
        if not answers:
            return UNEXPECTED
        got = self._words(output)
        return _best([(self._alike(got, self._words(answer)), answer) for answer in answers], output)

    def _words(self, text: str) -> list[str]:
        return _WORD.findall(normalise(text[:LONGEST], self.options))

    def _alike(self, got: list[str], wanted: list[str]) -> float:
        from rapidfuzz.distance import LCSseq

        if not got or not wanted:
            return float(got == wanted)
        common = LCSseq.similarity(got, wanted)
        if self.options.measure == "precision":
            return common / len(got)
        return common / len(wanted) if self.options.measure == "recall" else 2 * common / (len(got) + len(wanted))


class NgramOptions(NormalOptions):
    """Which differences do not count."""


class Bleu(CodeMetric[NgramOptions]):
    """BLEU of one sentence (sacrebleu: 13a tokens, exponential smoothing), against all acceptable answers at once.

    A mean of sentence scores is not the BLEU of a corpus; report that with sacrebleu itself.
    """

    Options = NgramOptions
    needs_expected = True
    sample = "{id: translation, type: bleu}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The score; None where the row expects nothing."""
        answers = acceptable(example.expected)
        if not answers:
            return UNEXPECTED
        from sacrebleu.metrics.bleu import BLEU

        got, wanted = _normal(output, answers, self.options)
        if got in wanted:
            return judged(1.0)
        score = _share(BLEU(effective_order=True).sentence_score(got, wanted).score)
        return _best([(score, answers[0])], output)


class ChrfOptions(NormalOptions):
    """How many words count beside characters."""

    words: int = Field(default=0, ge=0, le=4, description="Longest n-gram of words; 2 makes it chrF++.")


class Chrf(CodeMetric[ChrfOptions]):
    """chrF, or chrF++ with `words: 2`: F-score of n-grams of characters, against the nearest acceptable answer."""

    Options = ChrfOptions
    needs_expected = True
    sample = "{id: translation, type: chrf, words: 2}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The score; None where the row expects nothing."""
        answers = acceptable(example.expected)
        if not answers:
            return UNEXPECTED
        from sacrebleu.metrics.chrf import CHRF

        got, wanted = _normal(output, answers, self.options)
        if got in wanted:
            return judged(1.0)
        score = _share(CHRF(word_order=self.options.words).sentence_score(got, wanted).score)
        return _best([(score, answers[0])], output)


def _normal(output: str, answers: list[str], options: NormalOptions) -> tuple[str, list[str]]:
    return normalise(output[:LONGEST], options), [normalise(answer[:LONGEST], options) for answer in answers]


def _share(percent: float) -> float:
    """A score from 0 to 100 as a share; rounding may have carried it past its bounds."""
    return min(1.0, max(0.0, percent / 100))


def _best(scored: list[tuple[float, str]], output: str) -> Judgement:
    score, answer = max(scored, key=lambda pair: pair[0])
    if score >= 1:
        return judged(1.0)
    return judged(max(0.0, score), f"{score:.2f} alike: expected {shown(answer)}, got {shown(output)}")
