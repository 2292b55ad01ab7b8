"""A world file read and checked: a YAML file of version 1 beside the JSONL rows that it knows."""

from __future__ import annotations

import difflib
import json
from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from promptprop.adapters.models.offline.chance import pick
from promptprop.adapters.models.offline.meaning import Phrases
from promptprop.adapters.models.offline.tree import Tree, read_tree
from promptprop.adapters.models.offline.world import Format, Length, Powers, Rule, Statement, Trap, World, WorldRow
from promptprop.domain.errors import ConfigError, DataError, Place, Problem
from promptprop.domain.models import Json, text_of

SUFFIX = ".world.yaml"
REQUIRED = ("version", "task", "data", "inputs", "expected", "skill", "luck", "rules", "needs")
OPTIONAL = ("answers", "difficulty", "format", "length", "traps", "wrong_labels", "rewriter")
TASKS: tuple[Literal["classify", "extract", "write"], ...] = ("classify", "extract", "write")
_POWERS = ("able", "crowd", "forget", "mislabel", "bloat", "malformed")
_STATEMENT = ("id", "says", "shown_by")


def load_world(path: str | Path, name: str | None = None) -> World:
    """Read and check a world file and its rows; `name` (default: the file's) seeds the world's luck.

    Raises ConfigError with every problem of the world file and its place, DataError with those of the rows.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        remedy = "name a world file: datasets/NAME.world.yaml beside datasets/NAME.jsonl"
        raise ConfigError(Problem(f"the world file cannot be read: {said}", Place(str(path)), remedy)) from error
    tree = read_tree(text, str(path))
    if not isinstance(tree.value, dict):
        raise ConfigError(Problem("a world file is a map of keys", Place(str(path))))
    return _world(text, _rows_beside(tree, path), path, name or path.name.removesuffix(SUFFIX))


def _rows_beside(tree: Tree, path: Path) -> str | None:
    """The data file's contents; None where it cannot be read, which the check then tells."""
    try:
        return (path.parent / str(tree.value.get("data"))).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=8)  # the models of a run share one world, and what is indexed by it
def _world(text: str, rows: str | None, path: Path, name: str) -> World:
    return _Check(read_tree(text, str(path)), path, rows).world(name)


def lines_of(text: str) -> list[tuple[str, str]]:
    """A text as a map of its lines, by number from 1.

    >>> lines_of("a" + chr(10) + "b")
    [('1', 'a'), ('2', 'b')]
    """
    return [(str(number), line) for number, line in enumerate(text.splitlines(), 1)]


