"""Reads the life of a part out of the tables: both ways, up to the pack and down to the cells."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from agent.genealogy.ids import Space
from agent.genealogy.life import InForce, Life, Made, Part, Placed, Resolved
from agent.genealogy.links import PositionMap
from agent.genealogy.write import MAP_SET
from collectors.process import SUBJECTS

_DEEPEST = 8  # a part in a part in a part …: more is a circle
_SHOWN = tuple(dict.fromkeys(SUBJECTS.values()))

# Of a placement `p`: whether nothing later took its position, or its child elsewhere.
_IS_CURRENT = """
    NOT EXISTS (SELECT 1 FROM placement q WHERE q.child = p.child AND q.id > p.id)
    AND (p.position = '' OR NOT EXISTS (
        SELECT 1 FROM placement q
        WHERE q.parent = p.parent AND q.position = p.position AND q.id > p.id))
"""


def _in_force(subject: str) -> str:
    """Return the event that holds for a record `r`: of its epoch, else of the last one before.

    Not by `(epoch, seq) <= (r.epoch, r.seq)`: of that SQLite would use the index for the epoch only.
    """
    rows = f"SELECT event FROM in_force f WHERE f.source = r.source AND f.subject = '{subject}'"  # noqa: S608 - subjects are constants
    return f"""coalesce(
        ({rows} AND f.epoch = r.epoch AND f.seq <= r.seq ORDER BY f.seq DESC LIMIT 1),
        ({rows} AND f.epoch < r.epoch ORDER BY f.epoch DESC, f.seq DESC LIMIT 1))"""


CHILDREN = f"SELECT * FROM placement p WHERE p.parent = ? AND {_IS_CURRENT} ORDER BY p.id"  # noqa: S608 - constants only
PARENT = f"SELECT * FROM placement p WHERE p.child = ? AND {_IS_CURRENT}"  # noqa: S608 - constants only
HISTORY = f"SELECT p.*, {_IS_CURRENT} FROM placement p WHERE p.parent = :part OR p.child = :part"  # noqa: S608 - constants only
SUPERSEDING = f"""
SELECT p.*, {_IS_CURRENT} FROM placement p
WHERE p.id > :id AND (p.child = :child
    OR :position != '' AND p.parent = :parent AND p.position = :position)
ORDER BY p.id LIMIT 1
"""  # noqa: S608 - constants only
RECORDS = f"""
WITH own (source, epoch, seq, resolution) AS (
    SELECT source, epoch, seq, NULL FROM record r WHERE part = :part AND NOT EXISTS (
        SELECT 1 FROM resolution x
        WHERE x.source = r.source AND x.epoch = r.epoch AND x.seq = r.seq)
    UNION ALL
    SELECT source, epoch, seq, id FROM resolution x WHERE part = :part AND NOT EXISTS (
        SELECT 1 FROM resolution y
        WHERE y.source = x.source AND y.epoch = x.epoch AND y.seq = x.seq AND y.id > x.id)
)
SELECT station.name, source.kind, r.epoch, r.seq, r.time_ns, outcome.result, outcome.code,
    outcome.tags, coalesce(x.position, r.position), x.who, x.reason, x.time_ns,
    {_in_force("map")}, {", ".join(map(_in_force, _SHOWN))}
