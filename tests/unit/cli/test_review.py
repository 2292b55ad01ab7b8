"""`--review` in the terminal: what is asked, what each answer does, and what never reaches the run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from promptprop.cli.progress import Silence
from promptprop.cli.review import TerminalReviewer, override_of, require_reviewer
from promptprop.cli.shell import Shell
from promptprop.domain.budget import RoleSpend, Spend
from promptprop.domain.errors import UsageError
from promptprop.domain.events import CapRaised, Estimate, Event, NoteLeft, ScoreOverridden
from promptprop.domain.models import Candidate, Critique, Hypothesis, Prompt
from promptprop.domain.people import ReviewRequest, Ruling

PARENT = Candidate({"main": Prompt.of("Label it.\n\n{{ text }}")})
REWRITE = Candidate(
    {"main": Prompt.of("Label it with one word.\n\n{{ text }}")}, hypothesis=Hypothesis("causes", "one word helps")
)
REQUEST = ReviewRequest(
    2, REWRITE, PARENT, (Critique("main", "answers are chatty", "say: one word"),), Estimate(0.2, 0.1, 0.3, 12),
    Estimate(0.1, -0.1, 0.3, 10), Spend({"task": RoleSpend(calls=40)}), frozenset({"r1", "r2"}),
)  # fmt: skip


def answered(*lines: str, requests: Sequence[ReviewRequest] = (REQUEST,)) -> list[Ruling]:
    """The rulings on requests, until each is a real one; `lines` are what the person types."""
    typed = [f"{line}\n" for line in lines]
    reviewer = TerminalReviewer(Shell(asks=True, colour=False), Silence(), lambda: typed.pop(0) if typed else "")
    rulings: list[Ruling] = []

    async def decide() -> None:
        for request in requests:
            rulings.append(await reviewer.decide(request))
            while rulings[-1].action == "again":
                rulings.append(await reviewer.decide(request))

    asyncio.run(decide())
    return rulings


def besides(*lines: str) -> list[Event]:
    return [event for ruling in answered(*lines, "a") for event in ruling.besides]


def test_the_rewrite_is_shown_with_its_causes_changes_and_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    answered("a")
    shown = capsys.readouterr().err
    for said in ("adopt this rewrite?", "+Label it with one word.", "answers are chatty → say: one word",
                 "+20.0 [10.0, 30.0] points on 12 train rows", "+10.0 [-10.0, 30.0] points on 10 select rows",
                 "40 calls", "one word helps"):  # fmt: skip
        assert said in shown


@pytest.mark.parametrize("word", ["a", "approve", "Y", "yes"])
def test_approval(word: str) -> None:
    assert answered(word) == [Ruling("approve")]


def test_a_refusal_carries_its_reason() -> None:
    assert answered("r", "it is rude") == [Ruling("refuse", reason="it is rude")]


def test_all_approves_what_comes_later_without_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered("all", requests=[REQUEST] * 3) == [Ruling("approve")] * 3
    assert capsys.readouterr().err.count("adopt this rewrite?") == 1


@pytest.mark.parametrize("lines", [("p",), (), ("r",), ("n",)])
def test_pause_and_the_end_of_the_input_decide_nothing(lines: tuple[str, ...]) -> None:
    with pytest.raises(asyncio.CancelledError):
        answered(*lines)


def test_notes_scores_and_caps_are_handed_over_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert besides("n", "Be brief.") == [NoteLeft("Be brief.")]
    assert besides("s", "r1=0.5 half right") == [ScoreOverridden(REWRITE.id, "r1", 0.5, "half right")]
    assert besides("c", "500") == [CapRaised({"calls": 500})]
    assert capsys.readouterr().err.count("adopt this rewrite?") == 3, "each rewrite is shown once"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("s", "r1=2 too much"), "a score from 0 to 1"),
        (("s", "r1=1"), "a reason"),
        (("s", "t9=1 sealed"), "no row of train or select"),
        (("c", "40"), "above 40"),
        (("c", "many"), "above 40"),
        (("x",), "one of a, e, r"),
        (("n", "  "), ""),
    ],
)
def test_what_cannot_be_used_is_said_and_asked_again(
    lines: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert besides(*lines) == []
    assert said in capsys.readouterr().err


def editor(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = folder / "editor.sh"
    command.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    command.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(command))


def test_the_editor_makes_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(tmp_path, monkeypatch, 'sed -i "s/one word/ONE word/" "$1"')
    assert answered("e", "louder") == [
        Ruling("edit", {"main": "Label it with ONE word.\n\n{{ text }}"}, "louder")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("true", "nothing was changed"),
        ("exit 3", "left as it was"),
        ('sed -i "s/{{ text }}/text/" "$1"', "that cannot stand"),
        (': > "$1"', "that cannot stand"),
    ],
)
def test_an_edit_that_changes_nothing_or_breaks_the_prompt_is_asked_again(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor(tmp_path, monkeypatch, script)
    assert answered("e", "a") == [Ruling("approve")]
    assert said in capsys.readouterr().err


def test_an_editor_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISUAL", "no-such-editor --wait")
    assert answered("e", "a") == [Ruling("approve")]
    assert "no-such-editor cannot be started" in capsys.readouterr().err


def test_an_override_names_cell_score_and_reason() -> None:
    assert override_of("3f2a:r17=1 the label is wrong") == ScoreOverridden("3f2a", "r17", 1.0, "the label is wrong")


@pytest.mark.parametrize(
    "text", ["", "3f2a:r17=1", "3f2a:r17=2 no", "r17=1 why", ":r=1 why", "3f2a:=1 why", "a:b=x why"]
)
def test_an_override_that_lacks_something_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="CANDIDATE:ROW=SCORE REASON"):
        override_of(text)


def test_nobody_to_ask_is_an_error_before_anything_is_spent() -> None:
    from promptprop.domain.config import OptimizerConfig, RunConfig

    config = RunConfig.model_construct(optimizer=OptimizerConfig(name="backprop"))
    require_reviewer(Shell(asks=True), config)
    with pytest.raises(UsageError, match="needs a terminal"):
        require_reviewer(Shell(asks=False), config)
    with pytest.raises(UsageError, match="gepa asks nobody"):
        require_reviewer(Shell(asks=True), RunConfig.model_construct(optimizer=OptimizerConfig(name="gepa")))
