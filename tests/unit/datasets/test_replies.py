"""The letters that want a reply: what their data card says, and that the world behind them can be learned."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from promptprop.adapters.models.offline.meaning import reader_of
from promptprop.adapters.models.offline.task import shown_as, true_score
from promptprop.adapters.models.offline.worldfile import load_world

ROOT = Path(__file__).parents[3]
ROWS = [json.loads(line) for line in (ROOT / "datasets" / "replies.jsonl").read_text("utf-8").splitlines()]
WORLD = load_world(ROOT / "datasets" / "replies.world.yaml")
SEED = (ROOT / "configs" / "prompts" / "replies.md").read_text("utf-8")


def test_there_are_a_hundred_and_fifty_letters_and_no_two_are_alike() -> None:
    assert [row["id"] for row in ROWS] == [f"w{number:03}" for number in range(1, 151)]
    assert len({row["text"] for row in ROWS}) == 150


def test_a_reply_greets_whoever_wrote_and_closes_as_the_house_does() -> None:
    for row in ROWS:
        greeting, *_, question, closing = row["reference"].splitlines()
        name = greeting.removeprefix("Dear ").removesuffix(",")
        assert row["text"].endswith(name), row["id"]
        assert question == "Is there anything else we can do for you?"
        assert closing == "Ride safely, the Wheelhouse team"
        assert len(row["reference"].splitlines()) in (4, 5), row["id"]


def test_tags_are_the_rules_that_a_row_needs() -> None:
    for row in ROWS:
        needs = set(WORLD.rows[row["id"]].needs) - {"sign-off"}
        assert set(row["tags"]) == (needs or {"plain"}), row["id"]


def test_the_data_card_names_every_rule_and_what_the_seed_scores() -> None:
    card = (ROOT / "datasets" / "README.md").read_text("utf-8")
    for rule in WORLD.rules:
        assert f"`{rule}`" in card
    assert "150 letters" in card
    best = SEED + "\n".join(rule.says[0] for rule in WORLD.rules.values())
    assert f"{true_score(WORLD, SEED):.2f}".lstrip("0") == ".57"
    assert f"{true_score(WORLD, best):.2f}".lstrip("0") == ".99"


def test_the_seed_states_no_rule_and_each_rule_is_needed_often_enough_to_be_seen() -> None:
    assert not reader_of(WORLD).stated(SEED).rules
    counted = Counter(rule for row in WORLD.rows.values() for rule in row.needs)
    assert set(counted) == set(WORLD.rules)
    assert min(counted.values()) >= 10


def test_a_rule_shows_in_the_letters_that_need_it() -> None:
    reader = reader_of(WORLD)
    for key, row in WORLD.rows.items():
        assert set(row.needs) <= reader.at_stake(str(row.inputs["text"])), key


def test_a_trap_costs_what_a_fall_calls_for_and_is_a_hard_negative() -> None:
    (trap,) = WORLD.traps.values()
    hard = {row["id"] for row in ROWS if "We are not liable for accidents." in row.get("hard_negatives", [])}
    assert set(trap.breaks) == hard
    best = SEED + "\n".join(rule.says[0] for rule in WORLD.rules.values())
    for prompt in (SEED, best):
        assert true_score(WORLD, f"{prompt}\n{trap.says[0]}", hard) <= true_score(WORLD, prompt, hard)
    assert true_score(WORLD, f"{best}\n{trap.says[0]}", hard) < true_score(WORLD, best, hard) - 0.1


def test_the_reference_is_what_the_world_holds_right() -> None:
    for row in ROWS:
        assert shown_as(WORLD, WORLD.rows[row["id"]].right) == row["reference"]
