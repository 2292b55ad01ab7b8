"""The gate over a workbench: who meets which rows how often, when it ends, and what its verdict rests on."""

from __future__ import annotations

from collections import Counter

from fake_bench import FakeBench, FakeWorld, fake_brief, seed_candidate

from promptprop.domain.events import CandidateScored, Event, GateLooked, SearchEnded
from promptprop.domain.gate import GateRule
from promptprop.domain.models import Cell, Evaluation, Example, Judgement
from promptprop.services.gate_tests import Guard, clusters_of, value_of
from promptprop.services.gatekeeping import CriticalRows, Gate, StoredAnswers

GOOD, WORSE = seed_candidate(0, 1, 2), seed_candidate(0, 1)
OTHER = seed_candidate(0, 1, 2, 9)  # says more, and knows the same


class TaggedWorld(FakeWorld):
    """Its rows with an even number are tagged."""

    def example(self, row_id: str) -> Example:
        plain = super().example(row_id)
        even = int(row_id.rpartition("-")[2]) % 2 == 0
        return Example(plain.id, plain.inputs, plain.expected, tags=("must-pass",) if even else ())


async def checked(bench: FakeBench, gate: Gate, *seeds: object, **brief: object) -> list[Event]:
    bench.hold(0, 0)
    return [event async for event in gate.run(fake_brief(seeds=seeds, **brief), bench)]


def looks(events: list[Event]) -> list[GateLooked]:
    return [event for event in events if isinstance(event, GateLooked)]


async def test_a_candidate_that_lost_a_rule_fails_at_the_first_look_and_no_more_is_asked() -> None:
    bench = FakeBench()
    events = await checked(bench, Gate(GateRule()), GOOD, WORSE, select=80)
    (look,) = looks(events)
    assert (look.verdict, look.over, look.replicates, look.rows) == ("FAIL", True, 1, 80)
    assert look.metrics["score"]["mean"] < -0.2
    assert len(bench.asked) == 160
    assert isinstance(events[-1], SearchEnded)
    scores = {one.candidate_id: one.score.mean for one in events if isinstance(one, CandidateScored)}
    assert scores == {GOOD.id: 0.75, WORSE.id: 0.5}


async def test_one_that_knows_the_same_passes_and_one_that_knows_more_does_too() -> None:
    for candidate in (OTHER, seed_candidate(0, 1, 2, 3)):
        (look,) = looks(await checked(FakeBench(), Gate(GateRule()), GOOD, candidate, select=80))
        assert look.verdict == "PASS"


async def test_where_few_rows_tell_little_more_answers_are_asked_for_each_new_one_once() -> None:
    bench = FakeBench(FakeWorld(noise=0.3, luck=0.3))
    gate = Gate(GateRule(replicates=(1, 3, 5)))
    events = await checked(bench, gate, GOOD, WORSE, select=16)
    found = looks(events)
    assert [look.replicates for look in found][:2] == [1, 3]
    assert [look.over for look in found] == [False] * (len(found) - 1) + [True]
    times = Counter((cell.candidate.id, cell.example_id, cell.replicate) for cell in bench.asked)
    assert set(times.values()) == {1}
    assert len(bench.asked) == 2 * 16 * found[-1].replicates <= gate.shape(fake_brief(seeds=(GOOD, WORSE))).finish * 16


async def test_a_gate_that_cannot_tell_says_so_at_its_last_look() -> None:
    bench = FakeBench(FakeWorld(noise=0.4, luck=0.4))
    found = looks(await checked(bench, Gate(GateRule(margin=0.02, replicates=(1, 2))), GOOD, OTHER, select=12))
    assert [(look.replicates, look.verdict, look.over) for look in found] == [
        (1, "INCONCLUSIVE", False), (2, "INCONCLUSIVE", True)
    ]  # fmt: skip


async def test_the_baseline_itself_passes_and_nothing_is_asked() -> None:
    bench = FakeBench()
    events = await checked(bench, Gate(GateRule()), GOOD, GOOD)
    (look,) = looks(events)
    assert (look.verdict, look.over, bench.asked) == ("PASS", True, [])
    assert isinstance(events[-1], SearchEnded)
    assert events[-1].reason == "unchanged"


async def test_rows_without_a_score_on_either_side_are_left_out_on_both_and_counted() -> None:
    broken = frozenset({"select-1", "select-2"})
    (look,) = looks(await checked(FakeBench(FakeWorld(broken=broken)), Gate(GateRule()), GOOD, OTHER, select=80))
    assert (look.rows, look.missing) == (78, 2)
    none = frozenset(f"select-{n}" for n in range(10))
    found = looks(await checked(FakeBench(FakeWorld(broken=none)), Gate(GateRule()), GOOD, OTHER, select=10))
    assert {look.verdict for look in found} == {"INCONCLUSIVE"}


