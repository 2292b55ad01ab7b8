"""What a server is told before it listens: where it stores, whom it serves, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from promptprop.domain.serve_config import ServeConfig

PORT = 8000
LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`folder` is the project's: paths in requests stay inside of it. `hosts` are addresses that are listened on.

    `quiet` workers tell errors alone.
    """

    url: str
    environment: Mapping[str, str] = field(repr=False)
    serve: ServeConfig = field(default_factory=ServeConfig)
    folder: Path = field(default_factory=Path.cwd)
    hosts: tuple[str, ...] = LOOPBACK
    port: int = PORT
    workers: int = 1
    concurrency: int = 4
    quiet: bool = False

    @property
    def open_to_others(self) -> bool:
        """Whether it listens beyond this machine."""
        return any(not is_loopback_address(host) for host in self.hosts)


def is_loopback_address(host: str) -> bool:
    """Whether an address to listen on, or the one of a client, is this machine's own.

    >>> is_loopback_address("::1"), is_loopback_address("0.0.0.0"), is_loopback_address("::ffff:127.0.0.1")
    (True, False, True)
    """
    from ipaddress import IPv6Address, ip_address

    if host == "localhost":
        return True
    try:
        address = ip_address(host.partition("%")[0].strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
