"""The command that looks at a row again is one that a shell reads as it was meant."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from promptprop.services.again import Call

WORDS = st.text(min_size=1).filter(lambda text: "\0" not in text)


@given(WORDS, WORDS, st.lists(WORDS, max_size=3), st.none() | WORDS)
def test_a_shell_reads_every_word_back(config: str, row: str, sets: list[str], db: str | None) -> None:
    call = Call(config, "test", tuple(sets), ".env.ci", db, "a b.gz")
    words = shlex.split(call.again(row, 5))
    expected = ["promptprop", "eval", config, "--row", row, "--repeats", "5", "--split", "test"]
    expected += [word for one in sets for word in ("--set", one)]
    assert words == [*expected, "--env-file", ".env.ci", *(["--db", db] if db else []), "--recording", "a b.gz"]
    assert Call.from_json(call.as_json()) == call


def test_what_is_usual_is_left_out() -> None:
    assert Call("a.yaml").again("r1") == "promptprop eval a.yaml --row r1"
