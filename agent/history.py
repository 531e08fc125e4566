"""The points of this machine in one SQLite file: a database where there is no InfluxDB.

Behaves as InfluxDB does for what Lini writes: the same measurement, tags and time are one row,
whose fields are merged, the last write winning.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.sqlite_file import SqliteFile
from agent.wire import line as line_protocol
from agent.wire.point import Point
from agent.wire.store import BadLinesError, StoreDownError

_TABLE = """
CREATE TABLE IF NOT EXISTS point (
    measurement TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    tags TEXT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (measurement, time_ns, tags)
) WITHOUT ROWID
"""
_MERGE = """
INSERT INTO point (measurement, time_ns, tags, fields) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET fields = json_patch(fields, excluded.fields)
"""
_LAST_NS = 2**63 - 1


class History(SqliteFile):
    """A store with memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, tables=_TABLE, failure=_down)

    async def write(self, lines: Sequence[str]) -> None:
        """Return when every line is on the disk. Raises a StoreError, and then keeps none."""
        try:
            rows = [_row(line_protocol.parse(line)) for line in lines]
        except (ValueError, OverflowError) as error:
            raise BadLinesError(str(error)) from error
        await self._run(lambda db: db.executemany(_MERGE, rows))

    async def rows(
        self,
        measurement: str,
        *,
        tags: Mapping[str, str] | None = None,
        since_ns: int = 0,
        until_ns: int = _LAST_NS,
        limit: int = 1_000,
    ) -> list[Point]:
        """Return the newest `limit` points with these tags (others may have any value).

        They come in the order of their time, from `since_ns` until before `until_ns`.
        """
        wanted = tags or {}
        query = "".join(
            [
                "SELECT time_ns, tags, fields FROM point",
                " WHERE measurement = ? AND time_ns >= ? AND time_ns < ?",
                *(" AND json_extract(tags, ?) = ?" for _ in wanted),
                " ORDER BY time_ns DESC, tags DESC LIMIT ?",
            ]
        )
        pairs = [each for key, value in wanted.items() for each in (f'$."{key}"', value)]
        values = (measurement, since_ns, until_ns, *pairs, limit)
        found = await self._run(lambda db: db.execute(query, values).fetchall())
        return [
            Point(
                measurement=measurement,
                tags=json.loads(tags),
                fields=json.loads(fields),
                time_ns=time_ns,
            )
            for time_ns, tags, fields in reversed(found)
        ]

    async def count(self, measurement: str) -> int:
        """Return how many points of `measurement` there are."""
        query = "SELECT count(*) FROM point WHERE measurement = ?"
        row = await self._run(lambda db: db.execute(query, (measurement,)).fetchone())
        return int(row[0])

    async def forget(self, before_ns: int) -> int:
        """Delete the points older than `before_ns`; return how many there were."""
        query = "DELETE FROM point WHERE time_ns < ?"
        return await self._run(lambda db: db.execute(query, (before_ns,)).rowcount)


def _down(what: str) -> StoreDownError:
    return StoreDownError(what, "check its folder and disk")


def _row(point: Point) -> tuple[str, int, str, str]:
    if not -(2**63) <= point.time_ns <= _LAST_NS:
        raise OverflowError(f"time {point.time_ns} does not fit 64 bits")
    tags = json.dumps(point.tags, sort_keys=True, separators=(",", ":"))
    fields = json.dumps(point.fields, separators=(",", ":"))
    return point.measurement, point.time_ns, tags, fields
