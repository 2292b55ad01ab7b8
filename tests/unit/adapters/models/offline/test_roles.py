import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptprop.adapters.models.offline.meaning import reader_of
from promptprop.adapters.models.offline.roles import answer_role
from promptprop.adapters.models.offline.task import answer_task, true_score
from promptprop.adapters.models.offline.world import Powers
from promptprop.domain.models import Message, Prompt
from promptprop.roles.registry import load_roles

FRAUD_FIX = {"step": "main", "cause": "c", "fix": "Unrecognised charges are for security."}
OUTAGE_FIX = {"step": "main", "cause": "c", "fix": "When a whole group is locked out, send it to technical."}
WRONG = {"f": "billing", "o": "account", "c": "billing"}


def reply_of(world, part, text, replicate=0, variant=""):
    return answer_role(world, part, variant, [Message("user", text)], replicate)


def object_in(reply):
    """The JSON object of a reply, or None where it cannot be read."""
    start, end = reply.find("{"), reply.rfind("}")
    try:
        return json.loads(reply[start : end + 1])
    except ValueError:
        return None


def rules_in(world, reply):
    value = object_in(reply)
    said = "\n\n".join(c["fix"] for c in (value or {}).get("critiques", []))
    return reader_of(world).stated(said).rules


def noticed(world, text, rule, replicates=300, variant=""):
    return (
        sum(rule in rules_in(world, reply_of(world, "critic", text, n, variant)) for n in range(replicates))
        / replicates
    )


def prompt_in(reply):
    value = object_in(reply)
    return value["prompts"]["main"] if value and "prompts" in value else None


def wrong(keys):
    return {key: WRONG[key[0]] for key in keys}


# --- the critic


def test_equal_requests_get_equal_replies_and_replicates_differ(desks, critic_text, seed_prompt):
    text = critic_text(desks, seed_prompt, wrong(["f1", "f2"]))
    assert reply_of(desks, "critic", text, 1) == reply_of(desks, "critic", text, 1)
    assert len({reply_of(desks, "critic", text, n) for n in range(10)}) > 1


def test_a_sure_critic_names_cause_fix_and_the_failures_it_explains(sure_desks, critic_text, seed_prompt):
    text = critic_text(sure_desks, seed_prompt, wrong(["f1", "o1", "f2", "f3", "o2", "f4", "o3", "f5", "f6", "f7"]))
    found = [object_in(reply_of(sure_desks, "critic", text, n)) for n in range(20)]
    critique = next(c for value in found for c in value["critiques"] if "security" in c["fix"])
    assert critique["step"] == "main"
    assert critique["failures"] == [1, 3, 4, 6, 8, 9, 10]
    assert "don't recognise" in critique["cause"]


def test_more_failures_of_one_cause_are_noticed_more_often_than_one(desks, critic_text, seed_prompt):
    one = noticed(desks, critic_text(desks, seed_prompt, wrong(["f1"])), "fraud")
    four = noticed(desks, critic_text(desks, seed_prompt, wrong(["f1", "f2", "f3", "f5"])), "fraud")
    assert one == pytest.approx(0.8 * 0.5 * 0.875, abs=0.1)
    assert four > one + 0.15


def test_other_causes_in_the_same_message_make_a_cause_harder_to_see(desks, critic_text, seed_prompt):
    world = replace(desks, rewriter=Powers(able=1, crowd=0.25, forget=0, mislabel=0, bloat=0, malformed=0))
    alone = noticed(world, critic_text(world, seed_prompt, wrong(["f1", "f2"])), "fraud")
    crowd = noticed(world, critic_text(world, seed_prompt, wrong(["f1", "f2", "o1", "o2", "c1", "c2"])), "fraud")
    assert crowd < alone - 0.2


def test_a_weak_critic_notices_less_and_a_strong_one_more(desks, critic_text, seed_prompt):
    text = critic_text(desks, seed_prompt, wrong(["f1", "f2", "f3"]))
    weak, usual, strong = (noticed(desks, text, "fraud", 400, v) for v in ("weak", "", "strong"))
    assert weak + 0.1 < usual < strong


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_critic_never_states_a_rule_of_which_no_failing_row_is_in_its_text(desks, critic_text, seed_prompt, data):
    keys = data.draw(st.lists(st.sampled_from(sorted(desks.rows)), unique=True, max_size=8))
    shown = {key: WRONG.get(key[0], "technical") for key in keys}
    for key in data.draw(st.lists(st.sampled_from(keys), max_size=4)) if keys else []:
        shown[key] = desks.rows[key].expected  # a row that did not fail teaches nothing
    allowed = {rule for key in keys if shown[key] != desks.rows[key].expected for rule in desks.rows[key].needs}
    text = critic_text(desks, seed_prompt, shown)
    for replicate in range(5):
        reply = reply_of(desks, "critic", text, replicate)
        assert reader_of(desks).stated(reply.replace("\\n", "\n")).rules <= allowed


