"""`roles list` and `roles show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from promptprop.roles.registry import ROLES, shipped_template


def test_all_roles_are_listed_as_shipped_without_a_configuration(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("roles", "list", "--json")
    assert ended.code == 0
    assert [(one["name"], one["template"], one["models"]) for one in ended.json] == [
        (name, "shipped", []) for name in ROLES
    ]


def test_a_configuration_tells_who_plays_a_role_and_whose_template_it_follows(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "mine.md").write_text("Score {{ task }} from 0 to 100.\n")
    own = ["--set", "roles.juror.template=mine.md"]
    jury = ["--set", "models.jury=[{name: kind, model: offline/juror-kind}]"]
    listed = {one["name"]: one for one in run_cli("roles", "list", "small.yaml", *own, *jury, "--json").json}
    assert listed["juror"]["template"].endswith("mine.md")
    assert listed["juror"]["models"] == ["kind: offline/juror-kind"]
    assert listed["critic"] == {**listed["critic"], "template": "shipped", "models": ["offline/critic"]}
    shown = run_cli("roles", "show", "juror", "small.yaml", *own)
    assert shown.out == "Score {{ task }} from 0 to 100.\n"
    assert '"score"' in shown.err


def test_a_template_can_be_written_to_a_file_and_used_from_there(cli_project: Path, run_cli: Any) -> None:
    assert run_cli("roles", "show", "critic", "-o", "critic.md").code == 0
    assert (cli_project / "critic.md").read_text() == shipped_template("critic")
    assert run_cli("validate", "small.yaml", "--set", "roles.critic.template=critic.md").code == 0


def test_an_unknown_role_is_refused_with_those_there_are(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("roles", "show", "judge")
    assert ended.code == 2
    assert "there is no role 'judge'" in ended.err
    assert "juror" in ended.err


def test_the_drawing_fits_eighty_columns(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("roles", "list", "small.yaml")
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "offline/rewriter" in ended.out
