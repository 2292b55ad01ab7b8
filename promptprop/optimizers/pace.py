"""Pace: what the next round is expected to gain for the rows that it takes, by what the last ones gained."""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 8  # rounds that the chance and the price of the next one are judged by
LEAST_ROUNDS = 4  # before anything is judged


@dataclass(slots=True)
class Pace:
    """Gain in score and answered rows of each round so far."""

    rounds: list[tuple[float, int]] = field(default_factory=list)

    def note(self, gain: float, rows: int) -> None:
        """A round is over: what the best is believed to have gained (0 where it stayed), and what it took."""
        self.rounds.append((max(0.0, gain), rows))

    def expected(self, failing: float) -> float:
        """Score that 1,000 more rows are expected to gain; infinite while too little is known.

        The chance of a gain is its posterior mean under a Beta(1, 1) prior over the last rounds; its size the mean of
        all gains so far, and never more than the share of rows that still fail.

        >>> Pace([(0.1, 50), (0.0, 50), (0.0, 50), (0.0, 50)]).expected(0.3)
        0.6666666666666666
        """
        if len(self.rounds) < LEAST_ROUNDS:
            return float("inf")
        recent = self.rounds[-WINDOW:]
        gains = [gain for gain, _ in self.rounds if gain > 0]
        chance = (sum(gain > 0 for gain, _ in recent) + 1) / (len(recent) + 2)
        size = min(failing, sum(gains) / len(gains) if gains else failing)
        price = sum(rows for _, rows in recent) / len(recent)
        return 1000 * chance * size / max(1.0, price)
