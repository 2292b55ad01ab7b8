"""The guards around the application: pure ASGI, so that streams pass through them part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from promptprop.domain.serve_config import ServeConfig, host_name
from promptprop.server.guards.bodies import MB, Bodies, BodyLimits
from promptprop.server.guards.headers import Headers
from promptprop.server.guards.hosts import Hosts
from promptprop.server.guards.identity import Identity
from promptprop.server.guards.origins import Origins
from promptprop.server.guards.rates import Rates
from promptprop.server.guards.trail import Audit, Trail

PROBES = ("/healthz", "/readyz")
UPLOADS = ("/api/v1/datasets", "/api/v1/datasets/validate")
ANY = ("0.0.0.0", "::")  # noqa: S104 - told apart, not listened on


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """`hosts` and `origins` are in their one spelling. Without a trail, nothing is noted."""

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    rate_per_minute: int = 12_000
    guesses_per_minute: int = 10
    most_open: int = 500
    bodies: BodyLimits = field(default_factory=BodyLimits)
    probes: tuple[str, ...] = PROBES
    trail: Trail | None = None

    @classmethod
    def of(cls, serve: ServeConfig, trail: Trail | None = None, listening: Iterable[str] = ()) -> GuardSettings:
        """What a configuration says. The addresses that are listened on are hosts as well, unless they are all."""
        limits = serve.limits
        own = [host for given in listening if (host := host_name(given)) and host not in ANY]
        return cls(
            hosts=(*serve.hosts, *own),
            origins=serve.origins,
            rate_per_minute=limits.rate_per_minute,
            guesses_per_minute=limits.guesses_per_minute,
            most_open=limits.open,
            bodies=BodyLimits(json=limits.json_mb * MB, upload=limits.body_mb * MB, uploads=UPLOADS),
            trail=trail,
        )


def guarded(app: ASGIApp, settings: GuardSettings) -> ASGIApp:
    """The application behind all guards.

    From the outside in: every answer, a refusal too, gets a request id, a line in the log and security headers; the
    audit sees who is turned away further in; whom a request is meant for and which page sends it are looked at before
    anything is counted, so that a page elsewhere cannot use up what an address may ask; rates come before bodies, so
    that nothing is read for whoever asks too often; and bodies come last, next to who reads them.
    """
    app = Bodies(app, settings.bodies)
    app = Rates(app, settings.rate_per_minute, settings.guesses_per_minute, settings.most_open)
    app = Origins(app, settings.origins)
    app = Hosts(app, settings.hosts, settings.probes)
    app = Audit(app, settings.trail) if settings.trail is not None else app
    return Identity(Headers(app))
