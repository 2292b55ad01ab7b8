import json

import pytest

from promptprop.adapters.models.offline.evidence import causes, chatty, read_evidence

ANSWERS = {"f1": "billing", "f3": "billing", "p1": "billing", "o5": "account", "c1": "I would say **sales**."}
WRONG_FIELDS = {"r2": {"vendor": "Hill & Sons", "amount": 100, "due": "2025-06-01"}, "r4": {"vendor": "Taxi Lund"}}


@pytest.fixture(params=["ours", "markdown"])
def failure_text(request, critic_text, markdown_text):
    return critic_text if request.param == "ours" else markdown_text


def test_what_is_said_of_quoted_rows_is_read_in_every_form(desks, failure_text, seed_prompt):
    evidence = read_evidence(desks, failure_text(desks, seed_prompt, ANSWERS))
    assert [item.row.id for item in evidence.quoted] == list(ANSWERS)
    assert [item.expected for item in evidence.quoted] == ["security", "security", "billing", "technical", "sales"]
    assert [item.answer for item in evidence.quoted] == list(ANSWERS.values())
    assert [item.row.id for item in evidence.failures()] == ["f1", "f3", "o5", "c1"]
    assert evidence.prompts == {"main": seed_prompt}


def test_causes_rest_on_failing_rows_that_show_them(desks, failure_text, seed_prompt):
    evidence = read_evidence(desks, failure_text(desks, seed_prompt, ANSWERS))
    found = causes(desks, evidence.failures())
    assert {rule: [item.row.id for item in items] for rule, items in found.items()} == {
        "fraud": ["f1", "f3"],
        "outage": ["o5"],
    }
    assert [item.row.id for item in evidence.failures() if chatty(desks, item)] == ["c1"]


def test_wrong_fields_of_an_extraction_are_read_in_every_form(receipts, failure_text, seed_prompt):
    evidence = read_evidence(receipts, failure_text(receipts, seed_prompt, WRONG_FIELDS))
    assert [item.row.id for item in evidence.failures()] == ["r2", "r4"]
    assert list(causes(receipts, evidence.failures())) == ["gross"]


def test_a_chatty_extraction_is_seen(receipts, failure_text, seed_prompt):
    row = receipts.rows["r2"]
    answer = json.dumps({**row.expected, "amount": 100})
    for said, chats in ((f"Here is what I found: {answer}", True), (answer, False)):
        failures = read_evidence(receipts, failure_text(receipts, seed_prompt, {"r2": said})).failures()
        assert [chatty(receipts, item) for item in failures] == [chats]
        assert list(causes(receipts, failures)) == ["gross"]


@pytest.mark.parametrize(
    "feedback",
    [
        "fields: amount: expected 119, got 100",
        "The answer should be {'vendor': 'Hill & Sons', 'amount': 119, 'due': '2025-06-01'}",
        'expected {"vendor": "Hill & Sons", "amount": 119, "due": "2025-06-01"}, got another object',
    ],
)
def test_expected_fields_are_read_from_feedback_in_several_wordings(receipts, seed_prompt, feedback):
    answer = json.dumps({**receipts.rows["r2"].expected, "amount": 100})
    text = (
        f"```\n{seed_prompt}\n```\n\n# Example 1\n## Inputs\n{receipts.rows['r2'].inputs['text']}\n\n"
        f"## Generated Outputs\n{answer}\n\n## Feedback\n{feedback}\n"
    )
    assert list(causes(receipts, read_evidence(receipts, text).failures())) == ["gross"]


def test_a_wrong_label_teaches_nothing(desks, critic_text, seed_prompt):
    text = critic_text(desks, seed_prompt, {"f1": "billing"}).replace('"expected": "security"', '"expected": "sales"')
    failures = read_evidence(desks, text).failures()
    assert len(failures) == 1
    assert causes(desks, failures) == {}


def test_no_expected_answer_is_invented(desks, seed_prompt):
    row = desks.rows["f1"].inputs["text"]
    text = (
        f"```\n{seed_prompt}\n```\n\n# Example\n## Inputs\n{row}\n\n## Generated Outputs\nbilling\n\n## Feedback\nBad."
    )
    quoted = read_evidence(desks, text).quoted
    assert [(item.row.id, item.expected, item.answer) for item in quoted] == [("f1", None, "billing")]
    assert read_evidence(desks, text).failures() == []


def test_rows_inside_of_the_prompt_are_no_failures(desks, critic_text):
    prompt = f"Route. Example: {desks.rows['f2'].inputs['text']} → security\n\n{{{{ text }}}}"
    assert [q.row.id for q in read_evidence(desks, critic_text(desks, prompt, {"o1": "account"})).quoted] == ["o1"]


def test_remarks_kind_and_refused_hypotheses_are_read(desks, rewriter_text, seed_prompt):
    text = rewriter_text(
        seed_prompt,
        [{"step": "main", "cause": "c", "fix": "A wish to cancel belongs to sales."}],
        kind="restart",
        tried=[
            {"kind": "cause", "hypothesis": "bad one", "delta": -0.2, "se": 0.05, "kept": False},
            {"kind": "cause", "hypothesis": "unclear one", "delta": -0.02, "se": 0.05, "kept": False},
        ],
    )
    evidence = read_evidence(desks, text)
    assert (evidence.kind, evidence.task) == ("restart", "Route each message to one desk.")
    assert evidence.refused == ("bad one",)
    assert [remark.fix for remark in evidence.remarks if remark.fix] == ["A wish to cancel belongs to sales."]
    assert evidence.wants_object


def test_the_prompt_in_fences_is_the_one_with_the_placeholder(desks):
    text = "Old:\n```\nsome code\n```\nNow:\n```\nRoute {{ text }}\n```\nPlease improve it."
    assert read_evidence(desks, text).prompts == {"main": "some code"}