def test_a_rule_that_the_prompt_states_is_not_found_again(sure_desks, critic_text, best_prompt):
    text = critic_text(sure_desks, best_prompt, wrong(["f1", "f2", "f3", "f4", "f5", "f6"]))
    assert noticed(sure_desks, text, "fraud", 20) == 0
    assert object_in(reply_of(sure_desks, "critic", text))["critiques"][0]["fix"]


def test_chatty_answers_are_seen_as_a_matter_of_form(sure_desks, critic_text, seed_prompt):
    chats = dict.fromkeys(("o1", "o2", "o3", "o4", "o5", "o6"), "I would say **technical**.")
    replies = [reply_of(sure_desks, "critic", critic_text(sure_desks, seed_prompt, chats), n) for n in range(20)]
    fixes = [c["fix"] for reply in replies for c in object_in(reply)["critiques"]]
    assert any(reader_of(sure_desks).stated(fix).format for fix in fixes)
    assert not any(reader_of(sure_desks).stated(fix).rules for fix in fixes)


def test_at_times_a_fix_is_mislabelled_a_trap_or_vague(desks, critic_text, seed_prompt):
    world = replace(desks, rewriter=Powers(able=1, crowd=0, forget=0, mislabel=0.4, bloat=0, malformed=0))
    text = critic_text(world, seed_prompt, wrong(["f1", "f2", "f3", "f5"]))
    values = [object_in(reply_of(world, "critic", text, n)) for n in range(100)]
    fixes = [value["critiques"][0]["fix"] for value in values]
    reader = reader_of(world)
    assert any(reader.stated(fix).traps for fix in fixes)
    assert any(reader.nearly(fix) and reader.stated(fix).nothing for fix in fixes)
    assert any(not reader.nearly(fix) and reader.stated(fix).nothing for fix in fixes)


@pytest.mark.parametrize("part", ["critic", "rewriter"])
def test_a_question_that_shows_nothing_gets_a_polite_useless_answer(desks, part):
    reply = reply_of(desks, part, "How are you?")
    assert "gladly" in reply
    assert answer_role(desks, part, "", [], 0)


@pytest.mark.parametrize("part", ["critic", "rewriter"])
def test_malformed_replies_occur_and_a_repair_can_succeed(desks, critic_text, rewriter_text, seed_prompt, part):
    world = replace(desks, rewriter=replace(desks.rewriter, malformed=0.5))
    line = critic_text(world, seed_prompt, wrong(["f1"])).split("<failures>\n")[1].split("\n</failures>")[0]
    text = {
        "critic": critic_text(world, seed_prompt, wrong(["f1"])),
        "rewriter": rewriter_text(seed_prompt, failures=[line]),
    }
    key = {"critic": "critiques", "rewriter": "prompts"}[part]
    repaired = 0
    bad = 0
    for n in range(60):
        first = reply_of(world, part, text[part], n)
        if key not in (object_in(first) or {}):
            bad += 1
            talk = [
                Message("user", text[part]),
                Message("assistant", first),
                Message("user", "That was no JSON object."),
            ]
            repaired += key in (object_in(answer_role(world, part, "", talk, n)) or {})
    assert 15 <= bad <= 45
    assert 0 < repaired < bad


# --- the rewriter


def test_a_sure_rewriter_adds_what_critiques_say_and_keeps_the_rest(sure_desks, rewriter_text, best_prompt):
    start = best_prompt.replace("- Unrecognised charges are for security.\n", "")
    new = prompt_in(reply_of(sure_desks, "rewriter", rewriter_text(start, [FRAUD_FIX])))
    assert reader_of(sure_desks).stated(new).rules == {"fraud", "outage", "leaving"}
    assert new.endswith("Message: {{ text }}")
    assert true_score(sure_desks, new) == pytest.approx(true_score(sure_desks, best_prompt), abs=0.03)


