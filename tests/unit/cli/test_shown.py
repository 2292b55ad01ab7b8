"""What people see: the summary at 80 columns, progress off a terminal, and text that cannot harm a terminal."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.report_markdown import render_markdown
from promptprop.adapters.files.report_words import gain, score, stop_sentence, verdict_sentence
from promptprop.cli.drawing import console_for, diff_text, print_all, wants_colour
from promptprop.cli.plain import safe
from promptprop.cli.progress import LINE_SECONDS, Lines, paused
from promptprop.cli.summary import summary_parts
from promptprop.domain import events as facts
from promptprop.domain.events import Estimate, Event, StoredEvent
from promptprop.domain.history import fold
from promptprop.domain.models import Candidate, Hypothesis, Prompt
from promptprop.domain.report import SIMULATED_NOTE, Report, estimate_json, report_of
from promptprop.ports import Tick

GOLDEN = Path(__file__).parent / "golden"
SEED = Candidate({"main": Prompt.of("Label the message.\n\n{{ text }}")})
WINNER = Candidate(
    {"main": Prompt.of("Label the message with one word.\nRefunds go to billing.\n\n{{ text }}")},
    parents=(SEED.id,),
    hypothesis=Hypothesis("cause", "Adds: refunds go to \x1b[31mbilling\x1b[0m\u202e, one word"),
)
SPEND = {
    "critic": {"calls": 4, "prompt_tokens": 900, "completion_tokens": 100, "picousd": 2_500_000_000},
    "task": {"calls": 1234, "prompt_tokens": 90_000, "completion_tokens": 2_000, "picousd": 456_000_000_000, "hits": 7},
}


def stored(*events: Event) -> list[StoredEvent]:
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    meta = {"spend": SPEND, "active_seconds": 63.0}
    return [StoredEvent("3f2a9c1b" + "0" * 24, seq, at, event, meta) for seq, event in enumerate(events, start=1)]


def facts_of_a_run(verdict: facts.Verdict = "better") -> list[Event]:
    delta = Estimate(0.582, 0.467, 0.698, 79) if verdict == "better" else Estimate(0.031, -0.02, 0.081, 79)
    return [
        facts.RunStarted(
            "router", "optimize", "backprop", 7, {"train": 106, "select": 56, "confirm": 24, "test": 79},
            {"task": "offline/task"}, {"calls": 4000, "tokens": None, "usd": "5", "seconds": 600}, True,
        ),
        facts.CandidateProposed(0, SEED.id, (), "seed", "the prompt as it was given", SEED.length),
        facts.HeadroomMeasured(Estimate(0.5, 0.3, 0.7, 20), 0.0, 0, 10, "room"),
        facts.RoundStarted(1, SEED.id, "best"),
        facts.CandidateProposed(1, WINNER.id, (SEED.id,), "cause", WINNER.hypothesis.text, WINNER.length),
        facts.CandidateScreened(1, WINNER.id, Estimate(0.25, 0.0, 0.5, 12), True),
        facts.CandidateRaced(1, WINNER.id, SEED.id, Estimate(0.312, 0.101, 0.523, 56), "promoted"),
        facts.RoundEnded(1, WINNER.id, Estimate(0.86, 0.75, 0.93, 56), 1),
        *(facts.RoundEnded(number, WINNER.id, Estimate(0.86, 0.75, 0.93, 56), 0) for number in (2, 3, 4)),
        facts.LabelsSuspected(4, ("s031", "s067")),
        facts.SearchEnded("no promotion", 4, 9),
        facts.CandidateScored(0, SEED.id, "select", Estimate(0.482, 0.357, 0.61, 56)),
        facts.CandidateScored(0, WINNER.id, "select", Estimate(0.86, 0.75, 0.93, 56)),
        facts.WinnerTested(
            SEED.id, WINNER.id, Estimate(0.354, 0.258, 0.464, 79), Estimate(0.937, 0.86, 0.973, 79), delta, 0.0004,
            verdict,
        ),
        facts.RunFinished("no promotion"),
    ]  # fmt: skip


def report(*events: Event) -> Report:
    return report_of(fold(stored(*events)), {SEED.id: SEED, WINNER.id: WINNER})


def page(found: Report, width: int = 80) -> str:
    stream = io.StringIO()
    paths = {"prompt": ".promptprop/runs/3f2a9c1b/prompt.md", "report": ".promptprop/runs/3f2a9c1b/report.md"}
    print_all(console_for(stream, colour=False, width=width), summary_parts(found, paths))
    return stream.getvalue()


def same_as_golden(name: str, text: str) -> None:
    """Compare with a kept page; GOLDEN=write keeps the new one."""
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def test_the_summary_looks_as_it_did() -> None:
    same_as_golden("summary.txt", page(report(*facts_of_a_run())))


def test_the_report_in_markdown_looks_as_it_did() -> None:
    same_as_golden("report.md", render_markdown(report(*facts_of_a_run())))


def test_the_summary_fits_narrow_terminals_and_says_that_it_is_simulated() -> None:
    text = page(report(*facts_of_a_run()), width=40)
    assert "better: +58.2 points" in " ".join(text.split())
    assert SIMULATED_NOTE.split(":")[0] in " ".join(text.split())
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_gain_that_is_not_proven_is_said_so() -> None:
    found = report(*facts_of_a_run("no proven gain"))
    assert verdict_sentence(found) == "no proven gain: +3.1 points [-2.0, 8.1] on 79 sealed rows"
    assert "no proven gain" in page(found)


def test_a_run_that_stopped_says_why_and_how_to_go_on() -> None:
    begun = facts_of_a_run()[:8]
    found = report(*begun, facts.RunStopped("interrupted"))
    text = page(found)
    assert "it was interrupted" in text
    assert "promptprop runs resume 3f2a9c1b" in text
    assert "untested" in text
    assert "nothing is claimed" in render_markdown(found)


def test_a_run_that_rows_failed_says_how_to_ask_them_again() -> None:
    text = page(report(*facts_of_a_run()[:8], facts.RunStopped("errors", "5 of 5")))
    assert "promptprop runs resume 3f2a9c1b --retry-errors" in " ".join(text.split())


def test_a_run_that_failed_asks_failed_calls_again_only_where_there_are_any() -> None:
    found = report(*facts_of_a_run()[:8], facts.RunStopped("failed", "the provider answers nothing"))
    assert "--retry-errors" not in page(found)
    text = page(replace(found, failed_calls=2))
    assert "promptprop runs resume 3f2a9c1b --retry-errors" in " ".join(text.split())


def test_a_search_without_a_rewrite_does_not_claim_that_one_failed() -> None:
    begun = [one for one in facts_of_a_run() if getattr(one, "candidate_id", "") != WINNER.id][:3]
    nothing = Estimate(0.0, 0.0, 0.0, 79)
    tested = facts.WinnerTested(SEED.id, SEED.id, nothing, nothing, nothing, 1.0, "unchanged")
    found = report(*begun, facts.SearchEnded("calls", 0, 0), tested, facts.RunFinished("budget"))
    assert verdict_sentence(found) == "unchanged: the search came to no rewrite, so the seed stays"


def test_unknown_prices_are_not_shown_as_no_money() -> None:
    unpriced = {"task": {"calls": 3, "prompt_tokens": 9, "completion_tokens": 9, "picousd": 0, "unpriced": 3}}
    events = [replace(one, meta={"spend": unpriced}) for one in stored(*facts_of_a_run())]
    found = report_of(fold(events), {SEED.id: SEED, WINNER.id: WINNER})
    assert "$0" not in page(found)
    assert "$0" not in render_markdown(found)
    assert "3 calls of unknown price" in render_markdown(found)


def test_unconfirmed_calls_are_shown_where_there_are_any() -> None:
    assert "unconfirmed" not in page(report(*facts_of_a_run()))
    events = stored(*facts_of_a_run())
    spend = {"task": {**SPEND["task"], "unconfirmed": 2}}
    found = report_of(fold([replace(one, meta={"spend": spend}) for one in events]), {SEED.id: SEED, WINNER.id: WINNER})
    assert "unconfirmed" in page(found)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("no promotion", "three rounds without a promotion"),
        ("calls", "the budget of calls (4,000 calls)"),
        ("usd", "the budget of money ($5.00)"),
        ("perfect", "nothing to gain"),
    ],
)
def test_reasons_to_stop_are_told_in_words(reason: str, said: str) -> None:
    events = [
        facts.SearchEnded(reason, 4, 9) if isinstance(one, facts.SearchEnded) else one for one in facts_of_a_run()
    ]
    assert said in stop_sentence(report(*events).history)


def test_a_diff_marks_words_where_lines_are_alike() -> None:
    stream = io.StringIO()
    console = console_for(stream, colour=False, width=80)
    print_all(console, [diff_text("be kind to all\nend", "be very kind to all\nend", "a", "b")])
    assert stream.getvalue() == "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-be kind to all\n+be very kind to all\n end\n"
    spans = diff_text("be kind to all", "be very kind to all").spans
    assert any("reverse" in str(span.style) for span in spans)


def test_a_diff_of_nothing_is_empty() -> None:
    assert diff_text("same", "same").plain == ""


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[]()m;0\x07\x9b\u202e\u2066\r\n\\P^_"))))
def test_no_text_can_command_a_terminal(text: str) -> None:
    shown = safe(text)
    assert not set(shown) & set("\x1b\x07\x9b\x9d\x00\x7f\u202e\u2066\r\x08")
    assert safe(shown) == shown


def test_colour_depends_on_flag_environment_and_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wants_colour(io.StringIO())
    assert not wants_colour(io.StringIO(), allowed=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(io.StringIO())


@pytest.fixture
def lines_and_clock() -> tuple[list[str], list[float], Lines]:
    told: list[str] = []
    now = [0.0]
    return told, now, Lines(told.append, lambda: now[0])


def test_off_a_terminal_each_round_is_a_line_and_each_half_minute(
    lines_and_clock: tuple[list[str], list[float], Lines],
) -> None:
    told, now, lines = lines_and_clock
    events = stored(*facts_of_a_run())
    for event in events[:5]:
        lines.accept(event)
    assert len(told) == 1
    assert told[0].startswith("headroom: the seed scores 0.500")
    tick = Tick("run", "evaluating", 3, 40, fold(events).spend)
    lines.tick(tick)
    assert len(told) == 1
    now[0] = LINE_SECONDS
    lines.tick(tick)
    lines.tick(tick)
    assert told[1:] == [told[1]]
    assert told[1].startswith("round 1 · evaluating 3/40 · 1,238/4,000 calls · $0.46/$5.00 · 1:33/10:00")
    lines.accept(events[7])
    assert told[2].startswith("round 1: best 0.860 [0.75, 0.93] on select, 1 of 1 promoted")


def test_a_score_on_no_row_is_a_dash_and_null_and_no_nought() -> None:
    nothing = Estimate(0.0, 0.0, 1.0, 0)
    assert (score(nothing), gain(nothing)) == ("–", "–")
    assert estimate_json(nothing) == {"mean": None, "low": None, "high": None, "n": 0}


def test_a_pause_says_whether_the_provider_asked_for_it() -> None:
    mute = facts.EndpointPaused("task", "openai/m", "provider_unavailable", "500", 45.0)
    assert paused(mute, 40.0).endswith("answers nothing: 500; trying again, gives up in 40 s")
    asked = replace(mute, error="rate_limited", message="slow\ndown", seconds=20.0, retry_after=20.0)
    said = "paused: task (openai/m) asks to be left alone for 20 s: slow down; asked again in 12 s"
    assert paused(asked, 12.0) == said
    assert facts.event_of("endpoint_paused", facts.body_of(asked)) == asked
    before = {key: value for key, value in facts.body_of(mute).items() if key != "retry_after"}
    assert facts.event_of("endpoint_paused", before) == mute
