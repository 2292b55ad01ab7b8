"""Values of the domain as column values, and back. Every text is `storable` before it reaches a column."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from promptprop.adapters.logs import redact
from promptprop.domain.models import (
    Attempts,
    Candidate,
    Critique,
    Demo,
    Evaluation,
    Example,
    Failure,
    Hypothesis,
    Json,
    Judgement,
    ModelRequest,
    Prompt,
    Proposal,
    Reply,
    StepTrace,
    Usage,
    storable,
)

USAGE = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
ATTEMPTS = ("sent", "unconfirmed", "unconfirmed_tokens", "unconfirmed_picousd")
REPLY = ("reply", *USAGE, "picousd", "finish_reason", "reply_model", "latency", "simulated")


def json_text(value: Json) -> str:
    r"""A value as JSON text in the order given, every string in it storable.

    >>> json_text({"b": "x" + chr(0), "a": 1})
    '{"b": "x\ufffd", "a": 1}'
    """
    text = json.dumps(value, ensure_ascii=False)
    if "\\u0000" in text or (not text.isascii() and text != storable(text)):
        return json.dumps(_storable(value), ensure_ascii=False)
    return text


def _storable(value: Json) -> Json:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value


def storable_or_none(text: str | None) -> str | None:
    """`storable`, where there may be no text."""
    return None if text is None else storable(text)


# --- calls ----------------------------------------------------------------------------------------------------------


def request_text(request: ModelRequest) -> str:
    """What a request asked, beyond endpoint and model."""
    messages = [[message.role, message.content] for message in request.messages]
    value = {"messages": messages, "parameters": dict(request.parameters), "replicate": request.replicate}
    return json_text(value)


def usage_columns(usage: Usage) -> dict[str, int]:
    """The token columns."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def reply_columns(reply: Reply) -> dict[str, Any]:
    """The columns named in REPLY."""
    return {
        "reply": storable(reply.text),
        **usage_columns(reply.usage),
        "picousd": reply.picousd,
        "finish_reason": storable(reply.finish_reason),
        "reply_model": storable(reply.model),
        "latency": reply.latency,
        "simulated": reply.simulated,
    }


def reply_of(columns: Sequence[Any]) -> Reply:
    """The inverse of `reply_columns`, from the columns in the order of REPLY."""
    text, prompt, completion, cached, reasoning, picousd, finish_reason, model, latency, simulated = columns
    usage = Usage(prompt, completion, cached, reasoning)
    return Reply(text, usage, picousd, finish_reason, model, latency, bool(simulated))


def attempts_columns(attempts: Attempts) -> dict[str, Any]:
    """The columns named in ATTEMPTS."""
    return {
        "sent": attempts.sent,
        "unconfirmed": attempts.unconfirmed,
        "unconfirmed_tokens": attempts.unconfirmed_tokens,
        "unconfirmed_picousd": attempts.unconfirmed_picousd,
    }


def failure_text(failure: Failure | None) -> str | None:
    """A failure as JSON text, without secrets: whatever refused may have repeated them."""
    if failure is None:
        return None
    message, remedy = redact(failure.message), redact(failure.remedy)
    return json_text({"code": failure.code, "message": message, "remedy": remedy, "stops": failure.stops})


def failure_of(text: str | None) -> Failure | None:
    """The inverse of `failure_text`."""
    return None if text is None else Failure(**json.loads(text))


# --- evaluations ----------------------------------------------------------------------------------------------------


def evaluation_columns(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation's own columns; run, fingerprint and generation are the caller's."""
    trace = [[step.step, step.output, step.key] for step in evaluation.trace]
    judgements = {name: [word.score, word.feedback] for name, word in evaluation.judgements.items()}
    return {
        "candidate_id": storable(evaluation.candidate_id),
        "example_id": storable(evaluation.example_id),
        "replicate": evaluation.replicate,
        "output": storable(evaluation.output),
        "trace": json_text(trace),
        "judgements": json_text(judgements),
        "score": evaluation.score,
        **usage_columns(evaluation.usage),
        "picousd": evaluation.picousd,
        "latency": evaluation.latency,
        "error": failure_text(evaluation.error),
    }


def evaluation_of(row: Any) -> Evaluation:
    """The inverse of `evaluation_columns`."""
    judgements = json.loads(row.judgements)
    return Evaluation(
        candidate_id=row.candidate_id,
        example_id=row.example_id,
        replicate=row.replicate,
        output=row.output,
        trace=tuple(StepTrace(*step) for step in json.loads(row.trace)),
        judgements={name: Judgement(score, feedback) for name, (score, feedback) in judgements.items()},
        score=row.score,
        usage=Usage(row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.reasoning_tokens),
        picousd=row.picousd,
        latency=row.latency,
        error=failure_of(row.error),
    )


# --- candidates and examples ----------------------------------------------------------------------------------------


def candidate_text(candidate: Candidate) -> str:
    """A candidate's contents as JSON text; steps keep their order."""
    value = {
        "id": candidate.id,
        "prompts": {step: prompt.as_json() for step, prompt in candidate.prompts.items()},
        "demos": [[demo.example_id, dict(demo.inputs), demo.output] for demo in candidate.demos],
        "parents": list(candidate.parents),
        "hypothesis": [candidate.hypothesis.kind, candidate.hypothesis.text],
    }
    return json_text(value)


def candidate_of(text: str) -> Candidate:
    """The inverse of `candidate_text`; the id is the stored one, even where a text had to be sanitised."""
    value = json.loads(text)
    return Candidate(
        prompts={step: Prompt.from_json(prompt) for step, prompt in value["prompts"].items()},
        demos=tuple(Demo(*demo) for demo in value["demos"]),
        parents=tuple(value["parents"]),
        hypothesis=Hypothesis(*value["hypothesis"]),
        id=value["id"],
    )


def critiques_text(critiques: Sequence[Critique]) -> str:
    """Critiques as JSON text."""
    return json_text([[item.step, item.cause, item.fix, list(item.examples)] for item in critiques])


def proposal_of(contents: str, critiques: str) -> Proposal:
    """A candidate with its critiques."""
    found = [Critique(step, cause, fix, tuple(examples)) for step, cause, fix, examples in json.loads(critiques)]
    return Proposal(candidate_of(contents), tuple(found))


def example_json(example: Example) -> dict[str, Json]:
    """An example's whole contents as a plain value."""
    return {
        "id": example.id,
        "inputs": dict(example.inputs),
        "expected": example.expected,
        "soft_negatives": list(example.soft_negatives),
        "hard_negatives": list(example.hard_negatives),
        "tags": list(example.tags),
        "cluster": example.cluster,
        "weight": example.weight,
        "split": example.split,
    }


def example_of(text: str) -> Example:
    """The inverse of `example_json`, from its JSON text."""
    value = json.loads(text)
    for name in ("soft_negatives", "hard_negatives", "tags"):
        value[name] = tuple(value[name])
    return Example(**value)
