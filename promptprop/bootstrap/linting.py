"""What `lint` looks at: the texts of a prompt file, or all prompts of a configuration with what its data tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptprop.domain.errors import ConfigError, Place, Problem, UsageError
from promptprop.domain.models import text_of

if TYPE_CHECKING:
    from promptprop.domain.config import PromptConfig, RunConfig
    from promptprop.services.lint import Finding, Surroundings
    from promptprop.services.rules import Rule

LABEL = 40  # characters up to which an expected answer is a label
MOST_LABELS = 40
ROWS = 5000  # rows that are looked at for labels
CONFIGURATION = re.compile(r"^(?:task|models|data|extends|metrics)[ \t]*:", re.MULTILINE)
KEYS = {"task", "models", "data", "extends", "metrics"}  # of a configuration, and of no prompt
DOCUMENTS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be checked: `file` names it, `whole` tells that it is all of that file, so that it can be mended.

    `part` tells it from the others of its file. Line ends are those of Unix; `crlf` tells that the file has others.
    """

    file: str
    text: str
    whole: bool = True
    part: str = ""
    literal: bool = False
    crlf: bool = False


@dataclass(frozen=True, slots=True)
class Located:
    """A finding with its rule and its place; line and column count from 1, 0 where it is about the whole text.

    `part` names the step or the prompt where the file holds several.
    """

    file: str
    part: str
    line: int
    column: int
    rule: Rule[Any, Finding]
    finding: Finding


def lint(
    path: Path, sets: Sequence[str], env_file: Path | None, ignored: frozenset[str], *, fix: bool
) -> list[Located]:
    """All findings in a prompt file, or in the prompts of a configuration. Raises ConfigError, UsageError.

    With `fix`, what can be mended safely is, in files that hold a prompt and nothing else; what is left is returned.
    """
    from promptprop.adapters.files.writing import write_atomically
    from promptprop.services.lint import RULES, lint_text, mended
    from promptprop.services.remarks import REMARK_RULES

    known = {**RULES, **REMARK_RULES}
    if unknown := sorted(ignored - set(known)):
        raise UsageError(f"there is no check {unknown[0]}", remedy=f"one of {', '.join(known)}")
    found: list[Located] = []
    for source, around in sources(path, sets, env_file):
        text = source.text
        findings = lint_text(text, around, ignored)
        if fix and source.whole and any(one.fixed is not None for one in findings):
            text = mended(text, around, ignored)
            write_atomically(Path(source.file), text.replace("\n", "\r\n") if source.crlf else text)
            findings = lint_text(text, around, ignored)
        found += [located(replace(source, text=text), RULES[one.id], one) for one in findings]
    return found


def located(source: Text, rule: Rule[Any, Finding], finding: Finding) -> Located:
    """A finding with its place."""
    from promptprop.services.lint import line_and_column

    line, column = line_and_column(source.text, finding.start) if finding.end and source.whole else (0, 0)
    return Located(source.file, source.part, line, column, rule, finding)


def sources(path: Path, sets: Sequence[str], env_file: Path | None) -> list[tuple[Text, Surroundings]]:
    """The texts of a prompt file, or of all prompts of a configuration, with what is known. Raises ConfigError."""
    from promptprop.bootstrap.configuration import load
    from promptprop.domain.config import PromptConfig
    from promptprop.services.lint import Surroundings

    if not is_config(path):
        if sets:
            remedy = "leave --set out, or name a configuration"
            raise UsageError(f"--set changes a configuration, and {path} is a prompt", remedy=remedy)
        return [(_text(PromptConfig(file=str(path)), str(path)), Surroundings())]

    loaded = load(path, sets, None, env_file)
    return _of_config(loaded.config, str(loaded.path))


def is_config(path: Path) -> bool:
    """True for a document that has keys of a configuration; of one that is not valid, its lines tell."""
    from promptprop.adapters.files.yaml_strict import parse_yaml, read_text

    if path.suffix.lower() not in DOCUMENTS:
        return False
    text = read_text(path)
    try:
        return not KEYS.isdisjoint(parse_yaml(text, str(path)).entries)
    except ConfigError:
        return CONFIGURATION.search(text) is not None


def _of_config(config: RunConfig, path: str) -> list[tuple[Text, Surroundings]]:
    from promptprop.adapters.files.datasets import Columns
    from promptprop.services.lint import Surroundings, names_in

    labels = _labels(config)
    several = len(config.prompt or ()) > 1
    steps = [(step.prompt, f"step {step.id}", step.output) for step in config.steps or ()]
    seeds = [(prompt, f"prompt {place}" if several else "", "") for place, prompt in enumerate(config.prompt or (), 1)]
    sources = [(_text(prompt, path, part), output) for prompt, part, output in steps or seeds]
    if not sources:
        remedy = "lint what a run has drafted: promptprop prompts export RUN -o prompt.md"
        raise ConfigError(Problem("there is no prompt yet: it is drafted from scratch", Place(path), remedy))
    uses = frozenset().union(*(names_in(text.text) for text, _ in sources if not text.literal))
    outputs = {output for _, output in sources if output}
    # which columns a stored dataset has stands in a database, which is not asked
    known = set(Columns(config.data.inputs).variables) if config.data.inputs else set(uses)
    found = []
    for place, (text, _) in enumerate(sources):
        around = Surroundings(frozenset(known), frozenset(), place == 0, uses, text.literal)
        last = place == len(sources) - 1
        # a chain answers at its last step, and each of several seeds is a prompt of its own
        found.append((text, replace(around, labels=labels if last or not outputs else frozenset())))
        if outputs:
            known |= {sources[place][1]}
    return found


def _text(prompt: PromptConfig, config: str, part: str = "") -> Text:
    """The text of a prompt; `part` names it where its file is the configuration's. Raises ConfigError."""
    from promptprop.adapters.files.prompts import read_prompt
    from promptprop.adapters.files.yaml_strict import read_text

    read = read_prompt(prompt)  # which refuses what no run could use
    if prompt.file is not None and Path(prompt.file).suffix.lower() not in DOCUMENTS:
        written = read_text(Path(prompt.file))
        text = written.replace("\r\n", "\n")
        crlf = text.count("\n") == written.count("\r\n") > 0
        return Text(str(prompt.file), text, literal=read.literal, crlf=crlf)
    text = "\n\n".join(message.content for message in read.messages)
    return Text(str(prompt.file or config), text, False, "" if prompt.file else part, read.literal)


def _labels(config: RunConfig) -> frozenset[str]:
    """The labels that rows expect; none where they expect something else, or are not read."""
    from promptprop.bootstrap.preparation import limited_examples

    if config.data.dataset:  # its rows lie in a database, which is not asked
        return frozenset()
    found: set[str] = set()
    for example in islice(limited_examples(config), ROWS):
        wanted = example.expected if isinstance(example.expected, list | tuple) else [example.expected]
        texts = {text_of(one) for one in wanted if one is not None}
        if any(len(text) > LABEL or "\n" in text or text.startswith(("{", "[")) for text in texts):
            return frozenset()
        found |= texts
        if len(found) > MOST_LABELS:
            return frozenset()
    return frozenset(found) if all(any(char.isalpha() for char in text) for text in found) else frozenset()