async def test_critical_rows_must_pass_whatever_the_average() -> None:
    bench = FakeBench(TaggedWorld())
    gate = Gate(GateRule(), critical=CriticalRows("must-pass", 2, 3))
    (look,) = looks(await checked(bench, gate, WORSE, GOOD, select=40))
    assert look.verdict == "PASS", "rules 0 and 2 are those of even rows, and it states both"
    assert {cell.candidate.id for cell in bench.asked if cell.replicate == 2} == {GOOD.id}
    failing = FakeBench(TaggedWorld(impossible=frozenset({"select-4"})))
    (look,) = looks(await checked(failing, gate, WORSE, GOOD, select=40))
    assert (look.verdict, look.failed) == ("FAIL", ("select-4",))
    untagged = FakeBench()
    (look,) = looks(await checked(untagged, gate, WORSE, GOOD, select=40))
    assert look.verdict == "PASS"


class TwoMetrics(FakeBench):
    """A second metric that always says 1."""

    async def evaluate(self, cells: list[Cell]) -> list[Evaluation]:  # type: ignore[override]
        found = await super().evaluate(cells)
        return [
            Evaluation(
                one.candidate_id, one.example_id, one.replicate, one.output, one.trace,
                {**one.judgements, "form": Judgement(1.0)}, one.score,
            )
            for one in found
        ]  # fmt: skip


async def test_of_several_metrics_one_that_is_worse_fails_and_all_have_to_pass() -> None:
    gate = Gate(GateRule(), metrics=("label", "form"))
    (look,) = looks(await checked(TwoMetrics(), gate, GOOD, WORSE, select=80))
    assert look.verdict == "FAIL"
    assert look.metrics["form"]["mean"] == 0
    assert look.metrics["label"]["critical"] > 2.3, "each has its share of the level"
    (look,) = looks(await checked(TwoMetrics(), gate, GOOD, OTHER, select=160))
    assert look.verdict == "PASS"
    absent = looks(await checked(TwoMetrics(), Gate(GateRule(), metrics=("nobody",)), GOOD, OTHER, select=8))
    assert {one.verdict for one in absent} == {"INCONCLUSIVE"}


def test_values_and_clusters_are_none_where_there_is_nothing_to_know() -> None:
    brief = fake_brief(select=4)
    assert clusters_of(brief.select) is None
    assert clusters_of([*brief.select, *brief.select]) is not None
    one = Evaluation("c", "r", 0, "x", judgements={"label": Judgement(0.5)}, score=0.4)
    assert (value_of(one, "score"), value_of(one, "label"), value_of(one, "form")) == (0.4, 0.5, None)


async def test_a_stored_baseline_is_not_asked_and_rows_that_it_lacks_are_no_part_of_it() -> None:
    asking = FakeBench()
    await checked(asking, Gate(GateRule(replicates=(1,))), GOOD, OTHER, select=80)
    answers: dict[str, list[Evaluation]] = {}
    for cell in asking.asked:
        if cell.candidate.id == GOOD.id and cell.example_id != "select-7":
            answers[cell.example_id] = [
                Evaluation("stored", cell.example_id, n, "x", score=asking.world.score(cell)) for n in range(2)
            ]
    bench = FakeBench()
    gate = Gate(GateRule(), stored=StoredAnswers("stored", answers))
    events = await checked(bench, gate, GOOD, WORSE, select=80)
    (look,) = looks(events)
    assert (look.baseline_id, look.candidate_id, look.verdict, look.rows) == ("stored", WORSE.id, "FAIL", 79)
    assert {cell.candidate.id for cell in bench.asked} == {WORSE.id}
    assert len(bench.asked) == 79
    assert {one.candidate_id for one in events if isinstance(one, CandidateScored)} == {"stored", WORSE.id}
    assert gate.shape(fake_brief(seeds=(GOOD, WORSE), select=80)).finish == 79 * 5


async def test_an_unchanged_prompt_is_asked_only_where_something_else_may_have_changed() -> None:
    answers = {f"select-{n}": [Evaluation("stored", f"select-{n}", 0, "x", score=1.0)] for n in range(40)}
    stored = StoredAnswers("stored", answers)
    same = FakeBench()
    (look,) = looks(await checked(same, Gate(GateRule(), stored=stored), GOOD, GOOD, select=40))
    assert (look.verdict, same.asked) == ("PASS", [])
    anew = FakeBench()
    (look,) = looks(await checked(anew, Gate(GateRule(), stored=stored, anew=True), GOOD, GOOD, select=40))
    assert (look.verdict, len(anew.asked)) == ("FAIL", 40), "rule 3 is not in the prompt, and all scored 1 before"


async def test_guards_are_told_beside_the_metrics_and_can_fail_alone() -> None:
    gate = Gate(GateRule(), guards=(Guard("length", 0.1), Guard("cost", 0.5)))
    (look,) = looks(await checked(FakeBench(), gate, GOOD, OTHER, select=80))
    assert set(look.metrics) == {"score", "guard length", "guard cost"}
    assert look.verdict == "PASS"
