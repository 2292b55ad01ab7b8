"""What is wrong with a dataset before anything is spent on it: duplicates, contradictions, leaks, odd labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.models import Example, text_of
from promptprop.domain.sampling import stratum_of
from promptprop.services.rules import Rule, by_id

NEAR = 90  # percent of likeness from which two rows are near-duplicates (rapidfuzz)
RAREST = 6  # words of a row by which others like it are looked up
COMMON = 60  # rows with a word, from which on it tells nothing
MOST_SHOWN = 8  # rows that a finding names
RARE_LABEL = 5  # rows below which a label cannot be learned and measured
DOMINANT = 0.8  # share of one label from which on a constant answer looks good
LEAK = 0.9  # share of rows whose expected answer stands in their inputs, word by word
LONG = 20_000  # characters
TOO_FEW = "Too few rows to learn a label, or to see that it fails."
OTHERWISE = "Rows like these measure something else."
FEW = {"train": 10, "select": 10, "test": 30}  # rows of a split below which little can be learned, chosen or proven


@dataclass(frozen=True, slots=True)
class DataFinding:
    """Something about rows that is worth a look: the rule, the rows (the first few of `count`), what to do."""

    id: str
    message: str
    rows: tuple[str, ...] = ()
    count: int = 0
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows with the split that each is in, and those that earlier runs suspected of a wrong label."""

    examples: Sequence[Example]
    splits: Mapping[str, str]
    suspects: Mapping[str, int] = field(default_factory=dict)  # how many runs said so

    def text(self, example: Example) -> str:
        """All inputs as one text."""
        return "\n".join(text_of(value) for value in example.inputs.values())


def check_rows(rows: Rows) -> list[DataFinding]:
    """All findings, rule by rule."""
    return [finding for rule in DATA_RULES.values() for finding in rule.check(rows)]


def _finding(rule: str, message: str, rows: Sequence[str], remedy: str) -> DataFinding:
    return DataFinding(rule, message, tuple(rows[:MOST_SHOWN]), len(rows), remedy)


def _alike(rows: Rows) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = defaultdict(list)
    for example in rows.examples:
        found[" ".join(rows.text(example).split()).casefold()].append(example)
    return {text: same for text, same in found.items() if len(same) > 1}


def _contradictions(rows: Rows) -> Iterator[DataFinding]:
    odd = [
        [one.id for one in same]
        for same in _alike(rows).values()
        if len({text_of(one.expected) for one in same if one.expected is not None}) > 1
    ]
    if odd:
        said = f"{len(odd)} inputs come with different expected answers"
        yield _finding("PD001", said, [name for group in odd for name in group], "decide which answer is right")


def _duplicates(rows: Rows) -> Iterator[DataFinding]:
    same = [
        [one.id for one in group]
        for group in _alike(rows).values()
        if len({text_of(one.expected) for one in group}) == 1
    ]
    if same:
        said = f"{len(same)} inputs stand there more than once"
        yield _finding("PD002", said, [name for group in same for name in group], "keep one row of each, or weigh it")


def _near_duplicates(rows: Rows) -> Iterator[DataFinding]:
    """Rows that are alike but not equal, and that different splits hold: what is learned there is tested here."""
    pairs = [
        (one, other)
        for one, other in near_pairs(rows)
        if rows.splits.get(one.id) != rows.splits.get(other.id) and (not one.cluster or one.cluster != other.cluster)
    ]
    if pairs:
        names = [
            f"{one.id} ({rows.splits.get(one.id)}) ~ {other.id} ({rows.splits.get(other.id)})" for one, other in pairs
        ]
        said = f"{len(pairs)} pairs of rows are nearly alike, and different splits hold them"
        yield _finding("PD003", said, names, "give rows that belong together one value under data.cluster")


def near_pairs(rows: Rows) -> Iterator[tuple[Example, Example]]:
    """Pairs of rows that are alike, found by rare words that they share; equal ones are not among them."""
    from rapidfuzz import fuzz, utils

    texts = [utils.default_process(rows.text(example))[:LONG] for example in rows.examples]
    words = [set(text.split()) for text in texts]
    frequency = Counter(word for each in words for word in each)
    places: dict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(words):
        rare = sorted(each, key=lambda word: (frequency[word], word))[:RAREST]
        known = {other for word in rare if frequency[word] <= COMMON for other in places[word]}
        for other in sorted(known):
            if texts[number] != texts[other] and fuzz.ratio(texts[number], texts[other], score_cutoff=NEAR):
                yield rows.examples[other], rows.examples[number]
        for word in rare:
            places[word].append(number)


