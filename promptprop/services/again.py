"""How a check was called, and the command that looks at one of its rows again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from promptprop.domain.models import Json


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a command line that decide which rows are asked of what; paths as they were given."""

    config: str
    split: str = "all"
    sets: tuple[str, ...] = ()
    env_file: str | None = None
    db: str | None = None
    recording: str | None = None

    def as_json(self) -> dict[str, Json]:
        """For the options of a run."""
        return {**asdict(self), "sets": list(self.sets)}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Call:
        """The inverse of `as_json`."""
        return cls(**{**value, "sets": tuple(value["sets"])})

    def again(self, row: str, repeats: int = 1) -> str:
        """The command that asks one row again, and shows what was asked and said. What is on record is free.

        >>> Call("my configs/a.yaml", sets=("seed=3",)).again("r1", 3)
        "promptprop eval 'my configs/a.yaml' --row r1 --repeats 3 --set seed=3"
        """
        words = ["promptprop", "eval", self.config, "--row", row]
        words += ["--repeats", str(repeats)] if repeats > 1 else []
        words += ["--split", self.split] if self.split != "all" else []
        words += [word for one in self.sets for word in ("--set", one)]
        words += ["--env-file", self.env_file] if self.env_file else []
        words += ["--db", self.db] if self.db else []
        words += ["--recording", self.recording] if self.recording else []
        return shlex.join(words)
