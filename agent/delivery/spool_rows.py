"""The rows of a spool as they are read, be it the agent's own or one that only is looked at."""

import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent.delivery.entry import SpoolRefusedError, SpoolStats, Stored
from collectors.record import Cursor

SCHEMA_VERSION = 2  # 2: a cursor has a mark
SEQ_BITS = 40
SEQ_MASK = (1 << SEQ_BITS) - 1


class DamageError(Exception):
    """The file's content is not what was written."""


@dataclass(slots=True)
class Stream:
    """Counts of one uplink: a snapshot in the file, brought up to date by the rows behind it.

    A number is never used again: it is in a row, and the snapshot follows whenever rows go.
    """

    number: int
    next_seq: int = 1
    messages: int = 0
    bytes: int = 0
    unsaved: int = 0

    def id(self, seq: int) -> int:
        return self.number << SEQ_BITS | seq

    def span(self, low: int, high: int) -> tuple[int, int]:
        """Return the ids of a range of numbers, without those of any other stream."""
        newest = self.next_seq - 1
        return self.id(min(max(low, 1), newest + 1)), self.id(min(high, newest))


class Held(NamedTuple):
    """A message as it lies in the spool, without its payload."""

    id: int
    bytes: int
    lines: int
    at_ns: int

    @property
    def seq(self) -> int:
        """Return its number in its stream."""
        return self.id & SEQ_MASK


class SpoolRows:
    """Reads over an open connection. Methods raise sqlite3.Error, or DamageError."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._streams: dict[str, Stream] = {}

    def uplinks(self) -> list[str]:
        """Return the names of all uplinks that ever had a message."""
        return [name for (name,) in self._db.execute("SELECT uplink FROM stream ORDER BY number")]

    def free_bytes(self) -> int:
        """Return how much the file can take before it grows."""
        [pages] = self._db.execute("PRAGMA freelist_count").fetchone()
        [size] = self._db.execute("PRAGMA page_size").fetchone()
        return int(pages * size)

    def marked(self, key: str) -> int:
        """Return the number stored under `key`; 0 before the first."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()
        return int(row[0]) if row else 0

    def telemetry(self, stream: Stream, after: int, limit: int) -> list[Held]:
        """Return the oldest telemetry with a number > `after`, in order."""
        rows = self._db.execute(
            "SELECT id, length(payload), lines, at_ns FROM message"
            " WHERE id BETWEEN ? AND ? AND kind = 'telemetry' ORDER BY id LIMIT ?",
            [*stream.span(after + 1, stream.next_seq), limit],
        )
        return [Held(*row) for row in rows]

    def cursor(self, name: str) -> Cursor:
        """Return the stored cursor, or that of a source never read."""
        row = self._db.execute(
            "SELECT epoch, seq, mark FROM cursor WHERE name = ?", [name]
        ).fetchone()
        return Cursor(epoch=row[0], seq=row[1], mark=row[2]) if row else Cursor()

    def peek(self, uplink: str, after: int, limit: int) -> list[Stored]:
        """Return up to `limit` messages with seq > `after`, in order."""
        stream = self.stream(uplink)
        rows = self._db.execute(
            "SELECT id, kind, payload, crc FROM message"
            " WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
            [*stream.span(after + 1, stream.next_seq), limit],
        ).fetchall()
        for key, _, payload, crc in rows:
            if zlib.crc32(payload) != crc:
                raise DamageError(f"message {key & SEQ_MASK} of {uplink} has a wrong checksum")
        return [
            Stored(seq=key & SEQ_MASK, kind=kind, payload=payload) for key, kind, payload, _ in rows
        ]

    def stats(self, uplink: str) -> SpoolStats:
        """Return the counts of one uplink."""
        stream = self.stream(uplink)
        oldest, at_ns = self.oldest(stream)
        return SpoolStats(
            messages=stream.messages,
            bytes=stream.bytes,
            oldest_at_ns=at_ns,
            next_seq=stream.next_seq,
            committed=(oldest or stream.next_seq) - 1,
        )

    def stream(self, uplink: str) -> Stream:
        if known := self._streams.get(uplink):
            return known
        row = self._db.execute(
            "SELECT number, next_seq, messages, bytes FROM stream WHERE uplink = ?", [uplink]
        ).fetchone()
        if row is None:
            return Stream(number=0)  # which no stream in the file has: it holds nothing
        stream = self._streams[uplink] = Stream(*row)
        for key, size in self._db.execute(
            "SELECT id, length(payload) FROM message WHERE id BETWEEN ? AND ? ORDER BY id",
            [stream.id(stream.next_seq), stream.id(SEQ_MASK)],
        ).fetchall():
            stream.next_seq = (key & SEQ_MASK) + 1
            stream.messages += 1
            stream.bytes += size
            stream.unsaved += 1
        return stream

    def oldest(self, stream: Stream) -> tuple[int | None, int | None]:
        """Return number and time of the oldest message."""
        row = self._db.execute(
            "SELECT id, at_ns FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1",
            stream.span(1, stream.next_seq),
        ).fetchone()
        return (row[0] & SEQ_MASK, row[1]) if row else (None, None)


def refuse_foreign(db: sqlite3.Connection, path: Path) -> None:
    """Look before anything is written: a file that is not ours stays as it is."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    if tables and "meta" not in tables:
        raise SpoolRefusedError(f"{path} is a database, but not a spool", "check the path")
    if not tables:
        return
    row = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if row is None or not row[0].isdecimal():
        raise DamageError("the spool does not say which version made it")
    if int(row[0]) > SCHEMA_VERSION:
        raise SpoolRefusedError(
            f"{path} was made by a newer Lini (spool version {row[0]}, "
            f"this one knows {SCHEMA_VERSION})",
            "install that version again, or let it empty the spool before going back",
        )
