"""The report: its documented shape in every state of a run, money to the last digit, and diffs that lose nothing."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from event_strategies import NOW, runs
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain import events as facts
from promptprop.domain.budget import RoleSpend, Spend
from promptprop.domain.events import Estimate, Event, StoredEvent, Verdict
from promptprop.domain.history import History, fold
from promptprop.domain.models import PICO, Candidate, Json, Prompt
from promptprop.domain.report import estimate_json, line_diff, report_json, report_of, spend_json, usd, word_diff

SEED = Candidate({"main": Prompt.of("Route: {{ text }}")})
CHILD = Candidate({"main": Prompt.of("Route to one desk: {{ text }}")}, parents=(SEED.id,))
CANDIDATES = {SEED.id: SEED, CHILD.id: CHILD}
LOW, HIGH, GAIN = Estimate(0.5, 0.4, 0.6, 40), Estimate(0.8, 0.7, 0.9, 40), Estimate(0.3, 0.1, 0.5, 40)
STARTED = facts.RunStarted("name", "optimize", "backprop", 7, {"train": 9}, {"task": "m"}, {"usd": "1.5"}, True)
PROPOSED = facts.CandidateProposed(0, SEED.id, (), "seed", "as given", SEED.length)
CHILD_PROPOSED = facts.CandidateProposed(1, CHILD.id, (SEED.id,), "cause", "names the desk", CHILD.length)
KEYS = {
    "run_id", "name", "activity", "status", "stop_reason", "search_ended", "detail", "verdict", "simulated",
    "random_seed", "optimizer", "rows", "models", "seed", "winner", "changed", "delta", "p_value", "rounds",
    "candidates", "origin", "breakdown", "screening", "reviews", "overrides",
    "notes_left", "earlier_looks", "rubric", "suspect_labels", "refused", "spend", "active_seconds", "paths",
}  # fmt: skip
STANDING = {"id", "prompt", "length", "select", "test", "usd_per_1000_rows"}
SPEND = {
    "calls", "tokens", "prompt_tokens", "completion_tokens", "usd", "hits", "unconfirmed_calls", "unconfirmed_tokens",
    "unpriced_calls",
}  # fmt: skip


def history_of(*events: Event) -> History:
    return fold(StoredEvent("run-1", seq, NOW, event) for seq, event in enumerate(events, start=1))


def outcome_with(winner: Candidate, verdict: Verdict) -> facts.WinnerTested:
    score = HIGH if winner is CHILD else LOW
    delta = GAIN if winner is CHILD else Estimate(0.0, 0.0, 0.0, 40)
    return facts.WinnerTested(SEED.id, winner.id, LOW, score, delta, 0.001, verdict)


PROMOTED = facts.CandidateRaced(1, CHILD.id, SEED.id, GAIN, "promoted")
DROPPED = facts.ProposalDropped(1, "format", "too long")
STATES: dict[str, list[Event]] = {
    "no events": [],
    "started": [STARTED],
    "running": [STARTED, PROPOSED, CHILD_PROPOSED, facts.RoundEnded(1, CHILD.id, HIGH, 1)],
    "stopped": [STARTED, PROPOSED, facts.RunStopped("interrupted", "Ctrl-C")],
    "finished": [
        STARTED, PROPOSED, CHILD_PROPOSED, DROPPED, facts.LabelsSuspected(1, ("r1",)), PROMOTED,
        facts.CandidateScored(1, CHILD.id, "select", HIGH, 1, {"label": 0.8}), outcome_with(CHILD, "better"),
        facts.RunFinished("done"),
    ],
    "unchanged": [STARTED, PROPOSED, outcome_with(SEED, "unchanged"), facts.RunFinished("done")],
}  # fmt: skip


def shown(state: str) -> Json:
    """The report of a run in this state, on its way through JSON that knows no NaN."""
    report = report_of(history_of(*STATES[state]), CANDIDATES, {SEED.id: Decimal("0.42")})
    return json.loads(json.dumps(report_json(report, {"html": "out.html"}), allow_nan=False))


@pytest.mark.parametrize("state", STATES)
def test_the_documented_keys_are_there_in_every_state(state: str) -> None:
    found = shown(state)
    assert set(found) == KEYS
    assert set(found["seed"]) == set(found["winner"]) == STANDING
    assert set(found["spend"]["total"]) == SPEND
    assert found["paths"] == {"html": "out.html"}


@given(runs())
def test_no_history_breaks_the_report(events: list[StoredEvent]) -> None:
    assert set(json.loads(json.dumps(report_json(report_of(fold(events), {})), allow_nan=False))) == KEYS


@pytest.mark.parametrize(
    ("state", "verdict", "status", "changed"),
    [
        ("no events", "untested", "created", False),
        ("started", "untested", "running", False),
        ("running", "untested", "running", True),
        ("stopped", "untested", "stopped", False),
        ("finished", "better", "finished", True),
        ("unchanged", "unchanged", "finished", False),
    ],
)
def test_the_verdict_is_what_the_sealed_test_said(state: str, verdict: str, status: str, changed: bool) -> None:
    found = shown(state)
    assert (found["verdict"], found["status"], found["changed"]) == (verdict, status, changed)
    assert (found["delta"] is None) == (verdict == "untested")
    assert (found["p_value"] is None) == (verdict == "untested")


def test_seed_and_winner_stand_with_their_texts_and_scores() -> None:
    found = shown("finished")
    assert found["seed"] == {
        "id": SEED.id, "prompt": SEED.text, "length": SEED.length, "select": None, "test": estimate_json(LOW),
        "usd_per_1000_rows": "0.42",
    }  # fmt: skip
    assert (found["winner"]["prompt"], found["winner"]["select"]) == (CHILD.text, estimate_json(HIGH))
    assert found["delta"] == {"mean": 0.3, "low": 0.1, "high": 0.5, "n": 40}
    assert found["refused"] == [{"round": 1, "hypothesis": "format", "reason": "too long"}]
    assert found["suspect_labels"] == ["r1"]
    assert [record["state"] for record in found["candidates"]] == ["seed", "promoted"]


def test_what_was_learned_are_the_promoted_candidates() -> None:
    report = report_of(history_of(*STATES["finished"]), CANDIDATES)
    assert [record.id for record in report.learned] == [CHILD.id]


def test_a_candidate_whose_text_is_not_known_keeps_the_length_of_its_event() -> None:
    report = report_of(history_of(*STATES["finished"]), {})
    assert (report.winner.prompt, report.winner.length) == ("", CHILD.length)


def test_spend_sums_over_the_roles() -> None:
    task = RoleSpend(calls=5, prompt_tokens=50, completion_tokens=5, picousd=PICO // 2, hits=2, unpriced=1)
    critic = RoleSpend(calls=1, prompt_tokens=10, picousd=1, unconfirmed=1, unconfirmed_tokens=7)
    found = spend_json(History(spend=Spend({"task": task, "critic": critic})))
    assert found["total"] == {
        "calls": 6, "tokens": 72, "usd": "0.500000000001", "prompt_tokens": 60, "completion_tokens": 5, "hits": 2,
        "unconfirmed_calls": 1, "unconfirmed_tokens": 7, "unpriced_calls": 1,
    }  # fmt: skip
    assert list(found["roles"]) == ["critic", "task"]
    assert set(found["roles"]["task"]) == SPEND
    assert found["roles"]["task"]["usd"] == "0.50"


def test_money_of_which_nothing_is_known_is_not_told_as_a_number() -> None:
    found = spend_json(History(spend=Spend({"task": RoleSpend(calls=2, unpriced=2), "critic": RoleSpend(calls=1)})))
    assert (found["total"]["usd"], found["roles"]["task"]["usd"], found["roles"]["critic"]["usd"]) == (
        None,
        None,
        "0.00",
    )


@pytest.mark.parametrize(
    ("picousd", "text"),
    [(0, "0.00"), (1, "0.000000000001"), (PICO, "1.00"), (PICO // 10, "0.10"), (12_345 * PICO, "12345.00"),
     (1_234_500_000_000, "1.2345"), (-PICO // 4, "-0.25")],
)  # fmt: skip
def test_money_is_shown_to_the_last_digit(picousd: int, text: str) -> None:
    assert usd(picousd) == text


@given(st.integers(0, 10**24))
def test_money_reads_back_exactly(picousd: int) -> None:
    assert Decimal(usd(picousd)).scaleb(12) == picousd


def patched(before: str, diff: list[str]) -> list[str]:
    """The lines of `before` with a unified diff applied."""
    old, new, at = before.splitlines(), list[str](), 0
    for line in diff[2:]:
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            first = int(start) - (0 if length == "0" else 1)
            new += old[at:first]
            at = first
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            assert old[at] == line[1:]
            new += [line[1:]] if line.startswith(" ") else []
            at += 1
    return new + old[at:]


LINES = st.lists(st.text("ab +-@", max_size=4), max_size=12).map("\n".join)


@given(LINES, LINES)
def test_a_diff_by_lines_turns_one_text_into_the_other(before: str, after: str) -> None:
    diff = line_diff(before, after)
    assert patched(before, diff) == after.splitlines()
    assert bool(diff) == (before.splitlines() != after.splitlines())


@given(st.text("ab \n\t\u3000", max_size=30), st.text("ab \n\t\u3000", max_size=30))
def test_a_diff_by_words_rebuilds_both_texts(before: str, after: str) -> None:
    changes = word_diff(before, after)
    assert "".join(text for kind, text in changes if kind != "added") == before
    assert "".join(text for kind, text in changes if kind != "removed") == after
    assert all(text for _, text in changes)


@given(st.text(max_size=30))
def test_equal_texts_have_no_difference(text: str) -> None:
    assert line_diff(text, text) == []
    assert {kind for kind, _ in word_diff(text, text)} <= {"same"}
