"""The machine: Python, the installed packages, the list of prices, proxies."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from urllib.request import getproxies

from promptprop import __version__
from promptprop.adapters.logs import redact
from promptprop.bootstrap.doctor import Check, Patient

MALICIOUS = {"litellm": ("1.82.7", "1.82.8")}  # releases that stole credentials
KNOWN_MODEL = "openai/gpt-4o-mini"  # that every edition of the list of prices knows


def check_python(_: Patient) -> Iterator[Check]:
    """Is this Python one that PromptProp supports?"""
    from packaging.specifiers import SpecifierSet

    running = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata("promptprop")["Requires-Python"] or ""
    if SpecifierSet(wanted).contains(running, prereleases=True):
        yield Check("python", "ok", f"Python {running}")
    else:
        message = f"Python {running}, and PromptProp needs {wanted}"
        yield Check("python", "fail", message, "install PromptProp into an environment with such a Python")


def check_install(_: Patient) -> Iterator[Check]:
    """Which PromptProp is it, and is its command where a shell finds it?"""
    installed = metadata.version("promptprop")
    if installed != __version__:
        message = f"this is {__version__}, but {installed} is what is installed"
        yield Check("promptprop", "warn", message, "install it anew, so that its dependencies are checked as they are")
    elif shutil.which("promptprop") is None:
        message = f"{__version__}, but the command promptprop is not on the PATH"
        yield Check("promptprop", "warn", message, "activate its environment, or use python -m promptprop")
    else:
        yield Check("promptprop", "ok", __version__)


def check_dependencies(_: Patient) -> Iterator[Check]:
    """Is every dependency there, in a release that PromptProp was tried with?"""
    from packaging.requirements import Requirement

    wrong, count = list[Check](), 0
    for line in metadata.requires("promptprop") or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(Check("dependencies", "fail", f"{wanted.name} is missing", f'pip install "{line}"'))
            continue
        if version in MALICIOUS.get(wanted.name.lower(), ()):
            remedy = f'remove it at once, exchange every key on this machine, then pip install "{line}"'
            wrong.append(Check("dependencies", "fail", f"{wanted.name} {version} is a malicious release", remedy))
        elif not wanted.specifier.contains(version, prereleases=True):
            message = f"{wanted.name} is {version}, and PromptProp needs {wanted.specifier}"
            wrong.append(Check("dependencies", "fail", message, f'pip install "{line}"'))
    yield from wrong or [Check("dependencies", "ok", f"{count} packages, all within their pins")]


def check_prices(_: Patient) -> Iterator[Check]:
    """Can prices be told? They are in LiteLLM's list, which is read without loading LiteLLM."""
    from promptprop.adapters.models.prices import listed_price

    if find_spec("litellm") is not None and listed_price(KNOWN_MODEL) is not None:
        yield Check("prices", "ok", "LiteLLM's list of prices can be read")
    else:
        message = "LiteLLM's list of prices cannot be read: no price is known but those of a configuration"
        yield Check("prices", "fail", message, "install litellm anew: pip install --force-reinstall litellm")


def check_proxies(_: Patient) -> Iterator[Check]:
    """Which proxies does the environment name? The user and password of a proxy are not shown."""
    proxies = {name: value for name, value in getproxies().items() if name != "no"}
    if proxies:
        named = ", ".join(f"{name} through {redact(value)}" for name, value in sorted(proxies.items()))
        yield Check("proxies", "ok", f"{named}; NO_PROXY: {getproxies().get('no') or 'not set'}")
