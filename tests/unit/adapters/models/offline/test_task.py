import json
from dataclasses import replace

import pytest

from promptprop.adapters.models.offline.task import DEMO, answer_task, prospect_of, true_score, view_of
from promptprop.domain.models import Message

FORM = "\n- Write one label and nothing else."


def share_right(world, ask, prompt, replicates=60, rows=None):
    keys = rows or list(world.rows)
    answers = [ask(world, prompt, key, n) == world.rows[key].expected for key in keys for n in range(replicates)]
    return sum(answers) / len(answers)


def test_equal_questions_get_equal_answers(desks, ask_task, best_prompt):
    assert all(ask_task(desks, best_prompt, key, 3) == ask_task(desks, best_prompt, key, 3) for key in desks.rows)


def test_two_prompts_that_mean_the_same_get_the_same_answers(desks, ask_task, best_prompt):
    other = (
        "Decide which desk takes the message {{ text }}.\n"
        "Whenever a whole group cannot work, choose technical! People who want to cancel: sales.\n"
        "If a customer does not recognise an amount, the answer is security. Only the label, please."
    )
    for key in desks.rows:
        for replicate in range(5):
            assert ask_task(desks, best_prompt, key, replicate) == ask_task(desks, other, key, replicate)


def test_a_rule_that_a_row_does_not_need_changes_nothing_for_it(desks, ask_task):
    plain = f"Route it.{FORM}\n\n{{{{ text }}}}"
    with_rule = f"Route it.\n- A wish to cancel belongs to sales.{FORM}\n\n{{{{ text }}}}"
    for key in ("f1", "o1", "p1", "p5"):
        for replicate in range(20):
            assert ask_task(desks, plain, key, replicate) == ask_task(desks, with_rule, key, replicate)


def test_replicates_flip_at_the_rate_that_the_world_tells(desks, ask_task, best_prompt):
    right = [ask_task(desks, best_prompt, "p5", n) == "account" for n in range(2000)]
    assert sum(right) / 2000 == pytest.approx(0.95 * 0.8, abs=0.04)


def test_a_missing_rule_leaves_luck_and_else_the_foreseen_answer(desks, ask_task):
    prompt = f"Route it.{FORM}\n\n{{{{ text }}}}"
    answers = [ask_task(desks, prompt, "f4", n) for n in range(2000)]
    assert set(answers) == {"security", "account"}
    assert answers.count("security") / 2000 == pytest.approx(0.1, abs=0.03)


def test_a_trap_gives_its_wrong_answer_although_the_rule_is_stated(desks, ask_task, best_prompt):
    trapped = best_prompt.replace(
        "\n\nMessage", "\n- Anything about passwords or signing in goes to account.\n\nMessage"
    )
    answers = [ask_task(desks, trapped, "o1", n) for n in range(200)]
    assert answers.count("account") > 150
    assert ask_task(desks, trapped, "o2", 1) == ask_task(desks, best_prompt, "o2", 1)


def test_a_prompt_with_all_rules_beats_the_seed_by_the_margin_of_the_world(desks, ask_task, seed_prompt, best_prompt):
    told = true_score(desks, best_prompt) - true_score(desks, seed_prompt)
    seen = share_right(desks, ask_task, best_prompt) - share_right(desks, ask_task, seed_prompt)
    assert told > 0.5
    assert seen == pytest.approx(told, abs=0.03)


@pytest.mark.parametrize("extra", ["", "\n- A wish to cancel belongs to sales.", "\n" + "Be kind. " * 120, FORM])
def test_the_true_score_is_the_mean_of_what_calls_give(desks, ask_task, extra):
    prompt = f"Route it.{extra}\n\nMessage: {{{{ text }}}}"
    assert share_right(desks, ask_task, prompt) == pytest.approx(true_score(desks, prompt), abs=0.03)


def test_the_true_score_of_some_rows_is_theirs_alone(desks, best_prompt):
    assert true_score(desks, best_prompt, ["p5"]) == pytest.approx(0.95 * 0.8)
    with pytest.raises(KeyError):
        true_score(desks, best_prompt, ["nobody"])


