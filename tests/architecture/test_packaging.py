"""The wheel: whatever lies in the package is in it, and nothing else is."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "promptprop" / "pytest_plugin.py"  # pytest loads it: where it is loaded, pytest is there
pytestmark = pytest.mark.no_cover  # reads sources and builds a wheel: nothing of the package runs


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel that is built from a copy, so that the checkout stays clean."""
    copy, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "promptprop", copy / "promptprop", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(copy)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.slow
def test_every_file_of_the_package_is_in_the_wheel(wheel_names: list[str]) -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "promptprop").rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} - set(wheel_names) == set()


@pytest.mark.slow
def test_templates_migrations_and_the_typing_mark_are_in_the_wheel(wheel_names: list[str]) -> None:
    for start, end in (
        ("promptprop/roles/templates/", ".md"),
        ("promptprop/adapters/storage/migrations/versions/", ".py"),
        ("promptprop/adapters/storage/migrations/env", ".py"),
        ("promptprop/py", ".typed"),
    ):
        assert [name for name in wheel_names if name.startswith(start) and name.endswith(end)], start


@pytest.mark.slow
def test_the_wheel_holds_nothing_but_the_package(wheel_names: list[str]) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in wheel_names} == {"promptprop"}


def test_every_package_that_is_imported_is_declared() -> None:
    imported = set()
    for path in set((ROOT / "promptprop").rglob("*.py")) - {PLUGIN}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    declarations = re.search(
        r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    assert declarations is not None
    declared = {name.lower() for name in re.findall(r'^ *"([\w.-]+)', declarations[1], re.MULTILINE)}
    providers = packages_distributions()
    missing = {
        name: providers.get(name)
        for name in imported - set(sys.stdlib_module_names) - {"promptprop"}
        if not {provider.lower().replace("_", "-") for provider in providers.get(name, [])} & declared
    }
    assert missing == {}
