"""The points of this machine in one SQLite file: a database where there is no InfluxDB.

Behaves as InfluxDB does for what Lini writes: the same measurement, tags and time are one row,
whose fields are merged, the last write winning.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from agent.wire import line as line_protocol
from agent.wire.point import Point
from agent.wire.store import BadLinesError, StoreDownError

T = TypeVar("T")

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


class History:
    """A store with memory. Use as `async with`; one connection, used in one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._db: sqlite3.Connection

    async def __aenter__(self) -> Self:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except StoreDownError:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
        self._thread.shutdown()

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

    def _open(self) -> None:
        with self._translated():
            db = sqlite3.connect(self.path, check_same_thread=False)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                # What is written here may be deleted at its source: it must outlive a power cut.
                db.execute("PRAGMA synchronous = FULL")
                db.execute(_TABLE)
            except sqlite3.Error:
                db.close()
                raise
        self._db = db

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._translated(), self._db:
            return work(self._db)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreDownError(f"{self.path}: {error}", "check its folder and disk") from error


def _row(point: Point) -> tuple[str, int, str, str]:
    if not -(2**63) <= point.time_ns <= _LAST_NS:
        raise OverflowError(f"time {point.time_ns} does not fit 64 bits")
    tags = json.dumps(point.tags, sort_keys=True, separators=(",", ":"))
    fields = json.dumps(point.fields, separators=(",", ":"))
    return point.measurement, point.time_ns, tags, fields
