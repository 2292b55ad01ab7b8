"""The simulated chain: symptoms at the wrong step, and a critic that sees the cause only where a trace is shown."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.models.offline.chain import (
    ChainWorld,
    answer_chain_role,
    answer_chain_task,
    evidence_by_step,
    load_any,
)
from promptprop.adapters.models.offline.meaning import reader_of
from promptprop.adapters.models.offline.world import World
from promptprop.api import optimize_async
from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Message, Prompt, text_of
from promptprop.roles.registry import load_roles

ROOT = Path(__file__).parents[5]
FILE = ROOT / "datasets" / "tickets.world.yaml"
PROMPTS = {step: (ROOT / "configs" / "prompts" / f"ticket-{step}.md").read_text("utf-8") for step in ("facts", "desk")}


@pytest.fixture(scope="module")
def chain() -> ChainWorld:
    found = load_any(FILE)
    assert isinstance(found, ChainWorld)
    return found


def filled(step: str, value: str) -> tuple[Message, ...]:
    name = "text" if step == "facts" else "facts"
    return (Message("user", PROMPTS[step].replace(f"{{{{ {name} }}}}", value)),)


def walked(chain: ChainWorld, row: str, replicate: int = 0) -> tuple[str, str]:
    """What the two steps answer for a row."""
    text = str(chain.steps["facts"].rows[row].inputs["text"])
    facts = answer_chain_task(chain, filled("facts", text), replicate)
    return facts, answer_chain_task(chain, filled("desk", facts), replicate)


def test_each_step_is_known_by_what_it_is_sent(chain: ChainWorld) -> None:
    plain = [
        row
        for row, one in chain.steps["facts"].rows.items()
        if not one.needs and not chain.steps["desk"].rows[row].needs
    ]
    right = Counter[str]()
    for row in plain:
        facts, desk = walked(chain, row)
        right["facts"] += json.loads(facts) == chain.steps["facts"].rows[row].right
        right["desk"] += chain.steps["desk"].rows[row].right in desk
    assert right["facts"] >= 0.9 * len(plain)
    assert right["desk"] >= 0.85 * len(plain)


def test_a_fact_that_is_wrong_shows_at_the_last_step(chain: ChainWorld) -> None:
    misread = [
        row for row, one in chain.steps["facts"].rows.items() if one.needs and not chain.steps["desk"].rows[row].needs
    ]
    wrong = [row for row in misread if json.loads(walked(chain, row)[0]) != chain.steps["facts"].rows[row].right]
    assert len(wrong) > 0.7 * len(misread)
    hit = sum(chain.steps["desk"].rows[row].right in walked(chain, row)[1] for row in wrong)
    assert hit < 0.5 * len(wrong), "the last step can only guess"


def failures(chain: ChainWorld, rule: str, count: int, *, trace: bool) -> list[dict[str, Any]]:
    """Rows that need a rule of the first step, as the critic sees them."""
    lines = []
    for row, one in chain.steps["facts"].rows.items():
        facts, desk = walked(chain, row)
        if list(one.needs) == [rule] and json.loads(facts) != one.right and len(lines) < count:
            line = {"n": len(lines) + 1, "id": row, "inputs": dict(one.inputs), "answer": desk}
            line["expected"] = chain.steps["desk"].rows[row].expected
            lines.append({**line, "trace": {"facts": facts}} if trace else line)
    return lines


def critiques(chain: ChainWorld, lines: list[dict[str, Any]], replicate: int) -> list[dict[str, Any]]:
    role = load_roles({})["critic"]
    inputs = {"task": "route tickets", "prompts": PROMPTS, "failures": lines, "successes": []}
    reply = answer_chain_role(chain, "critic", "strong", role.messages(inputs), replicate)
    try:
        return [{"step": one.step, "fix": one.fix} for one in role.parse(reply, inputs)]
    except ValueError:
        return []


@pytest.mark.no_cover
def test_the_critic_finds_the_step_where_the_trace_shows_it_and_not_where_there_is_none(chain: ChainWorld) -> None:
    with_trace, without = Counter[str](), Counter[str]()
    for replicate in range(12):
        for counted, trace in ((with_trace, True), (without, False)):
            lines = failures(chain, "slate-is-phone", 4, trace=trace)
            counted.update(one["step"] for one in critiques(chain, lines, replicate))
    assert with_trace["facts"] >= 8
    assert with_trace["desk"] == 0
    assert without["facts"] == 0


def test_remarks_change_the_prompt_of_their_step_alone(chain: ChainWorld) -> None:
    role = load_roles({})["rewriter"]
    critique = {"step": "facts", "cause": "slates are read as laptops", "fix": "Put phone as the device for a slate."}
    inputs = {
        "task": "route tickets", "prompts": {step: Prompt.of(text) for step, text in PROMPTS.items()},
        "critiques": [critique], "failures": [], "tried": [], "kind": "causes", "longest": 5000,
    }  # fmt: skip
    changed = Counter[str]()
    for replicate in range(12):
        reply = answer_chain_role(chain, "rewriter", "strong", role.messages(inputs), replicate)
        try:
            prompts = role.parse(reply, inputs).prompts
        except ValueError:
            continue
        changed.update(step for step, prompt in prompts.items() if prompt.text.strip() != PROMPTS[step].strip())
    assert changed["facts"] >= 8
    assert changed["desk"] == 0


def reflected(chain: ChainWorld, step: str, replicate: int) -> set[str]:
    """The rules of a step that a question about this step alone, in GEPA's form, brings into its prompt."""
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    rows = [row for row, one in chain.steps[step].rows.items() if one.needs][:6]
    shown = []
    for row in rows:
        facts, desk = walked(chain, row)
        letter, wrote = dict(chain.steps["facts"].rows[row].inputs), facts
        if step == "desk":
            letter, wrote = {"facts": facts}, desk
        expected = text_of(chain.steps["desk"].rows[row].expected)
        shown.append({"Inputs": letter, "Generated Outputs": wrote, "Feedback": f"expected {expected}"})
    asked = {"current_instruction_doc": PROMPTS[step], "dataset_with_feedback": shown, "prompt_template": None}
    text = str(InstructionProposalSignature.prompt_renderer(asked))
    reply = answer_chain_role(chain, "rewriter", "strong", (Message("user", text),), replicate)
    told = InstructionProposalSignature.output_extractor(reply)["new_instruction"]
    return set(reader_of(chain.steps[step]).stated(str(told)).rules)


