"""The nouns of the field as frozen values: prompts, programs, candidates, examples, requests, replies, evaluations.

Money is an integer of 10⁻¹² USD (`picousd`), None where it is unknown. Scores lie in [0, 1]. Ids are content hashes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

Json: TypeAlias = Any
Split = Literal["train", "select", "test"]
RoleName = Literal["task", "critic", "rewriter", "juror", "manager", "synthesizer", "embed"]

PICO = 10**12


def canonical(value: Json) -> str:
    """One text per JSON value: sorted keys, no spaces; equal values give equal texts.

    >>> canonical({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Json, length: int = 32) -> str:
    """The first `length` hex digits of the SHA-256 of the canonical text.

    >>> digest({"a": 1}) == digest({"a": 1})
    True
    """
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:length]


def storable(text: str) -> str:
    r"""`text` as every database and terminal can hold it: lone surrogates and NUL become U+FFFD.

    >>> storable("a" + chr(0) + "b") == "a\ufffdb"
    True
    """
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


def text_of(value: Json) -> str:
    """A value as a prompt shows it: strings as they are, everything else as JSON.

    >>> text_of("x"), text_of([1, 2])
    ('x', '[1, 2]')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat: `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template: messages with `{{ variables }}`, or `literal` texts, sent as they are or inside of a `frame`."""

    messages: tuple[Message, ...]
    literal: bool = False
    frame: str = ""

    @classmethod
    def of(cls, text: str, *, literal: bool = False) -> Prompt:
        """A prompt of one user message."""
        return cls((Message("user", text),), literal)

    @classmethod
    def from_text(cls, text: str, *, literal: bool = False) -> Prompt:
        r"""The inverse of `text`: messages under `### role` headings, or one user message where there is none.

        >>> [message.role for message in Prompt.from_text("### system\nBe kind.\n\n### user\n{{ x }}").messages]
        ['system', 'user']
        """
        parts = re.split(r"^### (system|user|assistant)[ \t]*\n", text, flags=re.MULTILINE)
        if len(parts) == 1 or parts[0].strip():
            return cls.of(text, literal=literal)
        pairs = zip(parts[1::2], parts[2::2], strict=True)
        return cls(tuple(Message(role, content.strip("\n")) for role, content in pairs), literal)

    @property
    def text(self) -> str:
        """The prompt as one text: a single message as it is, several under `### role` headings."""
        if len(self.messages) == 1:
            return self.messages[0].content
        return "\n\n".join(f"### {message.role}\n{message.content}" for message in self.messages)

    @property
    def length(self) -> int:
        """Characters over all messages, each in its frame."""
        return sum(len(message.content) + len(self.frame) for message in self.messages)

    def as_json(self) -> Json:
        """A plain value that `from_json` reads back."""
        framed = {"frame": self.frame} if self.frame else {}
        return {"messages": [[m.role, m.content] for m in self.messages], "literal": self.literal, **framed}

    @classmethod
    def from_json(cls, value: Json) -> Prompt:
        """The inverse of `as_json`."""
        return cls(tuple(Message(*pair) for pair in value["messages"]), value["literal"], value.get("frame", ""))


@dataclass(frozen=True, slots=True)
class Step:
    """One model call of a program: which endpoint answers, and the variable that its output fills."""

    id: str
    output: str
    endpoint: str = "task"


@dataclass(frozen=True, slots=True)
class Program:
    """The fixed shape that candidates fill with texts: named steps in a chain; one prompt is a chain of one."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Demo:
    """A worked example shown to the task model: the inputs of a row, and an output that scored well."""

    example_id: str
    inputs: Mapping[str, Json]
    output: str


def demo_block(demos: Sequence[Demo]) -> str:
    """The demos as a text that stands before the last message of the last step; empty where there are none."""
    shown = [f"Input: {canonical(dict(demo.inputs))}\nOutput: {demo.output}\n\n" for demo in demos]
    return "Examples:\n\n" + "".join(shown) if shown else ""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Why a rewrite should be better: a labelled kind and one sentence."""

    kind: str
    text: str


