"""Rows of other tools as rows of ours: Hugging Face datasets on disk, promptfoo tests, OpenAI evals, CSV exports.

Each reader yields plain rows with the columns `id`, the inputs, `expected`, and where the source has them `split`,
`hard_negatives` and `criteria`. What a source says that rows cannot is counted in `left_out`, and told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptprop.adapters.files.dataset_formats import load_reader
from promptprop.adapters.files.yaml_strict import read_text
from promptprop.domain.errors import DataError, Place, Problem
from promptprop.domain.models import Json, text_of

EXPECTED = "expected"
SPLITS = {"validation": "select", "valid": "select", "val": "select", "dev": "select", "train": "train", "test": "test"}
FIRST_LINE = 4000  # characters by which a JSONL file is told


@dataclass(slots=True)
class Imported:
    """The rows of a source, which of their columns are inputs, and what was left out, with how often."""

    kind: str
    rows: list[dict[str, Json]] = field(default_factory=list)
    inputs: dict[str, None] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, inputs: Mapping[str, Json], **known: Json) -> None:
        """One row more; values that are None or empty are left out."""
        self.inputs |= dict.fromkeys(inputs)
        number = len(self.rows) + 1
        more = {name: value for name, value in known.items() if value not in (None, "", [], ())}
        self.rows.append({"id": f"row-{number:05}", **inputs, **more})


def import_rows(path: Path, kind: str | None = None) -> Imported:
    """The rows of a file or folder; the kind is told by its looks where none is given. Raises DataError."""
    kind = kind or kind_of(path)
    if kind not in READERS:
        raise _wrong(path, f"there is no kind {kind!r}", f"one of {', '.join(READERS)}")
    found = Imported(kind)
    READERS[kind](path, found)
    if not found.rows:
        raise _wrong(path, "there are no rows in it", "look at the file, or say what it is with --as")
    return found


def kind_of(path: Path) -> str:
    """What a source is, by its looks. Raises DataError."""
    if not path.exists():
        raise _wrong(path, "there is no such file or folder", "name what is to be imported")
    if path.is_dir():
        if (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file():
            return "hf"
        raise _wrong(path, "this folder holds no dataset of `save_to_disk`", "name the folder with dataset_info.json")
    suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if suffix in ("csv", "tsv"):
        return "csv"
    if suffix == "jsonl":
        with path.open("r", encoding="utf-8", errors="replace") as file:
            if '"ideal"' in file.read(FIRST_LINE):
                return "openai-evals"
    if suffix in ("yaml", "yml", "json"):
        return "promptfoo"
    raise _wrong(path, "what this is cannot be told by its looks", f"say it with --as: {', '.join(READERS)}")


def _wrong(path: Path, message: str, remedy: str) -> DataError:
    return DataError(Problem(message, Place(str(path)), remedy))


# --- Hugging Face


def _read_hf(path: Path, found: Imported) -> None:
    if (path / "dataset_dict.json").is_file():
        splits = _json_file(path / "dataset_dict.json").get("splits", [])
        for name in splits:
            _read_hf_split(path / str(name), SPLITS.get(str(name), ""), found)
            if str(name) not in SPLITS:
                found.left_out[f"the name of the split {name}"] += 1
    else:
        _read_hf_split(path, "", found)


def _read_hf_split(folder: Path, split: str, found: Imported) -> None:
    import pyarrow as pa

    names = _class_names(folder)
    files = sorted(folder.glob("*.arrow"))
    if not files:
        raise _wrong(folder, "there are no .arrow files in it", "name a folder that `save_to_disk` has written")
    for file in files:
        try:
            with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
                for batch in reader:
                    for row in batch.to_pylist():
                        _add_hf_row(row, names, split, found)
        except pa.ArrowInvalid as error:
            raise _wrong(file, f"this is no Arrow stream: {error}", "write it anew with `save_to_disk`") from error


def _add_hf_row(row: Mapping[str, Any], names: Mapping[str, list[str]], split: str, found: Imported) -> None:
    plain: dict[str, Json] = {}
    for name, value in row.items():
        if isinstance(value, bytes | bytearray):
            found.left_out[f"the binary column {name}"] += 1
        elif name in names and isinstance(value, int) and 0 <= value < len(names[name]):
            plain[name] = names[name][value]
        else:
            plain[name] = value if isinstance(value, str | int | float | bool | list | dict) else text_of(value)
    label = next((name for name in ("label", "labels", "answer", "target", "output", EXPECTED) if name in plain), None)
    expected = plain.pop(label) if label is not None else None
    inputs = {name: value for name, value in plain.items() if name not in ("id", "idx")}
    found.add(inputs, expected=expected, split=split)


def _class_names(folder: Path) -> dict[str, list[str]]:
    file = folder / "dataset_info.json"
    features = _json_file(file).get("features") or {} if file.is_file() else {}
    return {
        name: [str(one) for one in feature["names"]]
        for name, feature in features.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }


def _json_file(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_text(file))
    except ValueError as error:
        raise _wrong(file, f"this is no JSON: {error}", "write the dataset anew with `save_to_disk`") from error
    return value if isinstance(value, dict) else {}


# --- promptfoo


def _read_promptfoo(path: Path, found: Imported, followed: tuple[Path, ...] = ()) -> None:
    """The tests of a file, or of the file that it names; `followed` are those that led here."""
    import yaml

    if path.resolve() in followed:
        remedy = "let the last file that is named hold the tests themselves"
        raise _wrong(path, "its tests lead back to this file, and so to no test at all", remedy)
    try:
        document = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        said = f"this is no YAML: {str(error).splitlines()[0]}"
        raise _wrong(path, said, "name a promptfoo configuration") from error
    tests = document.get("tests") if isinstance(document, dict) else document
    shared = document.get("defaultTest") if isinstance(document, dict) else None
    if isinstance(tests, str):
        target = path.parent / tests.removeprefix("file://")
        if target.suffix.lower() == ".csv":
            _read_csv(target, found)
        else:
            _read_promptfoo(target, found, (*followed, path.resolve()))
        return
    if not isinstance(tests, list):
        raise _wrong(path, "there is no list of tests in it", "name a promptfoo configuration, or its file of tests")
    common = shared if isinstance(shared, dict) else {}
    for test in tests:
        if not isinstance(test, dict) or not isinstance(test.get("vars"), dict):
            found.left_out["a test without vars"] += 1
            continue
        asserts = [*(common.get("assert") or []), *(test.get("assert") or [])]
        found.add({**(common.get("vars") or {}), **test["vars"]}, **_asserted(asserts, found))


def _asserted(asserts: list[Any], found: Imported) -> dict[str, Json]:
    """What assertions say of a row: acceptable answers, literals that must not occur, criteria for jurors."""
    expected: list[Json] = []
    hard: list[Json] = []
    criteria: list[str] = []
    for one in asserts:
        kind, value = (one.get("type", ""), one.get("value")) if isinstance(one, dict) else ("", None)
        if kind in ("equals", "contains", "icontains", "starts-with"):
            expected.append(value)
        elif kind in ("contains-any", "icontains-any") and isinstance(value, list):
            expected.extend(value)
        elif kind in ("not-contains", "not-icontains"):
            hard.append({"literal": text_of(value)})
        elif kind in ("llm-rubric", "model-graded-closedqa", "factuality", "g-eval"):
            criteria.append(text_of(value))
        else:
            found.left_out[f"the assertion {kind or one}"] += 1
    return {
        EXPECTED: expected[0] if len(expected) == 1 else expected,
        "hard_negatives": hard,
        "criteria": "\n".join(criteria),
    }


# --- OpenAI evals


def _read_evals(path: Path, found: Imported) -> None:
    for record in _records(path, "jsonl"):
        given = record.get("input")
        if isinstance(given, list):
            spoken = [one for one in given if isinstance(one, dict)]
            system = "\n\n".join(text_of(one.get("content")) for one in spoken if one.get("role") == "system")
            rest = "\n\n".join(text_of(one.get("content")) for one in spoken if one.get("role") != "system")
            inputs: dict[str, Json] = {"input": rest}
            if system:
                inputs["system"] = system
        elif given is not None:
            inputs = {"input": text_of(given)}
        else:
            found.left_out["a row without input"] += 1
            continue
        found.add(inputs, expected=record.get("ideal"))


# --- CSV


def _read_csv(path: Path, found: Imported) -> None:
    form = "tsv" if path.name.lower().removesuffix(".gz").endswith(".tsv") else "csv"
    for record in _records(path, form):
        row = {name: value for name, value in record.items() if name and name.strip()}
        known = {name: row.pop(name) for name in ("__expected", EXPECTED, "label", "answer", "ideal") if name in row}
        expected = next((value for value in known.values() if value not in (None, "")), None)
        if "__expected" in known and isinstance(expected, str):
            head, _, rest = expected.partition(":")
            expected = rest.strip() if head in ("equals", "contains", "icontains") else expected
        row.pop("id", None)
        found.add({name.strip(): value for name, value in row.items()}, expected=expected)


def _records(path: Path, form: str) -> Iterator[dict[str, Json]]:
    from promptprop.adapters.files.dataset_sources import open_source

    with open_source(str(path)) as start, start() as stream:
        for record in load_reader(form)(stream):
            if record.flaw:
                raise DataError(Problem(record.flaw, Place(str(path), record.line), record.remedy))
            if isinstance(record.value, dict):
                yield record.value


READERS: dict[str, Callable[[Path, Imported], None]] = {
    "hf": _read_hf,
    "promptfoo": _read_promptfoo,
    "openai-evals": _read_evals,
    "csv": _read_csv,
}
