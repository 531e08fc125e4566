"""Earlier parts in one SQLite file: what each was measured at, in the order they came.

A part is known by its identity. When it comes again, since the agent was killed before the part
was safe, it finds the same earlier parts as the first time: those that came before it. So what
is derived from them is the same, too.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agent.sqlite_file import SqliteFile
from collectors.errors import LiniError
from collectors.record import Record

log = logging.getLogger(__name__)

T = TypeVar("T")
Clock = Callable[[], int]  # wall clock in ns since 1970
Facts = Mapping[str, Any]  # JSON

_TABLES = """
CREATE TABLE IF NOT EXISTS part (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    subject TEXT NOT NULL,
    heard_ns INTEGER NOT NULL,
    facts TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS part_subject ON part (subject);
"""
# Only one index, since each costs the card a page a part. Parts that come again are among the
# newest of their subject: no machine holds more of them than this.
_KNOWN = """
SELECT id, heard_ns, facts FROM (SELECT * FROM part WHERE subject = ? ORDER BY id DESC LIMIT 1000)
WHERE source = ? AND epoch = ? AND seq = ?
"""
_MOST_PARTS = 300_000  # about 80 MB
_OLDEST_NS = 120 * 86_400_000_000_000
_FORGET_EVERY = 1_000  # parts


class PartsError(LiniError):
    """The memory of earlier parts cannot be used. Parts are stored without what it would tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A part in the memory. `number` is its place in the order they came."""

    number: int
    heard_ns: int
    facts: Facts


class Parts:
    """The parts, inside one transaction."""

    def __init__(self, db: sqlite3.Connection, now_ns: int) -> None:
        self._db = db
        self._now_ns = now_ns

    def keep(self, record: Record, subject: str, facts: Facts, *, stamped: str) -> Known:
        """Remember a part under `subject`, a serial or channel; return it as it was first heard of.

        `stamped` names the fact that a second reading may change: the agent's own time.
        """
        source, subject = _source(record), f"{record.kind}/{subject}"
        identity = (source, record.epoch, record.seq)
        text = json.dumps(facts, separators=(",", ":"))
        if row := self._db.execute(_KNOWN, (subject, *identity)).fetchone():
            number, heard_ns, known = row
            if {**json.loads(known), stamped: None} == {**facts, stamped: None}:
                if known != text:
                    self._db.execute("UPDATE part SET facts = ? WHERE id = ?", (text, number))
                return Known(number=number, heard_ns=heard_ns, facts=facts)
            # Another part of this number: the agent's count of the machine's resets began anew.
            self._db.execute("DELETE FROM part WHERE id = ?", (number,))
        added = self._db.execute(
            "INSERT INTO part (source, epoch, seq, subject, heard_ns, facts)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*identity, subject, self._now_ns, text),
        )
        number = added.lastrowid or 0
        if number % _FORGET_EVERY == 0:
            self._forget(number)
        return Known(number=number, heard_ns=self._now_ns, facts=facts)

    def before(self, kind: str, subject: str, number: int) -> Iterator[Known]:
        """Yield the parts of a subject that came before `number`, the newest first."""
        rows = self._db.execute(
            "SELECT id, heard_ns, facts FROM part WHERE subject = ? AND id < ? ORDER BY id DESC",
            (f"{kind}/{subject}", number),
        )
        for earlier, heard_ns, facts in rows:
            yield Known(number=earlier, heard_ns=heard_ns, facts=json.loads(facts))

    def count(self, record: Record, first: int, last: int) -> int:
        """Return how many parts of the record's source and epoch have numbers in this range.

        Only the newest parts of all are looked at: a count that is too small is the safe one.
        """
        (count,) = self._db.execute(
            "SELECT count(DISTINCT seq) FROM (SELECT * FROM part ORDER BY id DESC LIMIT 20000)"
            " WHERE source = ? AND epoch = ? AND seq BETWEEN ? AND ?",
            (_source(record), record.epoch, first, last),
        ).fetchone()
        return int(count)

    def _forget(self, newest: int) -> None:
        self._db.execute(
            "DELETE FROM part WHERE id <= ? OR heard_ns < ?",
            (newest - _MOST_PARTS, self._now_ns - _OLDEST_NS),
        )


class PartStore(SqliteFile):
    """The memory of earlier parts of an agent. Every method may raise PartsError."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        super().__init__(path, tables=_TABLES, failure=_failed, set_aside=self._aside)
        self._clock = clock

    def _aside(self, _: LiniError) -> str:
        log.warning("%s is damaged and set aside: earlier parts are not known now", self.path)
        return ".damaged"

    async def using(self, work: Callable[[Parts], T]) -> T:
        """Return what `work` makes of the parts; what it keeps is on the disk then, or all undone."""
        return await self._run(lambda db: work(Parts(db, self._clock())))


def _failed(what: str) -> PartsError:
    return PartsError(
        what,
        "check the disk; a damaged file may be removed: only the link to earlier parts is lost",
    )


def _source(record: Record) -> str:
    return f"{record.station}/{record.kind}"
