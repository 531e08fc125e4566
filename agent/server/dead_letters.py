"""What could not enter the database, kept on disk for a person to look at.

The commands for people work on the file of a running sink: two processes share it.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.sqlite_file import SqliteFile
from collectors.errors import LiniError

MAX_BYTES = 64 * 2**20
Span = tuple[int, int]  # ids, both ends included
ALL: Span = (1, 2**63 - 1)
_COLUMNS = ("id", "time_ns", "topic", "header", "reason", "content")

_TABLES = """
CREATE TABLE IF NOT EXISTS letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    time_ns INTEGER NOT NULL,
    topic TEXT NOT NULL,
    header TEXT NOT NULL,
    reason TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS total (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    bytes INTEGER NOT NULL,
    pushed_out INTEGER NOT NULL
);
INSERT OR IGNORE INTO total VALUES (1, 0, 0);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON letter
    BEGIN UPDATE total SET bytes = bytes + length(new.content); END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON letter
    BEGIN UPDATE total SET bytes = bytes - length(old.content); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One refused line, or a whole message (then `content` is its payload).

    `time_ns` is when it was refused. `header` is the first line of its message, if it had one.
    """

    time_ns: int
    topic: str
    header: str
    reason: str
    content: bytes
    id: int = 0  # given by `add`

    @property
    def digest(self) -> bytes:
        """Identity: the same bytes of the same message delivered twice are one letter."""
        parts = (self.topic.encode(), self.header.encode(), self.content)
        return hashlib.sha256(b"\0".join(parts)).digest()


class DiskError(LiniError):
    """The file cannot be opened or written: settle nothing, and try again later."""


class DeadLetters(SqliteFile):
    """A bounded file of refused lines.

    Beyond `max_bytes` of content the oldest letters make room; `pushed_out` counts them.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(path, tables=_TABLES, failure=_broken, shared=True)
        self._max_bytes = max_bytes

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Return once the letters are safe on the disk; those already there are kept once.

        Raises DiskError when they are not.
        """
        if letters:
            await self._run(lambda db: self._add(db, letters))

    async def letters(
        self, *, limit: int = 100, after_id: int = 0, last_id: int = ALL[1]
    ) -> list[DeadLetter]:
        """Return up to `limit` letters in the order they came, from the one after `after_id`."""
        rows = await self._run(
            lambda db: db.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM letter"  # noqa: S608 - our own names
                " WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
                (after_id, last_id, limit),
            ).fetchall()
        )
        return [DeadLetter(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    async def count(self) -> int:
        """Return how many letters there are."""
        return await self._number("SELECT count(*) FROM letter")

    async def pushed_out(self) -> int:
        """Return how many letters ever made room for newer ones."""
        return await self._number("SELECT pushed_out FROM total")

    async def remove(self, spans: Iterable[Span]) -> int:
        """Delete letters that were dealt with; return how many there were."""
        rows = list(spans)
        return await self._run(
            lambda db: db.executemany("DELETE FROM letter WHERE id BETWEEN ? AND ?", rows).rowcount
        )

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        super()._open()

    def _add(self, db: sqlite3.Connection, letters: Sequence[DeadLetter]) -> None:
        db.executemany(
            "INSERT OR IGNORE INTO letter (digest, time_ns, topic, header, reason, content)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (each.digest, each.time_ns, each.topic, each.header, each.reason, each.content)
                for each in letters
            ],
        )
        full = "SELECT bytes > ? FROM total"
        while db.execute(full, (self._max_bytes,)).fetchone()[0]:
            db.execute("DELETE FROM letter WHERE id = (SELECT min(id) FROM letter)")
            db.execute("UPDATE total SET pushed_out = pushed_out + 1")

    async def _number(self, query: str) -> int:
        return int((await self._run(lambda db: db.execute(query).fetchone()))[0])


def _broken(what: str) -> DiskError:
    return DiskError(what, "check the disk, and that this user may write there")
