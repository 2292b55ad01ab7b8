"""Who competes: our optimizers over the in-memory workbench, and the public GEPA library over the same models."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from bench import FastBench, Result, scorer_of
from chains import ChainOffice
from families import Office

from promptprop.bootstrap.assembly import CONFIRM_SHARE
from promptprop.domain.errors import BudgetSpent, ConfigError
from promptprop.domain.events import WinnerTested
from promptprop.domain.models import Candidate, Example, Json, Message, Prompt, Row, text_of
from promptprop.domain.sampling import cut, row_of, split_rows
from promptprop.optimizers.backprop import Backprop
from promptprop.optimizers.registry import build_optimizer
from promptprop.ports import Brief
from promptprop.roles.envelope import read_object
from promptprop.roles.template import prompt_variables

SHARES = {"train": 0.4, "select": 0.27, "test": 0.33}
SMALL_VALSET = 30
MISSING = 0.5  # GEPA knows no missing score: a row on which the jury was silent counts half


AnyOffice: TypeAlias = Office | ChainOffice


def parts_of(office: AnyOffice, seed: int) -> Mapping[str, tuple[Row, ...]]:
    """Rows to learn from, to choose by, and to report on: no contender ever meets the last."""
    rows = [row_of(example) for example in office.examples().values()]
    found = split_rows(rows, SHARES, seed)  # type: ignore[arg-type]
    return {str(name): part for name, part in found.items()}


def run_own(
    name: str,
    office: AnyOffice,
    seed: int,
    cap: int,
    options: Mapping[str, Json] | None = None,
    *,
    proof: bool = False,
) -> Result:
    """One of our optimizers: its search alone, or with `proof`, where the cap must pay confirmation and test, too.

    The sealed test of a proof is answered on rows that the report is about; it decides nothing, for what is returned is
    chosen before it is opened.
    """
    parts = parts_of(office, seed)
    select, confirm = cut(parts["select"], CONFIRM_SHARE, seed, "confirm") if proof else (parts["select"], ())
    brief = Brief(
        task=office.task,
        program=office.program,
        seeds=(candidate_of(office.seed_texts),),
        train=parts["train"],
        select=select,
        confirm=confirm,
        test=parts["test"] if proof else (),
        seed=seed,
    )
    bench = FastBench(office, office.examples(), cap)

    async def winner() -> str:
        found = brief.seeds[0].id
        async for event in build_optimizer(name, options or {}).run(brief, bench):
            if isinstance(event, WinnerTested):
                found = event.winner_id
        return found

    candidate = bench.kept.get(asyncio.run(winner()), brief.seeds[0])
    return _result(bench, {step: prompt.text for step, prompt in candidate.prompts.items()})


def candidate_of(texts: Mapping[str, str]) -> Candidate:
    """The candidate with these prompts."""
    return Candidate({step: Prompt.of(text) for step, text in texts.items()})


def _result(bench: FastBench, texts: Mapping[str, str]) -> Result:
    roles = sum(count for role, count in bench.calls.items() if role != "task")
    return Result(texts, bench.calls["task"], roles, bench.weighted_tokens, sum(map(len, texts.values())))


class OfficeAdapter:
    """GEPA's adapter over the simulated models; feedback says what was expected, as our metrics do."""

    propose_new_texts = None

    def __init__(self, bench: FastBench) -> None:
        self.bench = bench
        self.scorer = scorer_of(bench.office)

    def evaluate(self, batch: Sequence[Example], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """Scores of a batch; a prompt that cannot be filled, or whose placeholder is gone, scores 0 without a call."""
        from gepa.core.adapter import EvaluationBatch

        outputs, scores, traces = [], [], []
        usable = _usable(candidate, self.bench.office.seed_texts)
        for example in batch:
            steps = self.bench.traces(candidate_of(candidate), example) if usable else ()
            output = steps[-1].output if steps else ""
            judgements, score = self.scorer.score(output, example)
            feedback = "; ".join(one.feedback for one in judgements.values() if one.feedback)
            outputs.append(output)
            scores.append((MISSING if score is None else score) if usable else 0.0)
            said = feedback or "This answer is right."
            traces.append({"example": example, "output": output, "steps": steps, "feedback": said})
        return EvaluationBatch(outputs, scores, traces if capture_traces else None)

    def make_reflective_dataset(self, candidate: Any, batch: Any, components: Sequence[str]) -> dict[str, Any]:
        """What GEPA shows its reflection model, in the form that its own adapters use.

        Of a chain each component sees what it was given and what it wrote, with the feedback on the last answer.
        """
        return {component: [self._record(component, trace) for trace in batch.trajectories] for component in components}

    def _record(self, component: str, trace: Mapping[str, Any]) -> dict[str, Any]:
        values, wrote = dict(trace["example"].inputs), trace["output"]
        feedback = f"{trace['feedback']} The correct answer is: {text_of(trace['example'].expected)}"
        if len(trace["steps"]) > 1:
            for step, done in zip(self.bench.office.program.steps, trace["steps"], strict=True):
                if step.id == component:
                    wrote = done.output
                    break
                values = {step.output: done.output}
            if wrote != trace["output"]:
                feedback = f"The final answer was {trace['output']!r}. {feedback}"
        return {"Inputs": values, "Generated Outputs": wrote, "Feedback": feedback}


def _usable(texts: Mapping[str, str], seed: Mapping[str, str]) -> bool:
    try:
        return all(
            prompt_variables(Prompt.of(text)) == prompt_variables(Prompt.of(seed[s])) for s, text in texts.items()
        )
    except ConfigError:
        return False


def _thoughts(critique: str) -> str:
    """What a critic said, as a reflection model would note it before it writes."""
    try:
        said = read_object(critique, "critiques")["critiques"]
    except ValueError:
        return ""
    return "\n\n# Analysis\n" + "".join(f"- {one['cause']}\n- {one['fix']}\n" for one in said)


class _Silent:
    def log(self, message: str) -> None:
        """GEPA's progress is not shown."""


def run_gepa(office: AnyOffice, seed: int, cap: int, options: Mapping[str, Any]) -> Result:
    """The public library with its own prompts and defaults but for these options; `valset` limits its valset."""
    import gepa

    parts, examples = parts_of(office, seed), office.examples()
    bench = FastBench(office, examples, cap)
    adapter = OfficeAdapter(bench)
    chosen = dict(options)
    critic = chosen.pop("critic", False)
    asked = 0

    def reflect(prompt: str | list[dict[str, Any]]) -> str:
        nonlocal asked
        asked += 1
        text = str(prompt)
        if critic:
            text += _thoughts(bench.reply("critic", (Message("user", text),), asked))
        return bench.reply("rewriter", (Message("user", text),), asked)

    select = list(parts["select"])
    random.Random(seed).shuffle(select)
    valset = [examples[row.id] for row in select[: chosen.pop("valset", len(select))]]
    best: dict[str, Any] = {"texts": office.seed_texts, "score": -1.0}

    class Watch:
        """Notes the best of each valset evaluation: what a run that is cut off here would return."""

        def on_valset_evaluated(self, event: Any) -> None:
            if event["average_score"] > best["score"]:
                best.update(texts=dict(event["candidate"]), score=event["average_score"])

    with suppress(BudgetSpent):
        gepa.optimize(
            seed_candidate=dict(office.seed_texts),
            trainset=[examples[row.id] for row in parts["train"]],
            valset=valset,
            adapter=adapter,  # type: ignore[arg-type]
            reflection_lm=reflect,
            max_metric_calls=10 * cap,  # the cap of the bench decides: equal requests are not counted twice
            cache_evaluation=True,
            seed=seed,
            logger=_Silent(),
            callbacks=[Watch()],  # type: ignore[list-item]
            raise_on_exception=True,
            track_best_outputs=False,
            **chosen,
        )
    return _result(bench, best["texts"])


def gepa_variants() -> dict[str, dict[str, Any]]:
    """GEPA as it comes, with larger minibatches, with parallel proposals and merges; each with a small valset, too.

    Those with `-critic` let the reflection think first, in a call of its own: our critic and rewriter have two tries at
    a cause, and GEPA's one reflection has one, which in simulated worlds alone would be a handicap.
    """
    from gepa.strategies.proposal_sampling import PxNSampling

    plain: dict[str, dict[str, Any]] = {
        "gepa-1x1": {},
        "gepa-mb8": {"reflection_minibatch_size": 8},
        "gepa-2x4": {"sampling_strategy": PxNSampling(2, 4)},
        "gepa-2x4-mb8": {"sampling_strategy": PxNSampling(2, 4), "reflection_minibatch_size": 8},
        "gepa-merge": {"use_merge": True},
    }
    plain |= {f"{name}-val{SMALL_VALSET}": {**one, "valset": SMALL_VALSET} for name, one in plain.items()}
    return {**plain, **{f"{name}-critic": {**one, "critic": True} for name, one in plain.items()}}


def ablations() -> dict[str, dict[str, Json]]:
    """What backprop loses without its parts, by options; those that this version does not have are left out."""
    wanted: dict[str, dict[str, Json]] = {
        "three children": {"children": 3},
        "six children": {"children": 6},
        "nothing put back": {"restore": False},
        "no consolidation": {"grown": 100.0},
        "no other kinds": {"widen": 0},
        "no demos": {"demos": False},
        "no merge": {"merge": False},
        "no end by expected value": {"least_gain": 0.0},
        "no Pareto parents": {"explore": 0.0},
        "small evidence": {"evidence_rows": 6},
        "short screen": {"screen_rows": 1, "passed_rows": 2},
        "long screen": {"screen_rows": 3, "passed_rows": 8},
        "no screen": {"survivors": 16},
        "hasty promotion": {"promote": 0.55, "drop": 0.45},
        "race on all rows": {"race_block": 500},
        "one fix a rewrite": {"bundle": 1},
        "one pass": {"passes": 1},
        "one critique a round": {"causes": 1},
    }
    known = set(Backprop.Options.model_fields)
    return {name: options for name, options in wanted.items() if set(options) <= known}


def run_contender(name: str, office: AnyOffice, seed: int, cap: int, options: Mapping[str, Json]) -> Result:
    """Run whoever has this name; `options` are for backprop. `backprop: …` is an ablation, `…+proof` pays FINISH."""
    if name.startswith("gepa"):
        return run_gepa(office, seed, cap, gepa_variants()[name])
    if name.startswith("backprop: "):
        return run_own("backprop", office, seed, cap, {**options, **ablations()[name.removeprefix("backprop: ")]})
    base = name.removesuffix("+proof")
    given = options if base == "backprop" else {}
    return run_own(base, office, seed, cap, given, proof=base != name)
