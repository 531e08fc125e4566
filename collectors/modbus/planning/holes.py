"""What a device refuses to read, learned by asking: plain knowledge, without the asking.

Three kinds of it: registers that are refused alone, walls that no read may cross, and how many
addresses the device takes in one read where that is fewer than its profile says.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Self

from collectors.profile import Profile
from collectors.register import Table

Spot = tuple[Table, int, int]  # where a value stands: table, address, number of addresses
Facts = Mapping[str, object]  # of JSON: what a restart must not forget


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A value that the device refuses: its name, the exception, the pause before the next try."""

    name: str
    code: int
    pause_s: float


@dataclass(frozen=True, slots=True, order=True)
class Wall:
    """No read of `table` may cover both `low` and `high`: something between them is refused."""

    table: Table
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many addresses of a table the device takes in one read, and how many it does not."""

    takes: int
    refuses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holes:
    """All that is known of one device."""

    refused: Mapping[Spot, Refused] = field(default_factory=dict)
    walls: frozenset[Wall] = frozenset()
    counts: Mapping[Table, Counts] = field(default_factory=dict)

    def taking(self, table: Table, count: int) -> Self:
        """Return the same, but that the device takes `count` addresses of `table` in one read."""
        refuses = max(count + 1, self.counts[table].refuses) if table in self.counts else count + 1
        return replace(self, counts={**self.counts, table: Counts(count, refuses)})

    def reach(self, table: Table, most: int) -> Callable[[int], int]:
        """Return what says how far a read may go from its first address: its end.

        `most` is the largest count of the profile; what the device was found to take is less.
        """
        walls = sorted(wall for wall in self.walls if wall.table is table)
        lows = [wall.low for wall in walls]
        nearest = [*accumulate((wall.high for wall in reversed(walls)), min)][::-1]
        if table in self.counts:
            most = min(most, self.counts[table].takes)

        def end(start: int) -> int:
            following = bisect_left(lows, start)
            reach = start + most
            return min(reach, nearest[following]) if following < len(lows) else reach

        return end

    def facts(self) -> Facts:
        """Return all of it as JSON can hold it; empty when nothing is known."""
        known = {
            "refused": [[*spot, r.name, r.code, r.pause_s] for spot, r in self.refused.items()],
            "walls": [[wall.table, wall.low, wall.high] for wall in sorted(self.walls)],
            "counts": [[table, each.takes, each.refuses] for table, each in self.counts.items()],
        }
        return {kind: facts for kind, facts in known.items() if facts}

    @classmethod
    def of(cls, facts: Facts) -> Self:
        """Return what `facts` tell; facts of another make tell nothing."""
        try:
            return cls(
                refused={
                    (Table(table), int(address), int(words)): Refused(
                        name=str(name), code=int(code), pause_s=float(pause_s)
                    )
                    for table, address, words, name, code, pause_s in _rows(facts, "refused")
                },
                walls=frozenset(
                    Wall(Table(table), int(low), int(high))
                    for table, low, high in _rows(facts, "walls")
                ),
                counts={
                    Table(table): Counts(int(takes), int(refuses))
                    for table, takes, refuses in _rows(facts, "counts")
                },
            )
        except (TypeError, ValueError):
            return cls()

    def words(self) -> list[str]:
        """Return one line for people for each thing that is known."""
        refused = [describe(spot, each) for spot, each in sorted(self.refused.items())]
        walls = [
            f"{wall.table} {wall.low} and {wall.high} are never in one read: "
            "what lies between them is refused"
            for wall in sorted(self.walls)
        ]
        counts = [
            f"{table}: the device takes {each.takes} addresses in one read, but not {each.refuses}"
            for table, each in sorted(self.counts.items())
        ]
        return [*refused, *walls, *counts]


def recalled(facts: Facts, profile: Profile, device_id: int) -> Holes:
    """Return what `facts` tell of this device; those of another map or device tell nothing."""
    return Holes.of(facts) if facts.get("map") == _map(profile, device_id) else Holes()


def remembered(holes: Holes, profile: Profile, device_id: int) -> Facts:
    """Return what a restart must not forget; empty when nothing is known."""
    facts = holes.facts()
    return {"map": _map(profile, device_id), **facts} if facts else {}


def _map(profile: Profile, device_id: int) -> str:
    """Return a fingerprint of what stands where on the device."""
    what = profile.model_dump_json(include={"modbus", "registers", "channels"})
    return hashlib.sha256(f"{device_id} {what}".encode()).hexdigest()[:16]


def describe(spot: Spot, refused: Refused) -> str:
    """Return which value is refused, and where it stands."""
    table, address, words = spot
    span = f"{address}" if words == 1 else f"{address}-{address + words - 1}"
    return f"`{refused.name}` ({table} {span}, exception {refused.code})"


def _rows(facts: Facts, kind: str) -> Iterator[list[str]]:
    rows = facts.get(kind, [])
    if not isinstance(rows, list):
        raise TypeError(kind)
    yield from rows