SEED = Hypothesis("seed", "the prompt as it was given")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program's texts (one prompt a step) and demos. Immutable; its id is a hash of texts and demos alone."""

    prompts: Mapping[str, Prompt]
    demos: tuple[Demo, ...] = ()
    parents: tuple[str, ...] = ()
    hypothesis: Hypothesis = SEED
    id: str = field(default="")

    def __post_init__(self) -> None:
        """Derive the id from the contents: 16 hex digits."""
        if not self.id:
            demos = [[demo.example_id, dict(demo.inputs), demo.output] for demo in self.demos]
            contents = {step: prompt.as_json() for step, prompt in self.prompts.items()}
            object.__setattr__(self, "id", digest({"prompts": contents, "demos": demos}, 16))

    @property
    def length(self) -> int:
        """Characters over all steps, demos among them."""
        return sum(prompt.length for prompt in self.prompts.values()) + len(demo_block(self.demos))

    @property
    def text(self) -> str:
        """All prompts as one text, demos where they are shown: one step as it is, several under `## step` headings."""
        texts = {step: self.shown(step).text for step in self.prompts}
        return "\n\n".join(texts.values() if len(texts) == 1 else (f"## {one}\n{text}" for one, text in texts.items()))

    def shown(self, step: str) -> Prompt:
        """A step's prompt as the model sees it: the last step's last message begins with the demos."""
        prompt, demos = self.prompts[step], self.demos_at(step)
        *before, last = prompt.messages
        return replace(prompt, messages=(*before, Message(last.role, demo_block(demos) + last.content)))

    def demos_at(self, step: str) -> tuple[Demo, ...]:
        """The demos that a step shows: those of the last step, none elsewhere."""
        return self.demos if step == list(self.prompts)[-1] else ()


@dataclass(frozen=True, slots=True)
class Critique:
    """The textual gradient of failures that share a cause, at one step: cause and fix in words."""

    step: str
    cause: str
    fix: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate with the critiques that led to it."""

    candidate: Candidate
    critiques: tuple[Critique, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A row: inputs, what is expected, what lowers a score (soft) and what caps it (hard), tags, cluster, weight."""

    id: str
    inputs: Mapping[str, Json]
    expected: Json = None
    soft_negatives: tuple[Json, ...] = ()
    hard_negatives: tuple[Json, ...] = ()
    tags: tuple[str, ...] = ()
    cluster: str | None = None
    weight: float = 1.0
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What splitting and sampling need of an example, and no more: ids, stratum and cluster."""

    id: str
    stratum: str
    cluster: str
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the provider reported them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion tokens together (cached and reasoning tokens are contained in them)."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """The sum, field by field."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A logical model request. `key` names its contents; role and client are not part of it.

    `parameters` holds what shapes the answer (temperature, max_tokens, response_format, …); `replicate` tells apart
    requests that are equal in everything but must be answered independently.
    """

    endpoint: str
    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, Json] = field(default_factory=dict)
    replicate: int = 0
    role: RoleName = "task"
    key: str = field(default="")

    def __post_init__(self) -> None:
        """Derive the key: 32 hex digits over endpoint, model, parameters, messages and replicate."""
        if not self.key:
            contents = [[message.role, message.content] for message in self.messages]
            parts = [self.endpoint, self.model, dict(self.parameters), contents, self.replicate]
            object.__setattr__(self, "key", digest(parts))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered. `picousd` is None where the price is unknown; `latency` is in seconds."""

    text: str
    usage: Usage
    picousd: int | None
    finish_reason: str
    model: str
    latency: float = 0.0
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call has no reply: the error's `code` from the tree, and what it said."""

    code: str
    message: str
    remedy: str = ""
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Attempts:
    """What a call took: requests sent, how many of them are billed at the reservation because no usage was seen."""

    sent: int = 1
    unconfirmed: int = 0
    unconfirmed_tokens: int = 0
    unconfirmed_picousd: int | None = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A request answered or failed. `hit` tells that no new call was made for it."""

    request: ModelRequest
    reply: Reply | None
    failure: Failure | None = None
    hit: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to evaluate: a candidate on an example; replicates are independent answers."""

    candidate: Candidate
    example_id: str
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What happened at one step: the variables it saw are those of the row and of the steps before it."""

    step: str
    output: str
    key: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One metric's word on one answer: score in [0, 1], and feedback that a critic can use."""

    score: float | None  # None where the metric could not judge (a juror failed): missing, not 0
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A cell's outcome. `score` is the weighted and gated mean of the metrics, None if the row is missing.

    `usage` and `picousd` are what the answer costs in production, whoever paid for it first.
    """

    candidate_id: str
    example_id: str
    replicate: int
    output: str = ""
    trace: tuple[StepTrace, ...] = ()
    judgements: Mapping[str, Judgement] = field(default_factory=dict)
    score: float | None = None
    usage: Usage = Usage()
    picousd: int | None = 0
    latency: float = 0.0
    error: Failure | None = None

    @property
    def missing(self) -> bool:
        """True where there is no score: the call failed for good, or no metric could judge."""
        return self.score is None

    def with_error(self, failure: Failure) -> Evaluation:
        """The same cell as missing, for this reason."""
        return replace(self, error=failure, score=None)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a role: its inputs fill the role's template. Children of a round differ by `replicate`."""

    role: Literal["critic", "rewriter", "refiner", "reflector", "juror", "manager", "synthesizer", "linter"]
    inputs: Mapping[str, Json]
    replicate: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A role's parsed reply; `value` is None where two replies could not be read, or where the call failed."""

    value: Json | None
    repaired: bool = False
    failure: Failure | None = None
