"""Made-up requests to every operation of the OpenAPI document: no failure of the server's, every answer as it says.

`tests/campaigns/test_openapi.py` sends far more of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

if sys.version_info < (3, 11):
    pytest.skip("schemathesis needs Python 3.11", allow_module_level=True)

from fuzzing import Findings, Fuzzer
from fuzzing_server import Fuzzed, fuzzed_server

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]
EXAMPLES = 2


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed_server(tmp_path_factory.mktemp("fuzzed")) as made:
        yield made


@pytest.fixture(scope="module")
def findings(fuzzed: Fuzzed) -> Findings:
    return Fuzzer(fuzzed.url, EXAMPLES, fuzzed.callers(), fuzzed.known()).run()


def test_no_request_makes_the_server_fail(fuzzed: Fuzzed, findings: Findings) -> None:
    assert fuzzed.failures() == []
    assert {caller: [one for one in found if one >= 500] for caller, found in findings.statuses.items()} == {
        caller: [] for caller in fuzzed.callers()
    }


def test_every_answer_is_one_that_the_document_tells_of(findings: Findings) -> None:
    assert not findings.failures, findings.told()


def test_who_may_ask_is_answered_and_who_may_not_is_not(findings: Findings) -> None:
    statuses = findings.statuses
    assert {200, 404, 422} <= set(statuses["local"])
    assert {200, 404, 422} <= set(statuses["admin"])
    assert {200, 403} <= set(statuses["read"])
    assert not {401, 403} & set(statuses["local"])
    assert not {401, 403} & set(statuses["admin"])
    assert not {201, 202, 204} & (set(statuses["read"]) | set(statuses["stranger"]))
    assert statuses["stranger"][401] > sum(statuses["stranger"].values()) / 2


def test_the_server_still_works_afterwards(fuzzed: Fuzzed, findings: Findings) -> None:
    assert sum(map(sum, (found.values() for found in findings.statuses.values()))) > 400
    assert fuzzed.client.runs.get(fuzzed.finished()).status == "finished"
