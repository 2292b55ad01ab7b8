from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.metrics.structured import DEEPEST, parse_json

SCHEMA = {
    "type": "object",
    "required": ["desk", "urgent"],
    "properties": {
        "desk": {"enum": ["billing", "sales"]},
        "urgent": {"type": "boolean"},
        "tags": {"items": {"type": "string"}},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("text", ["", "yes", "{'a': 1}", '{"a": NaN}', '{"a": 1e999}', '{"a": 1} ok', "[" * 100_000])
def test_what_is_not_json_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        'Here {it} is: {"a": 1}. Done {"b": 2}',
        'As said in [1]:\n```json\n{"a": 1}\n```\nor {"b": 2}',
        '~~~\n{"a": 1}\n~~~',
        '```\nnot this\n```\n```json\n{"a": 1}\n```',
    ],
)
def test_lenient_reading_finds_the_fenced_block_or_the_first_object(text: str) -> None:
    assert parse_json(text, lenient=True) == {"a": 1}


def test_lenient_reading_says_when_there_is_nothing() -> None:
    with pytest.raises(ValueError, match="no JSON was found"):
        parse_json("{{{{ nothing here", lenient=True)


def test_a_valid_answer_scores_one_and_prose_around_it_needs_lenience(judge) -> None:
    answer = '{"desk": "sales", "urgent": true}'
    assert judge("json_schema", answer, schema=SCHEMA).score == 1
    assert judge("json_schema", f"Sure: {answer}", schema=SCHEMA).score == 0
    assert judge("json_schema", f"Sure: {answer}", schema=SCHEMA, lenient=True).score == 1


def test_a_schema_for_a_list_looks_for_a_list(judge) -> None:
    schema = {"type": "array", "items": {"type": "object"}}
    assert judge("json_schema", 'Here: [{"a": 1}]', schema=schema, lenient=True).score == 1


def test_the_feedback_names_the_first_three_violations_by_pointer(judge) -> None:
    answer = json.dumps({"desk": "tech", "tags": ["a", 1], "a/b": 1})
    judgement = judge("json_schema", answer, schema=SCHEMA)
    assert judgement.score == 0
    assert judgement.feedback.startswith("4 schema violations: at /: ")
    assert "'urgent' is a required property" in judgement.feedback
    assert "at /desk: 'tech' is not one of" in judgement.feedback
    assert judgement.feedback.endswith("and 1 more")


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ({"desk": "sales", "urgent": 1}, 1 / 2),
        ({"desk": "sales"}, 1 / 2),
        ({"desk": "sales", "urgent": True, "tags": [1, 2]}, 2 / 3),
        ({"desk": "sales", "urgent": True, "more": 1}, 2 / 3),
        ({}, 0),
        ([], 0),
    ],
)
def test_partial_credit_is_the_share_of_valid_properties(judge, answer: object, share: float) -> None:
    assert judge("json_schema", json.dumps(answer), schema=SCHEMA, partial=True).score == pytest.approx(share)


def test_a_fault_of_the_whole_counts_as_one_more(judge) -> None:
    schema = {"type": "object", "minProperties": 2}
    assert judge("json_schema", '{"a": 1}', schema=schema, partial=True).score == 0.5


def test_the_schema_can_stand_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(json.dumps(SCHEMA))
    scorer = build_scorer([MetricSpec("form", "json_schema", options={"file": "out.json"})], tmp_path)
    assert scorer.score('{"desk": "sales", "urgent": false}', Example("1", {}))[1] == 1


@pytest.mark.parametrize(
    ("contents", "message"), [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "not a JSON object")]
)
def test_an_unusable_schema_file_is_refused(tmp_path: Path, contents: str | None, message: str) -> None:
    if contents is not None:
        (tmp_path / "out.json").write_text(contents)
    with pytest.raises(ConfigError, match=message):
        build_scorer([MetricSpec("form", "json_schema", options={"file": "out.json"})], tmp_path)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "not valid at /type"),
        ({"$ref": "https://example.com/a.json"}, "remote references are not followed"),
        ({"properties": {"a": {"$ref": "#/$defs/missing"}}}, "does not define"),
    ],
)
def test_an_unusable_schema_is_refused(judge, schema: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        judge("json_schema", "{}", schema=schema)


def test_local_references_are_followed(judge) -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}}
    assert judge("json_schema", '{"a": 1}', schema=schema).score == 1
    assert judge("json_schema", '{"a": "x"}', schema=schema).score == 0


