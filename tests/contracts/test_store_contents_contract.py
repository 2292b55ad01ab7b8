"""What every Store must do: evaluations, candidates, datasets and named prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from store_rows import (
    candidate,
    cells,
    evaluation,
    model_request,
    run_row,
)

from promptprop.adapters.storage.store import open_store
from promptprop.domain.errors import DataError, StorageError, UsageError
from promptprop.domain.models import (
    Attempts,
    Candidate,
    Critique,
    Demo,
    Evaluation,
    Example,
    Failure,
    Hypothesis,
    Judgement,
    Message,
    Prompt,
    Proposal,
    StepTrace,
    Usage,
)
from promptprop.domain.rubric import Rubric, RubricFeature
from promptprop.ports import Costs, FailedCall, Store


@pytest.fixture
def store(any_database_url: str) -> Iterator[Store]:
    with closing(open_store(any_database_url)) as opened:
        yield opened


# --- evaluations ----------------------------------------------------------------------------------------------------


async def test_evaluations_come_back_whole_in_the_order_asked(store: Store) -> None:
    await store.create_run(run_row())
    program = candidate()
    trace = (StepTrace("main", "out", "k"),)
    words = {"label": Judgement(0.5, "near"), "panel": Judgement(None)}
    full = Evaluation(program.id, "r1", 0, "out", trace, words, 0.5, Usage(1, 2, 3, 4), None, 0.75)
    failed = evaluation("r2", candidate_id=program.id).with_error(Failure("context_too_long", "too long"))
    await store.commit_block("k3v9-router", [full, failed], [], "f")
    asked = cells(program, "r3", "r2", "r1", "r1")
    assert store.find_evaluations("k3v9-router", asked, "f") == [None, failed, full, full]
    assert store.find_evaluations("k3v9-router", asked, "other metrics") == [None] * 4
    assert store.find_evaluations("k3v9-router", [replace(asked[2], replicate=1)], "f") == [None]
    assert store.find_evaluations("k3v9-router", [], "f") == []


async def test_a_stored_evaluation_stays_as_it_is(store: Store) -> None:
    await store.create_run(run_row())
    program = candidate()
    for score in (0.25, 0.75):
        await store.commit_block("k3v9-router", [evaluation("r1", candidate_id=program.id, score=score)], [], "f")
    [found] = store.find_evaluations("k3v9-router", cells(program, "r1"), "f")
    assert found is not None
    assert found.score == 0.25


async def test_a_missing_evaluation_answers_only_in_its_generation(store: Store) -> None:
    await store.create_run(run_row())
    program = candidate()
    error = evaluation("r1", candidate_id=program.id).with_error(Failure("rate_limited", "429"))
    unscored = evaluation("r2", candidate_id=program.id, score=None)
    scored = evaluation("r3", candidate_id=program.id)
    await store.commit_block("k3v9-router", [error, unscored, scored], [], "f")
    asked = cells(program, "r1", "r2", "r3")
    assert store.find_evaluations("k3v9-router", asked, "f") == [error, unscored, scored]
    assert store.find_evaluations("k3v9-router", asked, "f", generation=1) == [None, None, scored]
    retried = evaluation("r1", candidate_id=program.id, score=1.0)
    await store.commit_block("k3v9-router", [retried], [], "f", generation=1)
    assert store.find_evaluations("k3v9-router", asked, "f", generation=2) == [retried, None, scored]
    assert store.find_evaluations("k3v9-router", asked, "f") == [error, unscored, scored]


async def test_a_block_is_stored_whole_or_not_at_all(store: Store) -> None:
    await store.create_run(run_row())
    too_large = FailedCall(model_request(), Failure("rate_limited", "429"), Attempts(sent=2**70))
    with pytest.raises(StorageError):
        await store.commit_block("k3v9-router", [evaluation("r1")], [too_large], "f")
    assert list(store.evaluations("k3v9-router")) == []


async def test_all_evaluations_stream_in_the_order_stored_while_others_write(store: Store) -> None:
    await store.create_run(run_row())
    ids = [f"r{number}" for number in range(1100, 0, -1)]
    await store.commit_block("k3v9-router", [evaluation(row_id) for row_id in ids], [], "f")
    await store.commit_block("k3v9-router", [evaluation("x", candidate_id="d")], [], "f")
    stream = store.evaluations("k3v9-router")
    first = next(stream)
    await store.create_run(run_row("other"))
    assert store.run("other").id == "other", "an open stream hides nothing that is committed meanwhile"
    assert [first.example_id, *(one.example_id for one in stream)] == [*ids, "x"]
    assert [one.example_id for one in store.evaluations("k3v9-router", "d")] == ["x"]


async def test_candidates_come_back_with_their_critiques_in_the_order_stored(store: Store) -> None:
    await store.create_run(run_row())
    prompts = {"z": Prompt((Message("system", "s"), Message("user", "{{ a }}"))), "a": Prompt.of("{x}", literal=True)}
    demo = Demo("r1", {"text": "é", "n": 1}, "out")
    child = Candidate(prompts, (demo,), ("p1", "p2"), Hypothesis("shorten", "less is more"))
    proposals = [
        Proposal(child, (Critique("z", "cause", "fix", ("r1", "r2")),)),
        Proposal(candidate()),
    ]
    for proposal in (*proposals, replace(proposals[0], critiques=())):
        await store.keep_candidate("k3v9-router", proposal)
    found = store.candidates("k3v9-router")
    assert list(found.values()) == proposals
    assert list(found) == [child.id, candidate().id]
    assert list(found[child.id].candidate.prompts) == ["z", "a"], "steps keep their order"


# --- datasets -------------------------------------------------------------------------------------------------------

INPUTS = {"text": "é", "n": [1, {"a": None}]}
EXAMPLES = [
    Example("r1", INPUTS, "billing", ("soft",), ({"literal": "x"},), ("vip",), "c1", 2.0, "test"),
    Example("r2", {"text": "b"}, {"a": 1}),
    Example("r0", {"text": "c"}, True),
]


async def test_a_dataset_is_stored_once_under_its_fingerprint(store: Store) -> None:
    first = await store.put_dataset("support", iter(EXAMPLES))
    assert await store.put_dataset("another name", EXAMPLES) == first
    assert await store.put_dataset("support", EXAMPLES[:2]) != first
    assert [(row.id, row.stratum, row.split) for row in store.rows(first)] == [
        ("r1", "billing", "test"),
        ("r2", "", None),
        ("r0", "true", None),
    ]
    assert store.rows(first)[0].cluster == "c1"


async def test_examples_come_back_whole_in_the_order_asked(store: Store) -> None:
    dataset = await store.put_dataset("support", EXAMPLES)
    assert store.examples(dataset, ["r0", "r1", "r0"]) == [EXAMPLES[2], EXAMPLES[0], EXAMPLES[2]]
    with pytest.raises(StorageError, match="nobody"):
        store.examples(dataset, ["r1", "nobody"])


async def test_a_large_dataset_keeps_its_order(store: Store) -> None:
    ids = [f"r{number}" for number in range(2500, 0, -1)]
    dataset = await store.put_dataset("large", (Example(row_id, {"text": row_id}) for row_id in ids))
    assert [row.id for row in store.rows(dataset)] == ids
    assert [example.id for example in store.examples(dataset, ids)] == ids


async def test_two_rows_of_one_id_are_refused_with_it(store: Store) -> None:
    with pytest.raises(DataError, match="r2"):
        await store.put_dataset("support", [*EXAMPLES, EXAMPLES[1]])


async def test_a_dataset_that_is_not_stored_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        store.rows("nowhere")


async def test_an_empty_dataset_has_no_rows(store: Store) -> None:
    assert store.rows(await store.put_dataset("empty", [])) == []


# --- prompts --------------------------------------------------------------------------------------------------------


async def test_prompts_count_their_versions_and_aliases_move(store: Store) -> None:
    old, new = candidate("old"), candidate("new")
    first = await store.save_prompt("router", old, None, ["production"])
    assert (first.version, first.aliases, first.candidate) == (1, ("production",), old)
    again = await store.save_prompt("router", old, "run", ["staging"])
    assert (again.version, again.aliases) == (1, ("production", "staging"))
    second = await store.save_prompt("router", new, "run", ["production"])
    assert (second.version, second.run_id, second.aliases) == (2, "run", ("production",))
    third = await store.save_prompt("router", old, None)
    assert third.version == 3
    await store.save_prompt("other", new, None)
    assert store.prompt("router") == third
    assert store.prompt("router@1").aliases == ("staging",)
    assert store.prompt("router@production") == second
    assert [(one.name, one.version) for one in store.prompts()] == [
        ("other", 1),
        ("router", 1),
        ("router", 2),
        ("router", 3),
    ]


@pytest.mark.parametrize("reference", ["nobody", "router@2", "router@nobody", "other@production", ""])
async def test_a_prompt_that_is_not_there_is_a_usage_error(store: Store, reference: str) -> None:
    await store.save_prompt("router", candidate(), None, ["production"])
    await store.save_prompt("other", candidate(), None)
    with pytest.raises(UsageError, match="prompts list"):
        store.prompt(reference)


@pytest.mark.parametrize(("name", "alias"), [("a@b", "x"), ("", "x"), ("a", "3"), ("a", "x@y"), ("a", "")])
async def test_names_that_could_not_be_referred_to_are_refused(store: Store, name: str, alias: str) -> None:
    with pytest.raises(UsageError):
        await store.save_prompt(name, candidate(), None, [alias])
    assert store.prompts() == []


async def test_the_costs_of_answers_leave_missing_rows_out_and_count_unknown_prices_apart(store: Store) -> None:
    await store.create_run(run_row())
    answers = [replace(evaluation(row_id), picousd=price) for row_id, price in (("r1", 5), ("r2", 7), ("r3", None))]
    failed = evaluation("r4").with_error(Failure("rate_limited", "429"))
    await store.commit_block("k3v9-router", [*answers, failed, evaluation("r5", candidate_id="other")], [], "f")
    assert store.evaluation_costs("k3v9-router", answers[0].candidate_id) == Costs(3, 1, 12)
    assert store.evaluation_costs("k3v9-router", "nobody") == Costs(0, 0, 0)


# --- rubrics --------------------------------------------------------------------------------------------------------


async def test_a_rubric_is_kept_once_and_versions_count_by_name(store: Store) -> None:
    one = Rubric("Short.", (RubricFeature("tone", "Is kind.", 2.0, "the task"),))
    two = Rubric("Short.", (RubricFeature("tone", "Is very kind.", 2.0, "caf\u00e9 \u2603"),))
    first = await store.keep_rubric("letters", one, "run-1")
    assert (first.name, first.version, first.rubric, first.run_id) == ("letters", 1, one, "run-1")
    assert await store.keep_rubric("letters", one, "run-2") == first
    assert (await store.keep_rubric("letters", two, None)).version == 2
    assert store.rubric(two.id) == await store.keep_rubric("other", two, None)
    assert store.rubric("nothing") is None
