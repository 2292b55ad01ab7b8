"""What a run may spend, what it has spent, and whether the next call fits: arithmetic, without waiting or clocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from promptprop.domain.models import PICO, Attempts, Json, Message, Reply, Usage

CAPS = ("calls", "tokens", "usd", "seconds")
OVERHEAD_TOKENS = 16  # what a chat format adds to a message, generously: role, separators, start and end marks


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend in all. `None` means unlimited."""

    calls: int | None = None
    tokens: int | None = None
    usd: Decimal | None = None
    seconds: float | None = None

    @property
    def unlimited(self) -> bool:
        """True when no cap is set at all."""
        return self.calls is None and self.tokens is None and self.usd is None and self.seconds is None

    @property
    def picousd(self) -> int | None:
        """The money cap in 10⁻¹² USD."""
        return None if self.usd is None else int(self.usd * PICO)

    def raised(self, **caps: Json) -> Budget:
        """This budget with the given caps replaced.

        >>> Budget(calls=10).raised(calls=20).calls
        20
        """
        usd = caps.get("usd", self.usd)
        return Budget(
            calls=caps.get("calls", self.calls),
            tokens=caps.get("tokens", self.tokens),
            usd=None if usd is None else Decimal(str(usd)),
            seconds=caps.get("seconds", self.seconds),
        )

    def as_json(self) -> Json:
        """A plain value; money as a decimal string."""
        usd = None if self.usd is None else str(self.usd)
        return {"calls": self.calls, "tokens": self.tokens, "usd": usd, "seconds": self.seconds}

    @classmethod
    def from_json(cls, value: Json) -> Budget:
        """The inverse of `as_json`."""
        return cls().raised(**value)


@dataclass(frozen=True, slots=True)
class Amount:
    """Calls, tokens and money: spent, reserved or needed. Unknown prices count as 0 here and are flagged elsewhere."""

    calls: int = 0
    tokens: int = 0
    picousd: int = 0

    def __add__(self, other: Amount) -> Amount:
        """The sum, field by field."""
        return Amount(self.calls + other.calls, self.tokens + other.tokens, self.picousd + other.picousd)

    def __sub__(self, other: Amount) -> Amount:
        """The difference, field by field."""
        return Amount(self.calls - other.calls, self.tokens - other.tokens, self.picousd - other.picousd)

    def times(self, factor: int) -> Amount:
        """This amount `factor` times."""
        return Amount(self.calls * factor, self.tokens * factor, self.picousd * factor)


def cap_broken(budget: Budget, committed: Amount, needed: Amount, reserve: Amount | None = None) -> str | None:
    """The name of the first cap that `committed + needed + reserve` would overshoot, or None where all hold.

    >>> cap_broken(Budget(calls=10), Amount(calls=9), Amount(calls=1)) is None
    True
    >>> cap_broken(Budget(calls=10), Amount(calls=9), Amount(calls=1), Amount(calls=1))
    'calls'
    """
    total = committed + needed + (reserve or Amount())
    if budget.calls is not None and total.calls > budget.calls:
        return "calls"
    if budget.tokens is not None and total.tokens > budget.tokens:
        return "tokens"
    if budget.picousd is not None and total.picousd > budget.picousd:
        return "usd"
    return None


@dataclass(frozen=True, slots=True)
class Price:
    """Money per token in 10⁻¹² USD, and per call. `None` means that such tokens cost what the others of their kind do.

    `cached` is for prompt tokens that the provider had in its cache, `reasoning` for tokens of thought. `above` holds
    prices for long prompts as (tokens, price): the last one whose number of prompt tokens is exceeded holds for the
    whole call. `cache_write` is for prompt tokens that filled the provider's cache, where it charges for that, and
    `surcharge` bounds what a call can cost besides: a web search. Neither is part of `of`, unless it is told of them.
    """

    prompt: int
    completion: int
    cached: int | None = None
    reasoning: int | None = None
    cache_write: int | None = None
    per_call: int = 0
    above: tuple[tuple[int, Price], ...] = ()
    surcharge: int = 0

    def of(self, usage: Usage, written: int = 0) -> int:
        """What this usage costs, in 10⁻¹² USD; `written` of its prompt tokens filled the provider's cache.

        >>> Price(10, 20, cached=1).of(Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=4))
        54
        """
        price = self.at(usage.prompt_tokens)
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        written = min(written, usage.prompt_tokens - cached)
        thought = min(usage.reasoning_tokens, usage.completion_tokens)
        prompt = price.prompt * (usage.prompt_tokens - cached - written) + _or(price.cached, price.prompt) * cached
        prompt += _or(price.cache_write, price.prompt) * written
        answer = price.completion * (usage.completion_tokens - thought)
        return price.per_call + prompt + answer + _or(price.reasoning, price.completion) * thought

    def worst(self, prompt_tokens: int, completion_tokens: int) -> int:
        """The most that a call can cost whose prompt and answer have at most so many tokens, in 10⁻¹² USD."""
        reachable = [self, *(price for tokens, price in self.above if prompt_tokens > tokens)]
        return max(
            price.per_call
            + price.surcharge
            + max(price.prompt, price.cached or 0, price.cache_write or 0) * prompt_tokens
            + max(price.completion, price.reasoning or 0) * completion_tokens
            for price in reachable
        )

    def at(self, prompt_tokens: int) -> Price:
        """The price that holds for a prompt of so many tokens."""
        price = self
        for tokens, higher in sorted(self.above, key=lambda tier: tier[0]):
            if prompt_tokens > tokens:
                price = higher
        return price


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def prompt_token_bound(messages: tuple[Message, ...]) -> int:
    """The most tokens that these messages can be: every token holds at least one UTF-8 byte, plus chat overhead.

    >>> prompt_token_bound((Message("user", "abc"),))
    19
    """
    return sum(len(message.content.encode("utf-8", "surrogatepass")) + OVERHEAD_TOKENS for message in messages)


