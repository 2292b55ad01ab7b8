import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.domain.errors import ConfigError, DataError, InputError


@pytest.fixture
def spoilt(tmp_path: Path, world_folder: Path) -> Callable[..., Path]:
    """A copy of a small world with one text replaced."""

    def spoil(old: str, new: str, file: str = "desks.world.yaml", name: str = "desks") -> Path:
        for part in world_folder.iterdir():
            shutil.copy(part, tmp_path)
        text = (tmp_path / file).read_text(encoding="utf-8")
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        return tmp_path / f"{name}.world.yaml"

    return spoil


def problem_of(path: Path, error: type[InputError] = ConfigError) -> str:
    with pytest.raises(error) as caught:
        load_world(path)
    assert caught.value.problems
    assert all(problem.place and problem.place.line for problem in caught.value.problems)
    return str(caught.value)


def test_a_world_holds_what_its_file_says(desks):
    assert desks.name == "desks"
    assert len(desks.rows) == 24
    assert desks.rows["f1"].needs == {"fraud": "billing"}
    assert desks.rows["p5"].difficulty == 0.2
    assert (desks.rows["p6"].expected, desks.rows["p6"].right) == ("account", "billing")
    assert desks.traps["every-login"].breaks["o1"] == "account"
    assert desks.format is not None
    assert desks.format.without == 0.6


def test_a_name_of_its_own_gives_a_world_other_luck(world_folder):
    assert load_world(world_folder / "desks.world.yaml", name="desks#7").name == "desks#7"


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one(spoilt):
    said = problem_of(spoilt("luck: 0.1", "lukc: 0.1"))
    assert "desks.world.yaml:8:1: unknown key 'lukc'" in said
    assert "did you mean luck?" in said


def test_all_problems_are_told_at_once(spoilt):
    path = spoilt("skill: 0.95\nluck: 0.1", "skill: 1.95\nluck: few")
    said = problem_of(path)
    assert "skill must be a number from 0 to 1" in said
    assert "luck must be a number from 0 to 1" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1", "version: 2", "version 2 is not known"),
        ("task: classify", "task: dance", "task must be one of classify, extract, write"),
        ("  f1: {fraud: billing}", "  f1: {fraud: billing}\n  f1: {fraud: sales}", "stands here twice"),
        ("f1: {fraud: billing}", "zz: {fraud: billing}", "no row has the id 'zz'"),
        ("f1: {fraud: billing}", "f1: {froud: billing}", "there is no rule 'froud'"),
        ("f1: {fraud: billing}", "f1: {fraud: security}", "wrong for row f1"),
        ("f1: {fraud: billing}", "f1: {fraud: Billing}", "must be one of the answers"),
        ("wrong_labels: {p6: billing}", "wrong_labels: {p6: account}", "needs another answer"),
        ("inputs: [text]", "inputs: text", "inputs must be a list of texts"),
        ("data: desks.jsonl", "data: nowhere.jsonl", "cannot be read"),
        ('"Unrecognised charges are for security."', '"Odd charges are odd."', "does not hold a phrase of every group"),
        ('"A wish to cancel belongs to sales."', '"Cancel, passwords: account, sales."', "also states every-login"),
        ('when: ["nobody here", "whole team"]', 'when: ["five of us"]', "nobody could learn it"),
        ("breaks: {o1: account", "breaks: {o1: technical", "wrong for row o1"),
        ("length: {free: 600, per_100: 0.02}", "length: {free: -1}", "free must be a number"),
        ("rules:", "rules: {}\nrulez:", "rules must be a list"),
        ("skill: 0.95", "skill:", "missing: skill"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_place(spoilt, old, new, said):
    assert said in problem_of(spoilt(old, new))


def test_a_text_that_is_no_yaml_is_refused_with_its_line(spoilt):
    assert "not valid YAML" in problem_of(spoilt("inputs: [text]", "inputs: [text"))


def test_an_alias_is_refused_rather_than_followed_for_ever(spoilt):
    said = problem_of(spoilt("rewriter: {able", "rewriter: &r {loop: *r, able"))
    assert "aliases are not supported" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"label": "security"}', '"label": "nobody"}', "none of the answers"),
        ('"id": "f2"', '"id": "f1"', "'f1' stands here twice"),
        ('"label": "security"}', "}", "desks.jsonl:1"),
        ('{"id": "f1", "text"', '{"id": "f1", "txt"', "this row has no text"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_line(spoilt, old, new, said):
    assert said in problem_of(spoilt(old, new, file="desks.jsonl"), DataError)


def test_a_missing_world_file_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(ConfigError, match="world file"):
        load_world(tmp_path / "none.world.yaml")


def test_labels_that_look_like_booleans_stay_texts(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": 1, "t": "shall we", "y": "no"}\n{"id": 2, "t": "we do", "y": "yes"}\n')
    text = (
        "version: 1\ntask: classify\ndata: x.jsonl\ninputs: [t]\nexpected: y\nanswers: [no, yes]\nskill: 1\nluck: 0\n"
    )
    (tmp_path / "x.world.yaml").write_text(text + "rules: []\nneeds: {}\nwrong_labels: [1]\n")
    world = load_world(tmp_path / "x.world.yaml")
    assert world.answers == ("no", "yes")
    assert world.rows["1"].right == "yes"


def test_wrong_values_of_an_extraction_must_differ_from_the_right_ones(spoilt):
    path = spoilt("r2: {gross: {amount: 100}}", "r2: {gross: {amount: 119}}", "receipts.world.yaml", "receipts")
    assert "right values of row r2" in problem_of(path)
