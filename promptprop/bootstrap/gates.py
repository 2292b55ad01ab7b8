"""Composes `check`: the baseline found, what the gate will see told beforehand, and its report read from the store."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.errors import BaselineMissing, ConfigError, UsageError
from promptprop.domain.models import Candidate, Json, Program

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.config import PromptConfig, RunConfig
    from promptprop.domain.events import GateLooked
    from promptprop.domain.gate_config import GateConfig
    from promptprop.domain.history import History
    from promptprop.domain.power import Noise
    from promptprop.ports import RunRow
    from promptprop.services.flips import Flip

GIT = "git:"
EARLIER = 200  # runs that are looked through for answers to the same rows


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a gate will see: the smallest drop that fails with the power asked for, and the most that it takes."""

    rows: int
    smallest: float | None
    power_at_margin: float
    noise: Noise
    most_calls: int


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

    @property
    def last(self) -> GateLooked:
        """The look that decided."""
        return self.history.looks[-1]

    @property
    def worse(self) -> tuple[Flip, ...]:
        """Rows that the candidate answers worse, the worst first."""
        return tuple(flip for flip in self.flips if flip.delta < 0)

    @property
    def better(self) -> tuple[Flip, ...]:
        """Rows that it answers better, the best first."""
        return tuple(flip for flip in reversed(self.flips) if flip.delta > 0)


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
        prompts[step] = parse_prompt(_text_at(Path(source.file), revision), literal=source.literal)
    return Candidate(prompts)


def _text_at(path: Path, revision: str) -> str:
    """A file as it was at a revision. Raises BaselineMissing."""
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


def outlook_of(store: SqlStore, run: RunRow, settings: GateConfig, program: Program) -> Outlook:
    """What the gate of a drafted run will see, by the noise of earlier answers to the same rows."""
    from promptprop.bootstrap.assembly import build_search
    from promptprop.domain.config import RunConfig
    from promptprop.domain.power import chances_of, noise_of, smallest_drop
    from promptprop.services.gatekeeping import SCORE, clusters_of

    _, brief = build_search(store, run, RunConfig.model_validate(run.snapshot["config"]))
    rows = brief.select
    scores = _earlier_scores(store, run, brief.seeds[0].id, settings.metric[0] if settings.metric else SCORE)
    clusters = clusters_of(rows)
    noise = noise_of([scores.get(row.id, []) for row in rows], clusters)
    sizes = sorted(Counter(clusters).values()) if clusters else ()
    at_margin = chances_of(noise, settings.rule, len(rows), settings.margin, sizes).fails if settings.margin else 0.0
    return Outlook(
        rows=len(rows),
        smallest=smallest_drop(noise, settings.rule, len(rows), settings.power, sizes),
        power_at_margin=at_margin,
        noise=noise,
        most_calls=2 * len(rows) * settings.replicates[-1] * len(program.steps),
    )


def _earlier_scores(store: SqlStore, run: RunRow, candidate_id: str, metric: str) -> Mapping[str, list[float]]:
    """What this prompt scored on these rows before, by the same metrics: one score for each replicate of a row."""
    from promptprop.services.gatekeeping import value_of

    known: dict[tuple[str, int], float] = {}
    for earlier in store.runs(EARLIER):
        same = earlier.dataset_id == run.dataset_id and earlier.snapshot.get("scorer") == run.snapshot.get("scorer")
        if same and earlier.id != run.id:
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
    from promptprop.domain.gate_config import GateConfig
    from promptprop.services.flips import flips_of
    from promptprop.services.gatekeeping import SCORE
    from promptprop.services.judging import newest

    options: Mapping[str, Json] = run.snapshot["options"]
    settings = GateConfig.model_validate(options["gate"])
    last = history.looks[-1]
    kept = {key: proposal.candidate for key, proposal in store.candidates(run.id).items()}
    evaluations = newest(store.evaluations(run.id))
    ids: Sequence[str] = list(dict.fromkeys(one.example_id for one in evaluations))
    examples = {one.id: one for one in store.examples(run.dataset_id, ids)}
    metric = settings.metric[0] if settings.metric else SCORE
    flips = flips_of(evaluations, examples, last.baseline_id, last.candidate_id, metric)
    baseline, candidate = kept[last.baseline_id], kept[last.candidate_id]
    labels = (str(options.get("baseline", "baseline")), "the configuration")
    texts = baseline.text, candidate.text
    return GateReport(run.id, run.name, last.verdict, history, settings, labels, texts, tuple(flips))
