"""JUnit: a document that the usual schema accepts, with counts that agree, whatever rows hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from promptprop.adapters.files.gate_junit import LONGEST, render_junit
from tests.fixtures.gate_documents import change, critical, document, flip, missing

SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).parents[3] / "fixtures" / "junit.xsd")))
FACTS = {"baseline": "git:origin/main", "rows": "10 compared, 0 left out"}
NASTY = 'a\x00b\x1b[31m]]> & <x a="b"> \ud800 😀 \u2028 \ufffe é\r\nend\x7f\x85'


def suite_of(**given: Any) -> Any:
    """The suite of a document, after the schema accepted it and the counts were compared."""
    root = etree.fromstring(render_junit(document(**given), FACTS).encode())
    SCHEMA.assertValid(root)
    (suite,) = root
    cases = suite.findall("testcase")
    assert len({case.get("name") for case in cases}) == len(cases)
    assert int(suite.get("tests")) == len(cases)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(attribute)) == len(suite.findall(f"testcase/{tag}"))
    return suite


def outcomes(suite: Any) -> dict[str, str]:
    return {case.get("name"): case[0].tag if len(case) else "passed" for case in suite.findall("testcase")}


def test_a_failure_fails_the_verdict_and_each_row_that_is_worse() -> None:
    suite = suite_of(verdict="FAIL")
    assert outcomes(suite) == {"verdict": "failure", "row r1": "failure", "row r2": "failure"}
    verdict, row = suite.findall("testcase/failure")[:2]
    assert (verdict.get("message"), verdict.get("type")) == ("FAIL: said so", "FAIL")
    assert verdict.text == "prompts/router.md:3 removed: - refunds go to returns"
    assert row.text.splitlines()[2:5] == ['expected: ["yes"]', "baseline: yes", "candidate: no"]
    assert row.text.endswith("again: promptprop eval router.yaml --row r1")
    assert "nearest changed line: prompts/router.md:3 removed" in row.text
    assert (suite.get("timestamp"), suite.get("time")) == ("2026-11-30T12:00:00", "1.250")
    assert [one.get("value") for one in suite.iter("property")] == list(FACTS.values())


def test_rows_are_no_failures_where_only_what_answers_take_fails() -> None:
    tests = {"score": {"worse": False}, "guard cost": {"worse": True, "guard": True, "relative": True}}
    suite = suite_of(verdict="FAIL", looks=[{"replicates": 1, "verdict": "FAIL", "metrics": tests}])
    assert outcomes(suite) == {"verdict": "failure"}
    assert "2 rows worse, which decides nothing" in suite.findtext("system-out")
    guarded = {"score": {"worse": False}, "guard label": {"worse": True, "guard": True, "relative": False}}
    suite = suite_of(verdict="FAIL", looks=[{"replicates": 1, "verdict": "FAIL", "metrics": guarded}])
    assert len(outcomes(suite)) == 3


def test_a_pass_passes_and_says_so() -> None:
    suite = suite_of(verdict="PASS", worse=[flip(1)])
    assert outcomes(suite) == {"verdict": "passed"}
    said = suite.findtext("system-out")
    assert said.startswith("PASS: said so\nbaseline: git:origin/main\n")
    assert "1 row worse, which decides nothing:\n  r1  1.00 → 0.00  a <b>|x" in said
    assert "promptprop eval router.yaml --row r1" in said


@pytest.mark.parametrize(("ends", "outcome"), [("fail", "failure"), ("warn", "skipped"), ("pass", "passed")])
def test_an_open_verdict_is_what_was_asked_for(ends: str, outcome: str) -> None:
    suite = suite_of(verdict="INCONCLUSIVE", inconclusive=ends, worse=[flip(1)])
    assert outcomes(suite) == {"verdict": outcome}
    if outcome != "passed":
        assert suite.find(f"testcase/{outcome}").get("message") == "INCONCLUSIVE: said so"
    assert suite.findtext("system-out").startswith("INCONCLUSIVE: said so\n")


def test_rows_that_were_left_out_are_skipped_and_critical_ones_fail() -> None:
    suite = suite_of(verdict="FAIL", worse=[], critical_rows=[critical(1)], missing_rows=[missing(1)])
    assert outcomes(suite) == {"verdict": "failure", "row c1": "failure", "row m1": "skipped"}
    assert suite.find("testcase/skipped").get("message") == "left out, candidate: the model refused"
    assert suite.findall("testcase/failure")[1].get("message").startswith("critical: 1 of 3 answers passed")


@given(st.text(), st.text(), st.text())
def test_whatever_rows_hold_the_document_is_valid(row: str, said: str, name: str) -> None:
    rows = [
        flip(1, row=row, candidate_answer=said, said=name, command=said, inputs={"text": said}, changed=change(said))
    ]
    suite_of(name=name, sentence=said, worse=rows, missing_rows=[missing(2, why=said)])


def test_control_characters_emoji_and_the_end_of_a_section_stay_inside_their_element() -> None:
    suite = suite_of(worse=[flip(1, candidate_answer=NASTY, expected=NASTY, row=NASTY)], name=NASTY)
    text = suite.findall("testcase/failure")[1].text
    for kept in ("]]> & <x", "😀", "é\r\nend"):
        assert kept in text
    assert not {"\x00", "\x1b"} & set(text)


def test_very_long_texts_are_cut_and_their_length_is_told() -> None:
    suite = suite_of(worse=[flip(n, candidate_answer="y" * 1_000_000) for n in range(300)])
    failures = suite.findall("testcase/failure")
    assert len(failures) == 301
    assert max(len(one.text) for one in failures) < 2 * LONGEST
    assert "… (1,000,000 characters)" in failures[1].text


def test_rows_that_are_too_many_are_counted() -> None:
    suite = suite_of(worse=[flip(1), None, None], missing_rows=[missing(1), None])
    assert outcomes(suite) == {"verdict": "failure", "row r1": "failure", "row m1": "skipped"}
    said = suite.findtext("system-out")
    assert "2 more rows worse: --json tells all\n1 more row left out: --json tells all" in said


def test_the_schema_of_these_tests_refuses_what_is_no_junit() -> None:
    good = render_junit(document(), FACTS)
    for wrong in (
        good.replace('type="FAIL"', ""),
        good.replace("<system-err/>", ""),
        good.replace('tests="3"', 'tests="three"'),
        good.replace("<testsuites>", '<testsuites tests="3">'),
        good.replace("12:00:00", "12:00:00Z"),
    ):
        assert wrong != good
        assert not SCHEMA.validate(etree.fromstring(wrong.encode()))
