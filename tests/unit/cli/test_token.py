"""`token create`, `list` and `revoke`: the secret is shown once, to whoever made the token."""

from __future__ import annotations

import json
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import open_store
from promptprop.cli.options import age_of
from promptprop.domain.errors import UsageError
from promptprop.ports import TokenRow

DATABASE = ".promptprop/promptprop.db"


def found(project: Path, secret: str) -> TokenRow | None:
    with closing(open_store(f"sqlite:///{project / DATABASE}")) as store:
        return store.find_token(secret)


def test_the_token_alone_is_on_stdout_and_lets_its_holder_in(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("token", "create", "ci", "--scope", "run", "--max-runs", "3", "--expires", "30d")
    assert ended.code == 0
    row = found(cli_project, ended.out.strip())
    assert row is not None
    assert (row.name, row.scope, row.max_runs) == ("ci", "run", 3)
    assert row.expires_at is not None
    assert (row.expires_at - row.created_at).days in (29, 30)
    assert "ci (run, until " in ended.err
    assert "shown this once" in ended.err
    assert ended.out.strip() not in ended.err
    log = cli_project / ".promptprop" / "logs"
    assert not any(ended.out.strip() in file.read_text() for file in log.rglob("*") if file.is_file())


def test_a_token_looks_and_no_more_unless_it_is_told(cli_project: Path, run_cli: Any) -> None:
    row = found(cli_project, run_cli("token", "create", "eyes").out.strip())
    assert row is not None
    assert (row.scope, row.max_runs, row.expires_at) == ("read", None, None)


def test_json_holds_the_token_once_and_the_list_never(cli_project: Path, run_cli: Any) -> None:
    document = run_cli("token", "create", "ci", "--json").json
    assert found(cli_project, document["token"]) is not None
    listed = run_cli("token", "list", "--json")
    assert [set(one) for one in listed.json] == [set(document) - {"token"}]
    assert document["token"] not in listed.out


def test_a_file_with_a_token_is_its_owners_alone(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "wide").touch(mode=0o644)
    for name in ("narrow", "wide"):
        assert run_cli("token", "create", name, "-o", name).code == 0
        path = cli_project / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert found(cli_project, path.read_text().strip()) is not None


def test_no_token_is_made_where_it_cannot_be_written(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("token", "create", "lost", "-o", "nowhere/file")
    assert ended.code == 2
    assert "cannot write nowhere/file" in ended.err
    run_cli("token", "create", "ci")
    assert run_cli("token", "create", "ci", "-o", "twice").code == 2
    assert not (cli_project / "twice").exists()
    assert [one["name"] for one in run_cli("token", "list", "--json").json] == ["ci"]


def test_a_token_is_revoked_by_name_or_id_and_stays_listed(cli_project: Path, run_cli: Any) -> None:
    secret = run_cli("token", "create", "ci").out.strip()
    ended = run_cli("token", "revoke", "ci")
    assert (ended.code, ended.out) == (0, "")
    assert "token ci (" in ended.err
    assert found(cli_project, secret) is None
    (row,) = run_cli("token", "list", "--json").json
    assert (row["name"], row["state"]) == ("ci", "revoked")
    assert run_cli("token", "revoke", row["id"][:5], "--json").json == row


def test_a_list_fits_a_terminal_and_says_what_each_token_is_worth(
    cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cli("token", "create", "ci", "--scope", "admin", "--max-runs", "12", "--expires", "8w")
    run_cli("token", "create", "old\N{LATIN SMALL LETTER E WITH ACUTE}")
    run_cli("token", "revoke", "ci")
    monkeypatch.setenv("COLUMNS", "80")
    lines = run_cli("token", "list").out.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert "in force" in lines[1]
    assert "revoked" in lines[2]


def test_an_empty_list_says_how_to_begin(cli_project: Path, run_cli: Any) -> None:
    open_store(f"sqlite:///{cli_project / DATABASE}").close()
    assert "promptprop token create" in run_cli("token", "list").out
    assert json.loads(run_cli("token", "list", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ci", "--scope", "root"), "read, run, admin"),
        (("ci", "--expires", "5y"), "--expires wants a time"),
        (("ci", "--expires", "0s"), "expired already"),
        (("ci", "--expires", "999999w"), "beyond all calendars"),
        (("ci", "--max-runs", "-1"), "--max-runs"),
        (("",), "cannot name a token"),
    ],
)
def test_what_no_token_can_be_is_refused(
    cli_project: Path, run_cli: Any, arguments: tuple[str, ...], words: str
) -> None:
    ended = run_cli("token", "create", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert not (cli_project / DATABASE).exists() or run_cli("token", "list", "--json").json == []


def test_a_token_that_is_not_there_cannot_be_revoked(cli_project: Path, run_cli: Any) -> None:
    run_cli("token", "create", "ci")
    ended = run_cli("token", "revoke", "nobody")
    assert ended.code == 2
    assert "promptprop token list" in ended.err


def test_an_age_is_told_from_what_is_none() -> None:
    assert age_of(" 90m ", "--x").total_seconds() == 5400
    for wrong in ("", "d", "-1d", "1.5d", "1 d", "1dd", "9999999d"):
        with pytest.raises(UsageError, match="--x wants a time"):
            age_of(wrong, "--x")
