"""From the name of a function or class to itself, and the texts that shape what it does."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, digest


def load(name: str, folder: Path) -> tuple[ModuleType, Callable[..., Any]]:
    """The module that a name such as `package.module.function` or `./file.py:Class` leads to, and what it names there.

    Relative paths start at `folder`. Raises ConfigError.
    """
    where, _, inside = name.rpartition(":") if ":" in name else name.rpartition(".")
    if not where or not inside:
        raise ConfigError(
            f"`{name}` names no function", remedy="Write python:module.function or python:./file.py:function."
        )
    try:
        with _importable(folder):
            module = _from_file(folder / where) if where.endswith(".py") else importlib.import_module(where)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"the metric {name} cannot be imported: {type(error).__name__}: {error}",
            remedy=f"Modules are looked for in {folder.absolute()} and in the environment of promptprop.",
        ) from error
    found: Any = module
    for part in inside.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"{where} has no function `{inside}`, and no class of that name")
    return module, found


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules beside the configuration be imported, as a script's own folder does."""
    entry = str(folder.absolute())
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _from_file(path: Path) -> ModuleType:
    """The file as a module of its own, read afresh each time."""
    name = f"promptprop_metric_{digest(str(path.absolute()), 12)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles in the file look their module up
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102 - the user's own code; no stale bytecode
    return module


def modules_of(found: Callable[..., Any], named: ModuleType) -> list[ModuleType]:
    """The modules that define a function or class, with those of the classes that it inherits from, then the one named.

    Python's own are left out of what is inherited: they change from version to version, and what they do does not.
    """
    classes = inspect.getmro(found) if inspect.isclass(found) else ()
    inherited = [inspect.getmodule(one) for one in classes[1:]]
    foreign = [one for one in inherited if one and one.__name__.partition(".")[0] not in sys.stdlib_module_names]
    return [inspect.getmodule(found) or named, *foreign, named]


def texts_of(modules: list[ModuleType]) -> Json:
    """The texts of the modules' files by name, or for those without one their version."""
    texts: dict[str, str] = {}
    paths: set[Path] = set()
    for module in modules:
        path = Path(getattr(module, "__file__", None) or "")
        if path.suffix != ".py" or not path.is_file():
            texts[module.__name__] = str(getattr(module, "__version__", ""))
        elif path not in paths:
            paths.add(path)
            name = path.name if path.name not in texts else module.__name__  # two packages can each have a base.py
            texts[name] = path.read_text(encoding="utf-8", errors="surrogateescape")
    return texts
