"""Which hours have new records, and which numbers those are: what the ledger is to tell next.

An hour becomes due in the transaction that keeps its records, and stays so until it is told. So
the ledger needs no count that a kill or a power cut could put wrong.
"""

import secrets
import sqlite3
from collections.abc import Iterable

from agent.model.ledger import HOUR_NS, Hour, hour_of
from agent.wire.ranges import ranges_of
from collectors.sample import StationId

_AT_ONCE = 100  # hours
_DUE = """
SELECT due.source, due.epoch, due.hour_ns, site, line, name, source.kind FROM due
JOIN source ON source.id = due.source JOIN station ON station.id = source.station
ORDER BY due.hour_ns LIMIT ?
"""
_NUMBERS = """
SELECT seq FROM record WHERE source = ? AND epoch = ? AND time_ns >= ? AND time_ns < ?
ORDER BY seq
"""


def mark_due(db: sqlite3.Connection, source: int, epoch: int, time_ns: int) -> None:
    """Note that the hour of a record has a new number."""
    db.execute(
        "INSERT INTO due VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (source, epoch, hour_of(time_ns)),
    )


def due_hours(db: sqlite3.Connection) -> tuple[Hour, ...]:
    """Return hours that have changed since they were told; none: all is told."""
    return tuple(
        Hour(
            station=StationId(site=site, line=line, station=name),
            kind=kind,
            epoch=epoch,
            start_ns=start_ns,
            numbers=ranges_of(
                seq
                for (seq,) in db.execute(_NUMBERS, (source, epoch, start_ns, start_ns + HOUR_NS))
            ),
        )
        for source, epoch, start_ns, site, line, name, kind in db.execute(_DUE, [_AT_ONCE])
    )


def forget_due(db: sqlite3.Connection, hours: Iterable[Hour]) -> None:
    """Note that `hours` are told as they are."""
    for hour in hours:
        db.execute(
            "DELETE FROM due WHERE epoch = ? AND hour_ns = ? AND source ="
            " (SELECT source.id FROM source JOIN station ON station.id = source.station"
            " WHERE kind = ? AND site = ? AND line = ? AND name = ?)",
            (
                hour.epoch,
                hour.start_ns,
                hour.kind,
                hour.station.site,
                hour.station.line,
                hour.station.station,
            ),
        )


def book_of(db: sqlite3.Connection) -> str:
    """Return the name of this genealogy: drawn once, and lost with it."""
    row = db.execute("SELECT id FROM book").fetchone()
    if row is None:
        row = db.execute(
            "INSERT INTO book VALUES (?) RETURNING id", [secrets.token_hex(4)]
        ).fetchone()
    return str(row[0])
