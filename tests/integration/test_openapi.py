"""Made-up requests to every operation of the OpenAPI document: no failure of the server's, every answer as it says.

`tests/campaigns/test_openapi.py` sends far more of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import FORWARDED, Findings, Fuzzer
from fuzzing_server import Fuzzed, fuzzed_server

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]
EXAMPLES = 6


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed_server(tmp_path_factory.mktemp("fuzzed")) as made:
        yield made


def hold(findings: Findings, fuzzed: Fuzzed) -> None:
    assert not findings.failures, findings.told()
    assert not [status for status in findings.statuses if status >= 500], fuzzed.failures()


def test_no_request_of_a_local_program_makes_the_server_fail_or_answer_otherwise_than_documented(
    fuzzed: Fuzzed,
) -> None:
    findings = Fuzzer(fuzzed.url, EXAMPLES, known=fuzzed.known()).run()
    hold(findings, fuzzed)
    assert {200, 404, 422} <= set(findings.statuses)


@pytest.mark.parametrize("scope", ["read", "admin"])
def test_no_request_with_a_token_does(fuzzed: Fuzzed, scope: str) -> None:
    headers = {"Authorization": f"Bearer {fuzzed.tokens[scope]}", **FORWARDED}
    findings = Fuzzer(fuzzed.url, EXAMPLES // 2, headers, fuzzed.known()).run()
    hold(findings, fuzzed)
    assert (403 in findings.statuses) == (scope == "read")
    assert 200 in findings.statuses


def test_a_client_from_elsewhere_is_let_in_nowhere_without_a_token(fuzzed: Fuzzed) -> None:
    findings = Fuzzer(fuzzed.url, 2, FORWARDED, fuzzed.known()).run()
    hold(findings, fuzzed)
    assert 401 in findings.statuses
    assert not {201, 202, 204} & set(findings.statuses)


def test_the_server_still_works_afterwards(fuzzed: Fuzzed, tmp_path: Path) -> None:
    assert fuzzed.failures() == []
    run_id = fuzzed.finished()
    assert fuzzed.client.runs.get(run_id).status == "finished"
