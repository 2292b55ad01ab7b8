"""What a run leaves behind besides its rows: its folder, its tracking, and the prompt file with `--apply`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.logs import redact_value
from promptprop.bootstrap.configuration import project_folder
from promptprop.bootstrap.preparation import recorded
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Candidate, Program, Prompt, Step
from promptprop.domain.report import Report, report_json
from promptprop.ports import RunRow

if TYPE_CHECKING:
    from promptprop.adapters.tracking.mlflow import MlflowSink
    from promptprop.domain.config import RunConfig
    from promptprop.services.engine import Engine

SHORT = 8  # characters of a run's id that people see


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of `--apply`: whether the file was written, and a sentence about it."""

    written: bool
    path: Path
    sentence: str


def run_folder(run: RunRow) -> Path:
    """Where a run's files go: below `output` of its configuration, else below the project folder."""
    configured = run.snapshot["config"].get("output")
    base = Path(configured) if configured else project_folder() / "runs"
    return base / run.id[:SHORT]


def write_run_folder(run: RunRow, report: Report) -> dict[str, str]:
    """Write prompt.md, report.md and result.json, each whole or not at all; returns their paths by name.

    An evaluation has no prompt of its own to write. Raises NotWritable, StorageFull.
    """
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.adapters.files.writing import make_folder, write_atomically
    from promptprop.adapters.logs import redact

    folder = run_folder(run)
    names = {"report": "report.md", "result": "result.json"}
    if run.activity == "optimize" and report.winner.prompt:
        names = {"prompt": "prompt.md", **names}
    paths = {"folder": str(folder), **{name: str(folder / file) for name, file in names.items()}}
    make_folder(folder, remedy="set `output:` to a folder that can be written")
    if "prompt" in names:
        write_atomically(folder / names["prompt"], prompt_file_text(report.winner.prompt))
    write_atomically(folder / names["report"], redact(render_markdown(report)))
    document = report_json(report, paths)
    shown = redact_value(document)
    for name in ("seed", "winner"):  # people use them as they are
        shown[name]["prompt"] = document[name]["prompt"]
    write_atomically(folder / names["result"], json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
    return paths


def build_tracking(engine: Engine, run: RunRow, config: RunConfig, env: Mapping[str, str]) -> MlflowSink | None:
    """The sink that tracks a run in MLflow, where that is asked for and models answer. Raises ConfigError."""
    wanted = config.tracking.mlflow
    if wanted is None or not wanted.enabled or recorded(run):
        return None
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.adapters.tracking.client import Destination
    from promptprop.adapters.tracking.mlflow import MlflowSink

    destination = Destination(
        uri=tracking_uri(wanted.uri, env),
        experiment=wanted.experiment or config.name,
        run_name=run.name,
        artifact_dir=project_folder() / "mlflow-artifacts",
    )
    return MlflowSink(
        destination,
        candidates=lambda: engine.store.candidates(run.id),
        artifacts=lambda: {"report.md": render_markdown(engine.report(run.id))},
    )


def tracking_uri(configured: str | None, env: Mapping[str, str] | None = None) -> str:
    """Where runs are tracked; a relative SQLite path starts at the current folder. Raises ConfigError."""
    from promptprop.adapters.files.environment import resolve

    environment = os.environ if env is None else env
    uri = resolve(configured, environment, "tracking.mlflow.uri") if configured else ""
    if not uri:
        return f"sqlite:///{project_folder() / 'mlflow.db'}"
    scheme = "sqlite:///"
    if not uri.startswith(scheme) or uri.startswith(scheme + "/"):
        return uri
    path, mark, query = uri.removeprefix(scheme).partition("?")
    return f"{scheme}{Path.cwd() / path}{mark}{query}"


def program_of(run: RunRow) -> Program:
    """The program whose texts a run's candidates are."""
    return Program(tuple(Step(*parts) for parts in run.snapshot["program"]))


def default_program(candidate: Candidate) -> Program:
    """A program for a candidate of which no run is known: its steps in their order."""
    return Program(tuple(Step(step, "output" if len(candidate.prompts) == 1 else step) for step in candidate.prompts))


def prompt_file_text(prompt: str) -> str:
    """A prompt as its file holds it: with a line end, which reading takes away again."""
    return prompt + "\n"


def prompt_file(config: RunConfig) -> Path:
    """The one text file that `--apply` may write. Raises UsageError where the prompt does not come from one."""
    from promptprop.adapters.files.prompts import read_prompts

    sources = config.prompt or ()
    problem = ""
    if config.steps is not None:
        problem = "the prompt is a chain of steps"
    elif len(sources) != 1:
        problem = f"there are {len(sources)} seeds"
    elif sources[0].file is None:
        problem = "the prompt stands in the configuration itself"
    elif Path(sources[0].file).suffix.lower() in {".yaml", ".yml", ".json"}:
        problem = f"{Path(sources[0].file).name} is a document, not a text file"
    if problem or sources[0].file is None:
        raise UsageError(
            f"--apply writes a prompt back into a single text file, but {problem}",
            remedy="leave --apply out, and use `promptprop prompts export RUN -o FILE` afterwards",
        )
    read_prompts(config)
    return Path(sources[0].file)


def apply_winner(config: RunConfig, report: Report) -> Applied:
    """Write the winner back into its prompt file, if it is proven better and the file still holds the seed.

    Raises UsageError as `prompt_file`, ConfigError where the file cannot be read, NotWritable.
    """
    from promptprop.adapters.files.prompts import read_prompts
    from promptprop.adapters.files.writing import write_atomically

    path = prompt_file(config)
    name = os.path.relpath(path)
    if report.verdict != "better":
        return Applied(False, path, f"not applied: the verdict is {report.verdict!r}, so {name} stays as it is")
    _, seeds = read_prompts(config)
    winner = report.candidates[report.winner.id]
    if seeds[0].id == winner.id:
        return Applied(True, path, f"{name} holds the winner already")
    if seeds[0].id != report.seed.id:
        sentence = f"not applied: {name} has changed since the run began; take the winner from the run's folder"
        return Applied(False, path, sentence)
    prompt: Prompt = next(iter(winner.prompts.values()))
    write_atomically(path, prompt_file_text(prompt.text))
    return Applied(True, path, f"applied: {name} holds the winner now")
