"""What a prompt may use, what it may not, and that filling one costs little whatever it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from event_strategies import JSON
from hypothesis import given
from hypothesis import strategies as st
from jinja2.nodes import Const

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Message, Prompt, text_of
from promptprop.roles import template as subject
from promptprop.roles.sandbox import DEEPEST, FILTERS, METER, MOST_WORK, TURN, Meter, PromptEnvironment
from promptprop.roles.template import escaped, fill, fill_prompt, prompt_variables, variables_of, variables_sent

VALUES: dict[str, Any] = {
    "text": "one two three", "none": None, "flag": True, "number": 3, "words": ["b", "a"], "empty": [], "key": "name",
    "row": {"name": "Ann", "items": 2, "_id": 7, "deep": {"list": [1, 2]}}, "pairs": [["x", 1], ["y", 2]],
}  # fmt: skip


def filled(text: str, values: dict[str, Any] | None = None) -> str:
    (message,) = fill_prompt(Prompt.of(text), VALUES if values is None else values)
    return message.content


def refusal(text: str, values: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        filled(text, values)
    assert caught.value.problems[0].remedy
    return caught.value.problems[0].message


# --- what a prompt may use ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ text }}!\n", "one two three!\n"),
        ("[{{ none }}]", "[]"),
        ("{{ flag }} {{ words }} {{ row.deep }}", 'true ["b", "a"] {"list": [1, 2]}'),
        ("{{ row.name }} {{ row['name'] }} {{ row[key] }} {{ row.items }} {{ row._id }}", "Ann Ann Ann 2 7"),
        ("{{ words[0] }} {{ words[-1] }} {{ row.deep.list[1] }} {{ text[0] }}", "b a 2 o"),
        ("{% if flag and number > 2 %}yes{% elif none %}maybe{% else %}no{% endif %}", "yes"),
        ("{% if 'two' in text and number not in [1, 2] %}yes{% endif %}", "yes"),
        ("{{ 'big' if number >= 3 else 'small' }}", "big"),
        ("{% if missing is defined %}a{% endif %}{% if none is none and not empty %}b{% endif %}", "b"),
        ("{% for word in words %}{{ loop.index }}/{{ loop.length }} {{ word }};{% endfor %}", "1/2 b;2/2 a;"),
        ("{% for name, count in pairs %}{{ name }}{{ count }}{% if not loop.last %},{% endif %}{% endfor %}", "x1,y2"),
        ("{% for word in words if word != 'b' %}{{ word }}{% endfor %}", "a"),
        ("{% for word in empty %}{{ word }}{% else %}none{% endfor %}", "none"),
        ("{% for key in row.deep %}{{ key }}={{ row.deep[key] }}{% endfor %}", "list=[1, 2]"),
        ("{% for pair in pairs %}{% for part in pair %}{{ part }}{% endfor %}{% endfor %}", "x1y2"),
        ("a {# a note #}b{% raw %}{{ text }}{% endraw %}", "a b{{ text }}"),
        ("{{ -1 }} {{ 'a' }} {{ 1.5 }} {{ true }}", "-1 a 1.5 true"),
    ],
)
def test_a_prompt_may_use(text: str, shown: str) -> None:
    assert filled(text) == shown


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("text | upper", "ONE TWO THREE"),
        ("text | upper | lower", "one two three"),
        ("text | title", "One Two Three"),
        ("'  x ' | trim", "x"),
        ("'--x-' | trim('-')", "x"),
        ("words | join", "ba"),
        ("words | join(', ')", "b, a"),
        ("row.deep.list | join('+')", "1+2"),
        ("missing | default('none given')", "none given"),
        ("text | default('none given')", "one two three"),
        ("empty | default('nothing', true)", "nothing"),
        ("none | default('x', boolean=true)", "x"),
        ("row.missing | default(default_value='gone')", "gone"),
        ("missing.part['x'] | default('gone')", "gone"),
        ("row | tojson", text_of(VALUES["row"])),
        ("words | tojson(indent=1)", '[\n "b",\n "a"\n]'),
        ("'<é>' | tojson", '"<é>"'),
        ("text | replace('two', '2')", "one 2 three"),
        ("'aaa' | replace('a', 'b', 2)", "bba"),
        ("text | truncate(9, end='…', leeway=0)", "one two…"),
        ("text | truncate(5, true, leeway=0)", "on..."),
        ("text | truncate", "one two three"),
        ("words | length", "2"),
        ("text | length", "13"),
        ("words | first", "b"),
        ("words | last", "a"),
        ("row | first", "name"),
        ("text | last", "e"),
        ("empty | first | default('none')", "none"),
        ("flag | upper", "TRUE"),
        ("words | upper", '["B", "A"]'),
    ],
)
def test_a_filter_works_on_json_values(expression: str, shown: str) -> None:
    assert filled(f"{{{{ {expression} }}}}") == shown


def test_every_filter_that_is_let_through_is_tried_above() -> None:
    marks = [mark for mark in test_a_filter_works_on_json_values.pytestmark if mark.name == "parametrize"]
    tried = " ".join(expression for expression, _ in marks[0].args[1])
    assert [name for name in FILTERS if f"| {name}" not in tried] == []


@given(JSON)
def test_a_value_is_data_and_never_evaluated(value: object) -> None:
    assert filled("<{{ x }}>", {"x": "{{ y }}{% if %}"}) == "<{{ y }}{% if %}>"
    shown = "" if value is None else text_of(value) if isinstance(value, dict | list | bool) else str(value)
    assert filled("<{{ x }}>", {"x": value}) == f"<{shown}>"


@given(st.text("{}%# a|.\n'\"", max_size=30))
def test_any_text_is_filled_or_refused_as_a_configuration_error(text: str) -> None:
    def outcome() -> str:
        try:
            return filled(text, dict.fromkeys(variables_of(text), "v"))
        except ConfigError as error:
            return error.problems[0].remedy or error.problems[0].message

    assert isinstance(outcome(), str)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("plain", set()),
        ("{{ a }}{{ b.c }}{{ d['e'] }}{{ f[g] }}", {"a", "b", "d", "f", "g"}),
        ("{% for x in rows %}{{ x }}{{ loop.index }}{% endfor %}{{ other }}", {"rows", "other"}),
        ("{% if a %}{{ b }}{% endif %}{{ c | default(d) }}", {"a", "b", "c", "d"}),
        ("{{ range }}{{ dict }}{{ namespace }}{{ lipsum }}", {"range", "dict", "namespace", "lipsum"}),
    ],
)
def test_the_variables_of_a_prompt_are_told(text: str, names: set[str]) -> None:
    assert variables_of(text) == names


def test_a_column_may_be_called_like_a_function_of_the_template_language() -> None:
    assert filled("{{ range }} {{ dict }}", {"range": "0-9", "dict": {"a": 1}}) == '0-9 {"a": 1}'


@pytest.mark.parametrize("text", ["plain", "{{ x }} {% if %} {# no #}", "{", "{{ '{' }}", "a\r\nb\r", "\n\n", "}}{%-"])
def test_braces_are_no_template_in_any_part_of_a_framed_prompt(text: str) -> None:
    prompt = Prompt.of(text, literal=True)
    framed = replace(prompt, frame=f"Task: {escaped(text)}\n\nDo: {{{{ instruction }}}}\n\nInput: {{{{ query }}}}")
    (message,) = fill_prompt(framed, {"query": text})
    assert message == Message("user", f"Task: {text}\n\nDo: {text}\n\nInput: {text}")


def test_a_frame_tells_which_variables_it_needs_and_its_text_none() -> None:
    prompt = Prompt((Message("user", "{{ x }}"),), literal=True, frame="{{ instruction }} {{ query }}")
    assert prompt_variables(prompt) == frozenset()
    assert variables_sent(prompt) == {"query"}
    with pytest.raises(ConfigError, match="query"):
        fill_prompt(prompt, {})


def test_a_literal_prompt_is_sent_as_it_is() -> None:
    prompt = Prompt((Message("system", "{{ x"), Message("user", "{% y %}")), literal=True)
    assert fill_prompt(prompt, {}) == prompt.messages
    assert prompt_variables(prompt) == frozenset()


def test_the_variables_of_all_messages_count() -> None:
    prompt = Prompt((Message("system", "{{ x }}"), Message("user", "{{ y }}")))
    assert prompt_variables(prompt) == {"x", "y"}
    assert [message.role for message in fill_prompt(prompt, {"x": 1, "y": 2})] == ["system", "user"]


# --- what it may not use --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ ''.__class__ }}", "__class__"),
        ("{{ text.__class__.__mro__ }}", "__"),
        ("{{ text['__class__'] }}", "has no attribute '__class__'"),
        ("{{ text | attr('__class__') }}", "the filter attr"),
        ("{{ text.upper }}", "has no attribute 'upper'"),
        ("{{ row.keys }}", "has no attribute 'keys'"),
        ("{{ words.append }}", "has no attribute 'append'"),
        ("{{ text.format(1) }}", "a call"),
        ("{{ 'x' * 10**10 }}", "arithmetic"),
        ("{{ number + 1 }}", "arithmetic"),
        ("{{ '%99999999d' % number }}", "arithmetic"),
        ("{{ -number }}", "arithmetic"),
        ("{{ text ~ text }}", "the operator ~"),
        ("{{ {'a': 1} }}", "a map"),
        ("{{ text[1:2] }}", "a part of something"),
        ("{{ (text | upper)[0] }}", "a part of something"),
        ("{{ [1][0] }}", "a part of something"),
        ("{{ lipsum(9) }}", "a call"),
        ("{{ self }}", "the reserved name self"),
        ("{{ text | wordwrap }}", "the filter wordwrap"),
        ("{{ text | map('upper') }}", "the filter map"),
        ("{{ words | join(*words) }}", "spread arguments"),
        ("{{ text is callable }}", "the test callable"),
        ("{% for i in range(10**9) %}{% endfor %}", "a loop over something"),
        ("{% for i in [1, 2] %}{% endfor %}", "a loop over something"),
        ("{% for i in words recursive %}{{ i }}{% endfor %}", "a loop over something"),
        ("{% set a = text %}", "{% set %}"),
        ("{% set a %}x{% endset %}", "{% set %}"),
        ("{% macro a() %}{% endmacro %}", "{% macro %}"),
        ("{% filter upper %}a{% endfilter %}", "{% filter %}"),
        ("{% with a = 1 %}{% endwith %}", "{% with %}"),
        ("{% block a %}{% endblock %}", "{% block %}"),
        ("{% include 'a' %}", "{% include %}"),
        ("{% import 'a' as b %}", "{% import %}"),
        ("{% from 'a' import b %}", "{% from %}"),
        ("{% extends 'a' %}", "{% extends %}"),
        ("{% autoescape true %}{% endautoescape %}", "Scope"),
        ("{% call a() %}{% endcall %}", "{% call %}"),
    ],
)
def test_a_prompt_may_not_use(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one\n{{ text", "line 2 of the prompt"),
        ("{{ text }", "unexpected '}'"),
        ("{% if text %}", "Unexpected end of template"),
        ("{{ " + "9" * 10_000 + " }}", "cannot be read"),
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ row.missing }}", "has no attribute 'missing'"),
        ("{{ words[9] }}", "cannot be filled"),
        ("{{ words['a'] }}", "cannot be filled"),
        ("{{ words[true] }}", "cannot be filled"),
        ("{{ missing | upper }}", "'missing' is undefined"),
        ("{{ missing | tojson }}", "'missing' is undefined"),
        ("{{ missing | first }}", "'missing' is undefined"),
        ("{{ empty | last }}", "the list is empty"),
        ("{{ number | length }}", "cannot be filled"),
        ("{{ text | replace('a') }}", "cannot be filled"),
        ("{{ text | truncate('a') }}", "cannot be filled"),
        ("{{ text | join(', ') }}", "join takes a list"),
        ("{% for x in text %}{{ x }}{% endfor %}", "a loop goes over a list or a map"),
        ("{% for x in missing %}{{ x }}{% endfor %}", "'missing' is undefined"),
        ("{% if text > number %}{% endif %}", "cannot be filled"),
        ("{{ loop }}", "'loop' is undefined"),
        ("{% for x in words %}{{ loop.cycle }}{% endfor %}", "no attribute 'cycle'"),
    ],
)
def test_what_cannot_be_read_or_filled_says_why(text: str, words: str) -> None:
    assert words in refusal(text)


def test_the_meter_cannot_be_reached_from_a_prompt() -> None:
    assert filled("{{ meter | default('no') }}", {}) == "no"
    assert "'meter' is undefined" in refusal("{{ meter.left }}", {})


# --- what filling may cost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{{ text" + "|replace('e', 'eeeeeeeeeeeeeeee')" * 30 + " }}",
        "{{ text" + "|replace('', text)" * 30 + " }}",
        "{{ text" + "|tojson" * 35 + " }}",
        "{{ words" + " | join(long)" + " | replace('x', long)" * 3 + " }}",
        "{% for a in many %}{{ long }}{% endfor %}",
        "{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
        "{% for a in many %}{% if long | upper | length > 1 %}{% endif %}{% endfor %}",
    ],
    ids=lambda text: text[:40],
)
def test_a_prompt_that_multiplies_its_values_is_refused(text: str) -> None:
    values = {**VALUES, "long": "x" * 20_000, "many": list(range(5_000))}
    assert f"more than {MOST_WORK:,} characters" in refusal(text, values)


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 90_000,
        "{{ " + "(" * 300 + "text" + ")" * 300 + " }}",
        "{{ text" + " or text" * 5_000 + " }}",
        "{{ row" + ".a" * 20_000 + " }}",
        "{{ text" + "|upper" * 5_000 + " }}",
        "{% if text %}" * 3_000 + "{% endif %}" * 3_000,
        "{% for a in words %}" * 30 + "{% endfor %}" * 30,
        "{{ " + "not " * 20_000 + "text }}",
        "{{ " + "[" * 20_000,
    ],
    ids=lambda text: text[:30],
)
def test_a_prompt_that_nests_without_end_is_refused(text: str) -> None:
    assert "cannot be read" in refusal(text)


def test_a_prompt_of_very_many_parts_is_refused_before_it_is_compiled() -> None:
    with pytest.raises(ConfigError, match="more than 20,000 parts"):
        variables_of("{{ a }}" * 20_000)


def test_as_deep_as_allowed_is_filled() -> None:
    depth = DEEPEST // 2
    assert filled("{% if text %}" * depth + "x" + "{% endif %}" * depth) == "x"


def test_a_large_row_is_filled() -> None:
    long = "x" * 2_000_000
    assert filled("{{ long }}{% for a in many %}{{ a }}{% endfor %}", {"long": long, "many": ["a"] * 2_000}) == (
        long + "a" * 2_000
    )


def test_a_deep_indent_is_cut() -> None:
    assert filled("{{ words | tojson(indent=1000000000) }}").count(" ") == 16


def test_turns_of_a_loop_are_paid_for_in_advance() -> None:
    meter = Meter(TURN)
    meter.take(TURN)
    assert meter.left == 0


def test_nothing_is_computed_while_a_prompt_is_read() -> None:
    tree = PromptEnvironment().read("{{ 'a' | replace('a', 'b') }}")
    assert any(node.value == "a" for node in tree.find_all(Const))


# --- role templates -------------------------------------------------------------------------------------------------


def test_a_role_template_may_use_the_whole_language() -> None:
    text = "{% set n = 1 %}{% for k, v in rows.items() %}{{ k ~ v * 2 }}{% endfor %}{{ (rows | list)[0] }}"
    assert fill(text, {"rows": {"a": 2}}) == "a4a"


@pytest.mark.parametrize("text", ["{{ ''.__class__ }}", "{{ missing }}", "{{ 1 / 0 }}", "{{ x", "{{ x | nope }}"])
def test_a_role_template_that_cannot_be_filled_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError, match="the role's template cannot be filled"):
        fill(text, {"x": 1})


PIECES = st.one_of(
    st.text(alphabet="ab {}%#\n'\"é\ud83d", max_size=6),
    st.sampled_from(["{{ a }}", "{{b}}", "{{- a -}}", "{{ a }}{{ b }}", "{# note #}", "{% if a %}x{% endif %}"]),
)
ANYTHING = st.one_of(
    st.text(max_size=5), st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.text(max_size=2))
)


@given(st.lists(PIECES, max_size=6).map("".join), ANYTHING, ANYTHING)
def test_the_short_way_of_plain_templates_gives_what_the_sandbox_gives(text: str, a: Any, b: Any) -> None:
    values = {"a": a, "b": b}
    try:
        compiled = subject._read(text)
    except ConfigError:
        return
    if compiled.plain is not None:
        assert subject._joined(compiled.plain, values) == "".join(
            compiled.template.generate({**values, METER: Meter()})
        )


def test_a_plain_template_that_lacks_a_value_or_grows_too_large_is_left_to_the_sandbox() -> None:
    plain = subject._read("x{{ a }}y").plain
    assert plain == (("x", False), ("a", True), ("y", False))
    assert subject._joined(plain, {}) is None
    assert subject._joined(plain, {"a": "z" * MOST_WORK}) is None
    assert subject._read("{{ a | upper }}").plain is None
    assert subject._read("{% for x in a %}{{ x }}{% endfor %}").plain is None