def test_a_row_with_a_wrong_label_is_answered_right_and_scores_against_its_label(desks, ask_task, best_prompt):
    assert [ask_task(desks, best_prompt, "p6", n) for n in range(50)].count("billing") > 40
    assert true_score(desks, best_prompt, ["p6"]) < 0.1


def test_without_the_format_some_rows_get_answers_that_hold_more_than_the_label(desks, ask_task):
    answers = {key: ask_task(desks, "Route it: {{ text }}", key) for key in desks.rows}
    chatty = {key for key, answer in answers.items() if answer not in desks.answers}
    assert 4 <= len(chatty) <= 16  # 40 % of 24 rows are expected
    assert all(any(label in answers[key] for label in desks.answers) for key in chatty)
    assert all(ask_task(desks, f"Route it.{FORM}\n{{{{ text }}}}", key) in desks.answers for key in chatty)


def test_characters_beyond_the_free_ones_lower_the_score(desks, best_prompt):
    longer = best_prompt + "\n" + "Please be kind. " * 80
    assert true_score(desks, best_prompt, ["p1"]) - true_score(desks, longer, ["p1"]) == pytest.approx(
        0.02 * 8, abs=0.03
    )


def test_worked_examples_are_weak_evidence_for_their_rules(desks):
    row = desks.rows["f1"]
    shown = [desks.rows[key] for key in ("f2", "f3")]
    text = "Route it." + FORM + "".join(f"\n\nMessage: {r.inputs['text']}\nDesk: security" for r in shown)
    demos = view_of(desks, text + "\n\nMessage: {{ text }}\nDesk:")
    chance = prospect_of(desks, row, demos).chance
    assert demos.demos == ("f2", "f3")
    assert chance == pytest.approx(0.1 + (0.95 - 0.1) * (1 - (1 - DEMO) ** 2), abs=0.02)
    assert prospect_of(desks, desks.rows["o1"], demos).chance == pytest.approx(0.1)
    wrong = view_of(desks, text.replace("Desk: security", "Desk: billing") + "\n\n{{ text }}")
    assert prospect_of(desks, row, wrong).chance == pytest.approx(0.1)


def test_the_row_asked_about_is_the_one_without_an_answer(desks):
    messages = [
        Message("system", "Route it. Write one label and nothing else."),
        Message("user", desks.rows["f2"].inputs["text"]),
        Message("assistant", "security"),
        Message("user", desks.rows["p1"].inputs["text"]),
    ]
    assert [answer_task(desks, messages, n) for n in range(40)].count("billing") > 30


def test_what_an_input_says_is_not_what_the_prompt_states(desks, ask_task):
    loud = replace(desks.rows["f1"], id="x", inputs={"text": "Unrecognised charges are for security, cancel to sales!"})
    world = replace(desks, rows={**desks.rows, "x": loud})
    answers = [ask_task(world, f"Route it.{FORM}\n{{{{ text }}}}", "x", n) for n in range(100)]
    assert answers.count("billing") > 75


def test_an_unknown_input_is_answered_all_the_same(desks, receipts):
    question = [Message("user", "What is the meaning of life?")]
    assert answer_task(desks, question, 0) in desks.answers
    assert answer_task(receipts, question, 0) == "{}"
    assert len({answer_task(desks, question, n) for n in range(30)}) > 1


def test_an_extraction_without_its_rule_has_the_foreseen_fields_wrong(receipts, ask_task):
    prompt = "Extract.\n- Reply with the JSON object only.\n\n{{ text }}"
    assert json.loads(ask_task(receipts, prompt, "r2")) == {"vendor": "Hill & Sons", "amount": 100, "due": "2025-06-01"}
    told = prompt.replace("Extract.", "Extract.\n- The amount is the gross sum.")
    assert json.loads(ask_task(receipts, told, "r2")) == receipts.rows["r2"].expected
    assert json.loads(ask_task(receipts, prompt, "r4"))["due"] is None


def test_a_chatty_extraction_wraps_its_object(receipts, ask_task):
    answer = ask_task(receipts, "Extract: {{ text }}", "r4")
    assert answer.startswith("Here")
    assert '"Taxi Lund"' in answer
    assert true_score(receipts, "Extract: {{ text }}") == 0.0
    assert true_score(receipts, "Extract: {{ text }}\n\nReply with the JSON only.", ["r4"]) == 1.0
