"""What every contender is given: the same rows, the same messages, the same bound on an answer."""

from __future__ import annotations

import json
from pathlib import Path

FLIGHT = 64  # requests in flight
MAX_TOKENS = 16
KEY = "loopback"
SYSTEM = "You read one message of a customer and answer one question about it: yes or no, nothing else."
USER = "Message {number}: my parcel with the order number {number} has not arrived yet. Does this need a reply?"


def user_text(number: int) -> str:
    """The only part of a request that differs from row to row."""
    return USER.format(number=number)


def messages(number: int) -> list[dict[str, str]]:
    """The messages for row `number`."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user_text(number)}]


def write_rows(path: Path, count: int) -> Path:
    """A dataset of `count` rows, of which the server answers every other one right."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            row = {"id": f"r{number}", "text": user_text(number), "label": "yes" if number % 2 else "no"}
            file.write(json.dumps(row) + "\n")
    return path


def write_run(folder: Path, url: str, rows: int, client: str, flight: int = FLIGHT) -> Path:
    """A configuration that scores one prompt on `rows` rows with an exact metric, through this client."""
    model = {"model": "openai/task", "api_base": url, "api_key": KEY, "max_tokens": MAX_TOKENS}
    contents = {
        "version": 1,
        "name": "bench",
        "task": "Say whether a message needs a reply.",
        "prompt": {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "{{ text }}"}]},
        "data": {
            "file": str(write_rows(folder / f"rows-{rows}.jsonl", rows)),
            "inputs": ["text"],
            "expected": "label",
            "id": "id",
        },
        "models": {"task": {**model, "client": client, "concurrency": flight, "timeout": 60}},
        "metrics": [{"id": "label", "type": "exact"}],
        "budget": {"calls": 1_000_000, "tokens": 1_000_000_000},
        "tracking": {"mlflow": False},
    }
    path = folder / f"{client}-{rows}.yaml"
    path.write_text(json.dumps(contents), encoding="utf-8")  # JSON is YAML
    return path
