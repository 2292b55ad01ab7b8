"""The jury: who is asked, what votes come to, and what is no vote."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Json, Judgement
from promptprop.metrics.base import Seat, Setting
from promptprop.metrics.jury import TRIES, Jury, JuryOptions, panel_score, turned
from promptprop.metrics.scoring import HARD_NEGATIVE_CAP, MetricSpec, build_scorer
from promptprop.ports import Question, Told

SETTING = Setting("Reply to the customer.", (Seat("strict", 3.0), Seat("kind"), Seat("odd")))
ROW = Example("r1", {"text": "Where is it?"}, "It is on its way.", hard_negatives=("promises a date",))


def jury(setting: Setting = SETTING, **options: Any) -> Jury:
    return Jury("panel", JuryOptions(**options), Path(), setting)


def vote(score: float, **more: Json) -> str:
    return json.dumps({"score": score, "reason": f"it is worth {score}", **more})


def name_of(question: Question) -> str:
    return question.endpoint.removeprefix("juror.")


def judge(
    panel: Jury,
    replies: Mapping[str, Sequence[str | None]],
    output: str = "On its way.",
    example: Example = ROW,
    known: Mapping[str, Judgement] | None = None,
) -> tuple[dict[str, Judgement], list[list[str]]]:
    """Judgements, and who was asked in each stage; None is a call that failed for good."""
    told: list[Told] = []
    stages: list[list[str]] = []
    left = {name: list(answers) for name, answers in replies.items()}
    while True:
        said = panel.consider(output, example, known or {}, told)
        if isinstance(said, dict):
            return said, stages
        stages.append([name_of(question) for question in said])
        for question in said:
            text = left[name_of(question)].pop(0)
            told.append(Told(question, text, "" if text is not None else "HTTP 500"))


def test_the_panel_is_asked_at_once_and_says_the_median() -> None:
    said, stages = judge(jury(), {"strict": [vote(20)], "kind": [vote(90)], "odd": [vote(40)]})
    assert stages == [["strict", "kind", "odd"]]
    assert said["panel"].score == pytest.approx(0.4)
    assert said["panel"].feedback == "40 of 100 (strict 20, kind 90, odd 40)"
    assert (said["panel/kind"].score, said["panel/kind"].feedback) == (0.9, "it is worth 90")


def test_a_weighted_mean_knows_the_jurors_weights() -> None:
    said, _ = judge(jury(aggregate="mean"), {"strict": [vote(20)], "kind": [vote(90)], "odd": [vote(50)]})
    assert said["panel"].score == pytest.approx((3 * 0.2 + 0.9 + 0.5) / 5)


def test_what_cannot_be_read_is_asked_once_more_and_then_missing() -> None:
    replies = {"strict": ["I like it.", vote(60)], "kind": ["no", "still no"], "odd": [vote(80)]}
    said, stages = judge(jury(), replies)
    assert stages == [["strict", "kind", "odd"], ["strict", "kind"]]
    assert said["panel"].score == pytest.approx(0.7)
    assert said["panel/kind"].score is None
    assert "could not be read" in said["panel/kind"].feedback


def test_a_repair_shows_the_reply_and_what_is_wrong_with_it() -> None:
    panel = jury(jurors=("odd",))
    (first,) = panel.consider("x", ROW, {}, [])
    assert isinstance(first, Question)
    (again,) = panel.consider("x", ROW, {}, [Told(first, "well", "")])
    assert isinstance(again, Question)
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert again.messages[:1] == first.messages
    assert "no JSON object" in again.messages[2].content


def test_a_juror_that_fails_is_missing_and_not_zero() -> None:
    said, _ = judge(jury(), {"strict": [None], "kind": [vote(90)], "odd": [vote(80)]})
    assert said["panel"].score == pytest.approx(0.85)
    assert said["panel/strict"] == Judgement(None, "no vote: HTTP 500")


def test_without_enough_votes_there_is_no_score() -> None:
    nobody, _ = judge(jury(), {"strict": [None], "kind": [None], "odd": [None]})
    assert nobody["panel"] == Judgement(None, "0 of 3 jurors could judge")
    one = {"strict": [None], "kind": [None], "odd": [vote(90)]}
    assert judge(jury(least=2), one)[0]["panel"].score is None
    assert judge(jury(least=1), one)[0]["panel"].score == 0.9
    assert judge(jury(least=9, jurors=("odd",)), one)[0]["panel"].score == 0.9, "more than there are cannot be wanted"


def test_a_literal_hard_negative_and_an_empty_answer_are_shown_to_nobody() -> None:
    hit = {"hard_negatives": Judgement(0.0, "it is there")}
    assert judge(jury(), {}, known=hit) == ({"panel": judge(jury(), {}, known=hit)[0]["panel"]}, [])
    assert judge(jury(), {}, known=hit)[0]["panel"].score == 0.0
    said, stages = judge(jury(), {}, output=" \n")
    assert (said["panel"], stages) == (Judgement(0.0, "the answer is empty"), [])


def test_an_answer_that_may_be_empty_is_judged() -> None:
    empty = Example("r1", {"text": "nothing"}, "")
    assert judge(jury(jurors=("kind",)), {"kind": [vote(100)]}, output="", example=empty)[0]["panel"].score == 1.0


def test_a_vote_that_names_a_hard_negative_stays_under_forty() -> None:
    said, _ = judge(jury(jurors=("strict",)), {"strict": [vote(95, hard=[1])]})
    assert said["panel"].score == HARD_NEGATIVE_CAP
    assert said["panel/strict"].score == HARD_NEGATIVE_CAP


def test_a_thousand_answers_with_a_literal_hard_negative_all_score_under_forty() -> None:
    rng = random.Random(3)
    scorer = build_scorer([MetricSpec("panel", "jury"), MetricSpec("form", "contains", 2, options={"values": ["a"]})],
                          Path(), SETTING)  # fmt: skip
    words = ["sure", "a date", "we guarantee delivery", "thanks", "é", "🙂", "\n", "100", "perfect"]
    asked = 0
    for number in range(1000):
        output = " ".join([*rng.choices(words, k=rng.randint(0, 8)), "refund NOW", *rng.choices(words, k=4)])
        row = Example(f"r{number}", {"text": "x"}, "y", hard_negatives=({"literal": "refund NOW"}, "is rude"))
        judgements, _ = scorer.score(output, row)
        said = scorer.asking[0].consider(output, row, judgements, [])
        asked += not isinstance(said, dict)
        judgements |= said if isinstance(said, dict) else {"panel": Judgement(1.0)}
        score = scorer.combine(judgements)
        assert score is not None
        assert score < 0.4
    assert not asked, "nobody is asked about an answer that code can tell"


CASCADE = {"first": "kind", "line": 0.5, "near": 0.2}


@pytest.mark.parametrize(("first", "asked"), [(95, 1), (71, 1), (70, 3), (50, 3), (30, 3), (29, 1), (0, 1)])
def test_a_cascade_asks_the_others_only_near_the_line(first: float, asked: int) -> None:
    replies = {"kind": [vote(first)], "strict": [vote(first)], "odd": [vote(first)]}
    said, stages = judge(jury(cascade=CASCADE), replies)
    assert stages[0] == ["kind"]
    assert sum(map(len, stages)) == asked
    assert said["panel"].score == pytest.approx(first / 100)


def test_a_cascade_asks_the_others_where_the_first_juror_fails_or_contradicts_the_metric() -> None:
    others = {"strict": [vote(10)], "odd": [vote(20)]}
    _, stages = judge(jury(cascade=CASCADE), {"kind": [None], **others})
    assert stages == [["kind"], ["strict", "odd"]]
    after = {**CASCADE, "after": "label"}
    said, stages = judge(jury(cascade=after), {"kind": [vote(95)], **others}, known={"label": Judgement(0.0)})
    assert stages == [["kind"], ["strict", "odd"]]
    assert said["panel"].score == pytest.approx(0.2)


def test_a_cascade_asks_nobody_where_a_metric_in_code_is_satisfied() -> None:
    panel = jury(cascade={**CASCADE, "after": "label"})
    assert judge(panel, {}, known={"label": Judgement(1.0)}) == ({"panel": Judgement(1.0)}, [])
    _, stages = judge(panel, {"kind": [vote(95)]}, known={"label": Judgement(None, "no expected answer")})
    assert stages == [["kind"]]


def test_a_repair_of_the_first_juror_comes_before_the_others() -> None:
    replies = {"kind": ["?", vote(50)], "strict": [vote(50)], "odd": [vote(50)]}
    _, stages = judge(jury(cascade=CASCADE), replies)
    assert stages == [["kind"], ["kind"], ["strict", "odd"]]


def test_features_are_asked_for_and_the_lowest_is_named() -> None:
    rubric = [{"id": "tone", "says": "is kind"}, {"id": "facts", "says": "is true", "weight": 3}]
    reply = json.dumps({"scores": {"tone": 100, "facts": 20}, "reason": "untrue"})
    said, _ = judge(jury(jurors=("odd",), rubric=rubric), {"odd": [reply]})
    assert said["panel"].score == pytest.approx(0.4)
    assert said["panel"].feedback.endswith("lowest: facts")


def test_about_half_of_all_rows_show_the_answer_first_and_always_the_same_ones() -> None:
    rows = [f"row-{number}" for number in range(1000)]
    first = [turned(row) for row in rows]
    assert 420 < sum(first) < 580
    assert first == [turned(row) for row in rows]
    shown = {
        turned(row): jury(jurors=("odd",)).consider("x", Example(row, {"a": "b"}, "e"), {}, []) for row in rows[:20]
    }
    for answer_first, questions in shown.items():
        content = questions[0].messages[0].content  # type: ignore[index]
        assert (content.index("<answer>") < content.index("<expected>")) == answer_first
    (fixed,) = jury(jurors=("odd",), turn=False).consider("x", Example(next(filter(turned, rows)), {}, "e"), {}, [])
    assert fixed.messages[0].content.index("<answer>") > fixed.messages[0].content.index("<expected>")  # type: ignore[union-attr]


def test_literal_hard_negatives_are_not_shown_and_prose_is() -> None:
    row = Example("r1", {"text": "x"}, None, ("curt",), ({"literal": "NEVER"}, "promises a date"))
    (question,) = jury(jurors=("odd",)).consider("x", row, {}, [])
    content = question.messages[0].content  # type: ignore[union-attr]
    assert "NEVER" not in content
    assert '{"n":1,"says":"promises a date"}' in content
    assert '{"n":1,"says":"curt"}' in content


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jurors": ["nobody"]}, "there is no juror `nobody`"),
        ({"jurors": ["kind"], "cascade": {"first": "odd"}}, "not on the panel"),
    ],
)
def test_unknown_jurors_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        jury(**options)
    with pytest.raises(ConfigError, match=r"models\.jury lists none"):
        jury(Setting("x"))


def test_jurors_that_reports_could_not_tell_apart_are_refused() -> None:
    seats = (Seat("openai"), Seat("openai/gpt-5"), Seat("openai/gpt-5-mini"))
    with pytest.raises(ConfigError, match="`openai` and `openai/gpt-5`"):
        jury(Setting("x", jury=seats))
    assert len(jury(Setting("x", jury=seats[1:])).seats) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"jurors": []},
        {"jurors": ["kind", "kind"]},
        {"rubric": []},
        {"rubric": [{"id": "a", "says": "x"}, {"id": "a", "says": "y"}]},
        {"rubric": [{"id": "a b", "says": "x"}]},
        {"least": 0},
        {"cascade": {"near": 2}},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        JuryOptions(**options)


def test_bounds_name_each_juror_twice() -> None:
    bounds = jury(rubric="Be kind." * 100).bounds
    assert [(bound.endpoint, bound.calls) for bound in bounds] == [
        (f"juror.{seat.name}", TRIES) for seat in SETTING.jury
    ]
    assert bounds[0].size > jury().bounds[0].size + 700


@given(
    st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1), min_size=1),
    st.dictionaries(st.sampled_from("abcde"), st.floats(0.1, 10)),
    st.sampled_from(["median", "mean"]),
)
def test_a_panel_says_something_between_its_lowest_and_its_highest_vote(
    votes: dict[str, float], weights: dict[str, float], aggregate: str
) -> None:
    score = panel_score(votes, weights, aggregate)
    assert min(votes.values()) - 1e-12 <= score <= max(votes.values()) + 1e-12
    if aggregate == "median":
        assert score == statistics.median(votes.values())
    same = dict.fromkeys(votes, 0.5)
    assert panel_score(same, weights, aggregate) == pytest.approx(0.5)


@given(st.lists(st.text() | st.none(), min_size=12, max_size=12), st.text(), st.booleans())
def test_whatever_jurors_say_the_panel_ends_with_a_score_within_bounds_or_none(
    texts: list[str | None], output: str, cascaded: bool
) -> None:
    replies = {seat.name: texts[n * 4 : n * 4 + 4] for n, seat in enumerate(SETTING.jury)}
    said, stages = judge(jury(cascade=CASCADE if cascaded else None), replies, output)
    assert sum(map(len, stages)) <= TRIES * len(SETTING.jury)
    for word in said.values():
        assert word.score is None or 0 <= word.score <= 1
        assert len(word.feedback) <= 400


def test_a_juror_that_only_warns_is_asked_and_shown_and_does_not_count() -> None:
    replies = {"strict": [vote(20)], "kind": [vote(90)], "odd": [vote(40)]}
    said, stages = judge(jury(warn_only=["kind"]), replies)
    assert stages == [["strict", "kind", "odd"]]
    assert said["panel"].score == pytest.approx(0.3)
    assert said["panel/kind"].score == 0.9
    alone, _ = judge(jury(warn_only=["kind"]), {"strict": [None], "kind": [vote(90)], "odd": [None]})
    assert alone["panel"].score is None, "its vote does not stand in for those that count"
    _, asked = judge(jury(warn_only=["strict"], cascade={"near": 0.0}), {"kind": [vote(95)]})
    assert asked == [["kind"]], "who is asked first has to count"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"warn_only": ["nobody"]}, "warn_only names `nobody`"),
        ({"warn_only": ["strict", "kind", "odd"]}, "no juror counts"),
        ({"warn_only": ["kind"], "cascade": {"first": "kind"}}, "who does not count"),
    ],
)
def test_somebody_has_to_count(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        jury(**options)
