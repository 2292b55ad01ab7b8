"""A request's configuration: read as a file's is, then confined to what a stranger may ask of this machine.

It reads files of the project folder alone, none of them hidden; it runs no code of its own; it says neither where
anything is written nor what the environment holds; its models are at addresses that the server lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.files.origins import Loc
    from promptprop.adapters.files.yaml_strict import Node
    from promptprop.domain.budget_config import BudgetConfig
    from promptprop.domain.config import RunConfig
    from promptprop.domain.model_config import ModelConfig
    from promptprop.domain.serve_config import ServeConfig

LONGEST_NAME = 200
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
MOST_REPLICATES = 25  # answers to a row at one look of a check


@dataclass(frozen=True, slots=True)
class Lender:
    """What a server lends to requests: a project folder, settings, and an environment that resolves its references.

    Without workers of its own, keys are another process's to have.
    """

    folder: Path
    serve: ServeConfig = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    has_workers: bool = True


def load_request(given: Mapping[str, Json] | str, lender: Lender, dataset: str | None = None) -> LoadedConfig:
    """The configuration that a request gives as a JSON object or as a YAML text, confined.

    `dataset` is the id of a stored dataset whose rows stand in for those of the configuration's file. Roles without a
    model get the server's. Raises ConfigError with every problem: placed by dotted keys for JSON, by lines for YAML.
    Reads files and may take a second: call it in a thread.
    """
    from promptprop.adapters.files.config import LoadedConfig, in_order, validated_as
    from promptprop.adapters.files.origins import expanded, origins_of
    from promptprop.adapters.files.request_documents import request_tree
    from promptprop.bootstrap.configuration import option_models
    from promptprop.domain.config import RunConfig

    root = expanded(request_tree(given))
    root = _with_dataset(root, dataset) if dataset else root
    asked = _asked_roles(root)
    root = _with_lent_models(root, lender.serve)
    problems: list[Problem] = []
    config = validated_as(RunConfig, root, problems, option_models())
    if config is None or problems:
        raise ConfigError(in_order(problems)[:50])
    confined = _Confinement(root, lender, asked)
    config = confined.applied(config)
    path = lender.folder / "request"
    return LoadedConfig(config, origins_of(root, config.snapshot()), path, (), lender.environment)


def capped(asked: BudgetConfig, most: BudgetConfig) -> BudgetConfig:
    """What a request asks to spend, at most what the server lets any run spend."""
    from promptprop.domain.budget_config import BudgetConfig

    one, other = asked.budget, most.budget
    return BudgetConfig(
        usd=_least(one.usd, other.usd),
        calls=_least(one.calls, other.calls),
        tokens=_least(one.tokens, other.tokens),
        seconds=_least(one.seconds, other.seconds),
    )


def require_within(caps: Mapping[str, Json], most: BudgetConfig) -> None:
    """Raises ConfigError where a cap is raised past what the server lets any run spend."""
    from promptprop.domain.budget import Budget

    asked, allowed = Budget.from_json(caps).as_json(), most.budget.as_json()
    problems = [
        Problem(f"caps.{name}: the server lets a run spend {allowed[name]}", Place(f"caps.{name}"), "ask for less")
        for name, value in asked.items()
        if value is not None and allowed[name] is not None and Decimal(value) > Decimal(allowed[name])
    ]
    if problems:
        raise ConfigError(problems)


def _least(*caps: Decimal | float | int | None) -> Decimal | float | int | None:
    return min((cap for cap in caps if cap is not None), default=None)


def _with_dataset(root: Node, dataset: str) -> Node:
    """The tree with its rows taken from a stored dataset."""
    from promptprop.adapters.files.yaml_strict import Node, text_node

    place = Place("dataset")
    data = root.entries.get("data")
    kept = data if data is not None and data.kind == "map" else Node("map", place)
    entries = {key: node for key, node in kept.entries.items() if key not in ("file", "files", "format")}
    named = replace(kept, entries={**entries, "dataset": text_node(dataset, place)})
    return replace(root, entries={**root.entries, "data": named}, keys={"data": place, **root.keys})


def _asked_roles(root: Node) -> frozenset[str]:
    """The roles that the request itself names a model for."""
    models = root.entries.get("models")
    return frozenset(models.entries) if models is not None and models.kind == "map" else frozenset()


def _with_lent_models(root: Node, serve: ServeConfig) -> Node:
    """The tree with the server's models for the roles that it names none for; a role is the one's or the other's."""
    from promptprop.adapters.files.yaml_strict import Node, node_of

    models = root.entries.get("models")
    if models is not None and models.kind != "map":
        return root
    dumped = serve.models.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    place = Place("serve.models")
    lent = {name: node_of(value, place, place.file) for name, value in dumped.items() if value}
    given = dict(models.entries) if models is not None else {}
    if not given and not lent:
        return root
    where = models.place if models is not None else root.place
    below = Node("map", where, entries={**lent, **given}, keys={**(models.keys if models else {})})
    return replace(root, entries={**root.entries, "models": below}, keys={"models": where, **root.keys})