def test_a_reference_that_leads_nowhere_leaves_rows_unscored(judge) -> None:
    judgement = judge("json_schema", '{"a": 1}', schema={"properties": {"a": {"$ref": "other.json"}}})
    assert judgement.score is None
    assert "leads nowhere" in judgement.feedback


def test_schema_and_file_exclude_each_other(judge) -> None:
    for options in ({}, {"schema": {}, "file": "x.json"}):
        with pytest.raises(ConfigError, match="either `schema` or `file`"):
            judge("json_schema", "{}", **options)


@pytest.mark.parametrize("levels", [DEEPEST + 1, 400, 900, 50_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_json_in_more_levels_than_a_dataset_has_is_refused_however_deep_the_stack_is(
    levels: int, opening: str, closing: str
) -> None:
    for text in (opening * levels + "1" + closing * levels, '{"a": ' + opening * levels + "1" + closing * levels + "}"):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)
        for kind, options in [("json_schema", {"schema": {}}), ("json_fields", {}), ("json_fields", {"lenient": True})]:
            scorer = build_scorer([MetricSpec("m", kind, options=options)], Path())
            assert scorer.judge(text, Example("1", {}, {"a": 1}))["m"].score == 0


def test_json_in_as_many_levels_as_a_dataset_may_have_is_read() -> None:
    levels = DEEPEST - 1
    text = '{"a":' * levels + "[1]" + "}" * levels
    assert parse_json(text) == json.loads(text)
    scorer = build_scorer([MetricSpec("m", "json_fields")], Path())
    assert scorer.judge(text, Example("1", {}, json.loads(text)))["m"].score == 1


TREE = {"anyOf": [{"items": {"$ref": "#"}, "minItems": 2}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 0}]}
OBJECTS = json.dumps([{"a": number} if number % 2 else [number] for number in range(5000)])


@pytest.mark.parametrize(
    ("schema", "text", "score", "said"),
    [
        ({"uniqueItems": True}, OBJECTS, 1, ""),
        ({"pattern": r"^(a|aa)+$"}, json.dumps("a" * 5000 + "!"), 0, "(in its first 2"),
        ({"pattern": r".*x.*x.*y"}, json.dumps("x" * 19_000), 0, "(in its first 133 characters)"),
        (
            {"patternProperties": {"^(a|aa)+$": {}}},
            json.dumps({"a" * 5000 + "!": 1}),
            None,
            "a key of 5,001 characters",
        ),
        (TREE, "[" * 20 + "1" + "]" * 20, None, "takes more than 200,000 steps"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", **TREE}, "[" * 20 + "1" + "]" * 20, None, "steps"),
        ({"items": {"type": "string"}}, json.dumps([1] * 30_000), 0, "more than "),
    ],
)
def test_a_schema_is_checked_in_steps_that_are_counted(schema: dict, text: str, score: float | None, said: str) -> None:
    scorer = build_scorer([MetricSpec("form", "json_schema", options={"schema": schema})], Path())
    began = time.thread_time()
    judgement = scorer.judge(text, Example("1", {}))["form"]
    assert time.thread_time() - began < 20, "without a limit, minutes or years"
    assert judgement.score == score
    assert said in judgement.feedback


def test_very_many_violations_are_not_weighed() -> None:
    options = {"schema": {"additionalProperties": {"type": "string"}}, "partial": True}
    scorer = build_scorer([MetricSpec("form", "json_schema", options=options)], Path())
    judgement = scorer.judge(json.dumps({f"k{n}": 1 for n in range(30_000)}), Example("1", {}))["form"]
    assert judgement.score is None
    assert "too many to be weighed" in judgement.feedback


@pytest.mark.parametrize(
    ("text", "unique"),
    [
        ("[1, 1.0]", False),
        ("[1, true, [1], [true]]", True),
        ('[{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]', False),
        ("[]", True),
    ],
)
def test_items_are_unique_as_json_values(text: str, unique: bool) -> None:
    scorer = build_scorer([MetricSpec("form", "json_schema", options={"schema": {"uniqueItems": True}})], Path())
    assert scorer.judge(text, Example("1", {}))["form"].score == unique


@pytest.mark.parametrize("place", ["pattern", "patternProperties"])
def test_a_pattern_of_a_schema_that_is_slow_on_any_text_is_refused(place: str) -> None:
    schema = {place: "(?:a?|b?){30}c" if place == "pattern" else {"(?:a?|b?){30}c": {}}}
    with pytest.raises(ConfigError, match="has the pattern"):
        build_scorer([MetricSpec("form", "json_schema", options={"schema": schema})], Path())
