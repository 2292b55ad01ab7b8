"""Composes `check`: the baseline found, what the gate will see told beforehand, and its report read from the store."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.bootstrap.gate_details import Details, details_of
from promptprop.domain.errors import BaselineMissing, ConfigError, UsageError
from promptprop.domain.models import Candidate, Json

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.baseline import Baseline
    from promptprop.domain.config import PromptConfig, RunConfig
    from promptprop.domain.events import GateLooked
    from promptprop.domain.gate_config import GateConfig
    from promptprop.domain.history import History
    from promptprop.domain.power import Noise
    from promptprop.ports import Brief, RunRow
    from promptprop.services.flips import Flip
    from promptprop.services.plan import Plan

GIT = "git:"
SAMPLE = 50  # rows by which a plan estimates
EARLIER = 200  # runs that are looked through for answers to the same rows


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a gate will see: the smallest drop that fails with the power asked for, and what it takes.

    `sides` prompts are asked. `most_calls` and `most_picousd` are for all looks, answers on record not counted;
    `usual_picousd` is for one look by what answers have cost before. Money is None where it is not known.
    """

    rows: int
    smallest: float | None
    power_at_margin: float
    noise: Noise
    sides: int
    most_calls: int = 0
    most_picousd: int | None = None
    usual_picousd: int | None = None


@dataclass(frozen=True, slots=True)
class GateReport:
    """All that the formats of a check show. `settings` are those of the gate, `flips` the rows that differ."""

    run_id: str
    name: str
    verdict: str
    history: History
    settings: GateConfig
    labels: tuple[str, str]
    texts: tuple[str, str]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()
    details: Details = field(default_factory=Details)

    @property
    def sentence(self) -> str:
        """The verdict with the figures that it rests on."""
        from promptprop.bootstrap.gate_document import sentence_of

        return sentence_of(self)

    def __repr__(self) -> str:
        """In short: reports hold histories and texts."""
        return f"GateReport({self.name!r}, {self.verdict}, run {self.run_id[:8]})"

    def as_json(self) -> Json:
        """The document of `--json`."""
        from promptprop.bootstrap.gate_document import document_of

        return document_of(self)

    @property
    def last(self) -> GateLooked:
        """The look that decided."""
        return self.history.looks[-1]

    @property
    def worse(self) -> tuple[Flip, ...]:
        """Rows that the candidate answers worse, the worst first."""
        from promptprop.services.flips import worse_of

        return worse_of(self.flips)

    @property
    def better(self) -> tuple[Flip, ...]:
        """Rows that it answers better, the best first."""
        from promptprop.services.flips import better_of

        return better_of(self.flips)


def prompt_at(config: RunConfig, revision: str) -> Candidate:
    """The configured prompt as it was at a revision of git. Raises BaselineMissing, ConfigError."""
    from promptprop.adapters.files.prompts import parse_prompt

    if config.steps is None and len(config.prompt or ()) != 1:
        raise UsageError("a check takes one prompt", remedy="name one prompt in the configuration, or a chain")
    sources: dict[str, PromptConfig] = {step.id: step.prompt for step in config.steps or ()}
    sources = sources or {"main": (config.prompt or ())[0]}
    prompts = {}
    for step, source in sources.items():
        if source.file is None or Path(source.file).suffix.lower() in (".yaml", ".yml", ".json"):
            raise UsageError(f"{GIT} needs prompts in text files of their own", remedy="use `prompt: {file: …}`")
        prompts[step] = parse_prompt(text_at(Path(source.file), revision), literal=source.literal)
    return Candidate(prompts)


def text_at(path: Path, revision: str) -> str:
    """A file as it was at a revision. Raises BaselineMissing."""
    if revision.startswith("-"):  # git would take it for an option
        raise BaselineMissing(f"{revision!r} is no revision of git", remedy="such as git:origin/main")
    command = ["git", "-C", str(path.parent), "show", f"{revision}:./{path.name}"]
    try:
        shown = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - git, with arguments of a list
    except OSError as error:
        raise BaselineMissing(f"git cannot be run: {error}", remedy="install git, or name a file") from error
    if shown.returncode:
        why = shown.stderr.decode(errors="replace").strip().splitlines()
        raise BaselineMissing(
            f"git has no {path.name} at {revision!r}: {why[-1] if why else 'no reason given'}",
            remedy="name a revision that holds the prompt, such as git:origin/main (a shallow clone has only one)",
        )
    try:
        return shown.stdout.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} at {revision} is not UTF-8") from error


