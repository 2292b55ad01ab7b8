"""`OfflineClient`: the simulated model behind the port of every model. No network, no clock, no hidden state."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from promptprop.adapters.models.offline.chain import ChainWorld, answer_chain_role, answer_chain_task
from promptprop.adapters.models.offline.criteria import answer_manager
from promptprop.adapters.models.offline.juror import TEMPERS, answer_juror, fails
from promptprop.adapters.models.offline.linter import answer_linter, asks_for_remarks
from promptprop.adapters.models.offline.roles import answer_role
from promptprop.adapters.models.offline.synthesizer import answer_synthesizer
from promptprop.adapters.models.offline.task import answer_task
from promptprop.adapters.models.offline.world import World
from promptprop.domain.budget import Price
from promptprop.domain.errors import CallTimedOut, OfflineWorldError, RequestRefused, UnknownModel
from promptprop.domain.models import Json, ModelRequest, Reply, Usage, storable
from promptprop.domain.vectors import Vectors

PREFIX = "offline/"
DIMENSIONS = 256
CHARACTERS_PER_TOKEN = 4
TASK_PRICE = Price(prompt=100_000, completion=400_000)  # 0.10 and 0.40 USD per million tokens
ROLE_PRICE = Price(prompt=2_000_000, completion=8_000_000)  # 2 and 8 USD per million tokens
PARTS = ("task", "critic", "rewriter", "manager", "synthesizer")
PARTS_OF_A_JURY = tuple(f"juror-{temper}" if temper else "juror" for temper in TEMPERS)
VARIANTS = (
    *(f"{part}-{variant}" for part in ("critic", "rewriter") for variant in ("weak", "strong", "suggestible")),
    *PARTS_OF_A_JURY,
)
SILENT = ("embed",)  # parts that have a name, but answer no messages


class OfflineClient:
    """A model client that answers from a world, as `offline/task`, `offline/critic`, `offline/rewriter` or a variant.

    An answer depends on the request's messages, parameters and replicate alone. Parameters read: `max_tokens`
    (truncates) and `latency` (seconds to wait, default 0). Prices are made up, so that money budgets mean something.
    """

    def __init__(self, world: World | ChainWorld, part: str) -> None:
        """Play one part of a world; `part` with or without `offline/`. Raises UnknownModel."""
        name = part.removeprefix(PREFIX)
        if name not in PARTS + VARIANTS + SILENT:
            known = ", ".join(PREFIX + each for each in PARTS + VARIANTS)
            raise UnknownModel(f"there is no simulated model {PREFIX}{name}", remedy=f"known: {known}")
        self.world = world
        self.name = PREFIX + name
        self.part, _, self.variant = name.partition("-")

    async def complete(self, request: ModelRequest, timeout: float) -> Reply:
        """Answer one request. Raises OfflineWorldError, RequestRefused, CallTimedOut."""
        if self.part in SILENT:
            raise OfflineWorldError(
                f"the simulated world cannot play {self.name}",
                remedy="use offline/task, critic, rewriter or juror, and a real model for this role",
            )
        most = _number(request.parameters, "max_tokens", None)
        latency = _number(request.parameters, "latency", 0.0) or 0.0
        if latency:
            await asyncio.sleep(min(latency, timeout))
        if latency > timeout:
            raise CallTimedOut(f"no answer within {timeout:g} s", remedy="raise the timeout, or lower `latency`")
        if self.part == "juror" and fails(self._judged, self.variant, request.messages, request.replicate):
            raise RequestRefused("the simulated provider filtered this content")
        text = storable(self._answer(request))
        finish = "stop"
        if most is not None and len(text) > most * CHARACTERS_PER_TOKEN:
            text, finish = text[: int(most) * CHARACTERS_PER_TOKEN], "length"
        usage = Usage(sum(_tokens(message.content) for message in request.messages), _tokens(text))
        picousd = self.price().of(usage)
        return Reply(text, usage, picousd, finish, self.name, simulated=True)

    @property
    def _judged(self) -> World:
        """The world whose answers a juror sees: of a chain, that of the last step."""
        return self.world.steps[self.world.last] if isinstance(self.world, ChainWorld) else self.world

    def _answer(self, request: ModelRequest) -> str:
        if self.part == "manager":
            return answer_manager(self._judged, request.messages, request.replicate)
        if self.part == "critic" and asks_for_remarks(request.messages):
            return answer_linter(self._judged, request.messages, request.replicate)
        if self.part == "synthesizer":
            return answer_synthesizer(self._judged, request.messages, request.replicate)
        if self.part == "juror":
            return answer_juror(self._judged, self.variant, request.messages, request.replicate)
        if isinstance(self.world, ChainWorld):
            if self.part == "task":
                return answer_chain_task(self.world, request.messages, request.replicate)
            return answer_chain_role(self.world, self.part, self.variant, request.messages, request.replicate)
        if self.part == "task":
            return answer_task(self.world, request.messages, request.replicate)
        return answer_role(self.world, self.part, self.variant, request.messages, request.replicate)

    async def embed(self, texts: Sequence[str], timeout: float) -> Vectors:  # noqa: ARG002
        """Hashed bags of words, of unit length."""
        return Vectors([_vector(text) for text in texts], Usage(sum(map(_tokens, texts))))

    def price(self) -> Price:
        """The made-up price: that of a small model for the task, of a large one for the other roles."""
        return TASK_PRICE if self.part in {"task", "embed"} else ROLE_PRICE

    async def close(self) -> None:
        """Nothing is open."""


def _tokens(text: str) -> int:
    return max(1, math.ceil(len(text) / CHARACTERS_PER_TOKEN))


def _number(parameters: Json, name: str, default: float | None) -> float | None:
    value = parameters.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise RequestRefused(f"{name} must be a number that is not negative, not {value!r}")
    return float(value)


def _vector(text: str) -> list[float]:
    """Counts of words and pairs of words by hashed place, scaled to length 1; an empty text gets the first axis."""
    words = text.lower().split()
    vector = [0.0] * DIMENSIONS
    for token in [*words, *(f"{a} {b}" for a, b in pairwise(words))]:
        place, sign = _place(token)
        vector[place] += sign
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        return [1.0] + [0.0] * (DIMENSIONS - 1)
    return [value / length for value in vector]


@lru_cache(maxsize=65_536)
def _place(token: str) -> tuple[int, float]:
    raw = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return raw[0] % DIMENSIONS, 1.0 if raw[1] & 1 else -1.0
