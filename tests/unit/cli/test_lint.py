"""`lint`: prompts and configurations, its formats, its exit code, and what it mends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

BAD = "Try to name the desk properly.  \nTODO: rules\n\nThe message is {{ text }}.\n"


def test_a_prompt_with_findings_ends_with_one_and_names_places(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "bad.md").write_text(BAD)
    ended = run_cli("lint", "bad.md")
    assert ended.code == 1
    assert "bad.md:2:1: PP013 “TODO” was left over (left-over)" in ended.out
    assert "findings, 1 of them can be mended with --fix" in ended.out
    assert run_cli("lint", "bad.md", "--exit-zero").code == 0
    document = run_cli("lint", "bad.md", "--json").json
    assert {one["id"] for one in document["findings"]} == {"PP005", "PP009", "PP010", "PP012", "PP013"}
    assert document["findings"][-1]["line"] == 4


def test_what_is_safe_is_mended_in_the_file(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "bad.md").write_text(BAD)
    ended = run_cli("lint", "bad.md", "--fix", "--ignore", "PP009,pp013", "--ignore", "PP005")
    assert (cli_project / "bad.md").read_text() == BAD.replace(".  \n", ".\n")
    assert ended.code == 1
    assert "PP012" not in ended.out
    assert "PP010" in ended.out


def test_a_configuration_is_held_against_its_columns_and_its_data(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "prompt.md").write_text(
        "Answer with one label only.\n\n- billing\n- parcels\n- sales\n\nMessage:\n{{ text }}\n\nDate:\n{{ date }}\n"
    )
    ended = run_cli("lint", "small.yaml")
    assert ended.code == 1
    assert "PP001 {{ date }} is filled by nothing: there is text" in ended.out
    assert "PP006 no row expects 'parcels'" in ended.out
    assert "PP006 rows expect account, delivery, returns, security, technical" in ended.out


def test_annotations_for_github_are_one_line_each(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "a,b.md").write_text(BAD)
    ended = run_cli("lint", "a,b.md", "--format", "github")
    assert ended.code == 1
    assert "::error file=a%2Cb.md,line=2,col=1,title=PP013 left-over::“TODO” was left over" in ended.out.splitlines()
    assert all(line.startswith("::") for line in ended.out.splitlines())


def test_its_formats_are_told_and_no_others_taken(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "bad.md").write_text(BAD)
    assert run_cli("lint", "bad.md", "--format", "json").json == run_cli("lint", "bad.md", "--json").json
    assert run_cli("lint", "bad.md", "--format", "text").out == run_cli("lint", "bad.md").out
    assert run_cli("lint", "bad.md", "--format", "github", "-o", "said.txt").out == ""
    assert (cli_project / "said.txt").read_text().startswith("::warning file=bad.md,title=PP005")
    for wrong, remedy in ((["--format", "md"], "text, json, github"), (["--format", "github", "--json"], "leave one")):
        ended = run_cli("lint", "bad.md", *wrong)
        assert ended.code == 2
        assert remedy in ended.err + ended.out
    assert run_cli("runs", "list", "--format", "github").code == 2


def test_prompts_in_documents_and_in_the_configuration_are_checked_too(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "prompt.yaml").write_text("messages:\n  - {role: user, content: 'TODO {{ text }}'}\n")
    ended = run_cli("lint", "prompt.yaml")
    assert "prompt.yaml: PP013" in ended.out
    ended = run_cli("lint", "small.yaml", "--set", "prompt=Be nice to {{ text }}")
    assert ended.code == 1
    assert "PP009" in ended.out


def test_the_checks_are_listed_and_mistakes_are_told(cli_project: Path, run_cli: Any) -> None:
    listed = run_cli("lint", "--rules")
    assert listed.code == 0
    assert "PP010" in listed.out
    assert max(map(len, listed.out.splitlines())) <= 80
    assert run_cli("lint").code == 2
    assert run_cli("lint", "nowhere.md").code == 2
    ended = run_cli("lint", "prompt.md", "--ignore", "PP999")
    assert ended.code == 2
    assert "there is no check PP999" in ended.err


def test_findings_name_the_prompt_or_the_step_where_a_file_holds_several(cli_project: Path, run_cli: Any) -> None:
    chain = (
        "steps=[{id: facts, output: facts, prompt: 'TODO {{ text }}'}, {id: desk, output: desk, prompt: '{{ facts }}'}]"
    )
    config = (cli_project / "small.yaml").read_text().replace("prompt: {file: prompt.md}\n", "")
    (cli_project / "chain.yaml").write_text(config)
    ended = run_cli("lint", "chain.yaml", "--set", chain)
    assert "chain.yaml (step facts): PP013" in ended.out
    found = run_cli("lint", "chain.yaml", "--set", chain, "--json").json["findings"]
    assert {one["part"] for one in found} == {"step facts", "step desk"}
    ended = run_cli("lint", "chain.yaml", "--set", chain, "--format", "github")
    assert "::error file=chain.yaml,title=PP013 left-over::step facts: “TODO” was left over\n" in ended.out
    ended = run_cli("lint", "small.yaml", "--set", "prompt=[{file: prompt.md}, 'TODO {{ text }}']")
    assert "small.yaml (prompt 2): PP013" in ended.out
    assert "prompt.md (" not in ended.out


def test_checks_are_left_out_however_their_list_is_written(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "bad.md").write_text(BAD)
    ended = run_cli("lint", "bad.md", "--ignore", "PP005, pp009 ,,PP010,", "--ignore", "PP012", "--ignore", "pp013")
    assert (ended.code, ended.out) == (0, "nothing found\n")


def test_a_good_prompt_ends_with_zero(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "good.md").write_text("Answer with one word only.\n\nMessage:\n{{ text }}\n")
    ended = run_cli("lint", "good.md")
    assert (ended.code, ended.out) == (0, "nothing found\n")


PADDED = "Name the desk.\n\nTake your time and be thorough.\nAnswer with one word.\n\nMessage:\n{{ text }}\n"
OFFLINE = ("--model", "offline/critic", "--set", "models.critic.world=support.world.yaml")


def test_a_model_reads_a_prompt_on_request_and_a_second_time_for_free(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "padded.md").write_text(PADDED)
    assert "PM004" not in run_cli("lint", "padded.md").out
    ended = run_cli("lint", "padded.md", *OFFLINE)
    assert ended.code == 1
    assert "padded.md:3:1: PM004 It changes no answer. → Leave it out. (needless)" in ended.out
    assert "read by offline/critic: 1 call, $" in ended.err
    again = run_cli("lint", "padded.md", *OFFLINE)
    assert (again.out, again.code) == (ended.out, 1)
    assert "all of it on record, free" in again.err
    assert "PM004" not in run_cli("lint", "padded.md", *OFFLINE, "--ignore", "pm004").out
    document = run_cli("lint", "padded.md", *OFFLINE, "--json").json
    assert document["model"] == {"model": "offline/critic", "calls": 0, "unplaced": 0}
    assert "line=3,col=1,title=PM004" in run_cli("lint", "padded.md", *OFFLINE, "--format", "github").out


def test_the_critic_of_a_configuration_reads_its_prompts_with_train_rows(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "prompt.md").write_text(PADDED)
    ended = run_cli("lint", "small.yaml", "--model", "critic")
    assert ended.code == 1
    assert "prompt.md:3:1: PM004" in ended.out
    (run,) = run_cli("runs", "list", "--json").json
    assert run["activity"] == "lint"
    assert "A model's remarks on a prompt" in run_cli("runs", "show", "latest").out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("prompt.md", "--model", "gpt"), 2, "'gpt' names no model"),
        (("prompt.md", "--model", "critic"), 2, "a prompt alone has no critic"),
        (("prompt.md", "--model", "openai/x"), 2, "OPENAI_API_KEY is not set"),
        (("small.yaml", "--model", "offline/task"), 4, "the model has made no remarks"),
        (("prompt.md", "--ignore", "PM999"), 2, "there is no check PM999"),
    ],
)
def test_a_model_that_cannot_read_is_one_clear_error(
    cli_project: Path, run_cli: Any, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = run_cli("lint", *arguments)
    assert (ended.code, said in ended.err) == (code, True), ended.err