def outlook_of(
    store: SqlStore, run: RunRow, settings: GateConfig, environment: Mapping[str, str], stored: Baseline | None = None
) -> Outlook:
    """What the gate of a drafted run will see and may take, by the noise of earlier answers to the same rows.

    Those of a stored baseline stand before the ones on record. A gate of several tests sees what its share of the level
    sees: the one that Holm's procedure begins with.
    """
    from promptprop.bootstrap.assembly import build_search
    from promptprop.bootstrap.preparation import recorded
    from promptprop.domain.config import RunConfig
    from promptprop.domain.power import chances_of, noise_of, smallest_drop
    from promptprop.services.gate_tests import SCORE, clusters_of

    config = RunConfig.model_validate(run.snapshot["config"])
    _, brief = build_search(store, run, config)
    earlier = [one for one in store.runs(EARLIER) if one.dataset_id == run.dataset_id]
    rows, metric, answers = brief.select, settings.metric[0] if settings.metric else SCORE, 0
    if stored is not None:
        known_rows = {one.id for one in stored.rows}
        rows = tuple(row for row in rows if row.id in known_rows)
        scores = _stored_scores(stored, metric)
        answers = stored.replicates
    else:
        scores = _earlier_scores(store, earlier, run, brief.seeds[0].id, metric)
    clusters = clusters_of(rows)
    noise = noise_of([scores.get(row.id, []) for row in rows], clusters)
    sizes = sorted(Counter(clusters).values()) if clusters else ()
    rule = replace(settings.rule, alpha=settings.alpha / (max(1, len(settings.metric)) + len(settings.guards)))
    at_margin = chances_of(noise, rule, len(rows), settings.margin, sizes, answers).fails if settings.margin else 0.0
    asked = [brief.seeds[-1]] if stored else brief.unique_seeds
    told = Outlook(
        rows=len(rows),
        smallest=smallest_drop(noise, rule, len(rows), settings.power, sizes, answers),
        power_at_margin=at_margin,
        noise=noise,
        sides=len(asked),
    )
    if recorded(run):
        return told  # nothing is asked, and so nothing is priced
    plan = _plan(store, run, config, brief, environment, len(rows) * len(asked) * settings.replicates[-1])
    known = [cost for seed in asked if (cost := _usual_cost(store, earlier, seed.id)) is not None]
    return replace(
        told,
        most_calls=plan.finish.likely.calls,
        most_picousd=plan.finish.high.picousd if plan.priced else None,
        usual_picousd=round(sum(known) / len(known) * len(rows) * len(asked)) if known else None,
    )


def _plan(
    store: SqlStore, run: RunRow, config: RunConfig, brief: Brief, environment: Mapping[str, str], evaluations: int
) -> Plan:
    """The plan of so many evaluations of a drafted check."""
    from promptprop.bootstrap.assembly import longest_inputs
    from promptprop.bootstrap.metrics import build_run_scorer
    from promptprop.bootstrap.models import price_endpoints
    from promptprop.ports import Shape
    from promptprop.services.plan import make_plan
    from promptprop.services.reserve import questions_of, reserve_for, uses_of

    specs = price_endpoints(config, environment, "check")
    sample = store.examples(run.dataset_id, [row.id for row in brief.select[:SAMPLE]])
    questions = questions_of(build_run_scorer(config, Path(run.snapshot["folder"]), run.snapshot["roles"]))
    longest = longest_inputs(store, run.dataset_id, brief.select) * max(uses_of(seed) for seed in brief.seeds)
    length = max(seed.length for seed in brief.seeds)
    reserve = reserve_for(brief.program, specs, longest, evaluations, length, questions)
    shape = Shape(0, 0, 0, evaluations, 0, 0, 0)
    return make_plan(brief, shape, specs, sample, config.budget.budget, reserve, questions)


def _usual_cost(store: SqlStore, earlier: Sequence[RunRow], candidate_id: str) -> float | None:
    """What an answer of this prompt has cost by the newest run that knows it, in 10⁻¹² USD."""
    for run in earlier:
        costs = store.evaluation_costs(run.id, candidate_id)
        if costs.count and not costs.unpriced:
            return costs.picousd / costs.count
    return None


def _stored_scores(stored: Baseline, metric: str) -> Mapping[str, list[float]]:
    from promptprop.services.gate_tests import value_of

    found: dict[str, list[float]] = {}
    for one in stored.evaluations(row.id for row in stored.rows):
        value = value_of(one, metric)
        if value is not None:
            found.setdefault(one.example_id, []).append(value)
    return found


def _earlier_scores(
    store: SqlStore, runs: Sequence[RunRow], run: RunRow, candidate_id: str, metric: str
) -> Mapping[str, list[float]]:
    """What this prompt scored on these rows before, by the same metrics: one score for each replicate of a row."""
    from promptprop.services.gate_tests import value_of

    known: dict[tuple[str, int], float] = {}
    for earlier in runs:
        if earlier.snapshot.get("scorer") == run.snapshot.get("scorer"):
            for one in store.evaluations(earlier.id, candidate_id):
                value = value_of(one, metric)
                if value is not None:
                    known.setdefault((one.example_id, one.replicate), value)
    found: dict[str, list[float]] = {}
    for (row, _), score in sorted(known.items()):
        found.setdefault(row, []).append(score)
    return found


def gate_report(store: SqlStore, run: RunRow, history: History) -> GateReport:
    """The report of a check that came to its end."""
    from promptprop.bootstrap.assembly import seeds_of
    from promptprop.domain.gate_config import GateConfig
    from promptprop.services.flips import flips_of
    from promptprop.services.gate_tests import SCORE
    from promptprop.services.judging import newest

    options: Mapping[str, Json] = run.snapshot["options"]
    settings = GateConfig.model_validate(options["gate"])
    last = history.looks[-1]
    evaluations = newest(store.evaluations(run.id))
    ids: Sequence[str] = list(dict.fromkeys(one.example_id for one in evaluations))
    examples = {one.id: one for one in store.examples(run.dataset_id, ids)}
    metric = settings.metric[0] if settings.metric else SCORE
    flips = flips_of(evaluations, examples, last.baseline_id, last.candidate_id, metric)
    seeds = seeds_of(run)
    baseline, candidate = seeds[0], seeds[-1]
    labels = (str(options.get("baseline", "baseline")), "the configuration")
    texts = baseline.text, candidate.text
    return GateReport(
        run.id,
        run.name,
        last.verdict,
        history,
        settings,
        labels,
        texts,
        tuple(flips),
        tuple(options.get("differences", ())),
        details_of(run, last, settings, evaluations, examples, (baseline, candidate)),
    )
