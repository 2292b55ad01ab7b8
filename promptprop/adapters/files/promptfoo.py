"""Tests of promptfoo as rows: from configurations and files of tests, in YAML, JSON, JSON Lines and CSV."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from promptprop.adapters.files.imported import EXPECTED, Imported, records_of, unusable
from promptprop.adapters.files.yaml_strict import parse_scalar, read_text
from promptprop.domain.models import Json, text_of

REMEDY = "name a promptfoo configuration, or its file of tests"
ENDLESS = "let the last file that is named hold the tests themselves"
ONE_FORM = ("equals", "contains", "icontains", "starts-with")
ANY_FORM = ("contains-any", "icontains-any")
FORBIDDEN = ("not-contains", "not-icontains")
JUDGED = ("llm-rubric", "model-graded-closedqa", "factuality", "g-eval", "grade")
PLACEHOLDER = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
# in a cell: `type: value`, where the type may have a threshold; any other text is what the answer must be
CELL = re.compile(r"((?:not-)?[a-z]+(?:-[a-z]+)*)(?:\([\d.]+\))?:(.*)", re.DOTALL)
CELL_TYPES = (
    *(*ONE_FORM, *ANY_FORM, *JUDGED, "contains-all", "icontains-all", "contains-json", "is-json", "is-sql", "regex"),
    *("javascript", "fn", "eval", "python", "file", "webhook", "similar", "levenshtein", "rouge-n", "bleu", "cost"),
    *("latency", "moderation", "answer-relevance", "context-recall", "context-relevance", "context-faithfulness"),
)


class _Loader(yaml.SafeLoader):
    """YAML as JavaScript reads it: `no` and `12:30:00` are texts, and so is a date; anchors and merges are followed."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0]:
            return "tag:yaml.org,2002:merge" if value == "<<" else "!plain"
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


_Loader.add_constructor("!plain", lambda _loader, node: parse_scalar(node.value))


def read_promptfoo(path: Path, found: Imported) -> None:
    """The tests of a configuration or of a file of tests. Raises DataError, ConfigError."""
    _read(path, found, {}, ())


def add_row(record: Mapping[str, Json], found: Imported, common: Mapping[str, Any] | None = None) -> None:
    """A row of promptfoo's CSV: columns are variables, but for those that begin with two underscores."""
    cells = [text_of(value) for name, value in record.items() if name.startswith("__expected") and value]
    for name in record:
        if name.startswith("__") and not name.startswith("__expected"):
            found.left_out[f"the column {name}"] += 1
    variables = {name: value for name, value in record.items() if not name.startswith("__")}
    _add_test({"vars": variables, "assert": [_cell(cell) for cell in cells]}, common or {}, found)


def _read(path: Path, found: Imported, common: Mapping[str, Any], followed: tuple[Path, ...]) -> None:
    """The tests of a file, which may name others; `followed` are the files that led here."""
    if path.resolve() in followed:
        raise unusable(path, "its tests lead back to this file, and so to no test at all", ENDLESS)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        for record in records_of(path, suffix[1:], found):
            add_row(record, found, common)
        return
    document = list(records_of(path, "jsonl", found)) if suffix == ".jsonl" else _document(path)
    tests: Any = document
    if isinstance(document, dict):
        tests = document.get("tests")
        common = _common(document.get("defaultTest"), found) or common
    if not isinstance(tests, str | list):
        raise unusable(path, "there is no list of tests in it", REMEDY)
    for test in [tests] if isinstance(tests, str) else tests:
        if isinstance(test, str):
            for target in _named(test, path, found):
                _read(target, found, common, (*followed, path.resolve()))
        else:
            _add_test(test, common, found)


