"""Texts inside Markdown stay texts."""

from __future__ import annotations

from promptprop.adapters.files.markdown import code, fenced, plain, table_lines


def test_a_text_cannot_pose_as_markup_or_call_anybody() -> None:
    assert plain("<b> [x](y)\n@octocat ![i](http://a)") == (
        r"\<b\> \[x\](y) @<!-- -->octocat !\[i\](http://a)"
    )  # fmt: skip


def test_a_code_span_holds_backticks_and_bars() -> None:
    assert code("plain\ntext") == "`plain text`"
    assert code("`a` ``b``") == "``` `a` ``b`` ```"
    assert code("a|b") == "`a|b`"
    assert code("a|b", in_table=True) == r"`a\|b`"
    assert code(" \n\x07 ") == ""


def test_a_fence_is_longer_than_any_run_of_backticks_in_it() -> None:
    assert fenced("a\n`````\nb\x1b[31m", "diff") == ["``````diff", "a\n`````\nb", "``````"]


def test_a_table_has_a_head_and_its_rows() -> None:
    assert table_lines(["a", "b"], [["1", "2"]]) == ["| a | b |", "|---|---|", "| 1 | 2 |"]
