"""What the benchmark of search quality rests on: honest worlds, true counts, equal chances, equal results."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
from bench import FastBench, scorer_of
from families import FAMILIES, REPORTING, TUNING, Family, Office, office_of
from run import run_trial
from searches import OfficeAdapter, ablations, gepa_variants, parts_of, run_contender
from tables import area, reaches, report

from promptprop.adapters.models.offline.meaning import reader_of
from promptprop.domain.errors import BudgetSpent
from promptprop.domain.models import Ask, Candidate, Cell, Json, Message, Prompt, digest, text_of

pytestmark = pytest.mark.no_cover  # simulations of the benchmark: what they run of the package, its own tests cover
EVERY = [pytest.param(family, id=family.name) for family in (*TUNING, *REPORTING)]
FROZEN = "7043941886265642a24197150d02dd6d"


def bench_of(office: Office, cap: int = 10**9) -> FastBench:
    return FastBench(office, office.examples(), cap)


@pytest.mark.parametrize("family", EVERY)
def test_every_wording_states_its_own_rule_or_trap_and_no_other(family: Family) -> None:
    world = office_of(family, 1).world
    reader = reader_of(world)
    for rule in world.rules.values():
        for said in rule.says:
            stated = reader.sentence(said)
            assert (stated.rules, stated.traps) == ({rule.id}, frozenset()), said
    for trap in world.traps.values():
        for said in trap.says:
            stated = reader.sentence(said)
            assert (stated.rules, stated.traps) == (frozenset(), {trap.id}), said


@pytest.mark.parametrize("family", EVERY)
def test_a_row_shows_each_rule_that_it_needs(family: Family) -> None:
    world = office_of(family, 1).world
    for row in world.rows.values():
        assert set(row.needs) <= reader_of(world).at_stake(text_of(row.inputs["text"])), row


@pytest.mark.parametrize("family", EVERY)
def test_the_seed_leaves_the_room_that_its_family_promises(family: Family) -> None:
    office = office_of(family, 1)
    rows = list(office.world.rows)
    seed, ceiling = office.true(office.seed_prompt, rows), office.true(office.best_prompt, rows)
    if family.told == 1:
        assert seed == ceiling
    else:
        assert 0.2 < seed < 0.7 < ceiling < 0.97
        assert ceiling - seed > 0.15


def test_tuning_and_reporting_share_no_vocabulary() -> None:
    tuning, reporting = ({family.vocabulary.name for family in families} for families in (TUNING, REPORTING))
    assert not tuning & reporting
    things = [
        {thing for family in families for owned in family.vocabulary.desks.values() for thing in owned}
        for families in (TUNING, REPORTING)
    ]
    assert not things[0] & things[1]


def test_the_reporting_families_are_those_that_were_frozen() -> None:
    worlds = [
        [office.seed_prompt, office.best_prompt, [[row.id, dict(row.inputs)] for row in office.world.rows.values()]]
        for office in (office_of(family, 0) for family in REPORTING)
    ]
    assert digest([[repr(family.powers) for family in REPORTING], worlds]) == FROZEN


def test_no_contender_meets_a_row_that_is_reported_on() -> None:
    office = office_of(TUNING[0], 0)
    parts = parts_of(office, 0)
    reported = {row.id for row in parts["test"]}
    assert not reported & {row.id for name in ("train", "select") for row in parts[name]}
    assert len(reported) > 80


def test_an_equal_request_is_counted_once_and_the_cap_is_met_exactly() -> None:
    office = office_of(TUNING[0], 0)
    bench = bench_of(office, cap=5)
    ids = list(office.world.rows)
    candidate = Candidate({"main": Prompt.of(office.seed_prompt)})
    cells = [Cell(candidate, name) for name in ids[:5]]
    first = asyncio.run(bench.evaluate(cells))
    assert asyncio.run(bench.evaluate(cells)) == first
    assert (bench.calls["task"], bench.spend.total.calls) == (5, 5)
    with pytest.raises(BudgetSpent):
        asyncio.run(bench.evaluate([Cell(candidate, ids[5])]))
    assert bench.calls["task"] == 5


def test_what_is_held_back_is_out_of_reach() -> None:
    office = office_of(TUNING[0], 0)
    bench = bench_of(office, cap=5)
    cells = [Cell(Candidate({"main": Prompt.of(office.seed_prompt)}), name) for name in list(office.world.rows)[:5]]
    bench.hold(2, 100)
    with pytest.raises(BudgetSpent):
        asyncio.run(bench.evaluate(cells))
    assert bench.calls["task"] == 3
    bench.hold(0, 0)
    assert len(asyncio.run(bench.evaluate(cells))) == 5


@pytest.mark.parametrize("contender", ["backprop", "backprop+proof", "classic", "gepa-mb8-val30-critic"])
def test_no_contender_makes_more_task_calls_than_its_cap(contender: str) -> None:
    for family in (TUNING[0], TUNING[5]):
        result = run_contender(contender, office_of(family, 0), 0, 250, {})
        assert 0 < result.calls <= 250
        assert "{{ text }}" in result.texts["main"]


def test_backprop_returns_more_than_its_seed_is_worth() -> None:
    gains = []
    for family in TUNING[:4]:
        office = office_of(family, 0)
        rows = [row.id for row in parts_of(office, 0)["test"]]
        prompt = run_contender("backprop", office, 0, 600, {}).texts
        gains.append(office.true_of(prompt, rows) - office.true(office.seed_prompt, rows))
    assert min(gains) >= 0
    assert sum(gains) / len(gains) > 0.05


def test_a_trial_is_the_same_in_processes_that_order_hashes_differently() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import json; from dataclasses import asdict; from run import run_trial\n"
        "for name in ('backprop', 'gepa-2x4-mb8-val30'):\n"
        "    print(json.dumps({**asdict(run_trial(('tuning', 2, 0, name, 150, '{}'))), 'seconds': 0}))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0].splitlines()[0])["calls"] <= 150


def learned(family: Family, write: Callable[[FastBench, list[dict[str, Json]], int], str], batches: int) -> float:
    """How many rules of three failures a way of asking the rewriter brings into the seed prompt, on average."""
    office = office_of(family, 3)
    bench, adapter = bench_of(office), OfficeAdapter(bench_of(office))
    needy = [name for name, row in office.world.rows.items() if row.needs and row.right == row.expected]
    examples, total = office.examples(), 0
    for number in range(batches):
        batch = [examples[name] for name in random.Random(number).sample(needy, 3)]
        traced = adapter.evaluate(batch, {"main": office.seed_prompt}, capture_traces=True)
        records = adapter.make_reflective_dataset(None, traced, ["main"])["main"]
        shown = [{**record, "id": one.id, "expected": one.expected} for record, one in zip(records, batch, strict=True)]
        total += len(reader_of(office.world).stated(write(bench, shown, number)).rules)
    return total / batches


def as_gepa_asks(bench: FastBench, shown: list[dict[str, Json]], number: int) -> str:
    from gepa.strategies.instruction_proposal import InstructionProposalSignature

    records = [{key: one[key] for key in ("Inputs", "Generated Outputs", "Feedback")} for one in shown]
    text = InstructionProposalSignature.prompt_renderer(
        {
            "current_instruction_doc": bench.office.seed_prompt,
            "dataset_with_feedback": records,
            "prompt_template": None,
        }
    )
    reply = bench.reply("rewriter", (Message("user", str(text)),), number)
    return str(InstructionProposalSignature.output_extractor(reply)["new_instruction"])


def as_we_ask(bench: FastBench, shown: list[dict[str, Json]], number: int) -> str:
    failures = [
        {
            "n": place,
            "id": one["id"],
            "inputs": one["Inputs"],
            "expected": one["expected"],
            "answer": one["Generated Outputs"],
            "feedback": one["Feedback"],
        }
        for place, one in enumerate(shown, 1)
    ]
    inputs = {
        "task": bench.office.task,
        "prompts": {"main": Prompt.of(bench.office.seed_prompt)},
        "critiques": [],
        "failures": failures,
        "tried": [],
        "kind": "causes",
        "longest": 6000,
    }
    (answer,) = asyncio.run(bench.ask([Ask("rewriter", inputs, number)]))
    return answer.value.prompts["main"].text if answer.value else ""


@pytest.mark.parametrize("family", [TUNING[0], TUNING[5]], ids=["labels", "fields"])
def test_the_rewriter_learns_as_much_from_the_same_failures_in_either_form(family: Family) -> None:
    theirs, ours = learned(family, as_gepa_asks, 400), learned(family, as_we_ask, 400)
    assert theirs > 0.3
    assert ours == pytest.approx(theirs, rel=0.2)  # 400 batches: a standard error of about 5 % on either side


def test_the_report_names_what_is_lost_and_how_soon_a_goal_is_reached() -> None:
    trials = [
        asdict(run_trial(("tuning", place, world, name, cap, "{}")))
        for place in (1, 7)
        for world in (0, 1)
        for name in ("backprop", "gepa-mb8-val30")
        for cap in (60, 120)
    ]
    text = report(trials)
    for heading in ("Share of the ceiling", "Where we lose", "Anytime", "Runs that end below the seed"):
        assert f"### {heading}" in text
    losing = [
        {**one, "score": one["seed_score"] if one["contender"] == "backprop" else one["ceiling"]} for one in trials
    ]
    assert report(losing).split("### Where we lose")[1].split("###")[0].count("| yes") == 4


def test_a_curve_has_the_area_of_its_trapezes_and_reaches_a_goal_between_caps() -> None:
    curve = [(100, 0.4, 0.0), (200, 0.6, 0.0), (400, 0.8, 0.0)]
    assert area(curve) == pytest.approx((100 * 0.5 + 200 * 0.7) / 300)
    assert reaches(curve, 0.7) == pytest.approx(300)
    assert reaches(curve, 0.3) == 100
    assert reaches(curve, 0.9) != reaches(curve, 0.9)  # NaN: never
    assert all(left[0] < right[0] for left, right in pairwise(curve))


def test_every_ablation_and_variant_can_be_run() -> None:
    office = office_of(TUNING[1], 0)
    for name in (*(f"backprop: {name}" for name in ablations()), *gepa_variants()):
        assert run_contender(name, office, 0, 60, {}).calls <= 60


def test_the_scorer_of_a_jury_is_silent_at_times_and_prefers_what_is_right() -> None:
    office = next(office_of(family, 0) for family in TUNING if family.metric == "jury")
    scorer, scores = scorer_of(office), {True: list[float](), False: list[float]()}
    silent = 0
    for example in office.examples().values():
        for output in (text_of(example.expected), "nonsense"):
            _, score = scorer.score(output, example)
            silent += score is None
            if score is not None:
                scores[output != "nonsense"].append(score)
    assert silent
    assert sum(scores[True]) / len(scores[True]) > sum(scores[False]) / len(scores[False]) + 0.3


def test_families_have_names_of_their_own() -> None:
    names = [family.name for families in FAMILIES.values() for family in families]
    assert len(set(names)) == len(names)
