"""Named prompts: versions that count from 1, and aliases that point at one version each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, true

from promptprop.adapters.storage.connection import insert, serialize
from promptprop.adapters.storage.database import Database
from promptprop.adapters.storage.records import candidate_of, candidate_text, storable_or_none
from promptprop.adapters.storage.runs import utc_now
from promptprop.adapters.storage.tables import prompt_aliases, prompts
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Candidate, storable
from promptprop.ports import PromptHead, PromptVersion

LARGEST = 2**31 - 1  # of the numbers that versions can have


class PromptRows(Database):
    """The part of the store that keeps named prompts."""

    async def save_prompt(
        self, name: str, candidate: Candidate, run_id: str | None, aliases: Sequence[str] = ()
    ) -> PromptVersion:
        """A new version, unless the newest one has the same contents; either way the aliases move to it.

        Raises UsageError for a name with `@`, and for an alias that reads as a version.
        """
        name = storable(name)
        _check_names(name, aliases)
        row = {
            "name": name,
            "candidate_id": storable(candidate.id),
            "contents": candidate_text(candidate),
            "run_id": storable_or_none(run_id),
            "created_at": utc_now(),
        }

        def work(connection: Connection) -> PromptVersion:
            serialize(connection, f"prompt {name}")  # or two processes would count the same next version
            newest = connection.execute(_versions(name).order_by(prompts.c.version.desc()).limit(1)).first()
            if newest is not None and newest.candidate_id == row["candidate_id"]:
                version = newest.version
            else:
                version = 1 if newest is None else newest.version + 1
                connection.execute(prompts.insert(), {**row, "version": version})
            for alias in aliases:
                _move_alias(connection, name, alias, version)
            stored = connection.execute(_versions(name).where(prompts.c.version == version)).one()
            return _version_of(stored, _aliases(connection, name))

        return await self.write(work)

    async def set_alias(self, name: str, alias: str, version: int) -> PromptVersion:
        """Point an alias at a version, wherever it pointed before. Raises UsageError for an unknown version."""
        name = storable(name)
        _check_names(name, [alias])

        def work(connection: Connection) -> PromptVersion:
            serialize(connection, f"prompt {name}")
            stored = connection.execute(_versions(name).where(prompts.c.version == version)).first()
            if stored is None:
                raise _unknown(name, str(version), known=bool(connection.execute(_versions(name).limit(1)).first()))
            _move_alias(connection, name, alias, version)
            return _version_of(stored, _aliases(connection, name))

        return await self.write(work)

    async def remove_alias(self, name: str, alias: str) -> None:
        """Take an alias away. Raises UsageError where there is none."""
        table = prompt_aliases.c
        statement = delete(prompt_aliases).where(table.name == storable(name), table.alias == storable(alias))

        def work(connection: Connection) -> None:
            if connection.execute(statement).rowcount == 0:
                raise _unknown(name, alias, known=True)

        await self.write(work)

    def prompt(self, reference: str) -> PromptVersion:
        """`NAME`, `NAME@3` or `NAME@alias`; without a version the newest. Raises UsageError."""
        name, _, mark = storable(reference).partition("@")
        with self.reading() as connection:
            statement = _versions(name)
            if mark.isdecimal():
                known = len(mark) <= 10 and int(mark) <= LARGEST  # no database compares a larger one
                statement = statement.where(prompts.c.version == int(mark) if known else ~true())
            elif mark:
                alias = prompt_aliases.c
                target = select(alias.version).where(alias.name == name, alias.alias == mark).scalar_subquery()
                statement = statement.where(prompts.c.version == target)
            found = connection.execute(statement.order_by(prompts.c.version.desc()).limit(1)).first()
            if found is None:
                count = connection.execute(select(func.count()).where(prompts.c.name == name)).scalar()
                raise _unknown(name, mark, known=bool(count))
            return _version_of(found, _aliases(connection, name))

    def prompts(self) -> list[PromptVersion]:
        """All versions, by name and version."""
        with self.reading() as connection:
            found = connection.execute(select(prompts).order_by(prompts.c.name, prompts.c.version)).all()
            aliases = _aliases(connection)
        return [_version_of(row, aliases) for row in found]

    def prompt_page(self, limit: int, after: str = "") -> list[PromptHead]:
        """Named prompts by name, those behind `after`, each with its newest version."""
        columns = prompts.c
        newest = (
            select(columns.name, func.max(columns.version).label("version"), func.count().label("versions"))
            .where(columns.name > storable(after))
            .group_by(columns.name)
            .order_by(columns.name)
            .limit(limit)
            .subquery()
        )
        statement = select(newest, columns.candidate_id, columns.run_id, columns.created_at)
        statement = statement.join(prompts, (columns.name == newest.c.name) & (columns.version == newest.c.version))
        with self.reading() as connection:
            found = connection.execute(statement.order_by(newest.c.name)).all()
            aliases = _aliases(connection, *(row.name for row in found)) if found else {}
        marks: dict[str, dict[str, int]] = {}
        for (name, version), words in aliases.items():
            marks.setdefault(name, {}).update(dict.fromkeys(words, version))
        return [PromptHead(**row._mapping, aliases=marks.get(row.name, {})) for row in found]

    def prompt_versions(self, name: str, limit: int, before: int | None = None) -> list[PromptVersion]:
        """Versions of a prompt, newest first, those under `before`; none where nothing has this name."""
        name = storable(name)
        statement = _versions(name).order_by(prompts.c.version.desc()).limit(limit)
        if before is not None:
            statement = statement.where(prompts.c.version < before)
        with self.reading() as connection:
            found = connection.execute(statement).all()
            aliases = _aliases(connection, name)
        return [_version_of(row, aliases) for row in found]


def _check_names(name: str, aliases: Sequence[str]) -> None:
    if not name or "@" in name:
        raise UsageError(f"{name!r} cannot name a prompt", remedy="leave out `@`, which sets off a version")
    for alias in aliases:
        if not alias or "@" in alias or alias.isdecimal():
            raise UsageError(f"{alias!r} cannot be an alias", remedy="use a word such as `production`")


def _unknown(name: str, mark: str, *, known: bool) -> UsageError:
    what = f"the prompt {name!r} has no version or alias {mark!r}" if known else f"no prompt is named {name!r}"
    return UsageError(what, remedy="`promptprop prompts list` shows names, versions and aliases")


def _move_alias(connection: Connection, name: str, alias: str, version: int) -> None:
    move = insert(connection, prompt_aliases).values(name=name, alias=storable(alias), version=version)
    connection.execute(move.on_conflict_do_update(index_elements=["name", "alias"], set_={"version": version}))


def _versions(name: str) -> Any:
    return select(prompts).where(prompts.c.name == name)


def _aliases(connection: Connection, *names: str) -> dict[tuple[str, int], list[str]]:
    """The aliases that point at each version, in alphabetical order; of all prompts where none is named."""
    statement = select(prompt_aliases).order_by(prompt_aliases.c.alias)
    if names:
        statement = statement.where(prompt_aliases.c.name.in_(names))
    found: dict[tuple[str, int], list[str]] = {}
    for row in connection.execute(statement):
        found.setdefault((row.name, row.version), []).append(row.alias)
    return found


def _version_of(row: Row[Any], aliases: dict[tuple[str, int], list[str]]) -> PromptVersion:
    names = tuple(aliases.get((row.name, row.version), ()))
    return PromptVersion(row.name, row.version, candidate_of(row.contents), row.run_id, row.created_at, names)
