"""Forward traces: which modules and packs a lot, an electrode or an interval went into."""

import sqlite3
from collections.abc import Iterable

from agent.genealogy.errors import EntryError
from agent.genealogy.ids import sources_of
from agent.genealogy.life import Affected, Interval
from agent.genealogy.trace import Reader

_MOST_PARTS = 20_000

# A row of `in_force` says where an event begins to hold: it does until the next one does.
SPANS = """
SELECT f.source, f.subject, f.epoch, f.seq, e.time_ns, json_extract(e.facts, '$.since_ms')
FROM event e JOIN in_force f ON f.event = e.id
WHERE e.object = ? AND e.kind != 'lot_ended'
"""
NEXT = """
SELECT f.epoch, f.seq, e.time_ns, json_extract(e.facts, '$.since_ms')
FROM in_force f JOIN event e ON e.id = f.event
WHERE f.source = ? AND f.subject = ? AND (f.epoch, f.seq) > (?, ?)
ORDER BY f.epoch, f.seq LIMIT 1
"""
_PART_NOW = """coalesce((
    SELECT part FROM resolution x
    WHERE x.source = r.source AND x.epoch = r.epoch AND x.seq = r.seq
    ORDER BY id DESC LIMIT 1), r.part)"""
BY_SEQUENCE = f"""
SELECT {_PART_NOW} AS whose, count(*), min(time_ns), max(time_ns) FROM record r
WHERE source = ? AND (epoch, seq) >= (?, ?) AND (epoch, seq) < (?, ?) GROUP BY whose
"""  # noqa: S608 - constants only
BY_TIME = f"""
SELECT {_PART_NOW} AS whose, count(*), min(time_ns), max(time_ns) FROM record r
WHERE source = ? AND time_ns >= ? AND time_ns < ? GROUP BY whose
"""  # noqa: S608 - constants only
_NEVER = (2**62, 0, 0, None)

Rows = Iterable[tuple[int | None, int, int, int]]  # part, records, first and last time


class Search:
    """Gathers the parts of several spans of records."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._reader = Reader(db)
        self._parts: set[int] = set()
        self._intervals: list[Interval] = []
        self._orphans = 0

    def lot_or_electrode(self, number: int) -> None:
        """Look through what was made while this lot, or electrode, was at its station."""
        for source, subject, *begin in self._db.execute(SPANS, [number]).fetchall():
            end = self._db.execute(NEXT, [source, subject, *begin[:2]]).fetchone() or _NEVER
            self._take(source, self._db.execute(BY_SEQUENCE, [source, *begin[:2], *end[:2]]))
            for _, _, seen_ns, since_ms in (begin, end):
                if since_ms is not None:
                    unseen = [source, since_ms * 1_000_000, seen_ns]
                    self._take(source, self._db.execute(BY_TIME, unseen), is_sure=False)

    def interval(self, station: str, from_ns: int, to_ns: int) -> None:
        """Look through what `station` made from `from_ns` until before `to_ns`."""
        sources = list(sources_of(self._db, station))
        if not sources:
            raise EntryError(
                f"there are no records of a station `{station}`", "check its name in lini.toml"
            )
        for source, _ in sources:
            self._take(source, self._db.execute(BY_TIME, [source, from_ns, to_ns]))

    def found(self, what: str) -> Affected:
        """Return the parts, and all that they are in now."""
        names: dict[str, set[str]] = {"cell": set(), "module": set(), "pack": set()}
        for number in self._parts:
            containing = [each.parent for each in self._reader.above(number)]
            for each in (number, *containing):
                kind, serial = self._reader.name(each)
                names[kind].add(serial)
        cells, modules, packs = (tuple(sorted(each)) for each in names.values())
        return Affected(
            what=what,
            intervals=tuple(self._intervals),
            cells=cells,
            modules=modules,
            packs=packs,
            orphans=self._orphans,
        )

    def _take(self, source: int, rows: Rows, *, is_sure: bool = True) -> None:
        found = list(rows)
        if not found:
            return
        self._parts.update(part for part, *_ in found if part is not None)
        if is_sure:
            self._orphans += sum(count for part, count, *_ in found if part is None)
        if len(self._parts) > _MOST_PARTS:
            raise EntryError(
                f"more than {_MOST_PARTS} parts were made in that time", "ask for a shorter one"
            )
        station, kind = self._db.execute(
            "SELECT station.name, source.kind FROM source"
            " JOIN station ON station.id = source.station WHERE source.id = ?",
            [source],
        ).fetchone()
        self._intervals.append(
            Interval(
                station=station,
                kind=kind,
                records=sum(count for _, count, *_ in found),
                from_ns=min(row[2] for row in found),
                to_ns=max(row[3] for row in found),
                is_sure=is_sure,
            )
        )
