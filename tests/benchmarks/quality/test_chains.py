"""What the simulated chains rest on: steps state rules of their own, and no contender is shown more than it may see."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from bench import FastBench
from chains import ChainOffice
from families import CHAINS, Family, office_of
from searches import OfficeAdapter, candidate_of, parts_of, run_contender

from promptprop.adapters.models.offline.meaning import reader_of
from promptprop.domain.models import Ask, Json, Message, Prompt, text_of

BATCHES = 400
pytestmark = pytest.mark.no_cover  # simulations of the benchmark: what they run of the package, its own tests cover
EVERY = [pytest.param(family, id=family.name) for family in CHAINS]


def chain_of(family: Family, number: int = 1) -> ChainOffice:
    office = office_of(family, number)
    assert isinstance(office, ChainOffice)
    return office


@pytest.mark.parametrize("family", EVERY)
def test_every_wording_states_its_own_rule_and_no_other_in_its_step(family: Family) -> None:
    for world in chain_of(family).chain.steps.values():
        for rule in world.rules.values():
            for said in rule.says:
                assert reader_of(world).sentence(said).rules == {rule.id}, said


@pytest.mark.parametrize("family", EVERY)
def test_a_row_shows_each_step_the_rule_that_it_needs_there(family: Family) -> None:
    for step, world in chain_of(family).chain.steps.items():
        shown = "text" if step == "facts" else "facts"
        for row in world.rows.values():
            assert set(row.needs) <= reader_of(world).at_stake(text_of(row.inputs[shown])), row


@pytest.mark.parametrize("family", EVERY)
def test_the_seeds_state_no_rule_and_mending_one_step_leaves_room(family: Family) -> None:
    office = chain_of(family)
    rows = list(office.chain.steps["facts"].rows)
    for step, world in office.chain.steps.items():
        assert not reader_of(world).stated(office.seed_texts[step]).rules
        assert reader_of(world).stated(office.best_texts[step]).rules == set(world.rules)
    seed, ceiling = (office.true_of(texts, rows) for texts in (office.seed_texts, office.best_texts))
    assert 0.2 < seed < 0.6
    assert 0.7 < ceiling < 0.97
    facts, desk = (
        office.true_of({**office.seed_texts, step: office.best_texts[step]}, rows) for step in ("facts", "desk")
    )
    assert seed + 0.05 < desk < ceiling - 0.05
    assert facts == pytest.approx(seed, abs=0.05), "right facts alone move next to nothing: the desk has to know them"


@pytest.mark.parametrize("family", EVERY)
def test_the_true_score_is_what_many_answers_come_to(family: Family) -> None:
    office = chain_of(family)
    rows = list(office.chain.steps["facts"].rows)[:60]
    for texts in (office.seed_texts, office.best_texts):
        bench = FastBench(office, office.examples(), 10**9)
        right = 0
        for row in rows:
            for replicate in range(10):
                facts, answer = bench.traces(candidate_of(texts), office.examples()[row], replicate)
                right += answer.output.strip() == office.chain.steps["desk"].rows[row].expected
                assert facts.step == "facts"
        assert right / 600 == pytest.approx(office.true_of(texts, rows), abs=0.06)


def test_gepa_shows_each_step_what_it_was_given_and_what_it_wrote() -> None:
    office = chain_of(CHAINS[0])
    bench = FastBench(office, office.examples(), 10**9)
    adapter = OfficeAdapter(bench)
    batch = list(bench.office.examples().values())[:4]
    traced = adapter.evaluate(batch, office.seed_texts, capture_traces=True)
    shown = adapter.make_reflective_dataset(None, traced, ["facts", "desk"])
    for example, facts, desk in zip(batch, shown["facts"], shown["desk"], strict=True):
        assert facts["Inputs"] == dict(example.inputs)
        assert desk["Inputs"] == {"facts": facts["Generated Outputs"]}
        assert facts["Generated Outputs"] != desk["Generated Outputs"]
        assert repr(desk["Generated Outputs"]) in facts["Feedback"]
        assert f"correct answer is: {example.expected}" in facts["Feedback"]


@pytest.mark.parametrize("contender", ["backprop", "classic", "gepa-mb8-val30-critic"])
def test_each_step_is_a_task_call_and_the_cap_is_kept(contender: str) -> None:
    office = chain_of(CHAINS[0])
    result = run_contender(contender, office, 0, 301, {})
    assert 200 < result.calls <= 301
    assert "{{ text }}" in result.texts["facts"]
    assert "{{ facts }}" in result.texts["desk"]


def test_backprop_mends_both_steps() -> None:
    office = chain_of(CHAINS[0], 0)
    rows = [row.id for row in parts_of(office, 0)["test"]]
    found = run_contender("backprop", office, 0, 900, {}).texts
    assert office.true_of(found, rows) > office.true_of(office.seed_texts, rows) + 0.1
    for step, world in office.chain.steps.items():
        assert reader_of(world).stated(found[step]).rules, step


def as_gepa_asks(bench: FastBench, prompt: str, records: list[dict[str, Any]], number: int) -> str:
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    asked = {"current_instruction_doc": prompt, "dataset_with_feedback": records, "prompt_template": None}
    text = str(InstructionProposalSignature.prompt_renderer(asked))
    reply = bench.reply("rewriter", (Message("user", text),), number)
    return str(InstructionProposalSignature.output_extractor(reply)["new_instruction"])


def as_we_ask(bench: FastBench, traces: Sequence[Mapping[str, Any]], step: str, number: int) -> str:
    failures: list[Json] = [
        {
            "n": place,
            "id": trace["example"].id,
            "inputs": dict(trace["example"].inputs),
            "expected": trace["example"].expected,
            "answer": trace["output"],
            "feedback": trace["feedback"],
            "trace": {"facts": trace["steps"][0].output},
        }
        for place, trace in enumerate(traces, 1)
    ]
    inputs: dict[str, Any] = {
        "task": bench.office.task,
        "prompts": {name: Prompt.of(text) for name, text in bench.office.seed_texts.items()},
        "critiques": [],
        "failures": failures,
        "tried": [],
        "kind": "causes",
        "longest": 6000,
    }
    (answer,) = asyncio.run(bench.ask([Ask("rewriter", inputs, number)]))
    return answer.value.prompts[step].text if answer.value else ""


@pytest.mark.parametrize("step", ["facts", "desk"])
def test_the_rewriter_learns_as_much_of_a_step_from_the_same_failures_in_either_form(step: str) -> None:
    office = chain_of(CHAINS[0], 3)
    examples, worlds = office.examples(), office.chain.steps
    bench = FastBench(office, examples, 10**9)
    adapter = OfficeAdapter(bench)
    needing = {name: {row.id for row in world.rows.values() if row.needs} for name, world in worlds.items()}
    mislabelled = {row.id for row in worlds["desk"].rows.values() if row.expected != row.right}
    needy = sorted((needing["facts"] if step == "facts" else needing["desk"] - needing["facts"]) - mislabelled)
    theirs = ours = 0
    for number in range(BATCHES):
        batch = [examples[name] for name in random.Random(number).sample(needy, 3)]
        traced = adapter.evaluate(batch, office.seed_texts, capture_traces=True)
        records = adapter.make_reflective_dataset(None, traced, [step])[step]
        reader = reader_of(worlds[step])
        theirs += len(reader.stated(as_gepa_asks(bench, office.seed_texts[step], records, number)).rules)
        ours += len(reader.stated(as_we_ask(bench, traced.trajectories or [], step, number)).rules)
    assert theirs > 0.3 * BATCHES
    assert ours == pytest.approx(theirs, rel=0.2), "400 batches: a standard error of about 5 % on either side"
