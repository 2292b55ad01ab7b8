"""The cache of lists: ten minutes, private, and never a reason to fail."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from promptprop.adapters.models.listing import ListedModel, Listing
from promptprop.adapters.models.listing_cache import SECONDS, ListingCache
from promptprop.adapters.models.listing_sources import Source
from promptprop.domain.errors import RateLimited

KEY = "canaryCache-Pp3Rr4"
SOURCE = Source("openai", "https://api.openai.com/v1", "openai", KEY, "OPENAI_API_KEY")
LISTING = Listing(SOURCE, (ListedModel("openai/a", 5), ListedModel("openai/b")))


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def cache(tmp_path: Path, now: Now) -> ListingCache:
    return ListingCache(tmp_path / "deep" / "models", now)


def test_a_list_is_kept_for_ten_minutes_and_tells_its_age(cache: ListingCache, now: Now) -> None:
    assert cache.read(SOURCE) is None
    cache.write(LISTING)
    now.at += 60
    assert cache.read(SOURCE) == replace(LISTING, age=60.0)
    now.at += SECONDS
    assert cache.read(SOURCE) is None


def test_a_list_from_the_future_is_not_believed(cache: ListingCache, now: Now) -> None:
    cache.write(LISTING)
    now.at -= 1
    assert cache.read(SOURCE) is None


def test_another_key_or_server_is_another_list(cache: ListingCache) -> None:
    cache.write(LISTING)
    assert cache.read(replace(SOURCE, key="another key")) is None
    assert cache.read(replace(SOURCE, base="http://127.0.0.1:1/v1")) is None
    assert cache.read(replace(SOURCE, variable="OTHER")) is not None


def test_failures_are_not_kept(cache: ListingCache) -> None:
    cache.write(Listing(SOURCE, error=RateLimited("slow down")))
    assert cache.read(SOURCE) is None


def test_only_the_owner_can_read_it_and_no_file_or_name_holds_the_key(cache: ListingCache, tmp_path: Path) -> None:
    cache.write(LISTING)
    files = [path for path in (tmp_path / "deep").rglob("*") if path.is_file()]
    assert len(files) == 2
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "canary" not in file.name
        assert KEY.encode() not in file.read_bytes()


def test_two_users_have_different_names_for_the_same_key(tmp_path: Path, now: Now) -> None:
    for user in ("a", "b"):
        ListingCache(tmp_path / user, now).write(LISTING)
    one, other = ({file.name for file in (tmp_path / user).glob("*.json")} for user in ("a", "b"))
    assert one.isdisjoint(other)


@pytest.mark.parametrize(
    "contents",
    ["", "{", "[]", "[" * 100_000, '{"at": 1}', '{"format": 1, "at": 1000000, "models": [{"name": 1, "context": 2}]}',
     '{"format": 9, "at": 1000000, "models": []}', '{"format": 1, "at": "x", "models": []}'],
)  # fmt: skip
def test_a_corrupt_file_is_no_list(cache: ListingCache, tmp_path: Path, contents: str) -> None:
    cache.write(LISTING)
    (file,) = (tmp_path / "deep" / "models").glob("*.json")
    file.write_text(contents)
    assert cache.read(SOURCE) is None
    cache.write(LISTING)
    assert cache.read(SOURCE) is not None


def test_a_folder_that_cannot_be_made_costs_only_the_cache(tmp_path: Path, now: Now) -> None:
    (tmp_path / "file").write_text("")
    cache = ListingCache(tmp_path / "file" / "models", now)
    cache.write(LISTING)
    assert cache.read(SOURCE) is None


def test_files_that_are_out_of_date_go(cache: ListingCache, tmp_path: Path, now: Now) -> None:
    cache.write(LISTING)
    (file,) = (tmp_path / "deep" / "models").glob("*.json")
    os.utime(file, (1, 1))
    newer = replace(SOURCE, key="another key")
    cache.write(replace(LISTING, source=newer))
    assert not file.exists()
