"""Hundreds of random storms against ledger, purse, endpoint, http client and both databases."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from storm import weather

from promptprop.adapters.storage.store import open_store

if TYPE_CHECKING:
    from postgres_server import PostgresServer

STORMS = int(os.environ.get("PROMPTPROP_STORMS", "400"))
FIRST = int(os.environ.get("PROMPTPROP_STORMS_FROM", "50000"))
ON_POSTGRES = STORMS // 8
SECONDS = 600.0  # no further case begins later than this
WANTED = ("cancelled", "finished", "refused", "budget:calls", "budget:tokens", "budget:usd", "provider_down")


@pytest.mark.campaign
def test_totals_caps_and_order_hold_in_hundreds_of_storms(tmp_path: Path) -> None:
    began, ends = time.monotonic(), Counter[str]()
    for seed in range(FIRST, FIRST + STORMS):
        if time.monotonic() - began > SECONDS:
            break
        for course in weather(seed, f"sqlite:///{tmp_path}/{seed}.db", open_store):
            ends.update(course.ends)
    print(f"\nends and moods of sessions: {dict(ends.most_common())}")
    assert STORMS < 100 or set(WANTED) <= set(ends), "some ends of a session never came about"


@pytest.mark.campaign
def test_totals_caps_and_order_hold_in_storms_on_postgresql(postgres_server: PostgresServer) -> None:
    began = time.monotonic()
    for seed in range(FIRST + STORMS, FIRST + STORMS + ON_POSTGRES):
        if time.monotonic() - began > SECONDS:
            break
        with postgres_server.database() as url:
            assert weather(seed, url, open_store)
