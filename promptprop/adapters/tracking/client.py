"""A run as MLflow keeps it: opened or found again, written to, closed. All MLflow calls are here.

Explicit clients and run ids only: no active run, no global tracking URI, no autologging. The prompt functions of
`mlflow.genai` and `link_prompt_version_to_run` fall back to the global store, so their parts that take a client are
used, and the link is written as the tag that they would write.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from promptprop.adapters.logs import redact, tame_vendors
from promptprop.adapters.tracking.records import TAG, Records, sanitise_key, sanitise_name
from promptprop.domain.models import Prompt, Proposal

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",  # else the import adds a handler that writes to stderr
}
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}  # unless the user set them
POINTS, PAIRS = 900, 90  # MLflow takes 1,000 entities a batch, at most 100 params and tags among them
LONGEST_VALUE = 500  # characters of a param or tag that every server accepts
LINKED = "mlflow.linkedPrompts"
RUN_IDS = "mlflow.prompt.associatedRunIds"
EXPERIMENT_IDS = "_mlflow_experiment_ids"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a run is tracked, and under which names. `params` are written next to those of the run itself.

    Relative paths in a `sqlite:///` uri are relative to the working directory: pass them absolute.
    """

    uri: str
    experiment: str
    run_name: str
    artifact_dir: Path
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def remote(self) -> bool:
        """True where a server keeps the artifacts."""
        return not self.uri.startswith(("sqlite:", "postgresql", "mysql", "mssql", "file:", "/", "."))


def sqlite_path(uri: str) -> Path | None:
    """The database file of a `sqlite:///` uri; None for other stores.

    >>> sqlite_path("sqlite:////srv/a%20b/mlflow.db").as_posix(), sqlite_path("https://mlflow.example")
    ('/srv/a b/mlflow.db', None)
    """
    if not uri.startswith("sqlite:///"):
        return None
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0]))


