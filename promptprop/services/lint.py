"""Static checks of prompts: ids, places, explanations, and fixes where they are safe. No model is asked.

A check looks at one text and yields findings; what it needs to know besides (variables, labels of the data) lies in
`Surroundings`. A new check is a function here and a line in `RULES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.errors import ConfigError
from promptprop.services.lint_words import (
    ALWAYS,
    BULLET,
    FORM,
    LEFTOVER,
    LISTED,
    NEVER,
    OPPOSITES,
    ORDERS,
    PLACEHOLDER,
    SECRET,
    SENTENCE,
    SEPARATED,
    VAGUE,
)
from promptprop.services.rules import Rule, by_id

SAME = 92  # percent of likeness from which two instructions say the same (rapidfuzz)
LONG = 6000  # characters
APART = "Set it apart with a heading, quotes or tags."
MOST_PASSES = 5
SHORT = 8  # characters below which a sentence is no instruction
MOSTSENTENCES = 400  # that are compared with each other


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a text that is worth a look. `start` and `end` are offsets; `fixed` stands in for that span."""

    id: str
    message: str
    start: int = 0
    end: int = 0
    fixed: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known besides the text: variables (None: not known), expected labels, what all prompts together use.

    `first` is True for the prompt that findings about the whole program are told of.
    """

    variables: frozenset[str] | None = None
    labels: frozenset[str] = frozenset()
    first: bool = True
    uses: frozenset[str] = field(default_factory=frozenset)


def lint_text(text: str, around: Surroundings, ignored: frozenset[str] = frozenset()) -> list[Finding]:
    """All findings in a text, in the order of their places."""
    found = [finding for rule in RULES.values() if rule.id not in ignored for finding in rule.check(text, around)]
    return sorted(found, key=lambda one: (one.start, one.id))


def mended(text: str, around: Surroundings, ignored: frozenset[str] = frozenset()) -> str:
    """The text with all safe fixes in, those that only come to light with the first ones among them."""
    for _ in range(MOST_PASSES):
        findings = lint_text(text, around, ignored)
        if not any(one.fixed is not None for one in findings):
            break
        text = fixed_text(text, findings)
    return text


def fixed_text(text: str, findings: Sequence[Finding]) -> str:
    """The text with all safe fixes in; of fixes that overlap the first one counts."""
    parts, last = [], 0
    for finding in sorted((one for one in findings if one.fixed is not None), key=lambda one: (one.start, one.end)):
        if finding.start >= last and finding.fixed is not None:
            parts += [text[last : finding.start], finding.fixed]
            last = finding.end
    return "".join([*parts, text[last:]])


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Where an offset stands, from 1.

    >>> line_and_column("ab" + chr(10) + "cd", 4)
    (2, 2)
    """
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _sentences(text: str) -> list[tuple[int, int, str]]:
    """Instructions with their span: sentences, and lines of lists, without bullets and placeholders."""
    found = []
    for match in SENTENCE.finditer(text):
        said = PLACEHOLDER.sub(" ", match.group())
        plain = BULLET.sub("", said).strip()
        if len(plain) >= SHORT and any(char.isalpha() for char in plain):
            found.append((match.start(), match.end(), plain))
    return found[:MOSTSENTENCES]


def _undefined(text: str, around: Surroundings) -> Iterator[Finding]:
    if around.variables is None:
        return
    for match in PLACEHOLDER.finditer(text):
        name = match.group(1).partition(".")[0]
        if name not in around.variables and name != "loop":
            said = f"{{{{ {name} }}}} is filled by nothing: there is {', '.join(sorted(around.variables))}"
            yield Finding("PP001", said, match.start(), match.end())


def _unused(text: str, around: Surroundings) -> Iterator[Finding]:
    if around.variables is None or not around.first:
        return
    used = around.uses or {match.group(1).partition(".")[0] for match in PLACEHOLDER.finditer(text)}
    for name in sorted(around.variables - used):
        yield Finding("PP002", f"the column {name} is listed as an input, and no prompt shows it")


def _duplicates(text: str, _around: Surroundings) -> Iterator[Finding]:
    from rapidfuzz import fuzz, utils

    sentences = _sentences(text)
    for place, (start, end, said) in enumerate(sentences):
        for earlier, _, other in sentences[:place]:
            if fuzz.token_sort_ratio(said, other, processor=utils.default_process, score_cutoff=SAME):
                line, _ = line_and_column(text, earlier)
                exact = utils.default_process(said) == utils.default_process(other)
                fix = _without_line(text, start, end) if exact else None
                message = f"this says the same as line {line}: {_short(other)}"
                yield Finding("PP003", message, *(fix or (start, end)), fixed="" if fix else None)
                break


