"""The house rules that no linter knows: the list of the domain, sizes, names, and what start-up may load.

The layers themselves are contracts of import-linter, in pyproject.toml.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from promptprop.adapters.storage.store import open_store

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "promptprop"
DOMAIN = {
    "__init__", "errors", "models", "config", "budget", "statistics", "sampling", "selection", "vectors", "agreement",
    "rubric", "judgements", "baseline", "breakdown", "gate", "gate_config", "power", "sequential", "events", "history",
    "people", "report", "settings", "differences", "distributions", "model_config", "budget_config", "serve_config",
}  # fmt: skip
THIRD_PARTY_IN_DOMAIN = {
    "config": {"pydantic", "pydantic_core"},
    "settings": {"pydantic", "pydantic_core"},
    "gate_config": {"pydantic"},
    "model_config": {"pydantic"},
    "budget_config": {"pydantic"},
    "serve_config": {"pydantic"},
    "statistics": {"numpy"},
    "sequential": {"numpy"},
    "distributions": {"numpy"},
}
VAGUE_NAMES = {"helper", "helpers", "util", "utils", "process", "misc", "common", "manager", "managers"}
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 400, 60, 7
pytestmark = pytest.mark.no_cover  # reads sources and starts processes: in this one nothing of the package runs
SHOWN_AFTER = "\x1eloaded:"
PROBE = f"""
import json, sys
sys.argv = ["promptprop", *json.loads(sys.argv[1])]
code = 0
try:
    from promptprop.cli.main import main
    code = main()
except SystemExit as stop:
    code = stop.code
print({SHOWN_AFTER!r} + json.dumps([code or 0, sorted(sys.modules)]))
"""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def functions() -> tuple[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef], ...]:
    """Every function of the package, migrations apart: those are long lists of columns."""
    return tuple(
        (path, node)
        for path in modules()
        if "versions" not in path.parts
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def place(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def third_party(path: Path) -> set[str]:
    """The top-level packages that a module imports, at its top or inside of functions, ours and the standard apart."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"promptprop"}


def test_the_domain_holds_exactly_the_modules_of_the_design() -> None:
    found = {path.relative_to(PACKAGE / "domain").with_suffix("").as_posix() for path in modules()
             if path.is_relative_to(PACKAGE / "domain")}  # fmt: skip
    assert found - DOMAIN == set(), "a module that the design does not name"
    assert DOMAIN - found == set(), "a module that is missing"


def test_the_domain_imports_no_third_party_but_where_the_design_says_so() -> None:
    found = {path.stem: third_party(path) for path in (PACKAGE / "domain").glob("*.py")}
    wrong = {name: used - THIRD_PARTY_IN_DOMAIN.get(name, set()) for name, used in found.items()}
    assert {name: used for name, used in wrong.items() if used} == {}


def test_no_file_is_too_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    lengths = {place(path, node): (node.end_lineno or 0) - node.lineno + 1 for path, node in functions()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_no_function_but_a_command_takes_too_many_parameters() -> None:
    counts = {}
    for path, node in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if not path.is_relative_to(PACKAGE / "cli"):
            counts[place(path, node)] = sum(1 for argument in given if argument.arg not in ("self", "cls"))
    assert {name: count for name, count in counts.items() if count > MOST_PARAMETERS} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [path for path in PACKAGE.rglob("*") if path.stem in VAGUE_NAMES and path != PACKAGE / "roles/manager.py"]
    assert [path for path in named if path.suffix == ".py" or path.is_dir()] == []


def modules_loaded_by(arguments: list[str], folder: Path) -> set[str]:
    """The modules in memory after this command line has run in `folder`; it must have ended well."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV_", "PROMPTPROP_")) and not name.endswith(("_KEY", "_TOKEN", "_BASE", "_BASE_URL"))
    }
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    command = [sys.executable, "-c", PROBE, json.dumps(arguments)]
    done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert SHOWN_AFTER in done.stdout, done.stderr
    code, loaded = json.loads(done.stdout.rpartition(SHOWN_AFTER)[2])
    assert code == 0, done.stdout + done.stderr
    return set(loaded)


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    rows = [{"id": f"r{number}", "text": f"message {number}", "label": "ab"[number % 2]} for number in range(40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "small.yaml").write_text(
        "version: 1\nname: small\ntask: Say a or b.\nprompt: {text: 'Label {{ text }}'}\n"
        "data: {file: rows.jsonl, inputs: [text], expected: label, id: id}\n"
        "models:\n  task: {model: openai/gpt-4o-mini}\n"
        "  rewriter: {model: openai/gpt-4o-mini}\n"
        "metrics: [{id: label, type: exact}]\nbudget: {calls: 100}\n"
    )
    return tmp_path


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = modules_loaded_by(["--help"], tmp_path)
    assert loaded & {"litellm", "mlflow", "sqlalchemy", "pydantic", "rich", "scipy", "jsonschema"} == set()


def test_the_version_is_told_without_the_command_line_library(tmp_path: Path) -> None:
    assert modules_loaded_by(["--version"], tmp_path) & {"typer", "click", "pydantic", "rich"} == set()


@pytest.mark.parametrize(
    "arguments",
    [["validate", "small.yaml"], ["plan", "small.yaml"], ["plan", "small.yaml", "--json"], ["runs", "list"]],
)
def test_free_commands_load_no_model_client_and_no_tracker(arguments: list[str], small_project: Path) -> None:
    assert modules_loaded_by(arguments, small_project) & {"litellm", "mlflow", "openai"} == set()


@pytest.fixture
def project_with_runs(small_project: Path) -> Path:
    """The small project with a database."""
    (small_project / ".promptprop").mkdir()
    open_store(f"sqlite:///{small_project}/.promptprop/promptprop.db").close()
    return small_project


@pytest.mark.parametrize(
    "arguments",
    [["cache", "stats"], ["cache", "prune", "-y"], ["db", "backup", "copy.db"], ["db", "check"]],
    ids=" ".join,
)
def test_commands_about_the_database_load_nothing_that_calls_models(
    arguments: list[str], project_with_runs: Path
) -> None:
    loaded = modules_loaded_by(arguments, project_with_runs)
    assert loaded & {"litellm", "mlflow", "openai", "aiohttp", "scipy"} == set()


def test_a_list_of_models_without_keys_to_ask_with_loads_no_model_client(small_project: Path) -> None:
    assert modules_loaded_by(["models", "list"], small_project) & {"litellm", "mlflow", "openai", "aiohttp"} == set()


def test_a_list_of_models_is_fetched_without_a_model_client(small_project: Path) -> None:
    served = (
        (small_project / "small.yaml")
        .read_text()
        .replace("task: {model: openai/gpt-4o-mini}", "task: {model: openai/own, api_base: 'http://127.0.0.1:9/v1'}")
    )
    (small_project / "small.yaml").write_text(served)
    loaded = modules_loaded_by(["models", "list", "small.yaml"], small_project)
    assert "aiohttp" in loaded, "nothing was asked, so nothing is proved"
    assert loaded & {"litellm", "mlflow", "openai", "sqlalchemy"} == set()


def test_the_doctor_looks_without_loading_what_it_looks_at(project_with_runs: Path) -> None:
    loaded = modules_loaded_by(["doctor", "--offline"], project_with_runs)
    assert loaded & {"litellm", "mlflow", "openai", "aiohttp", "scipy"} == set()
