"""Rows of other tools as rows of ours: Hugging Face datasets on disk, promptfoo tests, OpenAI evals, CSV exports.

Each reader adds plain rows with the columns `id`, the inputs, `expected`, and where the source has them `split`,
`hard_negatives` and `criteria`. What a source says that rows cannot is counted in `left_out`, and told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from promptprop.adapters.files.dataset_formats import decoded_lines
from promptprop.adapters.files.dataset_sources import STDIN, open_source
from promptprop.adapters.files.imported import EXPECTED, Imported, records_of, unusable
from promptprop.adapters.files.promptfoo import add_row, read_promptfoo
from promptprop.adapters.files.yaml_strict import read_text
from promptprop.domain.models import Json, text_of

SPLITS = {"validation": "select", "valid": "select", "val": "select", "dev": "select", "train": "train", "test": "test"}
LABELS = ("label", "labels", "answer", "target", "output", EXPECTED)  # columns of expected answers, the likeliest first
CSV_LABELS = (EXPECTED, "label", "answer", "ideal")
NUMBERS = ("id", "idx")  # columns that name rows, which are named anew
STREAMED = ("openai-evals", "csv")  # kinds that can be read from stdin
BLANK_LINES = 100  # before the line by which a JSONL file is told


def import_rows(path: Path, kind: str | None = None) -> Imported:
    """The rows of a file or folder; the kind is told by its looks where none is given. Raises InputError."""
    kind = kind or kind_of(path)
    if kind not in READERS:
        raise unusable(path, f"there is no kind {kind!r}", f"one of {', '.join(READERS)}")
    if str(path) == STDIN and kind not in STREAMED:
        raise unusable(path, f"{kind} cannot be read from stdin", "name the file or folder")
    if str(path) != STDIN and not path.exists():
        raise _absent(path)
    found = Imported(kind)
    READERS[kind](path, found)
    if not found.rows or not found.inputs:
        said = "there are no rows in it" if not found.rows else "there are no inputs in it"
        told = ", ".join(f"{what} ({count})" for what, count in found.left_out.most_common(3))
        more = f"; left out: {told}" if told else ""
        raise unusable(path, said + more, "look at the file, or say what it is with --as")
    return found


def kind_of(path: Path) -> str:
    """What a source is, by its looks. Raises DataError."""
    if str(path) == STDIN:
        raise unusable(path, "what stdin holds cannot be told", f"say it with --as: {', '.join(READERS)}")
    if not path.exists():
        raise _absent(path)
    if path.is_dir():
        if (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file():
            return "hf"
        raise unusable(path, "this folder holds no dataset of `save_to_disk`", "name the folder with dataset_info.json")
    name = path.name.lower()
    suffix = name.removesuffix(".gz").rpartition(".")[2]
    if suffix in ("csv", "tsv"):
        return "csv"
    if suffix == "jsonl":
        if '"ideal"' in _first_line(path):
            return "openai-evals"
        remedy = "rows of your own need no import: name the file under data.file; else say what it is with --as"
        raise unusable(path, "these lines are no samples of OpenAI evals, which have an `ideal`", remedy)
    if name.endswith((".yaml", ".yml", ".json")):
        return "promptfoo"
    raise unusable(path, "what this is cannot be told by its looks", f"say it with --as: {', '.join(READERS)}")


def _absent(path: Path) -> Exception:
    return unusable(path, "there is no such file or folder", "name what is to be imported")


def _first_line(path: Path) -> str:
    """The first line that is not blank, packed or not. Raises DataError where there is none."""
    with open_source(str(path)) as start, start() as stream:
        for line, _ in islice(decoded_lines(stream), BLANK_LINES):
            if line.strip():
                return line
    raise unusable(path, "there are no rows in it", "look at the file")


# --- Hugging Face


def _read_hf(path: Path, found: Imported) -> None:
    if not (path / "dataset_dict.json").is_file():
        _read_hf_split(path, "", found)
        return
    splits = _json_file(path / "dataset_dict.json").get("splits")
    for name in map(str, splits if isinstance(splits, list) else ()):
        _read_hf_split(path / name, SPLITS.get(name, ""), found)
        if name not in SPLITS:
            found.left_out[f"the name of the split {name}"] += 1


def _read_hf_split(folder: Path, split: str, found: Imported) -> None:
    import pyarrow as pa

    names = _class_names(folder)
    files = sorted(folder.glob("*.arrow"))
    if not files:
        raise unusable(folder, "there are no .arrow files in it", "name a folder that `save_to_disk` has written")
    for file in files:
        try:
            with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
                for batch in reader:
                    for row in batch.to_pylist():
                        _add_hf_row(row, names, split, found)
        except (pa.ArrowException, OSError) as error:
            raise unusable(file, f"this is no Arrow stream: {error}", "write it anew with `save_to_disk`") from error


def _add_hf_row(row: Mapping[str, Any], names: Mapping[str, list[str]], split: str, found: Imported) -> None:
    known: dict[str, Any] = {}
    for name, value in row.items():
        if _binary(value):
            found.left_out[f"the binary column {name}"] += 1
        elif name in NUMBERS:
            found.left_out[f"the column {name}"] += 1
        else:
            known[name] = _named_class(value, names[name]) if name in names else value
    label = next((name for name in LABELS if name in known), None)
    expected = known.pop(label) if label is not None else None
    found.add(known, expected=expected, split=split)


def _binary(value: Any) -> bool:
    """Whether a value is bytes, or a picture or sound, which is a struct with bytes in it."""
    return isinstance(value, bytes | bytearray) or (isinstance(value, dict) and any(map(_binary, value.values())))


def _named_class(value: Any, names: list[str]) -> Any:
    """The name of a class, or names of a list of them; -1 stands for none."""
    if isinstance(value, list):
        return [_named_class(one, names) for one in value]
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return None if value == -1 else value


def _class_names(folder: Path) -> dict[str, list[str]]:
    file = folder / "dataset_info.json"
    features = _json_file(file).get("features") if file.is_file() else None
    found = {}
    for name, feature in (features if isinstance(features, dict) else {}).items():
        inner = feature.get("feature") if isinstance(feature, dict) else None
        for one in (feature, inner):
            if isinstance(one, dict) and isinstance(one.get("names"), list):
                found[str(name)] = [str(word) for word in one["names"]]
    return found


def _json_file(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise unusable(file, f"this is no JSON: {error}", "write the dataset anew with `save_to_disk`") from error
    return value if isinstance(value, dict) else {}


# --- OpenAI evals


def _read_evals(path: Path, found: Imported) -> None:
    for record in records_of(path, "jsonl", found):
        given = record.get("input")
        if isinstance(given, list):
            spoken = [one for one in given if isinstance(one, dict)]
            if len(spoken) < len(given):
                found.left_out["a message that is no object"] += len(given) - len(spoken)
            system = _said([one for one in spoken if one.get("role") == "system"], found)
            inputs = {"input": _said([one for one in spoken if one.get("role") != "system"], found)}
            if system:
                inputs["system"] = system
        elif given is not None:
            inputs = {"input": text_of(given)}
        else:
            found.left_out["a row without input"] += 1
            continue
        found.add(inputs, expected=record.get("ideal"))


def _said(messages: list[dict[str, Json]], found: Imported) -> str:
    """The texts of messages; a content may be a list of parts, of which pictures are left out."""
    texts: list[str] = []
    for content in (message.get("content") for message in messages):
        for part in content if isinstance(content, list) else [content]:
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str):
                texts.append(text)
            elif text is not None or isinstance(part, dict):
                found.left_out["a part of a message that is no text"] += 1
    return "\n\n".join(texts)


# --- CSV


def _read_csv(path: Path, found: Imported) -> None:
    form = "tsv" if path.name.lower().removesuffix(".gz").endswith(".tsv") else "csv"
    for record in records_of(path, form, found):
        if any(name.startswith("__expected") for name in record):
            add_row(record, found)
            continue
        row = {name: value for name, value in record.items() if name.casefold() not in NUMBERS}
        for name in record.keys() - row.keys():
            found.left_out[f"the column {name}"] += 1
        by_name = {name.casefold(): name for name in reversed(row)}
        label = next((by_name[name] for name in CSV_LABELS if name in by_name), None)
        expected = row.pop(label) if label is not None else None
        found.add(row, expected=expected)


READERS: dict[str, Callable[[Path, Imported], None]] = {
    "hf": _read_hf,
    "promptfoo": read_promptfoo,
    "openai-evals": _read_evals,
    "csv": _read_csv,
}