class TrackedRun:
    """One run in MLflow. Belongs to one thread; whatever MLflow raises passes through to the sink."""

    def __init__(self, destination: Destination, run_id: str) -> None:
        """Open the run with this PromptProp id: the one that MLflow has, or a new one."""
        os.environ.update(ENVIRONMENT)
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        _prepare_sqlite(destination.uri)
        from mlflow import MlflowClient

        tame_vendors()
        self._client = MlflowClient(tracking_uri=destination.uri, registry_uri=destination.uri)
        self._prompt_name = sanitise_name(destination.run_name)
        self._run_id = run_id
        self._experiment_id = self._find_experiment(destination)
        run = self._find_run()
        self._found = run is not None
        if run is None:
            tags = {f"{TAG}run_id": run_id}
            run = self._client.create_run(self._experiment_id, run_name=destination.run_name, tags=tags)
        self.id: str = run.info.run_id
        self._params = set(run.data.params)
        self._links: list[dict[str, str]] = json.loads(run.data.tags.get(LINKED, "[]"))
        self._steps: dict[str, set[int]] = {}
        self._versions: dict[str, dict[str, str]] = {}
        self.log(Records(params=destination.params))

    def _find_experiment(self, destination: Destination) -> str:
        from mlflow.exceptions import MlflowException

        def known() -> str | None:
            found = self._client.get_experiment_by_name(destination.experiment)
            return None if found is None else str(found.experiment_id)

        location = None if destination.remote else destination.artifact_dir.resolve().as_uri()
        if found := known():
            return found
        try:
            return str(self._client.create_experiment(destination.experiment, artifact_location=location))
        except MlflowException:  # another process may have created it just now
            if found := known():
                return found
            raise

    def _find_run(self) -> Any:
        query = f"tags.`{TAG}run_id` = '{self._run_id}'"
        found = self._client.search_runs([self._experiment_id], query, max_results=1, order_by=["start_time ASC"])
        return found[0] if found else None

    def log(self, records: Records) -> None:
        """Write what is not there yet: a metric has one value a step, a param one value."""
        from mlflow.entities import Metric, Param, RunTag

        points = [point for point in records.points if self._is_new(point.name, point.step)]
        metrics = [Metric(point.name, point.value, point.at, point.step) for point in points]
        params = [Param(key, value) for key, value in _pairs(records.params) if key not in self._params]
        self._params |= {param.key for param in params}
        tags = [RunTag(key, value) for key, value in _pairs(records.tags)]
        for start in range(0, len(metrics), POINTS):
            self._client.log_batch(self.id, metrics=metrics[start : start + POINTS], synchronous=True)
        for start in range(0, max(len(params), len(tags)), PAIRS):
            end = start + PAIRS
            self._client.log_batch(self.id, params=params[start:end], tags=tags[start:end], synchronous=True)
        if records.status == "RUNNING":
            self._client.update_run(self.id, status="RUNNING")
        elif records.status:
            self._client.set_terminated(self.id, status=records.status)

    def _is_new(self, name: str, step: int) -> bool:
        """True the first time for this metric and step, over all processes that have tracked this run."""
        if name not in self._steps:
            history = self._client.get_metric_history(self.id, name) if self._found else ()
            self._steps[name] = {metric.step for metric in history}
        new = step not in self._steps[name]
        self._steps[name].add(step)
        return new

    def register(self, proposal: Proposal, *, winner: bool) -> None:
        """A prompt version a step of this candidate, unless its name has one already; the winner gets the alias."""
        candidate = proposal.candidate
        for step, prompt in candidate.prompts.items():
            name = self._prompt_name if len(candidate.prompts) == 1 else sanitise_name(f"{self._prompt_name}.{step}")
            known = self._versions_of(name)
            if candidate.id not in known:
                tags = {
                    f"{TAG}candidate_id": candidate.id,
                    f"{TAG}run_id": self._run_id,
                    f"{TAG}hypothesis": candidate.hypothesis.kind,
                    f"{TAG}demos": str(len(candidate.demos)),
                    RUN_IDS: self.id,
                }
                about = redact(candidate.hypothesis.text)[:LONGEST_VALUE]
                version = self._client.create_prompt_version(name, _template(prompt), about, tags)
                known[candidate.id] = str(version.version)
            self._link(name, known[candidate.id])
            if winner:
                self._client.set_prompt_alias(name, "winner", int(known[candidate.id]))

    def _versions_of(self, name: str) -> dict[str, str]:
        """The versions of a prompt by candidate id; the prompt is created, or shown under this experiment too."""
        if name not in self._versions:
            prompt = self._client.get_prompt(name)
            ids = [] if prompt is None else prompt.tags.get(EXPERIMENT_IDS, "").strip(",").split(",")
            shown = ",".join(("", *dict.fromkeys(filter(None, (*ids, self._experiment_id))), ""))
            if prompt is None:
                self._client.create_prompt(name, f"Written by PromptProp for {name}.", {EXPERIMENT_IDS: shown})
            elif self._experiment_id not in ids:
                self._client.set_prompt_tag(name, EXPERIMENT_IDS, shown)
            found = {} if prompt is None else dict(self._stored_versions(name))
            self._versions[name] = found
        return self._versions[name]

    def _stored_versions(self, name: str) -> Iterator[tuple[str, str]]:
        token = None
        while True:
            page = self._client.search_prompt_versions(name, max_results=200, page_token=token)
            for version in page:
                if candidate_id := version.tags.get(f"{TAG}candidate_id"):
                    yield candidate_id, str(version.version)
            token = getattr(page, "token", None)
            if not token:
                return

    def _link(self, name: str, version: str) -> None:
        entry = {"name": name, "version": version}
        if entry not in self._links:
            self._links.append(entry)
            self._client.set_tag(self.id, LINKED, json.dumps(self._links))

    def attach(self, filename: str, text: str) -> None:
        """Store a text as an artifact of the run, in place of an earlier one of that name."""
        self._client.log_text(self.id, redact(text), filename)


def _template(prompt: Prompt) -> str | list[dict[str, str]]:
    """A prompt as MLflow keeps it: a single user message as text, else the messages of a chat."""
    if len(prompt.messages) == 1 and prompt.messages[0].role == "user":
        return redact(prompt.messages[0].content)
    return [{"role": message.role, "content": redact(message.content)} for message in prompt.messages]


def _pairs(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        yield sanitise_key(key), redact(str(value))[:LONGEST_VALUE]


def _prepare_sqlite(uri: str) -> None:
    """Create the database's folder and try to write: MLflow itself would retry a hopeless file for a minute."""
    path = sqlite_path(uri)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
