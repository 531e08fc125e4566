"""What people enter: what is in what, and whose the records without a serial are."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as counting
from itertools import repeat

from agent.genealogy.errors import EntryError
from agent.genealogy.facts import PART_OF
from agent.genealogy.ids import sources_of
from agent.genealogy.life import Orphans
from agent.genealogy.trace import Reader
from agent.genealogy.write import Writer

_MOST_ORPHANS = 10_000

ORPHANS = """
SELECT r.source, station.name, source.kind, r.epoch, r.seq, r.time_ns, outcome.result
FROM record r INDEXED BY record_orphan
JOIN source ON source.id = r.source JOIN station ON station.id = source.station
JOIN outcome ON outcome.id = r.outcome
WHERE r.part IS NULL AND outcome.result != 'TEST' AND NOT EXISTS (
    SELECT 1 FROM resolution x
    WHERE x.source = r.source AND x.epoch = r.epoch AND x.seq = r.seq)
ORDER BY r.source, r.epoch, r.seq LIMIT ?
"""
_BESIDE = """
SELECT coalesce(serial, '') FROM record LEFT JOIN object ON object.id = part
WHERE source = ? AND epoch = ? AND seq = ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementEntry:
    """A part in another, as people enter it. `line` is that of their file; 0: of none."""

    parent: str
    position: str
    child: str
    reason: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placements:
    """How many of the entries were new, and how many were there already."""

    added: int
    known: int


def place(
    writer: Writer, reader: Reader, entries: Sequence[PlacementEntry], *, who: str, time_ns: int
) -> Placements:
    """Put parts into parts, all or none.

    Raises EntryError naming every entry that cannot be: a part in itself, or one that changes
    what is known without a reason.
    """
    faults: list[str] = []
    added = 0
    for entry in entries:
        parent, child = writer.ids.part(entry.parent), writer.ids.part(entry.child)
        fault, is_known = _judged(reader, entry, parent, child)
        if fault:
            faults.append(f"line {entry.line}: {fault}" if entry.line else fault)
        elif not is_known:
            added += 1
            writer.place(
                parent, entry.position, child, time_ns=time_ns, who=who, reason=entry.reason
            )
    if faults:
        raise EntryError("\n  ".join(["nothing was entered:", *faults]))
    return Placements(added=added, known=len(entries) - added)


def _judged(reader: Reader, entry: PlacementEntry, parent: int, child: int) -> tuple[str, bool]:
    """Return what is wrong with an entry, "" if nothing is; and whether it is known already."""
    above = list(reader.above(child))
    if above and (above[0].parent, above[0].position) == (parent, entry.position):
        return "", True
    if child == parent or child in {each.parent for each in reader.above(parent)}:
        return f"{entry.parent} would be inside itself", False
    there = reader.at(parent, entry.position) if entry.position else None
    if entry.reason:
        return "", False
    if above:
        _, serial = reader.name(above[0].parent)
        where = f"{serial} {above[0].position}".strip()
        return f"{entry.child} is in {where}: to correct that, give a reason", False
    if there is not None:
        _, serial = reader.name(there.child)
        what = f"{entry.parent} {entry.position} holds {serial}"
        return f"{what}: to correct that, give a reason", False
    return "", False


def resolve(
    writer: Writer,
    db: sqlite3.Connection,
    *,
    station: str,
    kind: str | None,
    epoch: int,
    first: int,
    last: int,
    part_kind: str | None,
    serial: str,
    position: int | None,
    who: str,
    reason: str,
    time_ns: int,
) -> int:
    """Say that the records `first` to `last` are of `serial`; return how many there are.

    `position`: of the first one, in the module. Raises EntryError when there are none.
    """
    sources = [each for each in sources_of(db, station) if kind in {None, each[1]}]
    if len(sources) != 1:
        what = "no such records" if not sources else "more than one kind of records"
        raise EntryError(f"station `{station}` has {what}", "see `lini trace orphans`")
    (source, its_kind) = sources[0]
    found = db.execute(
        "SELECT epoch, seq FROM record JOIN outcome ON outcome.id = outcome"
        " WHERE source = ? AND epoch = ? AND seq BETWEEN ? AND ? AND result != 'TEST'",
        [source, epoch, first, last],
    ).fetchall()
    if not found:
        raise EntryError(
            f"{station} has no record {first} to {last} in epoch {epoch}",
            "see `lini trace orphans`",
        )
    part = writer.ids.part(serial, part_kind or PART_OF[its_kind])
    places = counting(position) if position is not None else repeat(None)
    db.executemany(
        "INSERT INTO resolution (source, epoch, seq, part, position, time_ns, who, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(source, *key, part, next(places), time_ns, who, reason) for key in found],
    )
    return len(found)


def orphans(db: sqlite3.Connection) -> tuple[Orphans, ...]:
    """Return the records that nobody knows the part of, in runs of neighbours."""
    return tuple(_runs(db, db.execute(ORPHANS, [_MOST_ORPHANS]).fetchall()))


_Row = tuple[int, str, str, int, int, int, str]  # source, station, kind, epoch, seq, time, result


def _runs(db: sqlite3.Connection, rows: Sequence[_Row]) -> Iterator[Orphans]:
    runs: list[list[_Row]] = []
    for row in rows:
        before = runs[-1][-1] if runs else None
        if before is not None and (before[0], before[3], before[4] + 1) == (row[0], *row[3:5]):
            runs[-1].append(row)
        else:
            runs.append([row])
    for run in runs:
        source, station, kind, epoch, first, from_ns, _ = run[0]
        last, to_ns = run[-1][4:6]
        yield Orphans(
            station=station,
            kind=kind,
            epoch=epoch,
            first=first,
            last=last,
            from_ns=from_ns,
            to_ns=to_ns,
            results=Counter(row[6] for row in run),
            before=_serial(db, source, epoch, first - 1),
            after=_serial(db, source, epoch, last + 1),
        )


def _serial(db: sqlite3.Connection, source: int, epoch: int, seq: int) -> str:
    row = db.execute(_BESIDE, [source, epoch, seq]).fetchone()
    return str(row[0]) if row else ""