class _Confinement:
    """Changes a valid configuration into one that only does what a request may, or says why it cannot."""

    def __init__(self, root: Node, lender: Lender, asked: frozenset[str]) -> None:
        self._root = root
        self._lender = lender
        self._asked = asked
        self._problems: list[Problem] = []

    def applied(self, config: RunConfig) -> RunConfig:
        """The configuration as it may run. Raises ConfigError with every problem."""
        from promptprop.adapters.files.config import in_order

        self._check_sizes(config)
        self._check_code(config)
        snapshot = config.snapshot()
        self._confine_paths(snapshot)
        self._lend_models(config, snapshot)
        snapshot["budget"] = capped(config.budget, self._lender.serve.budget).model_dump(mode="json")
        if self._problems:
            raise ConfigError(in_order(self._problems))
        found = type(config).model_validate(snapshot)
        self._check_worlds(found)
        return found

    def _note(self, loc: Loc, message: str, remedy: str = "") -> None:
        from promptprop.adapters.files.origins import find

        _, place, _ = find(self._root, loc)
        self._problems.append(Problem(message, place, remedy))

    def _check_sizes(self, config: RunConfig) -> None:
        limits = self._lender.serve.limits
        counts = {
            ("metrics",): (len(config.metrics), limits.metrics),
            ("steps",): (len(config.steps or ()), limits.steps),
            ("prompt",): (len(config.prompt or ()), limits.steps),
            ("models",): (sum(1 for _ in _models_of(config)), limits.models),
            ("gate", "replicates"): (max(config.gate.replicates) if config.gate else 0, MOST_REPLICATES),
        }
        for loc, (count, most) in counts.items():
            if count > most:
                self._note(loc, f"{'.'.join(loc)}: at most {most} here, got {count}", "ask for less")
        if config.data.dataset is not None and not _ID.fullmatch(config.data.dataset):
            self._note(("data", "dataset"), "data.dataset: no id of a dataset")
        if len(config.name) > LONGEST_NAME or not config.name.isprintable():
            self._note(("name",), f"name: expected at most {LONGEST_NAME} printable characters")

    def _check_code(self, config: RunConfig) -> None:
        from promptprop.metrics.registry import runs_python

        for index, metric in enumerate(config.metrics):
            if runs_python(metric.type):
                remedy = "use another type; code runs from configuration files alone"
                self._note(("metrics", index, "type"), f"metrics.{index}: a request runs no code of its own", remedy)

    def _confine_paths(self, snapshot: Json) -> None:
        """Every path that the configuration reads, as the file that it leads to."""
        from promptprop.adapters.files.config_paths import is_read
        from promptprop.adapters.files.confinement import confine
        from promptprop.adapters.files.origins import dotted, settings

        for loc, value in list(settings(snapshot)):
            if not isinstance(value, str) or not is_read(tuple(map(str, loc))) or self._is_lent(loc):
                continue
            found = confine(value, self._lender.folder)
            if isinstance(found, str):
                self._note(loc, f"{dotted(loc)}: {found}", "name a file of the project, relative to its folder")
            else:
                _put(snapshot, loc, str(found))

    def _lend_models(self, config: RunConfig, snapshot: Json) -> None:
        from promptprop.adapters.files.origins import dotted
        from promptprop.bootstrap.request_models import lent_model

        for loc, model in _models_of(config):
            if self._is_lent(loc):
                continue
            found, problems = lent_model(model, self._lender.serve, dotted(loc))
            _put(snapshot, loc, found.model_dump(mode="json"))
            for problem in problems:
                name = problem.message.removeprefix(f"{dotted(loc)}.").partition(":")[0]
                self._note((*loc, name), problem.message, problem.remedy)

    def _check_worlds(self, config: RunConfig) -> None:
        """The world beside a dataset is a file of the project as well. Raises ConfigError."""
        from promptprop.adapters.files.confinement import confine
        from promptprop.bootstrap.models import world_file

        root = self._lender.folder.resolve()
        for loc, model in _models_of(config):
            if not model.simulated or model.world or self._is_lent(loc):
                continue
            try:
                path = world_file(config, model)
            except ConfigError as error:
                self._note((*loc, "model"), error.problems[0].message, error.problems[0].remedy)
                continue
            found = confine(str(path.relative_to(root)), root)
            if isinstance(found, str):
                message = f"the world file of {model.model}: {found}"
                self._note((*loc, "model"), message, "a simulated model needs DATASET.world.yaml beside the dataset")
        if self._problems:
            raise ConfigError(self._problems)

    def _is_lent(self, loc: Loc) -> bool:
        """Whether this is a setting of the server's own."""
        return loc[0] == "models" and len(loc) > 1 and loc[1] not in self._asked


def _models_of(config: RunConfig) -> Iterator[tuple[Loc, ModelConfig]]:
    """Every model of a configuration and where it stands, stand-ins apart."""
    for name in type(config.models).model_fields:
        model = getattr(config.models, name)
        if name == "jury":
            yield from ((("models", name, index), juror) for index, juror in enumerate(model))
        elif model is not None:
            yield ("models", name), model
    for index, step in enumerate(config.steps or ()):
        if step.model is not None:
            yield ("steps", index, "model"), step.model


def _put(snapshot: Json, loc: Iterable[str | int], value: Json) -> None:
    *way, last = loc
    below = snapshot
    for step in way:
        below = below[step]
    below[last] = value
