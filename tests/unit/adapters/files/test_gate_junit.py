"""JUnit: a document that parsers take, with counts that agree, whatever rows hold."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.gate_junit import render_junit


def parsed(verdict: str, *failing: tuple[str, str, str], name: str = "router") -> ElementTree.Element:
    return ElementTree.fromstring(render_junit(name, verdict, "said so", failing, 10).encode())


@pytest.mark.parametrize(("verdict", "tag"), [("PASS", "system-out"), ("FAIL", "failure"), ("INCONCLUSIVE", "error")])
def test_the_verdict_is_a_case_of_its_own(verdict: str, tag: str) -> None:
    root = parsed(verdict)
    (case,) = root.iter("testcase")
    assert case.get("name") == "verdict"
    assert [child.tag for child in case] == [tag]
    assert (root.tag, root.get("tests")) == ("testsuites", "1")


def test_rows_that_are_worse_are_failures_and_the_counts_agree() -> None:
    root = parsed("FAIL", ("r1", 'a "quoted" <row>', "expected: a\nwas: b"), ("r2", "m", "d"))
    suite = next(root.iter("testsuite"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "3", "0")
    assert len(list(root.iter("failure"))) == 3
    case = next(case for case in root.iter("testcase") if case.get("name") == "r1")
    assert case[0].get("message") == 'a "quoted" <row>'
    assert case[0].text == "expected: a\nwas: b"


@given(st.text(), st.text(), st.text())
def test_whatever_rows_hold_the_document_can_be_read(row: str, message: str, details: str) -> None:
    root = parsed("FAIL", (row, message, details), name=row)
    assert len(list(root.iter("testcase"))) == 2
