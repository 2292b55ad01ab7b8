"""Thousands of made-up requests to every operation of the OpenAPI document; `PROMPTPROP_EXAMPLES=20` for few."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

if sys.version_info < (3, 11):
    pytest.skip("schemathesis needs Python 3.11", allow_module_level=True)

from fuzzing import Fuzzer
from fuzzing_server import fuzzed_server

EXAMPLES = int(os.environ.get("PROMPTPROP_EXAMPLES", "150"))


@pytest.mark.campaign
def test_no_made_up_request_makes_the_server_fail_or_answer_otherwise_than_documented(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    with fuzzed_server(tmp_path) as fuzzed:
        findings = Fuzzer(fuzzed.url, EXAMPLES, fuzzed.callers(), fuzzed.known(), seed).run()
        print(f"\nseed {seed}")
        for caller, statuses in findings.statuses.items():
            print(f"{caller:10} {sum(statuses.values()):7,} requests  {dict(sorted(statuses.items()))}")
        assert not findings.failures, findings.told()
        assert fuzzed.failures() == []
        assert not [one for found in findings.statuses.values() for one in found if one >= 500]
