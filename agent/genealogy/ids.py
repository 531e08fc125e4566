"""Small numbers for what would otherwise be written again and again."""

import sqlite3
from collections.abc import Iterator
from enum import IntEnum

from collectors.sample import StationId

_MOST_KEPT = 10_000


class Space(IntEnum):
    """Whose serials are told apart: a lot may be called as a part is, a cell as no module."""

    PART = 0
    LOT = 1
    ELECTRODE = 2
    RECIPE = 3


class Ids:
    """Ids of stations, sources, objects and outcomes, made on first sight.

    Remembers what it looked up: throw it away when a transaction is rolled back.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[object, ...], int] = {}

    def station(self, station: StationId) -> int:
        """Return the id of a station."""
        return self._id("station", site=station.site, line=station.line, name=station.station)

    def source(self, station: StationId, kind: str) -> int:
        """Return the id of what makes records of `kind` at `station`."""
        return self._id("source", station=self.station(station), kind=kind)

    def part(self, serial: str, kind: str = "") -> int:
        """Return the id of a cell, module or pack; `kind` is what a record says it is."""
        number = self._id("object", serial=serial, space=Space.PART)
        if kind and ("kind", number) not in self._known:
            write = "UPDATE object SET kind = ? WHERE id = ? AND kind = ''"
            self._db.execute(write, (kind, number))
            self._known["kind", number] = number
        return number

    def in_use(self, station: str, subject: str, value: str) -> int | None:
        """Return the id of a lot, electrode or recipe; None for a subject that has none."""
        if subject == "lot":
            return self._id("object", serial=value, space=Space.LOT)
        if subject == "electrode":
            return self._id("object", serial=f"{station}/{value}", space=Space.ELECTRODE)
        if subject == "recipe":
            return self._id("object", serial=f"{station}/recipe-{value}", space=Space.RECIPE)
        return None

    def outcome(self, result: str, code: str, tags: str) -> int:
        """Return the id of what a record came to."""
        return self._id("outcome", result=result, code=code, tags=tags)

    def _id(self, table: str, **columns: object) -> int:
        key = (table, *columns.values())
        if known := self._known.get(key):
            return known
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        where = " AND ".join(f"{name} = ?" for name in columns)
        values = tuple(columns.values())
        row = self._db.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()  # noqa: S608 - names from this file
        if row is None:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            made = self._db.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608 - names from this file
                values,
            )
            row = made.fetchone()
        self._known[key] = number = int(row[0])
        return number


def sources_of(db: sqlite3.Connection, station: str) -> Iterator[tuple[int, str]]:
    """Yield id and kind of the record sources of the station called `station`, on any line."""
    yield from db.execute(
        "SELECT source.id, source.kind FROM source JOIN station ON station.id = source.station"
        " WHERE station.name = ? ORDER BY source.id",
        [station],
    )