def test_each_further_remark_in_a_message_is_harder_to_take_up(desks, rewriter_text, seed_prompt):
    world = replace(desks, rewriter=Powers(able=0.9, crowd=0.3, forget=0, mislabel=0, bloat=0, malformed=0))

    def share(critiques):
        texts = [prompt_in(reply_of(world, "rewriter", rewriter_text(seed_prompt, critiques), n)) for n in range(200)]
        return sum("outage" in reader_of(world).stated(text).rules for text in texts) / 200

    assert share([OUTAGE_FIX]) == pytest.approx(0.9, abs=0.07)
    assert share([FRAUD_FIX, OUTAGE_FIX]) == pytest.approx(0.6, abs=0.1)


def test_a_rewriter_forgets_at_the_rate_told(desks, rewriter_text, best_prompt):
    world = replace(desks, rewriter=Powers(able=1, crowd=0, forget=0.2, mislabel=0, bloat=0, malformed=0))
    texts = [prompt_in(reply_of(world, "rewriter", rewriter_text(best_prompt), n)) for n in range(200)]
    kept = sum(len(reader_of(world).stated(text).rules) for text in texts) / 600
    assert kept == pytest.approx(0.8, abs=0.06)
    assert all("{{ text }}" in text for text in texts)


def test_the_rewriter_learns_from_failures_alone_though_less_surely(desks, critic_text, rewriter_text, seed_prompt):
    lines = (
        critic_text(desks, seed_prompt, wrong(["f1", "f2", "f3"])).split("<failures>\n")[1].split("\n</failures>")[0]
    )
    text = rewriter_text(seed_prompt, failures=lines.splitlines())
    new = [prompt_in(reply_of(desks, "rewriter", text, n)) for n in range(200)]
    share = sum("fraud" in reader_of(desks).stated(prompt or "").rules for prompt in new) / 200
    assert 0.3 < share < 0.6


def test_the_form_in_which_failures_arrive_makes_no_difference(
    desks, critic_text, rewriter_text, markdown_text, seed_prompt
):
    shown = wrong(["f1", "f2", "f3"])
    lines = critic_text(desks, seed_prompt, shown).split("<failures>\n")[1].split("\n</failures>")[0].splitlines()

    def share(text):
        replies = [reply_of(desks, "rewriter", text, n).replace("\\n", "\n") for n in range(300)]
        return sum("fraud" in reader_of(desks).stated(reply).rules for reply in replies) / 300

    assert share(markdown_text(desks, seed_prompt, shown)) == pytest.approx(
        share(rewriter_text(seed_prompt, failures=lines)), abs=0.1
    )


def test_a_request_for_a_fenced_block_is_honoured(sure_desks, markdown_text, seed_prompt):
    reply = reply_of(sure_desks, "rewriter", markdown_text(sure_desks, seed_prompt, wrong(["f1"])))
    block = re.search(r"```\n(.*)\n```$", reply, re.DOTALL)
    assert block
    assert block.group(1).startswith("You route messages")
    assert "{{ text }}" in block.group(1)
    assert not reply.lstrip().startswith("{")


def test_only_the_steps_that_critiques_name_are_changed(sure_desks, rewriter_text, seed_prompt):
    text = rewriter_text(seed_prompt, [{**FRAUD_FIX, "step": "facts"}], steps=("facts", "desk"))
    prompts = object_in(reply_of(sure_desks, "rewriter", text))["prompts"]
    assert set(prompts) == {"facts", "desk"}
    assert prompts["desk"] == seed_prompt
    assert reader_of(sure_desks).stated(prompts["facts"]).rules == {"fraud"}


def test_consolidation_shortens_and_adds_nothing(sure_desks, rewriter_text, best_prompt):
    long = best_prompt.replace(
        "\n\nMessage", "\n- Take your time and be thorough.\n- A wish to cancel is for sales.\n\nMessage"
    )
    new = prompt_in(reply_of(sure_desks, "rewriter", rewriter_text(long, kind="consolidate")))
    assert len(new) < len(long)
    assert new == best_prompt


def test_a_format_child_states_the_form_of_the_answer(sure_desks, rewriter_text, seed_prompt):
    new = prompt_in(reply_of(sure_desks, "rewriter", rewriter_text(seed_prompt, [FRAUD_FIX], kind="format")))
    assert reader_of(sure_desks).stated(new).format
    assert not reader_of(sure_desks).stated(new).rules