def _document(path: Path) -> Any:
    text = read_text(path)
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.load(text, _Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise unusable(path, f"this is no YAML that can be read: {said}", REMEDY, line, column) from error
    except RecursionError as error:
        raise unusable(path, "it is nested too deeply", REMEDY) from error
    except json.JSONDecodeError as error:
        raise unusable(path, f"this is no JSON: {error.msg}", REMEDY, error.lineno, error.colno) from error
    except ValueError as error:  # a number of too many digits
        raise unusable(path, f"this cannot be read: {error}", REMEDY) from error


def _named(reference: str, path: Path, found: Imported) -> list[Path]:
    """The files that a reference names; none where its tests come from code or from elsewhere. Raises DataError."""
    name = reference.removeprefix("file://")
    target = path.parent / name
    if "://" in name or target.suffix.lower() not in (".csv", ".tsv", ".yaml", ".yml", ".json", ".jsonl"):
        found.left_out[f"the tests of {name}"] += 1
        return []
    files = [Path(one) for one in sorted(glob.glob(str(target), recursive=True))]  # noqa: PTH207 - may be absolute
    if not files:
        raise unusable(target, f"there is no such file, and {path} names it", "mend the name, or leave it out")
    return files


def _common(shared: Any, found: Imported) -> dict[str, Any]:
    """What every test is given."""
    if isinstance(shared, dict):
        return shared
    if shared is not None:
        found.left_out["a defaultTest that is no object"] += 1
    return {}


def _add_test(test: Any, common: Mapping[str, Any], found: Imported) -> None:
    given = test.get("vars") if isinstance(test, dict) else None
    if not isinstance(given, dict):
        found.left_out["a test without vars"] += 1
        return
    shared = common.get("vars")
    variables = {**(shared if isinstance(shared, dict) else {}), **given}
    for name, value in variables.items():
        if isinstance(value, str) and value.startswith("file://"):
            found.left_out[f"what the file of {name} holds"] += 1
    asserts = [*_list(common.get("assert"), found), *_list(test.get("assert"), found)]
    found.add(variables, **_asserted(asserts, variables, found))


def _list(asserts: Any, found: Imported) -> list[Any]:
    if asserts is None or isinstance(asserts, list):
        return asserts or []
    if isinstance(asserts, dict):
        return [asserts]
    found.left_out["assertions that are no list"] += 1
    return []


def _asserted(asserts: list[Any], variables: Mapping[str, Any], found: Imported) -> dict[str, Any]:
    """What assertions say of a row: acceptable answers, literals that must not occur, criteria for jurors."""
    expected: list[Any] = []
    hard: list[Json] = []
    criteria: list[str] = []
    for one in asserts:
        kind, value = (str(one.get("type", "")), one.get("value")) if isinstance(one, dict) else ("", None)
        value = _filled(value, variables)
        if isinstance(value, str) and PLACEHOLDER.search(value):
            found.left_out[f"the assertion {kind} with a variable that no test has"] += 1
        elif kind in ONE_FORM and value is not None:
            expected.append(value)
        elif kind in ANY_FORM and isinstance(value, list):
            expected.extend(value)
        elif kind in FORBIDDEN and isinstance(value, str) and value.strip():
            hard.append({"literal": value})
        elif kind in JUDGED and isinstance(value, str):
            criteria.append(value)
        else:
            found.left_out[f"the assertion {kind or text_of(str(one))[:40]}"] += 1
    answers = expected[0] if len(expected) == 1 else expected
    return {EXPECTED: answers, "hard_negatives": hard, "criteria": "\n".join(criteria)}


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with a test's variables in it: as it is where it is nothing but one of them."""
    if isinstance(value, list):
        return [_filled(one, variables) for one in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value.strip())
    if whole and whole.group(1) in variables:
        return variables[whole.group(1)]
    return PLACEHOLDER.sub(
        lambda match: str(variables[match.group(1)]) if match.group(1) in variables else match.group(), value
    )


def _cell(text: str) -> dict[str, Any]:
    """A cell of CSV as an assertion."""
    match = CELL.fullmatch(text.strip())
    kind = match.group(1) if match else ""
    if match is None or kind.removeprefix("not-") not in CELL_TYPES:
        return {"type": "equals", "value": text}
    value = match.group(2).strip()
    several = kind in ANY_FORM
    return {"type": kind, "value": [one.strip() for one in value.split(",")] if several else value}