def _without_line(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span of the whole line, where the sentence is all that it holds; else None."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    last = len(text) if last < 0 else last + 1
    alone = BULLET.sub("", text[first:last]).strip() == text[start:end].strip(" -*•\t")
    return (first, last) if alone else None


def _conflicts(text: str, _around: Surroundings) -> Iterator[Finding]:
    from rapidfuzz import fuzz, utils

    for one, other, what in OPPOSITES:
        left, right = re.search(one, text, re.IGNORECASE), re.search(other, text, re.IGNORECASE)
        if left and right:
            line, _ = line_and_column(text, left.start())
            said = f"the prompt asks for {what}: see “{left.group()}” in line {line}"
            yield Finding("PP004", said, right.start(), right.end())
    orders = [item for item in _sentences(text) if NEVER.search(item[2]) or ALWAYS.search(item[2])]
    for place, (start, end, said) in enumerate(orders):
        for earlier, _, before in orders[:place]:
            if bool(NEVER.search(said)) == bool(NEVER.search(before)):
                continue
            one, other = (ORDERS.sub(" ", each) for each in (said, before))
            if fuzz.token_sort_ratio(one, other, processor=utils.default_process, score_cutoff=85):
                line, _ = line_and_column(text, earlier)
                yield Finding("PP004", f"this contradicts line {line}: {_short(before)}", start, end)
                break


def _no_form(text: str, _around: Surroundings) -> Iterator[Finding]:
    if not FORM.search(text):
        yield Finding("PP005", "nothing says what an answer consists of")


def _labels(text: str, around: Surroundings) -> Iterator[Finding]:
    if len(around.labels) < 2:
        return
    folded = text.casefold()
    missing = sorted(label for label in around.labels if not _stands_in(label.casefold(), folded))
    if missing and len(missing) < len(around.labels):
        yield Finding("PP006", f"rows expect {_named(missing)}, which the prompt does not name")
    elif missing:
        yield Finding("PP006", f"the prompt names none of the labels that rows expect: {_named(missing)}")
    known = {label.casefold() for label in around.labels}
    listed = list(LISTED.finditer(text))
    inside = [match for match in listed if match.group(1).strip().casefold() in known]
    if len(inside) >= 2:
        first, last = inside[0].start(), inside[-1].end()
        for match in listed:
            name = match.group(1).strip()
            if first < match.start() < last and name.casefold() not in known:
                said = f"no row expects {name!r}, which stands among the labels"
                yield Finding("PP006", said, match.start(1), match.end(1))


def _too_long(text: str, _around: Surroundings) -> Iterator[Finding]:
    if len(text) > LONG:
        yield Finding("PP007", f"{len(text):,} characters: each call pays for them, and rules get lost in them")


def _secrets(text: str, _around: Surroundings) -> Iterator[Finding]:
    for match in SECRET.finditer(text):
        said = "this looks like a key or a password, and prompts are stored and sent"
        yield Finding("PP008", said, match.start(), match.end())


def _vague(text: str, _around: Surroundings) -> Iterator[Finding]:
    for match in VAGUE.finditer(text):
        said = f"“{match.group()}” leaves it to the model: say what is meant"
        yield Finding("PP009", said, match.start(), match.end())


def _open_data(text: str, _around: Surroundings) -> Iterator[Finding]:
    for match in PLACEHOLDER.finditer(text):
        first = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.end())
        before, after = text[first : match.start()], text[match.end() : len(text) if end < 0 else end]
        if not (SEPARATED.match(before) and SEPARATED.match(after)):
            said = f"{{{{ {match.group(1)} }}}} stands in the middle of an instruction, and may be taken for one"
            yield Finding("PP010", said, match.start(), match.end())


def _fences(text: str, _around: Surroundings) -> Iterator[Finding]:
    marks = [match.start() for match in re.finditer(r"^[ \t]*```", text, re.MULTILINE)]
    if len(marks) % 2:
        yield Finding("PP011", "a fence is opened and never closed", marks[-1], marks[-1] + 3)
    opened = re.findall(r"^<([A-Za-z][\w-]*)>", text, re.MULTILINE)
    for name in dict.fromkeys(opened):
        if text.count(f"<{name}>") != text.count(f"</{name}>"):
            start = text.index(f"<{name}>")
            yield Finding("PP011", f"<{name}> is not closed as often as it is opened", start, start + len(name) + 2)


def _blanks(text: str, _around: Surroundings) -> Iterator[Finding]:
    for match in re.finditer(r"[ \t]+$", text, re.MULTILINE):
        yield Finding("PP012", "blanks at the end of a line", match.start(), match.end(), "")
    for match in re.finditer(r"\n{4,}", text):
        yield Finding("PP012", "more blank lines than one can tell apart", match.start(), match.end(), "\n\n\n")


def _leftovers(text: str, _around: Surroundings) -> Iterator[Finding]:
    for match in LEFTOVER.finditer(text):
        yield Finding("PP013", f"“{_short(match.group())}” was left over", match.start(), match.end())


def _unreadable(text: str, _around: Surroundings) -> Iterator[Finding]:
    from promptprop.roles.template import variables_of

    try:
        variables_of(text)
    except ConfigError as error:
        yield Finding("PP014", error.problems[0].message)


def _stands_in(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _short(text: str, most: int = 60) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


RULES: Mapping[str, Rule[[str, Surroundings], Finding]] = by_id(
    Rule("PP001", "undefined-variable", "error", "A placeholder that nothing fills stops every call.", _undefined),
    Rule("PP002", "unused-input", "warning", "A column that no prompt shows cannot help any answer.", _unused),
    Rule("PP003", "duplicate", "warning", "Said twice costs twice, and one day only one is changed.", _duplicates),
    Rule("PP004", "conflict", "warning", "Where two rules disagree, each call picks one of them.", _conflicts),
    Rule("PP005", "no-form", "warning", "Without a form, answers come with prose that metrics fail.", _no_form),
    Rule("PP006", "labels", "warning", "Labels that prompt and data do not share cannot be right.", _labels),
    Rule("PP007", "over-long", "note", "Long prompts cost on every call, and rules get lost in them.", _too_long),
    Rule("PP008", "secret", "error", "Prompts are stored, exported and sent to providers.", _secrets),
    Rule("PP009", "vague", "note", "What two people read in two ways, models do, too.", _vague),
    Rule("PP010", "open-data", "warning", f"Data can pose as an instruction. {APART}", _open_data),
    Rule("PP011", "unbalanced", "warning", "What is not closed swallows the rest of the prompt.", _fences),
    Rule("PP012", "blanks", "note", "They change ids and diffs, and nothing else.", _blanks),
    Rule("PP013", "left-over", "error", "What was to be filled in was not.", _leftovers),
    Rule("PP014", "unreadable", "error", "A template that cannot be read cannot be filled.", _unreadable),
)
