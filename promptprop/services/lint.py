"""Static checks of prompts: ids, places, explanations, and fixes where they are safe. No model is asked.

A check looks at one text and yields findings; what it needs to know besides (variables, labels of the data) lies in
`Surroundings`. A new check is a function here and a line in `RULES`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.errors import ConfigError
from promptprop.services.lint_sentences import repeated_item, sentences_of
from promptprop.services.lint_words import (
    ALWAYS,
    ELEMENT,
    FORM,
    LEFTOVER,
    LISTED,
    NAMED,
    NEVER,
    OPPOSITES,
    ORDERS,
    PLACEHOLDER,
    SECRET,
    SEPARATED,
    TAG,
    VAGUE,
)
from promptprop.services.rules import Rule, by_id

SAME = 92  # percent of likeness from which two instructions say the same (rapidfuzz)
OPPOSED = 85  # percent of likeness, orders apart, from which an order and its negation are about the same
LONG = 6000  # characters
APART = "Set it apart with a heading, quotes or tags."
MOST_PASSES = 5


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

    `first` is True for the prompt that findings about the whole program are told of; in a `literal` one braces are
    meant as they are.
    """

    variables: frozenset[str] | None = None
    labels: frozenset[str] = frozenset()
    first: bool = True
    uses: frozenset[str] = field(default_factory=frozenset)
    literal: bool = False


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


def names_in(text: str) -> frozenset[str]:
    """The variables that a template needs; where it cannot be read, those that stand in its placeholders."""
    from promptprop.roles.template import variables_of

    try:
        return variables_of(text)
    except ConfigError:
        return frozenset(match.group(1).partition(".")[0] for match in PLACEHOLDER.finditer(text)) - {"loop"}


def _undefined(text: str, around: Surroundings) -> Iterator[Finding]:
    if around.variables is None or around.literal:
        return
    missing = names_in(text) - around.variables
    unfilled = f"is filled by nothing: there is {', '.join(sorted(around.variables))}"
    placed: set[str] = set()
    for tag in TAG.finditer(text):
        for name in dict.fromkeys(NAMED.findall(tag.group())):
            if name in missing:
                placed.add(name)
                yield Finding("PP001", f"{{{{ {name} }}}} {unfilled}", tag.start(), tag.end())
    for name in sorted(missing - placed):
        yield Finding("PP001", f"{{{{ {name} }}}} {unfilled}")


def _unused(text: str, around: Surroundings) -> Iterator[Finding]:
    if around.variables is None or not around.first:
        return
    used = around.uses or (frozenset() if around.literal else names_in(text))
    for name in sorted(around.variables - used):
        yield Finding("PP002", f"the column {name} is listed as an input, and no prompt shows it")


def _duplicates(text: str, _around: Surroundings) -> Iterator[Finding]:
    from rapidfuzz import fuzz, utils

    sentences = sentences_of(text)
    plain = [utils.default_process(one.said) for one in sentences]
    for place, one in enumerate(sentences):
        for before, other in enumerate(sentences[:place]):
            if one.comparable(other) and fuzz.token_sort_ratio(plain[place], plain[before], score_cutoff=SAME):
                line, _ = line_and_column(text, other.start)
                fix = repeated_item(text, other, one) if plain[place] == plain[before] else None
                message = f"this says the same as line {line}: {_short(other.said)}"
                yield Finding("PP003", message, *(fix or (one.start, one.end)), fixed="" if fix else None)
                break


def _conflicts(text: str, _around: Surroundings) -> Iterator[Finding]:
    from rapidfuzz import fuzz, utils

    for one, other, what in OPPOSITES:
        left, right = re.search(one, text, re.IGNORECASE), re.search(other, text, re.IGNORECASE)
        if left and right:
            line, _ = line_and_column(text, left.start())
            said = f"the prompt asks for {what}: see “{left.group()}” in line {line}"
            yield Finding("PP004", said, right.start(), right.end())
    orders = [item for item in sentences_of(text) if NEVER.search(item.said) or ALWAYS.search(item.said)]
    for place, late in enumerate(orders):
        for early in orders[:place]:
            if bool(NEVER.search(late.said)) == bool(NEVER.search(early.said)) or not late.comparable(early):
                continue
            asked, banned = (ORDERS.sub(" ", each.said) for each in (late, early))
            if fuzz.token_sort_ratio(asked, banned, processor=utils.default_process, score_cutoff=OPPOSED):
                line, _ = line_and_column(text, early.start)
                yield Finding("PP004", f"this contradicts line {line}: {_short(early.said)}", late.start, late.end)
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


def _open_data(text: str, around: Surroundings) -> Iterator[Finding]:
    for match in PLACEHOLDER.finditer("" if around.literal else text):
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
    tags = list(ELEMENT.finditer(text))
    counted = Counter(tag.group() for tag in tags)
    first = {tag.group(2): tag.start() for tag in reversed(tags) if not tag.group(1)}
    for name in dict.fromkeys(tag.group(2) for tag in tags if not tag.group(1) and _begins_line(text, tag.start())):
        if counted[f"<{name}>"] != counted[f"</{name}>"]:
            said = f"<{name}> is not closed as often as it is opened"
            yield Finding("PP011", said, first[name], first[name] + len(name) + 2)


def _blanks(text: str, _around: Surroundings) -> Iterator[Finding]:
    for match in re.finditer(r"(?<![ \t])[ \t]+$", text, re.MULTILINE):  # the look back keeps it linear
        yield Finding("PP012", "blanks at the end of a line", match.start(), match.end(), "")
    for match in re.finditer(r"\n{4,}", text):
        yield Finding("PP012", "more blank lines than one can tell apart", match.start(), match.end(), "\n\n\n")


def _leftovers(text: str, _around: Surroundings) -> Iterator[Finding]:
    for match in LEFTOVER.finditer(text):
        yield Finding("PP013", f"“{_short(match.group())}” was left over", match.start(), match.end())


def _unreadable(text: str, around: Surroundings) -> Iterator[Finding]:
    from promptprop.roles.template import variables_of

    if around.literal:
        return
    try:
        variables_of(text)
    except ConfigError as error:
        yield Finding("PP014", error.problems[0].message)


def _stands_in(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _begins_line(text: str, start: int) -> bool:
    return start == 0 or text[start - 1] == "\n"


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
