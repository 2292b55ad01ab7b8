"""How alike two texts are: by edits, by the longest common subsequence, and by n-grams as in machine translation."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeVar

from pydantic import Field

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.base import UNEXPECTED, CodeMetric, acceptable, judged, shown
from promptprop.metrics.normalise import NormalOptions, normalise

ONE_MORE = 60  # characters that could be compared in the time that one more comparison takes to begin
LONGEST = 20_000  # characters that are compared: edits take time by the product of both lengths
NormalT = TypeVar("NormalT", bound=NormalOptions)
_WORD = re.compile(r"\w+")


class Similarity(CodeMetric[NormalT]):
    """How alike an answer and the nearest acceptable one are; what equals one of them scores 1.

    Of very many acceptable answers, those nearest in length are compared: as many as `most` characters allow, those of
    the answer counted with each.
    """

    needs_expected = True
    most: ClassVar[int] = 2_000_000

    def judge(self, output: str, example: Example) -> Judgement:
        """The similarity to the nearest acceptable answer; None where the row expects nothing."""
        answers = acceptable(example.expected)
        if not answers:
            return UNEXPECTED
        got, *wanted = (normalise(text[:LONGEST], self.options) for text in (output, *answers))
        if got in wanted:
            return judged(1.0)
        compared = self._compared(got, wanted)
        score, nearest = self._nearest(got, [wanted[place] for place in compared])
        if score >= 1:
            return judged(1.0)
        said = f"{score:.2f} alike: expected {shown(answers[compared[nearest]])}, got {shown(output)}"
        if len(compared) < len(wanted):
            said += f"; the {len(compared):,} nearest in length of {len(wanted):,} acceptable answers were compared"
        return judged(max(0.0, score), said)

    def _compared(self, got: str, wanted: Sequence[str]) -> Sequence[int]:
        """The places of the wanted texts that are compared, in their order; all but for very many."""
        each = len(got) + ONE_MORE
        if len(wanted) * each + sum(map(len, wanted)) <= self.most:
            return range(len(wanted))
        left, kept = self.most, list[int]()
        for place in sorted(range(len(wanted)), key=lambda place: abs(len(wanted[place]) - len(got))):
            left -= each + len(wanted[place])
            if left < 0 and kept:
                break
            kept.append(place)
        return sorted(kept)

    @abstractmethod
    def _nearest(self, got: str, wanted: Sequence[str]) -> tuple[float, int]:
        """The best score, and which of the wanted texts has it; all texts are in normal form."""


def _best(scores: Sequence[float]) -> tuple[float, int]:
    return max(scores), scores.index(max(scores))


class EditOptions(NormalOptions):
    """How edits are counted, and which differences do not count."""

    by: Literal["levenshtein", "indel", "jaro_winkler", "token_set"] = Field(
        default="levenshtein",
        description="Insertions, deletions and substitutions; without substitutions; names and short strings; words in "
        "any order.",
    )


class Edit(Similarity[EditOptions]):
    """1 less the share of characters that have to be edited, against the nearest acceptable answer (rapidfuzz)."""

    Options = EditOptions
    sample = "{id: close, type: edit, by: levenshtein, casefold: true}"

    def _nearest(self, got: str, wanted: Sequence[str]) -> tuple[float, int]:
        return _best([self._alike(got, one) for one in wanted])

    def _alike(self, one: str, other: str) -> float:
        from rapidfuzz import fuzz
        from rapidfuzz.distance import Indel, JaroWinkler, Levenshtein

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


class RougeL(Similarity[RougeOptions]):
    """ROUGE-L: the longest common subsequence of words, as F1, precision or recall (Lin 2004; β = 1).

    Words are runs of letters and digits. Against several acceptable answers, the best counts.
    """

    Options = RougeOptions
    sample = "{id: summary, type: rouge_l, measure: recall}"

    def _nearest(self, got: str, wanted: Sequence[str]) -> tuple[float, int]:
        words = _WORD.findall(got)
        return _best([self._alike(words, _WORD.findall(one)) for one in wanted])

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


class Bleu(Similarity[NgramOptions]):
    """BLEU of one sentence (sacrebleu: 13a tokens, exponential smoothing), against all acceptable answers at once.

    A mean of sentence scores is not the BLEU of a corpus; report that with sacrebleu itself.
    """

    most = 10**9  # it reads the answer once for all
    Options = NgramOptions
    sample = "{id: translation, type: bleu}"

    def _nearest(self, got: str, wanted: Sequence[str]) -> tuple[float, int]:
        from sacrebleu.metrics.bleu import BLEU

        return _share(BLEU(effective_order=True).sentence_score(got, list(wanted)).score), 0


class ChrfOptions(NormalOptions):
    """How many words count beside characters."""

    words: int = Field(default=0, ge=0, le=4, description="Longest n-gram of words; 2 makes it chrF++.")


class Chrf(Similarity[ChrfOptions]):
    """chrF, or chrF++ with `words: 2`: F-score of n-grams of characters, against the nearest acceptable answer."""

    most = 150_000  # its n-grams take twenty times as long as edits do
    Options = ChrfOptions
    sample = "{id: translation, type: chrf, words: 2}"

    def _nearest(self, got: str, wanted: Sequence[str]) -> tuple[float, int]:
        from sacrebleu.metrics.chrf import CHRF

        return _share(CHRF(word_order=self.options.words).sentence_score(got, list(wanted)).score), 0


def _share(percent: float) -> float:
    """A score from 0 to 100 as a share; rounding may have carried it past its bounds."""
    return min(1.0, max(0.0, percent / 100))