def _labels(rows: Rows) -> Counter[str]:
    """The labels with their rows; none where what is expected are no labels, or where there is but one."""
    counted = Counter(stratum_of(example.expected) for example in rows.examples if example.expected is not None)
    return Counter() if len(counted) < 2 or len(counted) > counted.total() / 4 else counted


def _rare_labels(rows: Rows) -> Iterator[DataFinding]:
    counted = _labels(rows)
    rare = sorted(label for label, count in counted.items() if count < RARE_LABEL)
    if rare:
        names = [f"{label} ({counted[label]})" for label in rare]
        said = f"{len(rare)} labels have fewer than {RARE_LABEL} rows"
        yield _finding("PD004", said, names, "add rows, or merge labels")


def _dominant_label(rows: Rows) -> Iterator[DataFinding]:
    counted = _labels(rows)
    for label, most in counted.most_common(1):
        if most > DOMINANT * counted.total():
            said = f"{most / counted.total():.0%} of all rows expect {label!r}: a constant answer scores as much"
            remedy = "use a metric by class (`runs show --classes`), or add rows of other labels"
            yield _finding("PD005", said, [], remedy)


def _suspects(rows: Rows) -> Iterator[DataFinding]:
    known = {example.id for example in rows.examples}
    named = sorted((name for name in rows.suspects if name in known), key=lambda name: (-rows.suspects[name], name))
    if named:
        said = f"earlier runs suspected the labels of {len(named)} rows: every candidate failed them"
        shown = [f"{name} ({rows.suspects[name]} runs)" if rows.suspects[name] > 1 else name for name in named]
        yield _finding("PD006", said, shown, "look at their expected answers")


def _leaks(rows: Rows) -> Iterator[DataFinding]:
    checked = leaking = 0
    for example in rows.examples:
        answer = text_of(example.expected).strip() if example.expected is not None else ""
        if len(answer) >= 4 and not isinstance(example.expected, list | tuple | dict):
            checked += 1
            leaking += answer.casefold() in rows.text(example).casefold()
    if checked >= 20 and leaking >= LEAK * checked:
        said = f"the expected answer stands in the inputs of {leaking / checked:.0%} of the rows"
        yield _finding("PD007", said, [], "check that no input column gives the answer away")


def _empty_inputs(rows: Rows) -> Iterator[DataFinding]:
    blank = [example.id for example in rows.examples if not rows.text(example).strip()]
    if blank:
        yield _finding("PD008", f"{len(blank)} rows have nothing in their inputs", blank, "drop them")


def _empty_answers(rows: Rows) -> Iterator[DataFinding]:
    if missing := [example.id for example in rows.examples if example.expected in ("", [])]:
        said = f"{len(missing)} rows expect an empty answer"
        yield _finding("PD009", said, missing, "say what is expected, or drop them")


def _too_long(rows: Rows) -> Iterator[DataFinding]:
    if large := [example.id for example in rows.examples if len(rows.text(example)) > LONG]:
        said = f"{len(large)} rows have more than {LONG:,} characters"
        yield _finding("PD010", said, large, "cut what is not needed")


def _small(rows: Rows) -> Iterator[DataFinding]:
    counted = Counter(rows.splits.values())
    small = [f"{name}: {counted[name]}, at least {least}" for name, least in FEW.items() if 0 < counted[name] < least]
    if small:
        yield _finding("PD011", "too few rows to learn from, to choose by, or to prove a gain", small, "add rows")


DATA_RULES: Mapping[str, Rule[[Rows], DataFinding]] = by_id(
    Rule("PD001", "contradiction", "error", "No prompt can answer both right.", _contradictions),
    Rule("PD002", "duplicate", "warning", "It counts twice, and may stand in two splits.", _duplicates),
    Rule("PD003", "leak-across", "warning", "The test then holds what the search has seen.", _near_duplicates),
    Rule("PD004", "imbalance", "warning", TOO_FEW, _rare_labels),
    Rule("PD005", "imbalance", "warning", TOO_FEW, _dominant_label),
    Rule("PD006", "suspect-label", "warning", "A wrong label teaches what is not so.", _suspects),
    Rule("PD007", "answer-in-input", "warning", "Then a high score says little.", _leaks),
    Rule("PD008", "odd-row", "warning", OTHERWISE, _empty_inputs),
    Rule("PD009", "odd-row", "warning", OTHERWISE, _empty_answers),
    Rule("PD010", "odd-row", "warning", OTHERWISE, _too_long),
    Rule("PD011", "few-rows", "note", "Intervals get too wide to say anything.", _small),
)


def rule_of(finding: DataFinding) -> Rule[[Rows], DataFinding]:
    """The rule behind a finding."""
    return DATA_RULES[finding.id]