FROM own CROSS JOIN record r ON (r.source, r.epoch, r.seq) = (own.source, own.epoch, own.seq)
JOIN source ON source.id = r.source JOIN station ON station.id = source.station
JOIN outcome ON outcome.id = r.outcome LEFT JOIN resolution x ON x.id = own.resolution
ORDER BY r.time_ns, r.source, r.epoch, r.seq
"""  # noqa: S608 - constants only


class Placement(NamedTuple):
    """A row of the table."""

    id: int
    parent: int
    position: str
    child: int
    time_ns: int
    who: str
    reason: str


class Reader:
    """Traces parts within one transaction, remembering what many records have in common."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._names: dict[int, tuple[str, str]] = {}
        self._events: dict[int, InForce] = {}
        self._maps: dict[int, PositionMap] = {}

    def objects(self, serial: str) -> list[tuple[int, Space]]:
        """Return id and space of everything called `serial`."""
        query = "SELECT id, space FROM object WHERE serial = ? ORDER BY id"
        return [(number, Space(space)) for number, space in self._db.execute(query, [serial])]

    def name(self, number: int) -> tuple[str, str]:
        """Return kind and serial of a part. What has no record is judged by what is in it."""
        if number not in self._names:
            query = "SELECT kind, serial FROM object WHERE id = ?"
            kind, serial = self._db.execute(query, [number]).fetchone()
            self._names[number] = (kind or self._judged(number, _DEEPEST), serial)
        return self._names[number]

    def _judged(self, number: int, depth: int) -> str:
        query = "SELECT kind FROM object WHERE id = ?"
        inside: set[str] = set()
        for each in self.children(number) if depth else ():
            (kind,) = self._db.execute(query, [each.child]).fetchone()
            inside.add(kind or self._judged(each.child, depth - 1))
        if inside & {"module", "pack"}:
            return "pack"
        return "module" if inside else "cell"

    def life(self, number: int) -> Life:
        """Return everything about one part."""
        above = list(self.above(number))
        return Life(
            part=self._part(number, "", _DEEPEST),
            inside=tuple(self._placed(each, is_current=True) for each in above),
            placements=tuple(self._history(number)),
            welds=self._welds_that_join(above[0]) if above else (),
        )

    def children(self, number: int) -> list[Placement]:
        """Return what is in a part now."""
        return [Placement(*row) for row in self._db.execute(CHILDREN, [number])]

    def above(self, number: int) -> Iterator[Placement]:
        """Yield where a part is now: in its parent, that one in its own, and so on."""
        for _ in range(_DEEPEST):
            row = self._db.execute(PARENT, [number]).fetchone()
            if row is None:
                return
            placement = Placement(*row)
            yield placement
            number = placement.parent

    def at(self, parent: int, position: str) -> Placement | None:
        """Return what is at a position of a part now."""
        found = (each for each in self.children(parent) if each.position == position)
        return next(found, None)

    def _part(self, number: int, position: str, depth: int) -> Part:
        kind, serial = self.name(number)
        children = self.children(number) if depth else []
        return Part(
            kind=kind,
            serial=serial,
            position=position,
            records=self._records(number, children),
            parts=tuple(self._part(each.child, each.position, depth - 1) for each in children),
        )

    def _records(self, number: int, children: list[Placement]) -> tuple[Made, ...]:
        cells = {each.position: self.name(each.child)[1] for each in children if each.position}
        return tuple(self._made(row, cells) for row in self._db.execute(RECORDS, {"part": number}))

    def _made(self, row: tuple[Any, ...], cells: dict[str, str]) -> Made:
        station, kind, epoch, seq, time_ns, result, code, tags, position = row[:9]
        who, reason, resolved_ns, map_event, *events = row[9:]
        joined = self._map(map_event).joined(position) if map_event else ()
        return Made(
            station=station,
            kind=kind,
            epoch=epoch,
            seq=seq,
            time_ns=time_ns,
            result=result,
            code=code,
            tags=json.loads(tags),
            position=position,
            cells=tuple(cells[each] for each in joined if each in cells),
            in_force={
                subject: found
                for subject, event in zip(_SHOWN, events, strict=True)
                if event and (found := self._event(event)).kind != "lot_ended"
            },
            resolved=who and Resolved(who=who, reason=reason, time_ns=resolved_ns),
        )

    def _welds_that_join(self, place: Placement) -> tuple[Made, ...]:
        _, serial = self.name(place.child)
        records = self._records(place.parent, self.children(place.parent))
        return tuple(each for each in records if serial in each.cells)

    def _history(self, number: int) -> Iterator[Placed]:
        """Yield where a part ever was, what in it was corrected, and by what, oldest first."""
        rows = self._db.execute(HISTORY, {"part": number}).fetchall()
        told = {row[0]: row for row in rows if row[3] == number or not row[-1]}
        for superseded in [row for row in told.values() if not row[-1]]:
            about = dict(zip(("id", "parent", "position", "child"), superseded[:4], strict=True))
            by = self._db.execute(SUPERSEDING, about).fetchone()
            told[by[0]] = by
        for _, (*row, is_current) in sorted(told.items()):
            yield self._placed(Placement(*row), is_current=bool(is_current))

    def _placed(self, row: Placement, *, is_current: bool) -> Placed:
        return Placed(
            parent=self.name(row.parent)[1],
            position=row.position,
            child=self.name(row.child)[1],
            time_ns=row.time_ns,
            who=row.who,
            reason=row.reason,
            superseded=not is_current,
        )

    def _event(self, number: int) -> InForce:
        if number not in self._events:
            query = "SELECT kind, time_ns, facts FROM event WHERE id = ?"
            kind, time_ns, text = self._db.execute(query, [number]).fetchone()
            facts = json.loads(text)
            value = facts.get("value", "") if SUBJECTS[kind] != "dressing" else ""
            self._events[number] = InForce(kind=kind, value=value, time_ns=time_ns)
        return self._events[number]

    def _map(self, number: int) -> PositionMap:
        if number not in self._maps:
            query = "SELECT facts FROM event WHERE id = ? AND kind = ?"
            (text,) = self._db.execute(query, [number, MAP_SET]).fetchone()
            cells = json.loads(text)["cells"]
            self._maps[number] = PositionMap(cells=tuple(map(tuple, cells)))
        return self._maps[number]
