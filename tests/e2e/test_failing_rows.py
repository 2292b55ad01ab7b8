"""Rows that always fail: their run stops for what it is, however often they are retried, and can be mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer, echo
from runs_over_http import ROOT, database_in, run, write_config

POISONED = 8


@pytest.mark.slow
def test_rows_that_always_fail_are_not_taken_for_an_outage_when_they_are_all_that_is_left_to_ask(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in (ROOT / "datasets" / "support.jsonl").read_text("utf-8").splitlines()[:60]]
    poison = [row["text"] for row in rows[:: 60 // POISONED]][:POISONED]

    def answer(body: dict[str, Any]) -> Any:
        if any(text in str(body["messages"]) for text in poison):
            raise ZeroDivisionError  # which the server answers with 500
        return echo(body)

    openai_server.answers = answer
    monkeypatch.setenv("LOOPBACK_KEY", "loopback")
    model = {"api_key": "${env:LOOPBACK_KEY}", "patience": 2, "retries": 1, "client": "http"}
    config = write_config(tmp_path, openai_server.url, rows=60, model=model, max_error_rate=0.05)
    database = database_in(tmp_path)
    code, out, err = run("eval", str(config), "--db", database, "--json", "-q", folder=tmp_path)
    assert (code, json.loads(out)["error"]["code"]) == (4, "too_many_errors"), out
    for _ in range(2):
        arguments = ("runs", "resume", "latest", "--retry-errors", "--db", database, "--json", "-q")
        before = openai_server.stats.answered
        code, out, err = run(*arguments, folder=tmp_path)
        error = json.loads(out)["error"]
        assert (code, error["code"]) == (4, "too_many_errors"), out
        assert openai_server.stats.answered <= before + 60 - POISONED

    poison.clear()
    code, out, err = run(*arguments, folder=tmp_path)
    assert code == 0, err
    assert json.loads(out)["spend"]["total"]["calls"] == openai_server.stats.requests
    assert openai_server.stats.answered == 60
