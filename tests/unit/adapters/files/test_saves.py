"""Saves seen by looking: whole ones, once, however an editor writes; and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from promptprop.adapters.files.saves import LOOKS, Saves


class Clock:
    """Waits for no time: each pause does the next thing of a list, and one too many ends what waits for nothing."""

    def __init__(self, *steps: Callable[[], object] | None) -> None:
        self.steps = list(steps)
        self.pauses = 0

    def __call__(self, seconds: float) -> None:
        self.pauses += 1
        if not self.steps:
            raise TimeoutError
        step = self.steps.pop(0)
        if step is not None:
            step()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prompt.md"
    path.write_text("one")
    return path


def writes(path: Path, text: str) -> Callable[[], object]:
    return lambda: path.write_text(text)


def waited(clock: Clock, *paths: Path) -> list[Path]:
    saves = Saves(clock)
    saves.follow(paths)
    return saves.wait()


def test_a_save_is_seen_and_the_others_are_not_named(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("x")
    assert waited(Clock(None, writes(file, "three"), None), file, other) == [file]


def test_a_file_that_is_written_in_several_steps_is_one_save(file: Path) -> None:
    clock = Clock(writes(file, ""), writes(file, "seco"), writes(file, "second"), None)
    saves = Saves(clock)
    saves.follow([file])
    assert saves.wait() == [file]
    assert clock.steps == [], "it was told before it was whole"
    with pytest.raises(TimeoutError):
        saves.wait()


def test_a_file_that_another_one_replaces_and_one_that_goes_and_comes_back_are_saves(
    file: Path, tmp_path: Path
) -> None:
    def replaced() -> None:
        (tmp_path / "new").write_text("second")
        (tmp_path / "new").replace(file)

    assert waited(Clock(replaced, None), file) == [file]
    assert waited(Clock(file.unlink, writes(file, "three"), None), file) == [file]
    assert waited(Clock(file.unlink, writes(file, "three"), None, writes(file, "four"), None), file) == [file]


def test_a_file_that_is_gone_for_good_or_new_is_told(file: Path, tmp_path: Path) -> None:
    assert waited(Clock(file.unlink, None), file) == [file]
    assert waited(Clock(writes(file, "fresh"), None), file) == [file]


def test_touching_a_file_or_saving_it_as_it_was_is_no_save(file: Path) -> None:
    with pytest.raises(TimeoutError):
        waited(Clock(lambda: os.utime(file, (1, 1)), None, writes(file, "one"), None), file)


def test_what_is_saved_while_it_was_being_used_is_seen_afterwards(file: Path, tmp_path: Path) -> None:
    saves = Saves(Clock(None, None))
    saves.follow([file])
    file.write_text("two, during the run")
    other = tmp_path / "other.md"
    saves.follow([file, other])
    assert saves.files == [file, other]
    assert saves.wait() == [file]
    saves.follow([other])
    assert saves.files == [other]


def test_a_folder_and_a_file_that_is_not_there_are_none_that_change(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        waited(Clock(None), tmp_path, tmp_path / "absent")


def test_it_sleeps_for_as_long_as_it_was_told_and_does_not_wait_for_ever(file: Path) -> None:
    slept: list[float] = []

    def pause(seconds: float) -> None:
        slept.append(seconds)
        file.write_text("x" * len(slept))

    saves = Saves(pause, seconds=7.0)
    saves.follow([file])
    assert saves.wait() == [file]
    assert slept == [7.0] * (1 + LOOKS)
