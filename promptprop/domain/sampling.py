"""Which rows go where: splits, slices, samples and blocks, all deterministic, stratified, and blind to file order."""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, get_args

from promptprop.domain.errors import DataError, UsageError
from promptprop.domain.models import Example, Json, Row, Split, canonical, digest

if TYPE_CHECKING:
    from promptprop.domain.config import SplitConfig

SPLITS = ("all", *get_args(Split))  # what an evaluation can be asked for
LONGEST_LABEL = 60  # characters up to which a text is taken for a label
ONE_STRATUM = ""
LARGE = 8  # a cluster is large from 1/8 of the smallest part on

Part = TypeVar("Part", bound=Hashable)
Salt = tuple[object, ...]


def stream(seed: int, *purpose: object) -> random.Random:
    """The random stream of one purpose: equal seeds and purposes give equal streams, others unrelated ones.

    A purpose is made of JSON values.

    >>> stream(7, "round", 1).random() == stream(7, "round", 1).random()
    True
    """
    return random.Random(_rank(seed, *purpose))  # noqa: S311  (repeatable on purpose, nothing is kept secret by it)


def _rank(*parts: object) -> int:
    """A number of 64 bits from the SHA-256 of the parts."""
    data = canonical(list(parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def stratum_of(expected: Json) -> str:
    """The stratum of a row by its expected answer: short scalars are labels, anything else is one stratum.

    >>> stratum_of("billing"), stratum_of(True), stratum_of({"a": 1}), stratum_of(None)
    ('billing', 'true', '', '')
    """
    if isinstance(expected, str):
        return expected if len(expected) <= LONGEST_LABEL and "\n" not in expected else ONE_STRATUM
    return canonical(expected) if isinstance(expected, bool | int | float) else ONE_STRATUM


def labels_of(expected: Iterable[Json]) -> Counter[str]:
    """How many rows expect each label; empty where what is expected is no choice from a closed set.

    Of several acceptable answers the first counts. A set is closed where no more than a quarter of the rows differ.

    >>> labels_of(["a", "b"] * 4), labels_of(["a", "b", "c"]), labels_of([{"a": 1}] * 8)
    (Counter({'a': 4, 'b': 4}), Counter(), Counter())
    """
    wanted = [one[0] if isinstance(one, list | tuple) and one else one for one in expected if one is not None]
    counted = Counter(map(stratum_of, wanted))
    closed = ONE_STRATUM not in counted and len(counted) <= len(wanted) / 4
    return counted if closed else Counter()


def row_of(example: Example) -> Row:
    """What sampling needs of an example. Without a cluster, rows with equal inputs are one, so that none leaks."""
    cluster = example.cluster if example.cluster is not None else digest(dict(example.inputs), 16)
    return Row(example.id, stratum_of(example.expected), cluster, example.split)


def require_split(name: str) -> None:
    """Raises UsageError where an evaluation is asked for a split that there is none of."""
    if name not in SPLITS:
        raise UsageError(f"there is no split {name!r}", remedy=f"use one of {', '.join(SPLITS)}")


def ratios_of(split: SplitConfig) -> dict[Split, float]:
    """The shares that a configuration gives each split, in their order."""
    return {"train": split.train, "select": split.select, "test": split.test}


def split_rows(rows: Sequence[Row], ratios: Mapping[Split, float], seed: int) -> dict[Split, tuple[Row, ...]]:
    """Split rows by hash of seed and cluster: every row in one split, clusters whole, strata balanced.

    `ratios` are relative sizes; the result has their keys in their order. Without clusters of several rows each split
    has its exact share of all rows (largest remainder), and of each stratum about one row more or less. A new row
    moves few others. Rows that carry a split keep it. More strata than a quarter of the rows count as one.
    Raises DataError where only some rows carry a split, or where a split with a share ends empty.
    """
    if not rows:
        raise DataError("there are no rows to split")
    carried = [row for row in rows if row.split]
    salt: Salt = (seed, "split")
    if not carried:
        found = _share_out(rows, ratios, salt)
    elif len(carried) < len(rows):
        without = next(row.id for row in rows if not row.split)
        raise DataError(
            f"{len(rows) - len(carried)} of {len(rows)} rows carry no split, such as {without!r}",
            remedy="name a split in every row, or in none",
        )
    else:
        names: dict[Split, None] = dict.fromkeys(ratios) | dict.fromkeys(row.split for row in carried if row.split)
        found = {name: _ordered((row for row in rows if row.split == name), salt) for name in names}
    for name, part in found.items():
        if not part and ratios.get(name, 0) > 0:
            raise _empty_split(name, rows, carries=bool(carried))
    return found


def _empty_split(name: Split, rows: Sequence[Row], *, carries: bool) -> DataError:
    """The error for a split that got no row."""
    clusters = len({_cluster(row) for row in rows})
    whole = f" in {clusters} clusters" if clusters < len(rows) else ""
    remedy = f"give some rows the split {name!r}" if carries else f"add rows, or change the share of {name!r}"
    return DataError(f"the split {name!r} ends empty: there are {len(rows)} rows{whole}", remedy=remedy)


def cut(rows: Sequence[Row], share: float, seed: int, purpose: str) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Cut a slice of about `share` of the rows: (kept, cut), clusters whole and strata balanced.

    Either part may be empty where rows are few. Raises ValueError unless 0 ≤ share ≤ 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1, not at {share}")
    parts = _share_out(rows, {"kept": 1 - share, "cut": share}, (seed, "cut", purpose))
    return parts["kept"], parts["cut"]


def spread(rows: Sequence[Row], count: int, rng: random.Random) -> tuple[Row, ...]:
    """A sample of `count` distinct rows (all, where there are fewer) that takes turns over the strata."""
    strata = [list(part) for _, part in _by_stratum(sorted(rows, key=lambda row: row.id))]
    rng.shuffle(strata)
    for part in strata:
        rng.shuffle(part)
    sample: list[Row] = []
    for turn in range(max(map(len, strata), default=0)):
        sample.extend(part[turn] for part in strata if turn < len(part))
        if len(sample) >= count:
            break
    return tuple(sample[: max(count, 0)])


def blocks(rows: Sequence[Row], size: int, seed: int, purpose: str) -> tuple[tuple[Row, ...], ...]:
    """The rows in one fixed order, cut into blocks of `size`; every stretch of it is stratified in proportion.

    The last block may be smaller. Raises ValueError where `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"a block holds at least one row, not {size}")
    salt: Salt = (seed, "blocks", purpose)
    keyed: list[tuple[float, int, Row]] = []
    for stratum, part in _by_stratum(rows):
        offset = _offset(salt, stratum)
        keyed.extend(
            ((place + offset) / len(part), _rank(*salt, row.id), row) for place, row in enumerate(_ordered(part, salt))
        )
    order = [row for _, _, row in sorted(keyed, key=lambda entry: entry[:2])]
    return tuple(tuple(order[start : start + size]) for start in range(0, len(order), size))


def _by_stratum(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each stratum, strata in alphabetical order."""
    strata: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        strata[row.stratum].append(row)
    return sorted(strata.items())


def _ordered(rows: Iterable[Row], salt: Salt) -> tuple[Row, ...]:
    """The rows by hash: an order that the file has no part in."""
    return tuple(sorted(rows, key=lambda row: (_rank(*salt, "row", row.id), row.id)))


def _offset(salt: Salt, stratum: str) -> float:
    """A number in [0, 1) of the stratum's own, so that equal strata do not all round the same way."""
    return _rank(*salt, "offset", stratum) / 2**64


def _cluster(row: Row) -> str:
    """What keeps rows together: the cluster, or the row alone."""
    return row.cluster or row.id


# --- sharing out ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """A cluster: rows that stay together. `rank` is its hash; its stratum is the most common one of its rows."""

    rank: int
    name: str
    stratum: str
    size: int


def _share_out(rows: Sequence[Row], shares: Mapping[Part, float], salt: Salt) -> dict[Part, tuple[Row, ...]]:
    """Rows by part, in proportion to `shares`. Raises ValueError for shares that are none."""
    if any(not (math.isfinite(share) and share >= 0) for share in shares.values()) or not any(shares.values()):
        raise ValueError(f"shares are numbers from 0 on, and not all of them 0: {dict(shares)}")
    members: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        members[_cluster(row)].append(row)
    many = len({row.stratum for row in rows}) > len(rows) / 4
    groups = []
    for name, member_rows in members.items():
        counts = Counter(ONE_STRATUM if many else row.stratum for row in member_rows)
        stratum = min(counts, key=lambda label: (-counts[label], label))
        groups.append(_Group(_rank(*salt, name), name, stratum, len(member_rows)))
    plan = _Plan(sorted(groups, key=lambda group: (group.rank, group.name)), shares, salt)
    chosen: dict[Part, list[Row]] = {part: [] for part in shares}
    for group, part in plan.chosen.items():
        chosen[part].extend(members[group.name])
    return {part: _ordered(found, salt) for part, found in chosen.items()}


def _largest_remainder(total: int, shares: Mapping[Part, float]) -> dict[Part, int]:
    """Whole numbers in proportion to `shares` that sum to `total` (Hamilton's method)."""
    whole = sum(shares.values())
    exact = {part: total * share / whole for part, share in shares.items()}
    counts = {part: math.floor(value) for part, value in exact.items()}
    by_remainder = sorted(exact, key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: total - sum(counts.values())]:
        counts[part] += 1
    return counts


class _Plan(Generic[Part]):
    """Puts groups into parts: large clusters where most room is, the others by hash, then repairs the totals.

    The hash order of a stratum is cut at the parts' cumulative shares, from a random offset (systematic sampling): a
    stratum of single rows so gets the floor or the ceiling of each share, and its other rows stay where they are when
    one is added. What the strata's roundings leave over in total is moved at the least cost to their balance.
    """

    def __init__(self, groups: Sequence[_Group], shares: Mapping[Part, float], salt: Salt) -> None:
        """Choose a part for every group; `groups` come in hash order."""
        self.shares = {part: share for part, share in shares.items() if share > 0}
        self.salt = salt
        self.chosen: dict[_Group, Part] = {}
        self.goals = _largest_remainder(sum(group.size for group in groups), self.shares)
        self.surplus = {part: -goal for part, goal in self.goals.items()}
        strata: Counter[str] = Counter()
        for group in groups:
            strata[group.stratum] += group.size
        whole = sum(self.shares.values())
        self.excess = {
            (name, part): -size * self.shares[part] / whole for name, size in strata.items() for part in self.shares
        }
        bound = max(2, min((goal for goal in self.goals.values() if goal), default=0) / LARGE)
        self._place_large([group for group in groups if group.size >= bound])
        rest: dict[str, list[_Group]] = defaultdict(list)
        for group in groups:
            if group.size < bound:
                rest[group.stratum].append(group)
        for stratum in sorted(rest):
            self._cut_stratum(stratum, rest[stratum])
        self._repair()

    def _put(self, group: _Group, part: Part) -> None:
        """Put a group into a part, out of the one where it was."""
        before = self.chosen.get(group)
        if before is not None:
            self.surplus[before] -= group.size
            self.excess[group.stratum, before] -= group.size
        self.chosen[group] = part
        self.surplus[part] += group.size
        self.excess[group.stratum, part] += group.size

    def _place_large(self, groups: Sequence[_Group]) -> None:
        """Largest first, each where total and stratum lack most."""
        for group in sorted(groups, key=lambda group: (-group.size, group.rank, group.name)):
            self._put(group, min(self.shares, key=lambda part: self.surplus[part] + self.excess[group.stratum, part]))

    def _cut_stratum(self, stratum: str, groups: Sequence[_Group]) -> None:
        """Cut the hash order of a stratum's groups in proportion to what each part still lacks of it."""
        lacking = {part: max(0.0, -self.excess[stratum, part]) for part in self.shares}
        if not any(lacking.values()):
            lacking = dict(self.shares)
        scale = sum(group.size for group in groups) / sum(lacking.values())
        offset = _offset(self.salt, stratum)
        parts = iter(lacking)
        part = next(parts)
        end = lacking[part] * scale
        position = 0
        for group in groups:
            while position + offset * group.size >= end and (following := next(parts, None)) is not None:
                part = following
                end += lacking[part] * scale
            self._put(group, part)
            position += group.size

    def _repair(self) -> None:
        """Move groups while that brings the totals closer to the goals, at the least cost to the strata's balance.

        Each move lowers the sum of squared surpluses, so that the loop ends.
        """
        shelves: dict[Part, dict[tuple[str, int], list[tuple[int, str, _Group]]]]
        shelves = {part: defaultdict(list) for part in self.shares}
        for group, part in self.chosen.items():
            shelves[part][group.stratum, group.size].append((group.rank, group.name, group))
        for shelf in shelves.values():
            for entries in shelf.values():
                heapq.heapify(entries)
        while (move := self._best_move(shelves)) is not None:
            source, target, key = move
            entry = heapq.heappop(shelves[source][key])
            if not shelves[source][key]:
                del shelves[source][key]
            heapq.heappush(shelves[target][key], entry)
            self._put(entry[2], target)

    def _best_move(
        self, shelves: Mapping[Part, Mapping[tuple[str, int], Sequence[tuple[int, str, _Group]]]]
    ) -> tuple[Part, Part, tuple[str, int]] | None:
        """The move (from, to, stratum and size) that helps the totals most, then the strata; None where none helps."""
        best: tuple[tuple[float, float, int], tuple[Part, Part, tuple[str, int]]] | None = None
        for source, shelf in shelves.items():
            for target in shelves:
                gap = self.surplus[source] - self.surplus[target]
                if gap < 2:
                    continue
                for key, entries in shelf.items():
                    stratum, size = key
                    if size >= gap:
                        continue
                    lopsided = max(size - self.excess[stratum, source], size + self.excess[stratum, target])
                    cost = (size * (size - gap), lopsided, entries[0][0])
                    if best is None or cost < best[0]:
                        best = (cost, (source, target, key))
        return best[1] if best else None
