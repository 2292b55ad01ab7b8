"""Logging setup, and the one place where secrets are blacked out.

Everything goes as JSON lines to a rotating file; `-v` and `-vv` also show lines on stderr. Whatever writes or shows
text that may hold a secret passes it through `redact` (or a `Redactor` of its own).
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

REDACTED = "[redacted]"
SHORTEST_SECRET = 6  # shorter values would black out ordinary words
SHORTEST_PATTERN = 12  # no shorter word is one that looks like a secret of itself
SHORTEST_LINE = 16  # of a secret of several lines (a key file), each long line is a secret too
SHORTEST_IN_ANSWER = 12  # an answer is data: a key such as `ollama` may be a word of it
MOST_NAMES, LONGEST_NAME = 2000, 100  # keys of documents that are remembered, and characters of one
FILE_NAME = "promptprop.log"
FILE_BYTES = 2_000_000
FILES = 5  # the file being written and four older ones
ACCOUNTS = ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")  # sent in headers, by OpenAI's library too
VENDORS = ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "aiohttp", "alembic", "httpx", "litellm", "mlflow", "openai")

_NAMES = r"(?:proxy-)?authorization|x-goog-api-key|x-api-key|x-auth-token|api[-_]?key|client[-_]secret|password|passwd"
_QUERY = r"[\w.-]{0,40}(?:key|token|secret|signature|password|credential)|sig|code|auth"  # parameters in a URL
_INERT = re.compile(r"[A-Za-z0-9_.]*", re.ASCII)
_WAY = re.compile(r"(?i)_(?:proxy|base|base_url)$")  # variables that say where requests go
_SECRET_NAME = re.compile(rf"(?i)^(?:{_NAMES}|secret|token|access[-_]token|set-cookie|cookie)$")
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ in a URL, whatever the password holds; `://` comes first so that long plain text is scanned once
    (re.compile(r"(?<=://)([^\s/:@?#]{0,200}:)[^\s\"'<>]{1,400}@"), rf"\1{REDACTED}@"),
    (re.compile(r"(?i)(?<=http)(s?://)(?!\[redacted\])[^\s/:@?#\"'<>]{1,400}@"), rf"\1{REDACTED}@"),  # a token alone
    (re.compile(rf"(?i)([?&](?:{_QUERY})=)(?!\$\{{)[^&\s\"'#]+"), rf"\1{REDACTED}"),
    # a header or a setting: `x-api-key: …`, `"api_key": "…"`, `(b'authorization', b'…')`; references are no secrets
    (
        re.compile(
            rf"(?i)(?<![a-z0-9])((?:{_NAMES})(?:[\"']?\s{{0,4}}[:=]\s{{0,4}}|[\"'],\s{{0,4}})(?:b(?=[\"']))?[\"']?"
            r"(?:(?:bearer|basic|token)\s+)?)(?!\$\{|…|None\b|null\b)(?:\[redacted\]|[^\s\"',;}\])]+)"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)(?:(?=[^\s\"']*\d)[\w.~+/=-]{6,}|[\w.~+/=-]{20,})"), rf"\1{REDACTED}"),
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:sk-[\w-]{8,}|AIza[\w-]{16,}|hf_[A-Za-z0-9]{12,}|gsk_\w{12,}|xox[a-z]-[\w-]{8,}"
            r"|gh[opsru]_[A-Za-z0-9]{12,}|github_pat_\w{16,}|glpat-[\w-]{12,}|pp_[\w-]{40,}|xai-[\w-]{16,}|AKIA[0-9A-Z]{16}"
            r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})",
            re.ASCII,
        ),
        REDACTED,
    ),
)


class Redactor:
    """Blacks out secrets by known value (plain, URL-encoded, base64, JSON-escaped) and by pattern."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know these secrets from the start."""
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self._sent: tuple[str, ...] = ()
        self._names: dict[str, tuple[str, bool]] = {}
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str, *, sent: bool = False) -> None:
        """Know one more secret. Values under six characters are left to the patterns.

        What was `sent` to a server may come back in a model's answer: see `redact_answer`.
        """
        secret = secret.strip()
        parts = [secret, *(line for line in secret.splitlines() if len(line) >= SHORTEST_LINE)]
        forms = {form for part in parts if len(part) >= SHORTEST_SECRET for form in _forms_of(part)}
        if forms - self._forms:
            self._forms |= forms
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._known = re.compile("|".join(map(re.escape, longest_first)))
            self._names = {}
        if sent and len(secret) >= SHORTEST_IN_ANSWER:
            self._sent = tuple(sorted({*self._sent, *forms}, key=lambda form: (-len(form), form)))

    def redact_answer(self, text: str) -> str:
        """What a server said, without the secrets that it was sent: by known value alone, for an answer is data.

        Values under twelve characters stay, since they may be words, and so does what only looks like a secret.
        """
        for form in self._sent:
            if form in text:
                text = text.replace(form, REDACTED)
        return text

    def redact(self, text: str) -> str:
        """`text` with every secret replaced by `[redacted]`; a second time changes nothing.

        >>> Redactor(["hunter2!"]).redact("hunter2! and postgresql://me:pw@host/db")
        '[redacted] and postgresql://me:[redacted]@host/db'
        """
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        if len(text) < SHORTEST_PATTERN and _INERT.fullmatch(text):
            return text
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def redact_value(self, value: Any) -> Any:
        """A JSON value with every text redacted, and what stands under a secret's name; other objects as text.

        References (`${env:X}`) are no secrets and stay.
        """
        return self._redacted(value, {})

    def _redacted(self, value: Any, known: dict[str, str]) -> Any:
        """The same; names and words come again and again, and each is looked through once."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            found = {}
            for key, item in value.items():
                name, secret = self._name(str(key))
                hidden = secret and item and not str(item).startswith("${")
                found[name] = REDACTED if hidden else self._redacted(item, known)
            return found
        if isinstance(value, list | tuple | set | frozenset):
            return [self._redacted(item, known) for item in value]
        text = str(value)
        if text not in known:
            known[text] = self.redact(text)
        return known[text]

    def _name(self, name: str) -> tuple[str, bool]:
        """A key as it is shown, and whether it says that its value is a secret; most documents have the same keys."""
        names = self._names  # one more secret puts another in its place, where this name is looked at anew
        found = names.get(name)
        if found is None:
            found = (self.redact(name), _SECRET_NAME.match(name) is not None)
            if len(names) < MOST_NAMES and len(name) <= LONGEST_NAME:
                names[name] = found
        return found


def _forms_of(secret: str) -> set[str]:
    """The ways in which a secret shows up in headers, URLs and bodies."""
    raw = secret.encode("utf-8", "surrogatepass")
    encoded = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    lowered = {re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), form) for form in encoded}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], secret.replace("/", "\\/")}
    return {secret} | encoded | lowered | escaped | _base64_forms(raw)


def _base64_forms(raw: bytes) -> set[str]:
    """Base64 of `raw` as it appears inside of a longer value, at each of the three alignments.

    Of the characters only those that `raw` alone decides are kept: the ones at the edges also hold bits of neighbours.
    """
    forms = set()
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).decode()
        first, last = -(-8 * offset // 6), 8 * (offset + len(raw)) // 6
        core = text[first:last]
        forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms


_REDACTOR = Redactor()


def register_secret(secret: str) -> None:
    """Black out this value, which servers are sent, in all that this process writes or shows, and in their answers."""
    _REDACTOR.register(secret, sent=True)


def register_url(url: str) -> None:
    """Black out what a URL holds in secret: its password, or else its user, and parameters that are called so."""
    for secret in secrets_of_url(url):
        register_secret(secret)


def secrets_of_url(url: str) -> Iterator[str]:
    """A URL's password (its user, where that stands alone), its basic authorization, and its secret parameters.

    A user alone is a secret on the web only: a database names whom it is opened for.

    >>> list(secrets_of_url("https://token1@host/v1?api-version=2&code=c0de"))
    ['token1', 'token1:', 'dG9rZW4xOg==', 'c0de']
    """
    try:
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return
    if password or (user and parts.scheme.startswith("http")):
        yield from (password or user, f"{user}:{password}")
        yield base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogatepass")).decode()
    for name, value in parse_qsl(parts.query):
        if re.fullmatch(_QUERY, name, re.IGNORECASE):
            yield value


def register_environment(environment: Mapping[str, str]) -> None:
    """Black out the values of all variables whose names say that they hold a secret, and passwords in addresses.

    Paths to files are no secrets. Whose account is billed is sent in headers, and so is one.
    """
    from promptprop.domain.settings import names_secret

    for name, value in environment.items():
        if (names_secret(name) or name in ACCOUNTS) and not value.startswith(("/", "~", ".")):
            _REDACTOR.register(value, sent=name in ACCOUNTS)
        way = _WAY.search(name) is not None
        if "://" in value or way:
            for secret in secrets_of_url(value if "://" in value else f"http://{value}"):
                _REDACTOR.register(secret, sent=way)


def redact(text: str) -> str:
    """`text` without the secrets that this process knows or recognises."""
    return _REDACTOR.redact(text)


def redact_answer(text: str) -> str:
    """What a server said, without the secrets that servers were sent by this process."""
    return _REDACTOR.redact_answer(text)


def redact_value(value: Any) -> Any:
    """A JSON value without the secrets that this process knows or recognises."""
    return _REDACTOR.redact_value(value)


_BOUND: ContextVar[Mapping[str, str]] = ContextVar("promptprop_log_fields")
_PROCESS: dict[str, str] = {}  # what holds for threads too, which start with an empty context


@contextmanager
def bind(*, run_id: str | None = None, request_id: str | None = None) -> Iterator[None]:
    """Name the run or the request that log lines of this task belong to."""
    given = {name: value for name, value in (("run_id", run_id), ("request_id", request_id)) if value is not None}
    token = _BOUND.set({**_BOUND.get({}), **given})
    try:
        yield
    finally:
        _BOUND.reset(token)


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "run_id", "request_id"}


class JsonLines(logging.Formatter):
    """One JSON object a line: ts (UTC), level, logger, run_id, request_id, message, then extras and exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, redacted."""
        bound = {**_PROCESS, **_BOUND.get({})}
        ours = {
            "ts": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        line: dict[str, Any] = {
            "run_id": getattr(record, "run_id", None) or bound.get("run_id"),
            "request_id": getattr(record, "request_id", None) or bound.get("request_id"),
            "message": record.getMessage(),
        }
        extras = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if extras:
            line["extras"] = extras
        if failure := _failure_of(self, record):
            line["exception"] = failure
        return json.dumps({**ours, **redact_value(line)}, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """A line for people: time, level, message; control characters are shown, not sent to the terminal."""

    def __init__(self, *, tracebacks: bool = True) -> None:
        """Without `tracebacks` a failure is told by its message alone: the file holds the rest."""
        super().__init__()
        self.tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, redacted."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        lines = [f"{at} {record.levelname.lower()}: {record.getMessage()}"]
        if self.tracebacks and (failure := _failure_of(self, record)):
            lines.append(failure)
        return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", redact("\n".join(lines)))


def _failure_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The record's traceback and stack as text; empty where it has none."""
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


