"""Every router by its module. A new resource is one file and one line here."""

from __future__ import annotations

_NATIVE = "promptprop.server.api"
_FRONT_END = "promptprop.server.frontend"

ROUTERS: tuple[str, ...] = (
    "promptprop.server.health:router",
    "promptprop.server.metrics:router",
    f"{_NATIVE}.runs:router",
    f"{_NATIVE}.events:router",
    f"{_NATIVE}.results:router",
    f"{_NATIVE}.candidates:router",
    f"{_NATIVE}.reports:router",
    f"{_NATIVE}.checks:router",
    f"{_NATIVE}.people:router",
    f"{_NATIVE}.prompts:router",
    f"{_NATIVE}.uploads:router",
    f"{_NATIVE}.datasets:router",
    f"{_NATIVE}.models:router",
    f"{_NATIVE}.configs:router",
    f"{_NATIVE}.tokens:router",
    f"{_FRONT_END}.optimize:router",
    f"{_FRONT_END}.experiments:router",
    f"{_FRONT_END}.datasets:router",
    f"{_FRONT_END}.calls:router",
    f"{_FRONT_END}.providers:router",
)

TAGS: dict[str, str] = {
    "runs": "Begin, list, follow, stop and resume runs.",
    "results": "What a run has measured and found.",
    "people": "What people decide about a run while it goes on.",
    "prompts": "Named prompts, their versions and aliases.",
    "datasets": "Upload, check and read rows.",
    "models": "The models that the server's keys reach.",
    "checks": "Hold a prompt against its baseline.",
    "configs": "Check a configuration, and tell what it will take.",
    "tokens": "Who may ask, and what was done.",
    "service": "Whether the server is well.",
    "front end": "The API of the existing browser front end; names are camelCase.",
}
