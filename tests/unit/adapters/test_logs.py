"""Logs: JSON lines in a file, plain lines on stderr, and no secret in either."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters import logs
from promptprop.adapters.logs import MOST_NAMES, REDACTED, Redactor, bind, configure

LOG = logging.getLogger("promptprop.test")


@pytest.fixture(autouse=True)
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs, "_REDACTOR", Redactor())
    yield
    configure(None)
    logging.captureWarnings(False)
    for logger in (logging.getLogger(), logging.getLogger("promptprop")):
        for handler in [handler for handler in logger.handlers if getattr(handler, "of_promptprop", False)]:
            logger.removeHandler(handler)
    logging.getLogger("promptprop").setLevel(logging.NOTSET)


def read_lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "promptprop.log").read_text(encoding="utf-8").splitlines()]


def test_a_line_is_one_json_object_with_time_level_logger_ids_message_and_extras(tmp_path: Path) -> None:
    configure(tmp_path, run_id="r1")
    with bind(request_id="q7"):
        LOG.info("round %d\nended", 3, extra={"rows": 12, "path": Path("x")})
    (line,) = read_lines(tmp_path)
    assert str(line.pop("ts")).endswith("+00:00")
    assert line == {
        "level": "INFO", "logger": "promptprop.test", "run_id": "r1", "request_id": "q7",
        "message": "round 3\nended", "extras": {"rows": 12, "path": "x"},
    }  # fmt: skip


def test_bound_ids_belong_to_their_task_and_end_with_it(tmp_path: Path) -> None:
    async def work(run_id: str) -> None:
        with bind(run_id=run_id):
            await asyncio.sleep(0)
            LOG.info(run_id)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))
        LOG.info("None")

    configure(tmp_path)
    asyncio.run(both())
    assert [str(line["run_id"]) for line in read_lines(tmp_path)] == [line["message"] for line in read_lines(tmp_path)]


def test_a_thread_still_knows_the_run_of_its_process(tmp_path: Path) -> None:
    configure(tmp_path, run_id="r1")
    thread = threading.Thread(target=LOG.info, args=("from a thread",))
    thread.start()
    thread.join()
    assert read_lines(tmp_path)[0]["run_id"] == "r1"


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, ["e"]), (0, ["w", "e"]), (1, ["i", "w", "e"]), (2, ["d", "i", "w", "e"])],
)
def test_verbosity_decides_what_stderr_shows(
    verbosity: int, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(None, verbosity)
    for level, text in ((logging.DEBUG, "d"), (logging.INFO, "i"), (logging.WARNING, "w"), (logging.ERROR, "e")):
        LOG.log(level, text)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.rsplit(": ", 1)[1] for line in captured.err.splitlines()] == shown


def test_vendors_warn_in_the_file_and_never_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vendor = logging.getLogger("LiteLLM")
    vendor.addHandler(logging.StreamHandler(sys.stderr))
    vendor.propagate = False
    configure(tmp_path, 2)
    vendor.info("chatter")
    vendor.warning("worth a line")
    logging.getLogger("httpx").info("HTTP Request: POST")
    assert [line["message"] for line in read_lines(tmp_path)] == ["worth a line"]
    assert capsys.readouterr().err == ""


def test_vendors_stay_silent_where_there_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    configure(None, 2)
    logging.getLogger("mlflow").warning("not for the terminal")
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    assert configure(tmp_path / "taken" / "logs") is None
    LOG.info("goes on")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_file_that_fails_later_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise OSError("No space left on device")

    configure(tmp_path)
    (handler,) = [handler for handler in logging.getLogger().handlers if hasattr(handler, "maxBytes")]
    handler.shouldRollover = refuse  # type: ignore[attr-defined]
    LOG.info("one")
    LOG.info("two")
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_second_setup_replaces_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path / "a", 1)
    path = configure(tmp_path / "b", 1)
    LOG.info("once")
    assert path == tmp_path / "b" / "promptprop.log"
    assert read_lines(tmp_path / "a") == []
    assert len(read_lines(tmp_path / "b")) == 1
    assert capsys.readouterr().err.count("once") == 1


def test_the_file_rotates_and_keeps_five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 400)
    configure(tmp_path)
    for number in range(40):
        LOG.info("line %d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["promptprop.log"] + [
        f"promptprop.log.{number}" for number in range(1, 5)
    ]
    assert read_lines(tmp_path)[-1]["message"] == "line 39"


def test_tracebacks_arguments_and_extras_are_redacted_in_the_file_and_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path, 2)
    logs.register_secret("correct horse")
    try:
        try:
            raise KeyError("correct horse")
        except KeyError as error:
            raise RuntimeError("postgresql://me:hunter2@db/x") from error
    except RuntimeError:
        LOG.exception("with %s", "correct horse", extra={"deep": [{"api_key": "abc"}, "correct horse"]})
    text = (tmp_path / "promptprop.log").read_text() + capsys.readouterr().err
    assert "KeyError" in text
    assert "test_logs.py" in text
    assert "correct horse" not in text
    assert "hunter2" not in text
    assert read_lines(tmp_path)[0]["extras"] == {"deep": [{"api_key": REDACTED}, REDACTED]}


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure(None)
    LOG.warning("\x1b[31mred\x07 \x9b2J\r over")
    assert not set("\x1b\x07\x9b\r") & set(capsys.readouterr().err)


def test_a_lone_surrogate_is_written_escaped(tmp_path: Path) -> None:
    configure(tmp_path)
    record = logging.LogRecord("promptprop.test", logging.INFO, __file__, 1, "half \ud83d", None, None)
    # straight to the file's handler: pytest would capture a logged one, and its report could not leave a worker
    (handler,) = [
        one for one in logging.getLogger().handlers if getattr(one, "baseFilename", "").startswith(str(tmp_path))
    ]
    handler.handle(record)
    assert read_lines(tmp_path)[0]["message"] == "half \ud83d"


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-{s}", "sk-ant-api03-{s}", "sk-{s}", "AIzaSy{s}", "hf_{s}", "gsk_{s}", "xoxb-123-{s}", "ghp_{s}",
        "github_pat_{s}", "Bearer {s}", "bearer {s}", "Authorization: Bearer {s}", "authorization: Basic {s}",
        "x-api-key: {s}", "'X-API-Key': '{s}'", "(b'x-api-key', b'{s}')", 'api_key="{s}"', "api-key={s}", "pp_{s}{s}",
        "postgresql+psycopg://me:{s}@host:5432/db", "https://user:{s}@host/path", "redis://:{s}@host",
        "https://host/v1?key={s}&alt=sse", "https://host/v1?a=1&access_token={s}", '{{"x-goog-api-key": "{s}"}}',
        "https://{s}@host/v1", "http://host?code={s}", "https://host?X-Amz-Signature={s}&a=1", "//host?sslpassword={s}",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_blacked_out_and_the_rest_stays(text: str) -> None:
    secret = "Zq7WpL2mXv9RtY4kBn8sHd3f"
    shown = Redactor().redact(f"before {text.format(s=secret)} after")
    assert secret not in shown
    assert REDACTED in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "a task-oriented assistant", "risk-averse", "the bearer of news", "Bearer certificates are paid on sight",
        "https://host:8080/path?q=1", "mailto:me@example.org", "api_key: ${env:OPENAI_API_KEY}", "api_key=None",
        "12:30@noon", "sqlite:////tmp/x.db", "an API key, which one?", "tokens=12", "https://host?api-version=2&n=1",
        "postgresql://me@host/db", "https://host?code=${env:CODE}",
    ],
)  # fmt: skip
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor().redact(text) == text


def test_a_reference_under_a_secrets_name_is_shown() -> None:
    value = {"api_key": "${env:KEY}", "Authorization": "x", "max_tokens": 5, "password": None, "n": [1.5, True]}
    assert Redactor().redact_value(value) == {**value, "Authorization": REDACTED}


def test_short_values_are_left_to_the_patterns() -> None:
    assert Redactor(["abcde", ""]).redact("abcde") == "abcde"


SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=8, max_size=40).filter(
    lambda text: len(text.strip()) >= 8 and text.strip() not in REDACTED and REDACTED not in text
)


@given(SECRETS, st.binary(max_size=5), st.binary(max_size=5))
def test_a_known_secret_survives_in_none_of_its_forms(secret: str, before: bytes, after: bytes) -> None:
    redactor = Redactor([secret])
    known = secret.strip()
    raw = known.encode()
    forms = [known, quote(known, safe=""), quote_plus(known), json.dumps(known)[1:-1]]
    for form in forms:
        assert form not in redactor.redact(f"{{ {form} }}").replace(REDACTED, "")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(before + raw + after).decode()
        shown = redactor.redact(whole)
        assert REDACTED in shown
        assert len(shown.replace(REDACTED, "")) <= len(before + after) * 4 / 3 + 6


@given(st.lists(SECRETS, max_size=3), st.text(max_size=80))
def test_redacting_twice_changes_nothing(secrets: list[str], noise: str) -> None:
    redactor = Redactor(secrets)
    once = redactor.redact(f"Authorization: Bearer {noise} {' '.join(secrets)} ://a:b@{noise}")
    assert redactor.redact(once) == once


def test_the_module_is_cheap_to_import() -> None:
    code = "import sys, promptprop.adapters.logs; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"logging.handlers", "mlflow", "litellm", "pydantic", "asyncio", "rich"} & set(loaded)


def test_variables_that_are_called_like_secrets_are_blacked_out_and_paths_are_not() -> None:
    logs.register_environment({
        "SHOP_API_KEY": "qwertzuiop", "AWS_SESSION_TOKEN": "yxcvbnm12", "EDITOR": "editor-of-mine",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
    })  # fmt: skip
    shown = logs.redact("qwertzuiop yxcvbnm12 editor-of-mine /home/me/key.json")
    assert shown == f"{REDACTED} {REDACTED} editor-of-mine /home/me/key.json"


def test_answers_lose_what_was_sent_in_any_form_and_nothing_else() -> None:
    redactor = Redactor(["known-only-canary"])
    redactor.register("sent-canary/1", sent=True)
    redactor.register("ollama", sent=True)
    said = "known-only-canary, sk-looks-like-one-0815, ollama at https://me:pw@host, password: x"
    assert redactor.redact_answer(said) == said
    coded = base64.b64encode(b"me:sent-canary/1").decode()
    for form in ("sent-canary/1", "sent-canary%2F1", "sent-canary%2f1", "sent-canary\\/1", coded):
        assert REDACTED in redactor.redact_answer(f"you sent {form}!")
    assert redactor.redact_answer("sent-canary/1, twice sent-canary/1") == f"{REDACTED}, twice {REDACTED}"


def test_passwords_in_the_variables_of_addresses_are_blacked_out() -> None:
    logs.register_environment({
        "HTTPS_PROXY": "me:canary-proxy-pw@proxy:3128", "SHOP_URL": "redis://:canary%2Fredis@host/0",
        "OPENAI_BASE_URL": "https://canary-base-token@host/v1", "OPENAI_ORG_ID": "org-canary-account",
    })  # fmt: skip
    told = "canary-proxy-pw canary/redis canary-base-token org-canary-account"
    assert logs.redact(told) == " ".join([REDACTED] * 4)
    assert logs.redact_answer(told) == f"{REDACTED} canary/redis {REDACTED} {REDACTED}"


@pytest.mark.parametrize("url", ["postgresql://me@host/db", "http://host/v1?api-version=1", "http://[::1", "", "a b"])
def test_an_address_without_a_secret_has_none(url: str) -> None:
    assert list(logs.secrets_of_url(url)) == []


@pytest.mark.parametrize("password", ["pa/ss/word", "pa#ss?word", "p@ss@word"])
def test_a_password_in_a_url_may_hold_any_sign(password: str) -> None:
    assert logs.redact(f"at postgresql://me:{password}@host/db!") == f"at postgresql://me:{REDACTED}@host/db!"


def test_a_name_in_a_document_that_turns_out_to_hold_a_secret_is_blacked_out_from_then_on() -> None:
    redactor = Redactor()
    document = {"of plain-words-1": {"token": "abcdef", "of plain-words-1": "x"}}
    assert redactor.redact_value(document) == {"of plain-words-1": {"token": "[redacted]", "of plain-words-1": "x"}}
    redactor.register("plain-words-1")
    assert redactor.redact_value(document) == {"of [redacted]": {"token": "[redacted]", "of [redacted]": "x"}}


def test_however_many_names_documents_have_only_so_many_are_remembered() -> None:
    redactor = Redactor()
    for number in range(MOST_NAMES + 10):
        assert redactor.redact_value({f"name-{number}": 1}) == {f"name-{number}": 1}
    assert len(redactor._names) == MOST_NAMES
