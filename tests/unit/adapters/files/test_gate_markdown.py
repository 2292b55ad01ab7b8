"""The Markdown of a check: found again by its marker, safe in a comment, and never too long for one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.adapters.files.gate_markdown import LONGEST, gate_markdown, marker_of
from tests.fixtures.gate_documents import change, critical, document, flip, missing

FACTS = [("baseline", "git:origin/main"), ("rows", "10 compared, 1 left out")]


def cells(text: str, row: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{row}` |")]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_it_begins_with_the_marker_and_the_verdict() -> None:
    text = gate_markdown(document(), FACTS)
    assert text.startswith("<!-- promptprop check: router -->\n## promptprop check: router\n\n**FAIL: said so**\n")
    assert "- baseline: git:origin/main\n" in text


def test_rows_that_are_worse_stand_with_all_that_is_known_of_them() -> None:
    text = gate_markdown(document(worse=[flip(n) for n in range(30)], better=[flip(99)]), FACTS)
    assert "### Worse: 30 rows, 20 of them here" in text
    assert cells(text, "r0") == [
        "`r0`", "1.00 → 0.00", r"`a <b>\|xxxxxxxxxx`", '`["yes"]`', "`yes`", "`no no no no no no no no no no`",
        "`label: expected yes`", "`prompts/router.md:3 removed: - refunds go to returns`",
    ]  # fmt: skip
    assert "```sh\npromptprop eval router.yaml --row r0\npromptprop eval router.yaml --row r1\n" in text
    assert "### Better: 1 row\n" in text
    assert "First at `prompts/router.md:3`.\n\n```diff\n--- baseline\n+++ candidate\n@@ -1 +1 @@\n-a\n+b\n```" in text


def test_critical_and_missing_rows_have_tables_of_their_own() -> None:
    text = gate_markdown(document(worse=[], critical_rows=[critical(1)], missing_rows=[missing(1)], missing=40), FACTS)
    assert cells(text, "c1")[:2] == ["`c1`", "1 of 3"]
    assert "--row c1 --repeats 3" in text
    assert cells(text, "m1") == ["`m1`", "candidate", "`the model refused`"]
    assert "### Left out: 40 rows, 1 of them here" in text


def test_texts_of_models_cannot_pose_as_markup_or_call_anybody() -> None:
    evil = "</details> ``` | @octocat ![x](http://evil/p.png) <img src=x> ````\n# head"
    text = gate_markdown(document(sentence=evil, worse=[flip(1, candidate_answer=evil)], diff=["-" + evil]), FACTS)
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text, flags=re.DOTALL)
    assert not re.search(r"@\w", bare)
    assert "<img" not in bare
    assert re.search(r"(?<!\\)!\[", bare.replace("\\[", "")) is None
    assert text.count("</details>\n") == 1
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 9 for line in text.splitlines() if line.startswith("| `r"))


def test_a_name_cannot_end_the_marker() -> None:
    assert marker_of("a --> b <x>") == "<!-- promptprop check: a - b -x- -->"
    assert gate_markdown(document(name="n" * 70_000), FACTS).startswith("<!-- promptprop check: ")


def test_what_is_too_long_goes_in_order_and_the_verdict_stays() -> None:
    whole = document(worse=[flip(n, 5000) for n in range(400)], better=[flip(n, 5000) for n in range(400)],
                     diff=["x"] * 60_000)  # fmt: skip
    text = gate_markdown(whole, FACTS)
    assert len(text) <= LONGEST
    assert "… cut here, see the files" in text
    assert "--row r19\n" in text
    small = gate_markdown(whole, FACTS, 4_000)
    assert len(small) <= 4_000
    assert "of them here" in small
    assert "### Better" not in small
    assert gate_markdown(whole, FACTS, 200).startswith("<!-- promptprop check: router -->\n## promptprop check: router")
    backticks = gate_markdown(document(worse=[flip(n, said="`|" * 500) for n in range(20)]), FACTS)
    assert "### Worse: 20 rows" in backticks, "fewer rows rather than none"


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=80), st.sampled_from([1, 200, 40_000]), st.integers(0, 90), st.sampled_from([0, 300, LONGEST]))
def test_no_text_makes_it_longer_than_it_may_be(said: str, times: int, rows: int, longest: int) -> None:
    said *= times
    rows_of = [flip(n, row=said, candidate_answer=said, command=said, changed=change(said)) for n in range(rows)]
    whole = document(worse=rows_of, better=rows_of, sentence=said, name=said, diff=[said] * 3)
    assert len(gate_markdown(whole, [("a", said)], longest)) <= longest


@pytest.mark.parametrize("verdict", ["PASS", "INCONCLUSIVE"])
def test_a_check_without_flips_has_no_empty_tables(verdict: str) -> None:
    text = gate_markdown(document(verdict, changes=[], diff=[]), FACTS)
    assert "###" not in text
    assert "<details>" not in text