if TYPE_CHECKING:
    TextHandler = logging.StreamHandler[TextIO]
else:
    TextHandler = logging.StreamHandler  # Python 3.10 has no subscript here


class _Stderr(TextHandler):
    """Writes to what `sys.stderr` is at that moment, so that a live display can redirect it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Look the stream up anew, then write."""
        self.stream = sys.stderr
        super().emit(record)


def configure(folder: Path | None, verbosity: int = 0, run_id: str | None = None) -> Path | None:
    """Set logging up for this process, in place of an earlier setup; returns the log file, None where there is none.

    `verbosity` counts `-v`: 0 shows warnings on stderr, 1 also INFO, 2 also DEBUG, -1 (`-q`) errors only. The file
    holds INFO and up, with `-vv` DEBUG. Vendors write warnings to the file and nothing to stderr. A folder that cannot
    be written costs one warning and no more.
    """
    ours, root = logging.getLogger("promptprop"), logging.getLogger()
    for logger in (ours, root):
        for handler in [handler for handler in logger.handlers if getattr(handler, "of_promptprop", False)]:
            logger.removeHandler(handler)
            handler.close()
    _PROCESS.clear()
    if run_id is not None:
        _PROCESS["run_id"] = run_id
    shown = _Stderr()
    shown.setFormatter(PlainLines(tracebacks=verbosity > 0))
    shown.setLevel({-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(max(verbosity, -1), logging.DEBUG))
    _attach(ours, shown)
    ours.setLevel(logging.DEBUG if verbosity >= 2 else logging.INFO)
    logging.captureWarnings(True)
    tame_vendors()
    if folder is None:
        _attach(root, logging.NullHandler())  # else Python's own last resort would show vendors' warnings
        return None
    path = folder / FILE_NAME
    try:
        _attach(root, _open_file(path))
    except OSError as error:
        _attach(root, logging.NullHandler())
        ours.warning("No log file is written: %s cannot be opened (%s).", path, error.strerror or error)
        return None
    return path


def tame_vendors() -> None:
    """Route vendors' loggers to the file at WARNING; to be repeated after an import that sets up its own handlers."""
    for name in VENDORS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


def _attach(logger: logging.Logger, handler: logging.Handler) -> None:
    handler.of_promptprop = True  # type: ignore[attr-defined]  # marks what a second `configure` replaces
    logger.addHandler(handler)


def _open_file(path: Path) -> logging.Handler:
    """The rotating file; a failure while writing (a full disk) is told once on stderr, then the file is left alone."""
    from logging.handlers import RotatingFileHandler

    class LogFile(RotatingFileHandler):
        def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802, ARG002 - the library's name and shape
            return int(
                self.stream is not None and self.stream.tell() >= self.maxBytes
            )  # it would format each line twice

        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - the library's name and shape
            self.setLevel(logging.CRITICAL + 1)
            reason = redact(str(sys.exc_info()[1]))
            logging.getLogger("promptprop").warning("No more log lines are written to %s (%s).", path, reason)

    path.parent.mkdir(parents=True, exist_ok=True)
    handler = LogFile(path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(JsonLines())
    return handler
