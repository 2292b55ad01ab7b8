"""Recordings: replies of models in a file that is committed, so that a check can be made without a network or a key."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from promptprop.adapters.files.writing import make_folder, write_atomically
from promptprop.adapters.logs import redact
from promptprop.domain.errors import BaselineMissing
from promptprop.domain.models import Json, ModelRequest, Reply, Usage
from promptprop.ports import RecordedReply

FORMAT = 1
LONGEST = 1 << 30  # bytes that a recording may have once it is unpacked


def write_recording(path: Path, replies: Iterable[RecordedReply]) -> int:
    """Write replies by role and key, so that equal ones make equal files; returns how many. Raises NotWritable."""
    ordered = sorted(replies, key=lambda one: (one.request.role, one.request.endpoint, one.request.key))
    lines = [json.dumps({"promptprop_recording": FORMAT})]
    lines += [json.dumps(_as_json(one), ensure_ascii=False) for one in ordered]
    make_folder(path.parent)
    write_atomically(path, gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    return len(ordered)


def read_recording(path: Path) -> list[RecordedReply]:
    """The replies of a recording. Raises BaselineMissing where there is none, or where it cannot be read."""
    remedy = "record the calls where there is a key: `promptprop check CONFIG --record`"
    try:
        with gzip.open(path, "rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise BaselineMissing(f"the recording {path} is larger than {LONGEST >> 30} GiB", remedy=remedy)
        head, *lines = data.decode("utf-8").removesuffix("\n").split("\n")  # splitlines() would break at U+2028
        if json.loads(head).get("promptprop_recording") != FORMAT:
            raise BaselineMissing(f"{path} is no recording that this version reads", remedy=remedy)
        return [_of_json(json.loads(line)) for line in lines]
    except FileNotFoundError as error:
        raise BaselineMissing(f"there is no recording {path}", remedy=remedy) from error
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineMissing(f"the recording {path} cannot be read: {error}", remedy=remedy) from error


def _as_json(one: RecordedReply) -> dict[str, Json]:
    request, reply = one.request, one.reply
    usage = reply.usage
    value: dict[str, Json] = {
        "key": request.key,
        "role": request.role,
        "endpoint": request.endpoint,
        "model": request.model,
        "text": redact(reply.text),
        "usage": [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens],
        "picousd": reply.picousd,
        "finish": reply.finish_reason,
        "answered_by": reply.model,
        "seconds": reply.latency,
    }
    return {**value, "simulated": True} if reply.simulated else value


def _of_json(value: Mapping[str, Json]) -> RecordedReply:
    request = ModelRequest(value["endpoint"], value["model"], (), role=value["role"], key=value["key"])
    reply = Reply(
        text=value["text"],
        usage=Usage(*map(int, value["usage"])),
        picousd=value["picousd"],
        finish_reason=value["finish"],
        model=value["answered_by"],
        latency=float(value["seconds"]),
        simulated=bool(value.get("simulated", False)),
    )
    return RecordedReply(request, reply)
