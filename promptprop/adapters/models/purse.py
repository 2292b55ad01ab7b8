"""The run's purse: reservations in program order, so that latency never changes what is admitted.

A call takes a ticket, which is its place in line. It is granted once it is first and its worst case fits next to what
is spent and reserved; it is refused only when it is first and nothing is in flight. A granted ticket holds its worst
case for every attempt that it may still make, so that a retry never finds its room taken by a call behind it: later
calls see only room that is left in the worst case. Close to a cap calls therefore run one after another.

Why the order of latencies cannot matter: let f(i) be what ticket i costs in the end, r(i) ≥ f(i) what it holds, and
w(i) the worst case of one attempt. Ticket n is granted while others are in flight only if Σ r(i<n) + w(n) ≤ cap, which
implies Σ f(i<n) + w(n) ≤ cap; otherwise it waits until that second condition decides. So it always decides. This needs
replies that keep to their worst case; one that reports more is counted in full, and the next call is refused.

A resumed run charges what it has paid in program order as well, but behind a call that has to be made again may lie
costs that are paid already. So all of them are *owed* from the start, and a cap holds over all sessions together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from promptprop.domain.budget import Amount, Budget, cap_broken
from promptprop.domain.errors import BudgetSpent
from promptprop.domain.models import Json

NOTHING = Amount()


@dataclass(slots=True)
class Batch:
    """The tickets of one hand-over of work: once one is refused, all behind it are, with the same `cap`."""

    cap: str | None = None


@dataclass(slots=True)
class _Charge:
    """A cost that is known and cannot be refused, waiting for its turn: a recorded call that counts again."""

    batch: Batch
    actual: Amount
    done: Callable[[bool], None]


class Ticket:
    """One call's place in line, and then its reservation for up to `attempts` attempts."""

    __slots__ = ("_active", "_left", "_purse", "_turn", "batch", "worst")

    def __init__(self, purse: Purse, worst: Amount, attempts: int, batch: Batch) -> None:
        """Made by `Purse.ticket`."""
        self.batch = batch
        self.worst = worst
        self._purse = purse
        self._left = attempts
        self._active = False
        self._turn: asyncio.Future[None] | None = None

    async def granted(self) -> None:
        """Wait for room for one more attempt. Raises BudgetSpent; cancelled, it releases the ticket."""
        if self._active and self._turn is None:
            raise RuntimeError("the last attempt of this ticket is not settled yet")
        self._purse.ask(self)
        turn = self._future()
        try:
            await turn
        except asyncio.CancelledError:
            self.release()
            raise
        finally:
            self._turn = None

    def extend(self) -> None:
        """One attempt more than it was taken for; `granted` then says whether there is room for it."""
        if self._active:
            raise RuntimeError("the last attempt of this ticket is not settled yet")
        self._left += 1
        self._purse.extend(self)

    def settle(self, actual: Amount) -> None:
        """An attempt is over and has cost this; what it did not use is free again."""
        if not self._active:
            raise RuntimeError("nothing to settle: no attempt was granted")
        self._active = False
        self._left -= 1
        self._purse.settle(self, actual)

    def release(self) -> None:
        """No further attempt follows; settle first what was sent. May be called twice."""
        held, self._left, self._active = self.held, 0, False
        self._purse.release(self, held)

    @property
    def active(self) -> bool:
        """True while an attempt is granted and not settled."""
        return self._active

    @property
    def held(self) -> Amount:
        """What this ticket keeps out of reach of those behind it, once its first attempt is granted."""
        return self.worst.times(self._left)

    def decide(self, refusal: str | None) -> None:
        """The purse's word: granted where `refusal` is None, else the cap that is spent."""
        self._active = refusal is None
        turn = self._future()
        if turn.done():  # whoever waited was cancelled in this very tick and will release the ticket
            return
        if refusal is None:
            turn.set_result(None)
        else:
            turn.set_exception(BudgetSpent(refusal))
            turn.exception()  # refused before anybody waits for it: that is no forgotten error

    def _future(self) -> asyncio.Future[None]:
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
        return self._turn