def test_a_restart_is_written_from_the_task_and_what_was_seen(sure_desks, rewriter_text, seed_prompt):
    new = prompt_in(reply_of(sure_desks, "rewriter", rewriter_text(seed_prompt, [FRAUD_FIX], kind="restart")))
    assert new.startswith("Route each message to one desk.")
    assert "You route messages" not in new
    assert "{{ text }}" in new
    assert reader_of(sure_desks).stated(new).rules == {"fraud"}


def test_what_was_tried_and_did_harm_is_not_taken_up_again(sure_desks, rewriter_text, seed_prompt):
    trap = sure_desks.traps["every-login"].says[0]
    critique = {"step": "main", "cause": "c", "fix": trap}
    tried = {"kind": "cause", "hypothesis": f"Adds: {trap}", "delta": -0.2, "se": 0.05, "kept": False}
    naive = prompt_in(reply_of(sure_desks, "rewriter", rewriter_text(seed_prompt, [critique])))
    warned = prompt_in(reply_of(sure_desks, "rewriter", rewriter_text(seed_prompt, [critique], tried=[tried])))
    assert reader_of(sure_desks).stated(naive).traps == {"every-login"}
    assert not reader_of(sure_desks).stated(warned).traps


def test_bloat_adds_filler_that_states_nothing(desks, rewriter_text, seed_prompt):
    world = replace(desks, rewriter=Powers(able=1, crowd=0, forget=0, mislabel=0, bloat=1, malformed=0))
    new = prompt_in(reply_of(world, "rewriter", rewriter_text(seed_prompt)))
    assert len(new) > len(seed_prompt)
    assert reader_of(world).stated(new).nothing


def test_a_naive_loop_of_critic_and_rewriter_improves_the_true_score(desks, critic_text, rewriter_text, seed_prompt):
    gains = []
    for luck in range(4):
        world = replace(desks, name=f"desks#{luck}")
        prompt = seed_prompt
        for turn in range(8):
            answers = {
                key: answer_task(world, [Message("user", prompt.replace("{{ text }}", row.inputs["text"]))], turn)
                for key, row in world.rows.items()
            }
            failed = dict(
                list({k: a for k, a in answers.items() if a != world.rows[k].expected}.items())[turn % 3 :][:6]
            )
            value = object_in(reply_of(world, "critic", critic_text(world, prompt, failed), turn)) if failed else None
            if not value or "critiques" not in value:
                continue
            new = prompt_in(reply_of(world, "rewriter", rewriter_text(prompt, value["critiques"]), turn))
            prompt = new if new and "{{ text }}" in new else prompt
        gains.append(true_score(world, prompt) - true_score(world, seed_prompt))
    assert min(gains) > 0
    assert sum(gains) / len(gains) > 0.25


def test_the_shipped_roles_understand_the_simulated_replies(sure_desks, seed_prompt):
    roles = load_roles({})
    shown = {
        "n": 1,
        "id": "f1",
        "inputs": dict(sure_desks.rows["f1"].inputs),
        "expected": "security",
        "answer": "billing",
    }
    inputs = {"task": "Route it.", "prompts": {"main": seed_prompt}, "failures": [shown], "successes": []}
    replies = [answer_role(sure_desks, "critic", "", roles["critic"].messages(inputs), n) for n in range(10)]
    critiques = [roles["critic"].parse(reply, inputs)[0] for reply in replies]
    known = [c for c in critiques if reader_of(sure_desks).stated(c.fix).rules == {"fraud"}]
    assert known
    assert known[0].examples == ("f1",)
    inputs = {
        "task": "Route it.",
        "prompts": {"main": Prompt.of(seed_prompt)},
        "critiques": [{"step": "main", "cause": known[0].cause, "fix": known[0].fix}],
        "failures": [shown],
        "tried": [],
        "kind": "cause",
        "longest": 4000,
    }
    rewrite = roles["rewriter"].parse(
        answer_role(sure_desks, "rewriter", "", roles["rewriter"].messages(inputs), 0), inputs
    )
    assert reader_of(sure_desks).stated(rewrite.prompts["main"].text).rules == {"fraud"}
    assert rewrite.hypothesis.startswith("Adds: ")