class _Check:
    """Turns a tree into a world, and notes a problem wherever it cannot."""

    def __init__(self, tree: Tree, path: Path, rows: str | None) -> None:
        self.tree = tree
        self.path = path
        self.contents = rows
        self.value: Mapping[str, Json] = tree.value
        self.task: Literal["classify", "extract", "write"] = "classify"
        for task in TASKS:
            if self.value.get("task") == task:
                self.task = task
        self.answers: tuple[str, ...] = ()

    def world(self, name: str) -> World:
        """The world, or every problem at once."""
        self.heads()
        if self.task == "classify":
            self.answers = self.texts("answers")
        inputs = self.texts("inputs")
        skill, luck = self.number("skill"), self.number("luck")
        rules = {rule.id: rule for rule in self.rules()}
        form = self.format()
        length, powers = self.length(), self.powers()
        self.stop_at_problems()
        rows = self.corrected(self.read_rows(inputs))
        needs = self.needs(rows, rules)
        difficulty = self.difficulty(rows)
        traps = {trap.id: trap for trap in self.traps(rows)}
        self.check_statements([*rules.values(), *traps.values(), *([form] if form else [])])
        self.check_learnable(rows, rules, needs)
        self.stop_at_problems()
        rows = {
            key: WorldRow(key, row.inputs, row.expected, row.right, difficulty.get(key, 0.0), needs.get(key, {}))
            for key, row in rows.items()
        }
        return World(name, self.task, self.answers, skill, luck, rows, rules, traps, form, length, powers)

    def stop_at_problems(self) -> None:
        """Raise what was found so far."""
        if self.tree.problems:
            raise ConfigError(self.tree.problems)

    # --- plain values

    def heads(self) -> None:
        """Version, task and the keys of the file."""
        self.keys(self.value, (), REQUIRED, OPTIONAL)
        if self.value.get("version") != 1 and "version" in self.value:
            self.tree.blame(f"version {self.value['version']!r} is not known", "version", remedy="version: 1")
        if self.value.get("task", "classify") not in TASKS:
            self.tree.blame(f"task must be one of {', '.join(TASKS)}", "task")
        for key in ("data", "expected"):
            if key in self.value and not isinstance(self.value[key], str):
                self.tree.blame(f"{key} must be a text", key)

    def keys(self, value: Json, path: tuple[Hashable, ...], needed: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
        """Whether `value` is a map with these keys."""
        if not isinstance(value, dict):
            self.tree.blame("this must be a map", *path)
            return False
        for key in value:
            if key not in needed + allowed:
                near = difflib.get_close_matches(str(key), needed + allowed, 1)
                remedy = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(needed + allowed)}"
                self.tree.blame(f"unknown key {key!r}", *path, key, remedy=remedy)
        missing = [key for key in needed if value.get(key) is None]
        if missing:
            self.tree.blame(f"missing: {', '.join(missing)}", *path)
        return not missing

    def number(self, *path: Hashable, default: float = 0.0, most: float = 1.0) -> float:
        """A number from 0 to `most`; a missing one is `default` (required keys are checked elsewhere)."""
        value = self.tree.get(*path)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            self.tree.blame(f"{path[-1]} must be a number from 0 to {most:g}", *path)
            return default
        return float(value)

    def texts(self, *path: Hashable) -> tuple[str, ...]:
        """A list of at least one text that is not empty."""
        value = self.tree.get(*path)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
            self.tree.blame(f"{path[-1]} must be a list of texts", *path)
            return ()
        return tuple(value)

    # --- statements

    def statement(self, *path: Hashable) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """`says` and `shown_by` of what stands at `path`."""
        groups = self.tree.get(*path, "shown_by")
        if not isinstance(groups, list) or not groups:
            self.tree.blame("shown_by must be a list of lists of phrases", *path, "shown_by")
            groups = []
        return self.texts(*path, "says"), tuple(self.texts(*path, "shown_by", n) for n in range(len(groups)))

    def listed(self, key: str, needed: tuple[str, ...]) -> list[tuple[int, Mapping[str, Json]]]:
        """The well-formed members of `rules` or `traps`, with their position; ids must differ."""
        value = self.value.get(key, [])
        if not isinstance(value, list):
            self.tree.blame(f"{key} must be a list", key)
            return []
        good = [(n, item) for n, item in enumerate(value) if self.keys(item, (key, n), needed, ())]
        seen: set[str] = set()
        for n, item in good:
            if not isinstance(item["id"], str) or item["id"] in seen:
                self.tree.blame("id must be a text that no other one has", key, n, "id")
            seen.add(str(item["id"]))
        return good

    def rules(self) -> list[Rule]:
        """The latent rules."""
        found = self.listed("rules", (*_STATEMENT, "when"))
        return [Rule(str(i["id"]), *self.statement("rules", n), when=self.texts("rules", n, "when")) for n, i in found]

    def traps(self, rows: Mapping[str, WorldRow]) -> list[Trap]:
        """The plausible rules that are wrong."""
        traps = []
        for n, item in self.listed("traps", (*_STATEMENT, "breaks")):
            breaks = self.by_row(rows, "traps", n, "breaks")
            for key, wrong in breaks.items():
                self.wrong_answer(wrong, rows[key], "traps", n, "breaks", key)
            traps.append(Trap(str(item["id"]), *self.statement("traps", n), breaks=breaks))
        return traps

    def format(self) -> Format | None:
        """The form of the answer, where the world asks for one."""
        value = self.value.get("format")
        if value is None or not self.keys(value, ("format",), ("says", "shown_by", "without"), ()):
            return None
        return Format("format", *self.statement("format"), without=self.number("format", "without"))

    def length(self) -> Length:
        """What a long prompt costs."""
        if self.value.get("length") is not None:
            self.keys(self.value["length"], ("length",), (), ("free", "per_100"))
        usual = Length()
        free = self.number("length", "free", default=usual.free, most=1e9)
        return Length(int(free), self.number("length", "per_100", default=usual.per_100))

    def powers(self) -> Powers:
        """How able critic and rewriter are."""
        if self.value.get("rewriter") is not None:
            self.keys(self.value["rewriter"], ("rewriter",), (), _POWERS)
        usual = Powers()
        return Powers(**{key: self.number("rewriter", key, default=getattr(usual, key)) for key in _POWERS})

    def check_statements(self, statements: list[Statement]) -> None:
        """Every paraphrase states its own rule, and no other: else a sentence would be learned for free, or never."""
        phrases = {statement.id: Phrases(statement.shown_by) for statement in statements}
        for statement in statements:
            for said in statement.says:
                if not phrases[statement.id].stated_by(said):
                    self.tree.blame(
                        f"{statement.id}: this paraphrase does not hold a phrase of every group of shown_by: {said!r}",
                        *self.says_path(statement.id),
                    )
                for other in statements:
                    if other.id != statement.id and phrases[other.id].stated_by(said):
                        message = f"{statement.id}: this paraphrase also states {other.id}: {said!r}"
                        self.tree.blame(message, *self.says_path(statement.id))

    def says_path(self, key: str) -> tuple[Hashable, ...]:
        """Where the paraphrases of a statement stand."""
        for kind in ("rules", "traps"):
            for n in range(len(self.value.get(kind) or [])):
                if self.tree.get(kind, n, "id") == key:
                    return (kind, n, "says")
        return ("format", "says")

    # --- rows

    def read_rows(self, inputs: tuple[str, ...]) -> dict[str, WorldRow]:
        """The rows of the data file, by id."""
        path = self.path.parent / str(self.value["data"])
        try:
            contents = path.read_text(encoding="utf-8") if self.contents is None else self.contents
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or str(error)
            problem = Problem(f"the rows of the world cannot be read: {path}: {said}", self.tree.place("data"))
            raise ConfigError(problem) from error
        rows: dict[str, WorldRow] = {}
        problems = []
        for number, line in enumerate(contents.splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = self.row(json.loads(line), inputs)
                if row.id in rows:
                    raise ValueError(f"the id {row.id!r} stands here twice")
                rows[row.id] = row
            except ValueError as error:
                problems.append(Problem(str(error), Place(str(path), number)))
        if problems or not rows:
            raise DataError(problems or [Problem("there are no rows", Place(str(path)))])
        return rows

    def row(self, item: Json, inputs: tuple[str, ...]) -> WorldRow:
        """One row. Raises ValueError with what is wrong."""
        expected = str(self.value["expected"])
        missing = [key for key in ("id", *inputs, expected) if not isinstance(item, dict) or item.get(key) is None]
        if missing:
            raise ValueError(f"this row has no {', '.join(missing)}")
        answer = item[expected]
        if self.task == "classify":
            answer = text_of(answer)
            if answer not in self.answers:
                raise ValueError(f"{expected} is {answer!r}, which is none of the answers of the world")
        elif self.task == "write":
            answer = dict(lines_of(text_of(answer)))
        else:
            answer = json.loads(answer) if isinstance(answer, str) else answer
            if not isinstance(answer, dict):
                raise ValueError(f"{expected} must be a JSON object")
        return WorldRow(str(item["id"]), {key: item[key] for key in inputs}, answer, answer)

    def by_row(self, rows: Mapping[str, WorldRow], *path: Hashable) -> dict[str, Json]:
        """A map from row ids, without those that no row has."""
        value = self.tree.get(*path)
        if not isinstance(value, dict):
            if value is not None:
                self.tree.blame(f"{path[-1]} must be a map from row ids", *path)
            return {}
        for key in value:
            if key not in rows:
                self.tree.blame(f"{path[-1]}: no row has the id {key!r}", *path, key)
        return {key: item for key, item in value.items() if key in rows}

    def difficulty(self, rows: Mapping[str, WorldRow]) -> dict[str, float]:
        """What is taken off a row's chance."""
        return {key: self.number("difficulty", key) for key in self.by_row(rows, "difficulty")}

    def corrected(self, rows: dict[str, WorldRow]) -> dict[str, WorldRow]:
        """The rows, with what is really right where the label is wrong; a bare list leaves the answer to a hash."""
        value = self.value.get("wrong_labels")
        if isinstance(value, list):
            for n, key in enumerate(value):
                if str(key) not in rows:
                    self.tree.blame(f"wrong_labels: no row has the id {str(key)!r}", "wrong_labels", n)
            rights: dict[str, Json] = {str(key): None for key in value if str(key) in rows}
        else:
            rights = self.by_row(rows, "wrong_labels")
        changed = {}
        for key, right in rights.items():
            row = rows[key]
            really = self.other_answer(row) if right is None else right
            known = really in self.answers if self.task == "classify" else isinstance(really, dict)
            if not known or really == row.expected:
                message = f"wrong_labels: row {key} needs another answer than the expected one, of the same kind"
                self.tree.blame(message, "wrong_labels", key, remedy="write a map: row id → right answer")
            changed[key] = WorldRow(key, row.inputs, row.expected, really)
        return {**rows, **changed}

    def other_answer(self, row: WorldRow) -> Json:
        """Some other label, by hash; None for an extraction."""
        others = [answer for answer in self.answers if answer != row.expected]
        return pick(others, "right", row.id) if others else None

    def needs(self, rows: Mapping[str, WorldRow], rules: Mapping[str, Rule]) -> dict[str, dict[str, Json]]:
        """The rules that rows need, with the answer where each is missing."""
        needs = self.by_row(rows, "needs")
        for key, wanted in needs.items():
            if not isinstance(wanted, dict):
                self.tree.blame("this must be a map: rule id → wrong answer", "needs", key)
                needs[key] = {}
                continue
            for rule, wrong in wanted.items():
                if rule not in rules:
                    near = difflib.get_close_matches(rule, list(rules), 1)
                    remedy = f"did you mean {near[0]}?" if near else ""
                    self.tree.blame(f"there is no rule {rule!r}", "needs", key, rule, remedy=remedy)
                self.wrong_answer(wrong, rows[key], "needs", key, rule)
        return needs

    def wrong_answer(self, wrong: Json, row: WorldRow, *path: Hashable) -> None:
        """A wrong answer is one of the answers but not the right one; or a map of fields that differ."""
        if self.task == "classify":
            if wrong not in self.answers or wrong == row.right:
                self.tree.blame(f"{wrong!r} must be one of the answers, and wrong for row {row.id}", *path)
        elif not isinstance(wrong, dict) or not wrong:
            self.tree.blame("this must be a map: field → wrong value, or null where the field is left out", *path)
        elif all(row.right.get(name) == value for name, value in wrong.items()):
            self.tree.blame(f"these are the right values of row {row.id}", *path)

    def check_learnable(
        self, rows: Mapping[str, WorldRow], rules: Mapping[str, Rule], needs: Mapping[str, Mapping[str, Json]]
    ) -> None:
        """A rule that rows need shows in the inputs of at least one of them."""
        for n, item in enumerate(self.value["rules"]):
            rule = rules[item["id"]]
            takers = [rows[key] for key, wanted in needs.items() if rule.id in wanted]
            when = Phrases((rule.when,))
            if takers and not any(when.stated_by(" ".join(map(text_of, row.inputs.values()))) for row in takers):
                message = f"no row that needs {rule.id} holds one of its phrases: nobody could learn it"
                self.tree.blame(message, "rules", n, "when")
