"""The shipped datasets keep what their data card and their world files promise."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from rapidfuzz import fuzz, process, utils

ROOT = Path(__file__).parents[3]
DATASETS = ROOT / "datasets"
SETS = ("support", "invoices")
DESKS = {"billing", "delivery", "returns", "account", "security", "technical", "sales"}
# fmt: off
SUPPORT_TAGS = {
    "app", "b2b", "code", "device", "exchange", "fraud", "invoice", "login", "mail", "order", "parcel", "payment",
    "phone", "price", "profile", "refund", "stock", "subscription", "website", "angry", "long", "mixed",
    "multilingual", "must-pass", "polite", "terse", "typos", "worried",
}
INVOICE_TAGS = {
    "chat", "email", "forwarded", "letter", "note", "voice-memo", "credit", "foreign", "k-amount", "leading-zeros",
    "local-dollar", "long", "no-due", "no-po", "own-ref", "reminder", "terse", "two-amounts", "typos", "us-date",
}
# fmt: on

Row = Mapping[str, Any]
Groups = Sequence[Sequence[str]]


def read_rows(name: str) -> list[dict[str, Any]]:
    """The rows of `datasets/NAME.jsonl`, in file order."""
    lines = (DATASETS / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_world(name: str) -> dict[str, Any]:
    """The world beside `datasets/NAME.jsonl`."""
    world: dict[str, Any] = yaml.safe_load((DATASETS / f"{name}.world.yaml").read_text("utf-8"))
    return world


def read_seed(name: str) -> str:
    """The seed prompt of a set."""
    return (ROOT / "configs" / "prompts" / f"{name}.md").read_text("utf-8")


def contains(text: str, phrase: str) -> bool:
    """Whether a phrase starts at the start of a word of the text, in any case."""
    return re.search(rf"(?<!\w){re.escape(phrase)}", text, re.IGNORECASE) is not None


def states(text: str, groups: Groups) -> bool:
    """Whether one line or sentence of the text holds a phrase of every group."""
    sentences = re.split(r"\n|(?<=[.!?])\s", text)
    return any(all(any(contains(part, phrase) for phrase in group) for group in groups) for part in sentences)


def statements(world: Row) -> Iterator[tuple[str, Sequence[str], Groups]]:
    """Everything that a prompt can state: id, paraphrases and groups of the rules, the traps and the format."""
    for entry in [*world["rules"], *world["traps"], {"id": "format", **world["format"]}]:
        yield entry["id"], entry["says"], entry["shown_by"]


ROWS = {name: read_rows(name) for name in SETS}
WORLDS = {name: read_world(name) for name in SETS}


def test_support_has_enough_rows_and_every_desk_has_its_share() -> None:
    rows = ROWS["support"]
    assert len(rows) >= 240
    counts = Counter(row["label"] for row in rows)
    assert set(counts) == DESKS == set(WORLDS["support"]["answers"])
    assert min(counts.values()) >= 25


def test_invoices_has_enough_rows() -> None:
    assert len(ROWS["invoices"]) >= 130


@pytest.mark.parametrize("name", SETS)
def test_ids_are_unique_and_ascend(name: str) -> None:
    ids = [row["id"] for row in ROWS[name]]
    assert ids == [f"{name[0]}{number:03}" for number in range(1, len(ids) + 1)]


def test_support_messages_have_four_to_ninety_words() -> None:
    lengths = {row["id"]: len(row["text"].split()) for row in ROWS["support"]}
    assert {key: length for key, length in lengths.items() if not 4 <= length <= 90} == {}
    assert min(lengths.values()) <= 6
    assert max(lengths.values()) >= 80


def test_support_rows_carry_a_customer_known_tags_and_wellformed_negatives() -> None:
    for row in ROWS["support"]:
        assert set(row) <= {"id", "text", "label", "customer", "tags", "soft_negatives", "hard_negatives"}, row["id"]
        assert re.fullmatch(r"c\d{3}", row["customer"]), row["id"]
        assert row["tags"], row["id"]
        assert len(set(row["tags"])) == len(row["tags"]), row["id"]
        assert set(row["tags"]) <= SUPPORT_TAGS, row["id"]
        for negative in row.get("soft_negatives", []):
            assert negative in DESKS - {row["label"]}, row["id"]
        for negative in row.get("hard_negatives", []):
            literal = negative["literal"] if isinstance(negative, dict) else None
            assert literal in DESKS - {row["label"]} if literal else len(negative) > 15, row["id"]


def test_every_tag_of_the_data_card_is_in_use() -> None:
    assert {tag for row in ROWS["support"] for tag in row["tags"]} == SUPPORT_TAGS
    assert {tag for row in ROWS["invoices"] for tag in row["tags"]} == INVOICE_TAGS
    card = (DATASETS / "README.md").read_text("utf-8")
    assert [tag for tag in sorted(SUPPORT_TAGS | INVOICE_TAGS) if f"`{tag}`" not in card] == []


def test_the_data_card_counts_what_is_there() -> None:
    card = (DATASETS / "README.md").read_text("utf-8")
    for label, count in Counter(row["label"] for row in ROWS["support"]).items():
        assert re.search(rf"\| `{label}` \| {count} \|", card), (label, count)
    for name in SETS:
        assert f"{len(ROWS[name])} rows" in card
        for rule in WORLDS[name]["rules"]:
            count = sum(rule["id"] in needed for needed in WORLDS[name]["needs"].values())
            assert re.search(rf"\| `{rule['id']}` \| {count} \|", card), (rule["id"], count)


def test_many_support_rows_have_negatives_of_each_kind() -> None:
    rows = ROWS["support"]
    assert sum("soft_negatives" in row for row in rows) >= 60
    hard = [negative for row in rows for negative in row.get("hard_negatives", [])]
    assert sum(isinstance(negative, dict) for negative in hard) >= 20
    assert sum(isinstance(negative, str) for negative in hard) >= 8
    assert sum("must-pass" in row["tags"] for row in rows) >= 6


@pytest.mark.parametrize(("name", "column", "fewest"), [("support", "customer", 15), ("invoices", "cluster", 2)])
def test_some_clusters_hold_two_to_four_messages(name: str, column: str, fewest: int) -> None:
    sizes = Counter(row[column] for row in ROWS[name] if column in row)
    assert set(sizes.values()) <= {1, 2, 3, 4}
    assert sum(size > 1 for size in sizes.values()) >= fewest


def test_invoice_answers_fit_their_schema() -> None:
    schema = json.loads((DATASETS / "invoices.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for row in ROWS["invoices"]:
        assert set(row) <= {"id", "text", "expected", "tags", "cluster"}, row["id"]
        assert set(row["tags"]) <= INVOICE_TAGS, row["id"]
        validator.validate(row["expected"])
        if row["expected"]["due_date"]:
            date.fromisoformat(row["expected"]["due_date"])


def test_invoice_tags_agree_with_the_answers() -> None:
    for row in ROWS["invoices"]:
        expected = row["expected"]
        assert ("no-due" in row["tags"]) == (expected["due_date"] is None), row["id"]
        assert ("no-po" in row["tags"]) == (expected["po_number"] is None), row["id"]
        assert ("credit" in row["tags"]) == (expected["amount"] < 0), row["id"]


def test_invoice_vendors_and_po_numbers_stand_in_their_messages() -> None:
    wrong = WORLDS["invoices"]["wrong_labels"]
    for row in ROWS["invoices"]:
        right = wrong.get(row["id"], row["expected"])
        assert right["vendor"].lower() in row["text"].lower(), row["id"]
        if right["po_number"] is not None:
            assert f"po {right['po_number']}".lower() in row["text"].lower(), row["id"]


@pytest.mark.parametrize(("name", "column"), [("support", "customer"), ("invoices", "cluster")])
def test_texts_are_not_near_duplicates_outside_a_cluster(name: str, column: str) -> None:
    rows = ROWS[name]
    texts = [row["text"] for row in rows]
    scores = process.cdist(texts, texts, scorer=fuzz.ratio, processor=utils.default_process)
    close = [
        (rows[a]["id"], rows[b]["id"])
        for a, b in combinations(range(len(rows)), 2)
        if scores[a][b] >= 92 and (rows[a].get(column) is None or rows[a].get(column) != rows[b].get(column))
    ]
    assert close == []


@pytest.mark.parametrize("name", SETS)
def test_a_world_names_its_data_and_its_columns(name: str) -> None:
    world = WORLDS[name]
    assert (world["version"], world["data"], world["inputs"]) == (1, f"{name}.jsonl", ["text"])
    assert world["task"] == {"support": "classify", "invoices": "extract"}[name]
    assert all(world["expected"] in row for row in ROWS[name])
    assert 0 < world["luck"] < world["skill"] <= 1
    assert set(world["rewriter"]) == {"able", "crowd", "forget", "mislabel", "bloat", "malformed"}


@pytest.mark.parametrize("name", SETS)
def test_needs_name_rows_and_rules_that_exist_and_answers_that_are_wrong(name: str) -> None:
    world = WORLDS[name]
    rows = {row["id"]: row for row in ROWS[name]}
    rules = {rule["id"] for rule in world["rules"]}
    for row_id, needed in world["needs"].items():
        expected = rows[row_id][world["expected"]]
        assert needed, row_id
        assert set(needed) <= rules, row_id
        for wrong in needed.values():
            if name == "support":
                assert wrong in DESKS - {expected}, row_id
            else:
                assert wrong, row_id
                assert all(expected[field] != value for field, value in wrong.items()), row_id


@pytest.mark.parametrize("name", SETS)
def test_every_rule_is_needed_by_enough_rows_and_a_good_part_of_the_rows_is_plain(name: str) -> None:
    world = WORLDS[name]
    counts = Counter(rule for needed in world["needs"].values() for rule in needed)
    assert set(counts) == {rule["id"] for rule in world["rules"]}
    assert min(counts.values()) >= 10
    assert max(counts.values()) <= 18
    assert 0.5 <= len(world["needs"]) / len(ROWS[name]) <= 0.65


@pytest.mark.parametrize("name", SETS)
def test_difficulties_and_wrong_labels_name_rows_that_exist(name: str) -> None:
    world = WORLDS[name]
    rows = {row["id"]: row for row in ROWS[name]}
    assert set(world["difficulty"]) <= set(rows)
    assert all(0.1 <= value <= 0.4 for value in world["difficulty"].values())
    assert len(world["wrong_labels"]) == {"support": 5, "invoices": 3}[name]
    for row_id, right in world["wrong_labels"].items():
        assert right != rows[row_id][world["expected"]]
        assert right in DESKS if name == "support" else set(right) == set(rows[row_id]["expected"])
        assert row_id not in world["needs"]


@pytest.mark.parametrize("name", SETS)
def test_traps_break_rows_that_exist_with_answers_that_are_wrong(name: str) -> None:
    world = WORLDS[name]
    rows = {row["id"]: row[world["expected"]] for row in ROWS[name]}
    assert len(world["traps"]) == 4
    for trap in world["traps"]:
        assert len(trap["breaks"]) >= 5, trap["id"]
        for row_id, wrong in trap["breaks"].items():
            if name == "support":
                assert wrong in DESKS - {rows[row_id]}, row_id
            else:
                assert all(rows[row_id][field] != value for field, value in wrong.items()), row_id


@pytest.mark.parametrize("name", SETS)
def test_what_is_said_states_its_own_rule_and_no_other(name: str) -> None:
    entries = list(statements(WORLDS[name]))
    assert len({entry_id for entry_id, _, _ in entries}) == len(entries)
    for entry_id, says, _ in entries:
        assert len(set(says)) >= 3, entry_id
        for sentence in says:
            stated = [other for other, _, groups in entries if states(sentence, groups)]
            assert stated == [entry_id], sentence


@pytest.mark.parametrize("name", SETS)
def test_when_phrases_occur_where_a_rule_is_at_stake_and_seldom_elsewhere(name: str) -> None:
    world = WORLDS[name]
    for rule in world["rules"]:
        needing = [row for row in ROWS[name] if rule["id"] in world["needs"].get(row["id"], {})]
        others = [row for row in ROWS[name] if rule["id"] not in world["needs"].get(row["id"], {})]
        seen = {row["id"] for row in [*needing, *others] if any(contains(row["text"], p) for p in rule["when"])}
        missed = [row["id"] for row in needing if row["id"] not in seen]
        stray = [row["id"] for row in others if row["id"] in seen]
        assert len(missed) <= 0.2 * len(needing), (rule["id"], missed)
        assert len(stray) <= 0.05 * len(others), (rule["id"], stray)
        assert all(any(contains(row["text"], phrase) for row in needing) for phrase in rule["when"]), rule["id"]


@pytest.mark.parametrize("name", SETS)
def test_seed_prompts_show_the_text_and_state_no_rule_trap_or_format(name: str) -> None:
    seed = read_seed(name)
    assert seed.count("{{ text }}") == 1
    assert [entry_id for entry_id, _, groups in statements(WORLDS[name]) if states(seed, groups)] == []


@pytest.mark.parametrize("name", SETS)
def test_no_row_gives_a_rule_away_in_its_text(name: str) -> None:
    given = [
        (row["id"], entry_id)
        for row in ROWS[name]
        for entry_id, _, groups in statements(WORLDS[name])
        if states(row["text"], groups)
    ]
    assert given == []


@pytest.mark.parametrize(
    ("name", "seed_range", "full_range"),
    [("support", (0.45, 0.55), (0.9, 0.96)), ("invoices", (0.38, 0.5), (0.9, 0.96))],
)
def test_a_naive_prompt_leaves_room_that_the_rules_fill(
    name: str, seed_range: tuple[float, float], full_range: tuple[float, float]
) -> None:
    world = WORLDS[name]
    chances = {row["id"]: world["skill"] - world["difficulty"].get(row["id"], 0) for row in ROWS[name]}
    right = {key: 0.0 if key in world["wrong_labels"] else chance for key, chance in chances.items()}
    naive = {key: world["luck"] if key in world["needs"] else chance for key, chance in right.items()}
    seed_score = world["format"]["without"] * sum(naive.values()) / len(naive)
    full_score = sum(right.values()) / len(right)
    assert seed_range[0] <= seed_score <= seed_range[1], seed_score
    assert full_range[0] <= full_score <= full_range[1], full_score


@pytest.mark.parametrize("name", SETS)
def test_a_prompt_with_every_rule_stays_within_the_free_length(name: str) -> None:
    world = WORLDS[name]
    said = [max(says, key=len) for entry_id, says, _ in statements(world)][: len(world["rules"])]
    assert len("\n- ".join([read_seed(name), *said, world["format"]["says"][0]])) <= world["length"]["free"]