@pytest.mark.parametrize("step", ["facts", "desk"])
def test_a_question_about_one_prompt_in_a_fence_is_answered_for_the_step_whose_rows_it_quotes(
    chain: ChainWorld, step: str
) -> None:
    learned = Counter[str]()
    for replicate in range(12):
        learned.update(reflected(chain, step, replicate))
    assert learned.total() >= 6, learned
    assert set(learned) <= set(chain.steps[step].rules)


def test_a_failure_without_a_number_or_with_the_right_answer_is_none(chain: ChainWorld) -> None:
    row = next(iter(chain.steps["facts"].rows.values()))
    line = {"inputs": dict(row.inputs), "expected": "rooms", "answer": "rooms", "n": 1}
    for odd in (line, {**line, "answer": "stores", "n": None}, {**line, "answer": None}):
        assert evidence_by_step(chain, json.dumps(odd))["desk"].quoted == ()


def test_the_last_step_reads_what_the_first_one_writes_when_it_is_right(chain: ChainWorld) -> None:
    for name, row in chain.steps["facts"].rows.items():
        assert text_of(row.right) == text_of(chain.steps["desk"].rows[name].inputs["facts"])


def test_a_world_of_one_step_is_no_chain_and_a_chain_needs_two(tmp_path: Path) -> None:
    assert isinstance(load_any(ROOT / "datasets" / "support.world.yaml"), World)
    alone = tmp_path / "alone.world.yaml"
    alone.write_text("version: 1\nchain: {facts: facts.world.yaml}\n", "utf-8")
    with pytest.raises(ConfigError, match="at least two steps"):
        load_any(alone)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_any(tmp_path / "missing.world.yaml")


@pytest.mark.no_cover
@pytest.mark.slow
async def test_the_shipped_chain_is_improved_at_both_of_its_steps(tmp_path: Path) -> None:
    sets = ["tracking.mlflow=false", "budget.calls=2000", f"output={tmp_path / 'out'}"]
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    report = await optimize_async(ROOT / "configs" / "tickets.yaml", sets=sets, database=database)
    assert report.verdict == "better"
    facts, desk = (report.candidates[report.winner.id].prompts[step].text for step in ("facts", "desk"))
    assert facts.strip() != PROMPTS["facts"].strip()
    assert desk.strip() != PROMPTS["desk"].strip()
    assert sum(word in facts for word in ("slate", "lanyard", "eamer", "train", "crawls", "nobody in")) >= 3
