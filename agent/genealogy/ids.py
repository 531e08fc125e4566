"""Small numbers for what would otherwise be written again and again."""

import sqlite3
from collections.abc import Iterator

from collectors.sample import StationId

_MOST_KEPT = 10_000


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

    def thing(self, kind: str, serial: str) -> int:
        """Return the id of a cell, module, pack, lot or electrode."""
        return self._id("object", serial=serial, kind=kind)

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