class Purse:
    """A budget, what is spent of it, and the line of those who want to spend. One event loop, no locks."""

    def __init__(self, budget: Budget) -> None:
        """Start with nothing spent."""
        self._budget = budget
        self._spent = NOTHING
        self._reserve = NOTHING
        self._held = NOTHING
        self._owed = NOTHING
        self._line: deque[Ticket | _Charge] = deque()
        self._flying: dict[Ticket, None] = {}
        self._retrying: dict[Ticket, None] = {}

    @property
    def budget(self) -> Budget:
        """The caps in force."""
        return self._budget

    @property
    def spent(self) -> Amount:
        """What has been settled or charged."""
        return self._spent

    def ticket(self, worst: Amount, attempts: int = 1, batch: Batch | None = None) -> Ticket:
        """A place at the end of the line for a call that costs at most `worst` an attempt."""
        ticket = Ticket(self, worst, attempts, batch or Batch())
        self._line.append(ticket)
        self._advance()
        return ticket

    def charge(self, actual: Amount, batch: Batch, done: Callable[[bool], None]) -> None:
        """Count a cost that was paid before, in its turn, and tell `done`: False if its batch was refused before."""
        self._line.append(_Charge(batch, actual, done))
        self._advance()

    def hold(self, reserve: Amount) -> None:
        """Keep this amount out of reach until it is set anew."""
        self._reserve = reserve
        self._advance()

    def owe(self, paid: Amount) -> None:
        """So much was paid in earlier sessions: out of reach from now on, and charged bit by bit, each in its turn."""
        self._owed = paid

    def raise_caps(self, caps: Mapping[str, Json]) -> None:
        """Replace these caps."""
        self._budget = self._budget.raised(**caps)
        self._advance()

    # --- for tickets ------------------------------------------------------------------------------------------------

    def ask(self, ticket: Ticket) -> None:
        """A granted ticket wants a further attempt; one that still stands in line just waits."""
        if ticket in self._flying and not ticket.active:
            self._retrying[ticket] = None
            self._advance()

    def extend(self, ticket: Ticket) -> None:
        """A granted ticket holds one attempt more; those behind it see so much less room."""
        if ticket in self._flying:
            self._held += ticket.worst

    def settle(self, ticket: Ticket, actual: Amount) -> None:
        """Turn the reservation of one attempt into a cost."""
        self._spent += actual
        self._held -= ticket.worst
        self._advance()

    def release(self, ticket: Ticket, held: Amount) -> None:
        """Give back what the ticket holds, or its place in line."""
        self._retrying.pop(ticket, None)
        if ticket in self._flying:
            del self._flying[ticket]
            self._held -= held
        elif ticket in self._line:
            self._line.remove(ticket)
        self._advance()

    # --- the line ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Decide all that can be decided now: retries first, they stand in front of the line."""
        if self._retrying:
            self._decide_retries()
        while self._line:
            head = self._line[0]
            if head.batch.cap is None and isinstance(head, Ticket):
                committed = self._spent + self._held + self._owed
                broken = cap_broken(self._budget, committed, head.worst, self._reserve)
                if broken is not None and self._flying:
                    return
                head.batch.cap = broken
            self._line.popleft()
            if isinstance(head, Ticket):
                if head.batch.cap is None:
                    self._flying[head] = None
                    self._held += head.held
                head.decide(head.batch.cap)
            else:
                counted = head.batch.cap is None
                if counted:
                    self._spent += head.actual
                    self._owed = _rest(self._owed, head.actual)
                head.done(counted)

    def _decide_retries(self) -> None:
        for ticket in [other for other in self._flying if other in self._retrying]:
            ahead, behind = self._around(ticket)
            committed = self._spent + self._owed + _sum(other.held for other in ahead)
            committed += _sum(other.worst for other in behind if other.active)
            broken = cap_broken(self._budget, committed, ticket.worst, self._reserve)
            waits = broken is not None and (ahead or any(other.active for other in behind))
            if not waits:
                del self._retrying[ticket]
                ticket.decide(broken)

    def _around(self, ticket: Ticket) -> tuple[list[Ticket], list[Ticket]]:
        """Those in flight that stood before this ticket in line, and those that stood behind it."""
        flying = list(self._flying)
        place = flying.index(ticket)
        return flying[:place], flying[place + 1 :]


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = NOTHING
    for amount in amounts:
        total += amount
    return total


def _rest(owed: Amount, charged: Amount) -> Amount:
    """What is still owed; never less than nothing in any part."""
    left = owed - charged
    return Amount(max(0, left.calls), max(0, left.tokens), max(0, left.picousd))
