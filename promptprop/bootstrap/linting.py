"""What `lint` looks at: the texts of a prompt file, or all prompts of a configuration with what its data tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptprop.domain.errors import ConfigError, Problem, UsageError
from promptprop.domain.models import text_of

if TYPE_CHECKING:
    from promptprop.domain.config import PromptConfig, RunConfig
    from promptprop.services.lint import Finding, Surroundings
    from promptprop.services.rules import Rule

LABEL = 40  # characters up to which an expected answer is a label
MOST_LABELS = 40
ROWS = 5000  # rows that are looked at for labels
CONFIGURATION = re.compile(r"^(?:task|models|data|extends|metrics)[ \t]*:", re.MULTILINE)
DOCUMENTS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be checked: `file` names it, `whole` tells that it is all of that file, so that it can be mended."""

    file: str
    text: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Located:
    """A finding with its rule and its place; line and column count from 1, 0 where it is about the whole text."""

    file: str
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
            write_atomically(Path(source.file), text)
            findings = lint_text(text, around, ignored)
        found += [located(replace(source, text=text), RULES[one.id], one) for one in findings]
    return found


def located(source: Text, rule: Rule[Any, Finding], finding: Finding) -> Located:
    """A finding with its place."""
    from promptprop.services.lint import line_and_column

    line, column = line_and_column(source.text, finding.start) if finding.end and source.whole else (0, 0)
    return Located(source.file, line, column, rule, finding)


def sources(path: Path, sets: Sequence[str], env_file: Path | None) -> list[tuple[Text, Surroundings]]:
    """The texts of a prompt file, or of all prompts of a configuration, with what is known. Raises ConfigError."""
    from promptprop.adapters.files.yaml_strict import read_text
    from promptprop.services.lint import Surroundings

    if not is_config(path):
        if path.suffix.lower() in DOCUMENTS:
            from promptprop.domain.config import PromptConfig

            return [(text, Surroundings()) for text in _texts(PromptConfig(file=str(path)), str(path))]
        return [(Text(str(path), read_text(path)), Surroundings())]
    from promptprop.bootstrap.configuration import load

    loaded = load(path, sets, None, env_file)
    return _of_config(loaded.config, str(loaded.path))


def is_config(path: Path) -> bool:
    """True for a YAML file that has keys of a configuration, and none of a prompt."""
    from promptprop.adapters.files.yaml_strict import read_text

    return path.suffix.lower() in (".yaml", ".yml") and CONFIGURATION.search(read_text(path)) is not None


def _of_config(config: RunConfig, path: str) -> list[tuple[Text, Surroundings]]:
    from promptprop.adapters.files.datasets import Columns
    from promptprop.services.lint import Surroundings
    from promptprop.services.lint_words import PLACEHOLDER

    known = set(Columns(config.data.inputs).variables)
    labels = _labels(config)
    steps: list[tuple[PromptConfig, str]] = [(step.prompt, step.output) for step in config.steps or ()]
    prompts = steps or [(prompt, "") for prompt in config.prompt or ()]
    sources = [(text, output) for prompt, output in prompts for text in _texts(prompt, path)]
    if not sources:
        raise ConfigError(Problem("this configuration has no prompt yet: it is drafted from scratch"))
    uses = frozenset(
        match.group(1).partition(".")[0] for text, _ in sources for match in PLACEHOLDER.finditer(text.text)
    )
    outputs = {output for _, output in sources if output}
    found = []
    for place, (text, _) in enumerate(sources):
        around = Surroundings(frozenset(known), frozenset(), place == 0, uses)
        last = place == len(sources) - 1
        # a chain answers at its last step, and each of several seeds is a prompt of its own
        found.append((text, replace(around, labels=labels if last or not outputs else frozenset())))
        if outputs:
            known |= {sources[place][1]}
    return found


def _texts(prompt: PromptConfig, config: str) -> list[Text]:
    from promptprop.adapters.files.prompts import read_prompt
    from promptprop.adapters.files.yaml_strict import read_text

    if prompt.file is not None and Path(prompt.file).suffix.lower() not in DOCUMENTS:
        return [Text(str(prompt.file), read_text(Path(prompt.file)))]
    text = "\n\n".join(message.content for message in read_prompt(prompt).messages)
    return [Text(str(prompt.file or config), text, whole=False)]


def _labels(config: RunConfig) -> frozenset[str]:
    """The labels that rows expect; none where they expect something else."""
    from promptprop.bootstrap.preparation import limited_examples

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
