"""Named prompts: their versions and aliases, saved by hand, filled, compared and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptprop.client.call import Call, Listing, as_nothing, as_text, given, listing, path, reads
from promptprop.client.calls.results import ExportFormat
from promptprop.client.values import Difference, PromptName, Rendered, Version, VersionHead


def list_prompts() -> Listing[PromptName]:
    """Names, each with its newest version and its aliases."""
    return listing(PromptName, path("prompts"), limit=200)


def versions(name: str) -> Listing[VersionHead]:
    """The versions of a name, newest first."""
    return listing(VersionHead, path("prompts", name, "versions"), limit=200)


def show(name: str, version: int | str = "latest") -> Call[Version]:
    """A version with its texts; `version` is a number, an alias, or `latest`."""
    return Call("GET", path("prompts", name, "versions", str(version)), reads(Version), repeatable=True)


def save(
    name: str,
    text: str | None = None,
    *,
    messages: Sequence[Mapping[str, str]] | None = None,
    steps: Sequence[Mapping[str, Any]] | None = None,
    literal: bool | None = None,
    aliases: Sequence[str] = (),
) -> Call[Version]:
    """Save a version by hand: one text, `messages`, or the `steps` of a chain."""
    body = given(name=name, text=text, literal=literal, aliases=list(aliases))
    body |= given(messages=None if messages is None else [*messages], steps=None if steps is None else [*steps])
    return Call("POST", path("prompts"), reads(Version), body=body, keyed=True)


def diff(before: str, after: str) -> Call[Difference]:
    """What changed between two prompts: NAME@VERSION, RUN:seed, RUN:winner."""
    params = {"from": before, "to": after}
    return Call("GET", path("prompts", "diff"), reads(Difference), params, repeatable=True)


def export(name: str, version: int | str = "latest", form: ExportFormat = "json") -> Call[str]:
    """A version as a file for others to use."""
    where = path("prompts", name, "versions", str(version), "export")
    return Call("GET", where, as_text, {"format": form}, repeatable=True)


def render(name: str, version: int | str, variables: Mapping[str, Any], *, step: str | None = None) -> Call[Rendered]:
    """Fill a prompt's variables, in the server's sandbox. Calls no model."""
    where = path("prompts", name, "versions", str(version), "render")
    body = {"variables": dict(variables), **given(step=step)}
    return Call("POST", where, reads(Rendered), body=body, repeatable=True)


def set_alias(name: str, alias: str, version: int) -> Call[VersionHead]:
    """Point an alias at a version."""
    where = path("prompts", name, "aliases", alias)
    return Call("PUT", where, reads(VersionHead), body={"version": version}, repeatable=True)


def remove_alias(name: str, alias: str) -> Call[None]:
    """Take an alias away; the version stays."""
    return Call("DELETE", path("prompts", name, "aliases", alias), as_nothing)
