"""What every part of the configuration is made of: the base model, the kinds of value, references and secrets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from promptprop.domain.models import Json

REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
WHOLE_ADDRESS = "write the whole address, such as http://localhost:11434/v1"
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


RESERVED = {
    **{name: f"set {name} of the model itself" for name in ("temperature", "top_p", "max_tokens")},
    "max_completion_tokens": "set max_tokens of the model itself",
    "api_key": "set api_key of the model itself",
    "api_base": "set api_base of the model itself",
    "base_url": "set api_base of the model itself",
    "timeout": "set timeout of the model itself",
    "request_timeout": "set timeout of the model itself",
    "num_retries": "set retries of the model itself",
    "max_retries": "set retries of the model itself",
    "model": "set model of the model itself",
    "messages": "the prompt says what is sent",
    "input": "the prompt says what is sent",
    **dict.fromkeys(
        ("fallbacks", "context_window_fallback_dict", "retry_policy", "retry_strategy"),
        "leave it out: requests that PromptProp does not make itself would escape the budget",
    ),
    **dict.fromkeys(("n", "best_of"), "leave it out: one request has one answer"),
    **dict.fromkeys(("stream", "stream_options"), "leave it out: answers are read whole"),
    **dict.fromkeys(
        ("callbacks", "success_callback", "failure_callback", "logger_fn", "verbose", "caching", "cache"),
        "leave it out: calls are recorded by PromptProp alone",
    ),
    **dict.fromkeys(("mock_response", "mock_tool_calls", "mock_timeout"), "use the model offline/NAME"),
}
"""What `params` cannot set, since PromptProp or LiteLLM would take it for itself, and what to do instead."""
CREDENTIAL = re.compile(
    r"(?i)authorization|api[-_]?key|access[-_]key|private[-_]key|subscription[-_]key|secret|passw(?:or)?d|credential"
    r"|(?:^|[-_])(?:token|auth|pat)$"
)


def names_secret(name: str) -> bool:
    """True where a setting, a header or a variable is called like something that holds a secret.

    >>> names_secret("AWS_SECRET_ACCESS_KEY"), names_secret("x-auth-token"), names_secret("max_tokens")
    (True, True, False)
    """
    return CREDENTIAL.search(name) is not None


def written_out(text: str) -> bool:
    """True where a secret's text holds more than references without defaults and the word of its scheme.

    >>> written_out("Bearer ${env:KEY}"), written_out("${env:KEY:-sk-1}"), written_out("sk-1")
    (False, True, True)
    """
    if any(match[2] for match in REFERENCE.finditer(text)):
        return True
    return REFERENCE.sub("", text).strip().lower() not in ("", "bearer", "basic", "token")


def refused(message: str, *at: str, remedy: str = "") -> PydanticCustomError:
    """A complaint for a validator to raise: `at` is the key below the model that it is about, if it is about one."""
    return PydanticCustomError("refused", "{message}", {"message": message, "at": list(at), "remedy": remedy})


def seconds_of(value: Json) -> Json:
    """A duration in seconds: numbers as they are, `500ms`, `60s`, `2m` and `1h` converted.

    >>> seconds_of("2m")
    120.0
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h)\s*", value)
    if not match:
        raise refused(f"expected seconds such as 60, 60s or 2m, got the text {value!r}")
    return float(match[1]) * UNITS[match[2]]


def is_loopback(url: str | None) -> bool:
    """Whether `url` points to this machine; a host given by reference does not count, nor does what is no address.

    >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("https://localhost.example.com"), is_loopback(None)
    (True, False, False)
    """
    try:
        host = urlsplit(url or "").hostname or ""
    except ValueError:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def password_of(url: str) -> str:
    """The password inside a URL, or nothing."""
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def flaw_of(url: str) -> str:
    """What keeps `url` from being the address of a server, in words that do not repeat it; nothing where all is well.

    >>> flaw_of("localhost:11434/v1"), flaw_of("http:///v1"), flaw_of("http://localhost:11434/v1")
    ('does not begin with http:// or https://', 'names no host', '')
    """
    if not url.lower().startswith(("http://", "https://")):
        return "does not begin with http:// or https://"
    if any(char.isspace() or not char.isprintable() for char in url):
        return "holds spaces or characters that cannot be printed"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "has brackets around what is no IPv6 address"
    try:
        port = parts.port
    except ValueError:
        return "has a port that is none: they go from 1 to 65535"
    if port == 0:
        return "has a port that is none: they go from 1 to 65535"
    return "" if host else "names no host"


def _address(url: str) -> str:
    """An address, where it is written out: references can only be followed by whoever has the environment."""
    flaw = "" if REFERENCE.search(url) else flaw_of(url)
    if flaw:
        raise refused(f"this address {flaw}", remedy=WHOLE_ADDRESS)
    return url


def texts_below(value: Json, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], str]]:
    """Every text below `value` that a key names, with its path."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from texts_below(below, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for number, below in enumerate(value):
            yield from texts_below(below, (*path, str(number)))
    elif isinstance(value, str) and path:
        yield path, value


def repeated(names: Iterable[str]) -> str | None:
    """The first name that stands there twice."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _money(value: Json) -> Json:
    """An exact amount: 0.1 means a tenth, not its binary neighbour."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return value
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount.adjusted() >= 9:  # told without arithmetic, which may overflow
        raise refused(f"expected an amount in USD such as 2.50, got {value!r}")
    return amount


def _tuple_of_text(value: Json) -> Json:
    """One name stands for a list of one."""
    return (value,) if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1)]
Address = Annotated[str, Field(min_length=1), AfterValidator(_address)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Whole = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[
    float,
    Field(gt=0, strict=True, allow_inf_nan=False),
    BeforeValidator(seconds_of, json_schema_input_type=float | str),
]
Money = Annotated[Decimal, Field(ge=0), BeforeValidator(_money, json_schema_input_type=float | str)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_tuple_of_text, json_schema_input_type=str | list[str])]


class ConfigModel(BaseModel):
    """A part of the configuration: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    shorthand: ClassVar[str] = ""  # the key that a bare string stands for
    fallback: ClassVar[tuple[str, str]] = ("", "")  # a key, and the one that gives its value where it is missing

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        if isinstance(value, str) and cls.shorthand:
            value = {cls.shorthand: value}
        key, source = cls.fallback
        if key and isinstance(value, dict) and isinstance(value.get(source), str) and not value.get(key):
            value = {**value, key: value[source]}
        return value


class RoleConfig(ConfigModel):
    """What replaces a part of a model role."""

    template: Name = Field(description="A template file in place of the role's own.")


class RolesConfig(ConfigModel):
    """Overrides of the model roles."""

    critic: RoleConfig | None = Field(None, description="Says why failures failed.")
    rewriter: RoleConfig | None = Field(None, description="Writes new prompts.")
    refiner: RoleConfig | None = Field(None, description="Reads failures and writes the prompt, for `iterate`.")
    juror: RoleConfig | None = Field(None, description="Scores answers.")
    manager: RoleConfig | None = Field(None, description="Drafts the rubric.")
    synthesizer: RoleConfig | None = Field(None, description="Invents rows.")
    linter: RoleConfig | None = Field(None, description="Reads prompts for `lint --model`.")
