"""The reference of all metrics, written from the registry: `docs/metrics.md` is its output."""

from __future__ import annotations

from typing import Any

from promptprop.domain.models import Json
from promptprop.metrics.registry import METRICS, load_metric
from promptprop.metrics.scoring import HARD_NEGATIVE_CAP

_INTRODUCTION = f"""# Metrics

<!-- Written by promptprop.metrics.reference from the code; edit the docstrings and descriptions there. -->

A metric judges one answer against its row: a score in [0, 1], or none where it cannot judge, with feedback that critics
read. Metrics are listed in the configuration under `metrics:`, each with an `id`, a `type`, and the options below.

## How scores combine

1. A metric with `gate: true` must reach 1 (or its `threshold`), else the answer scores 0. A gate counts in the mean
   only if it is given a `weight`.
2. A gate that could not judge an answer leaves it without a score.
3. The score is the mean of the other metrics by `weight` (1 unless given), leaving out those that could not judge. With
   gates alone it is 1 when all are passed. Weight 0 shows a metric without counting it.
4. An answer that contains one of the row's hard negatives written as `{{"literal": "…"}}` scores at most
   {HARD_NEGATIVE_CAP}. The check appears among the judgements as `hard_negatives`. Hard negatives in prose, and soft
   ones, are weighed by the jury.

What is unscored is missing, never 0. Evaluations are keyed by a fingerprint of types, options, weights, gates, schema
files and the source of your own functions: change one, and rows are scored anew.
"""

_OWN = """
## Metrics of your own

A function, an async function or a class in a file beside the configuration:

```python
# metrics.py
import aiohttp


def brief(output, example, *, limit=80):
    # `example` has inputs, expected, tags and more
    words = len(output.split())
    return min(1.0, limit / max(words, 1)), f"{words} words, at most {limit} are wanted"


async def same_meaning(output, expected):
    # a second parameter called `expected` is the row's expected answer; sixteen answers are judged at once
    async with aiohttp.ClientSession() as session:
        async with session.post("http://localhost:9000/alike", json=[output, expected]) as reply:
            return (await reply.json())["score"]


class Tone:
    # made once; what is dear to get is better got in the first call, since `validate` makes one too
    def __init__(self, words):
        self.words = words
        self.session = None

    async def judge(self, output, example):
        self.session = self.session or aiohttp.ClientSession()
        async with self.session.post("http://localhost:9000/tone", json=[output, self.words]) as reply:
            return (await reply.json())["score"]
```

```yaml
metrics:
  - {type: 'python:./metrics.py:brief', arguments: {limit: 40}}
  - {type: 'python:./metrics.py:same_meaning', timeout: 10}
  - {type: 'python:./metrics.py:Tone', arguments: {words: [kind, calm]}, concurrency: 4}
```

A plain function runs in line, and holds up the run for as long as it takes; an async one holds up nothing, and the
progress line says `waiting for metrics`. What they say is stored: a replay asks none of them again. Their options are
at the end, under `python:module.function`.
"""


def metric_reference() -> str:
    """The reference as Markdown: how scores combine, then each type with its options."""
    return "\n".join([_INTRODUCTION + _OWN, *(_section(name) for name in METRICS)])


def _section(name: str) -> str:
    metric = load_metric(name)
    title = "python:module.function" if name == "python" else name
    schema = metric.Options.model_json_schema()
    common = "threshold"  # described once, above
    lines = [f"## `{title}`\n", _prose(metric.__doc__), f"\n```yaml\nmetrics:\n  - {metric.sample}\n```\n"]
    lines.append(_table({key: value for key, value in schema["properties"].items() if key != common}, schema))
    for below, definition in schema.get("$defs", {}).items():
        lines.append(f"A `{below}`:\n\n{_table(definition['properties'], definition)}")
    return "\n".join(lines)


def _prose(docstring: str | None) -> str:
    return "\n".join(line.strip() for line in (docstring or "").strip().splitlines())


def _table(properties: dict[str, Any], schema: dict[str, Any]) -> str:
    rows = ["| option | values | default | meaning |", "| --- | --- | --- | --- |"]
    for name, entry in properties.items():
        required = name in schema.get("required", ())
        default = "required" if required else _default(entry.get("default"))
        rows.append(f"| `{name}` | {_values(entry)} | {default} | {_cell(entry['description'])} |")
    return "\n".join(rows) + "\n"


def _default(value: Json) -> str:
    if value is None or value in ([], {}):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(entry: dict[str, Any]) -> str:
    """The kind of values an option takes, in words."""
    if "$ref" in entry:
        return "a `" + str(entry["$ref"]).rpartition("/")[2] + "`"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(_values(option) for option in entry["anyOf"] if option.get("type") != "null")
    kind = str(entry.get("type", "any"))
    if kind == "array":
        return f"list of {_values(entry.get('items', {}))}"
    if kind == "object":
        inner = entry.get("additionalProperties")
        return f"map of {_values(inner)}" if isinstance(inner, dict) else "map"
    words = {"string": "text", "boolean": "`true`, `false`", "any": "anything"}
    low, high = entry.get("minimum"), entry.get("maximum")
    limits = f" from {low}" * (low is not None) + f" to {high}" * (high is not None)
    return words.get(kind, kind) + limits


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