def worst_case(messages: tuple[Message, ...], max_tokens: int, price: Price | None) -> Amount:
    """The most that one call with these messages can cost."""
    prompt = prompt_token_bound(messages)
    money = price.worst(prompt, max_tokens) if price else 0
    return Amount(calls=1, tokens=prompt + max_tokens, picousd=money)


def settled(reply: Reply | None, attempts: Attempts) -> Amount:
    """What a finished call counts: every request sent, usage as reported, the reservation where none was seen."""
    tokens = (reply.usage.total if reply else 0) + attempts.unconfirmed_tokens
    money = ((reply.picousd or 0) if reply else 0) + (attempts.unconfirmed_picousd or 0)
    return Amount(calls=attempts.sent, tokens=tokens, picousd=money)


@dataclass(frozen=True, slots=True)
class RoleSpend:
    """What one role has spent. `hits` are answers that cost this run nothing new."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    picousd: int = 0
    hits: int = 0
    unconfirmed: int = 0
    unconfirmed_tokens: int = 0
    unpriced: int = 0

    def plus(self, reply: Reply | None, attempts: Attempts) -> RoleSpend:
        """With one more call that this run paid for."""
        usage = reply.usage if reply else None
        return RoleSpend(
            calls=self.calls + attempts.sent,
            prompt_tokens=self.prompt_tokens + (usage.prompt_tokens if usage else 0),
            completion_tokens=self.completion_tokens + (usage.completion_tokens if usage else 0),
            picousd=self.picousd + settled(reply, attempts).picousd,
            hits=self.hits,
            unconfirmed=self.unconfirmed + attempts.unconfirmed,
            unconfirmed_tokens=self.unconfirmed_tokens + attempts.unconfirmed_tokens,
            unpriced=self.unpriced
            + (1 if reply and reply.picousd is None else 0)
            + (attempts.unconfirmed if attempts.unconfirmed_picousd is None else 0),
        )

    def plus_hit(self) -> RoleSpend:
        """With one more answer from the ledger."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return RoleSpend(**{**fields, "hits": self.hits + 1})

    @property
    def tokens(self) -> int:
        """Tokens in all: reported ones and the unconfirmed at their reservation."""
        return self.prompt_tokens + self.completion_tokens + self.unconfirmed_tokens


@dataclass(frozen=True, slots=True)
class Spend:
    """What a run has spent, by role."""

    roles: Mapping[str, RoleSpend] = field(default_factory=dict)

    def with_role(self, role: str, spend: RoleSpend) -> Spend:
        """With this role's spend replaced."""
        return Spend({**self.roles, role: spend})

    def of(self, role: str) -> RoleSpend:
        """One role's spend; zero where it has made no call."""
        return self.roles.get(role, RoleSpend())

    @property
    def total(self) -> Amount:
        """Calls, tokens and money over all roles."""
        spends = self.roles.values()
        return Amount(
            sum(spend.calls for spend in spends),
            sum(spend.tokens for spend in spends),
            sum(spend.picousd for spend in spends),
        )

    @property
    def unpriced(self) -> int:
        """Calls of unknown price over all roles: their money is not in the total."""
        return sum(spend.unpriced for spend in self.roles.values())

    @property
    def hits(self) -> int:
        """Answers from the ledger over all roles."""
        return sum(spend.hits for spend in self.roles.values())

    def with_hits_of(self, *others: Spend) -> Spend:
        """With each role's hits replaced by the most that these count: what was free is in no record of payments.

        >>> Spend({"task": RoleSpend(calls=2, hits=9)}).with_hits_of(Spend({"task": RoleSpend(hits=3)})).hits
        3
        """
        roles = dict.fromkeys([*self.roles, *(role for other in others for role in other.roles)])
        hits = {role: max((other.of(role).hits for other in others), default=0) for role in roles}
        return Spend({role: replace(self.of(role), hits=hits[role]) for role in roles})

    def as_json(self) -> Json:
        """A plain value, roles in alphabetical order."""
        return {
            role: {name: getattr(spend, name) for name in RoleSpend.__slots__}
            for role, spend in sorted(self.roles.items())
        }

    @classmethod
    def from_json(cls, value: Json) -> Spend:
        """The inverse of `as_json`."""
        return cls({role: RoleSpend(**fields) for role, fields in value.items()})
