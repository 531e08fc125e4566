"""The SQL of the spool: one connection, to be used by one thread only.

A second connection would meet the WAL-reset bug of SQLite before 3.51.3, so the connection
locks the file against any other.
"""

import secrets
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.delivery.entry import Draft, Dropped, SpoolError, SpoolRefusedError, SpoolStats, Stored
from agent.wire.message import Header, Message, encode
from collectors.record import Cursor

SCHEMA_VERSION = 2  # 2: a cursor has a mark
SEQ_BITS = 40
_SEQ_MASK = (1 << SEQ_BITS) - 1

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stream (
  number INTEGER PRIMARY KEY, uplink TEXT UNIQUE NOT NULL,
  next_seq INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE TABLE message (  -- id = stream.number << 40 | seq: one page to write where an index takes two
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, lines INTEGER NOT NULL, at_ns INTEGER NOT NULL,
  crc INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE cursor (
  name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER,
  mark TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
"""
_CHECK_S = 10  # a backlog of weeks takes longer to read; the rest is checked as it is used
_CHECKPOINT_PAGES = 256
_SNAPSHOT_EVERY = 64  # messages; saves writing one page more for each of them
_KEPT_AFTER_TRIM = 0.95  # of the limit, so that a full spool is not trimmed at every flush


class DamageError(Exception):
    """The file's content is not what was written."""


@dataclass(slots=True)
class _Stream:
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


class SpoolFile:
    """An open spool file. Methods raise sqlite3.Error, or DamageError."""

    def __init__(self, path: Path, *, cap_bytes: int, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._streams: dict[str, _Stream] = {}
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._refuse_foreign(path)
            self._configure(path, cap_bytes)
            self.epoch = self._made()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the connection; what was appended is in the file."""
        self._db.close()

    def check(self) -> None:
        """Raise DamageError when the file's structure is broken, as far as 10 s can tell."""
        end = time.monotonic() + _CHECK_S
        self._db.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        try:
            [found] = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        else:
            if found != "ok":
                raise DamageError(found)
        finally:
            self._db.set_progress_handler(None, 0)

    def append(self, drafts: Iterable[Draft], cursors: Mapping[str, Cursor]) -> None:
        """Store messages and cursors, all or nothing; on the disk when this returns."""
        with self.transaction():
            for draft in drafts:
                self.store(draft, self._clock())
            for name, cursor in cursors.items():
                self.move(name, cursor)

    def store(self, draft: Draft, at_ns: int) -> None:
        """Give one message its number and store its bytes, inside a transaction."""
        stream = self._stream(draft.uplink)
        if not stream.number:
            self._db.execute("INSERT INTO stream VALUES (NULL, ?, 1, 0, 0)", [draft.uplink])
            stream = self._stream(draft.uplink)
        seq = stream.next_seq
        header = Header(
            agent=draft.agent,
            uplink=draft.uplink,
            epoch=self.epoch,
            seq=seq,
            first=self._oldest(stream)[0] or seq,
            config=draft.config,
        )
        payload = encode(Message(header=header, lines=draft.lines), pack=draft.pack)
        self._db.execute(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)",
            [
                stream.id(seq),
                draft.kind,
                len(draft.lines),
                at_ns,
                zlib.crc32(payload),
                payload,
            ],
        )
        stream.next_seq += 1
        stream.messages += 1
        stream.bytes += len(payload)
        stream.unsaved += 1
        if stream.unsaved >= _SNAPSHOT_EVERY:
            self._save(stream)

    def move(self, name: str, cursor: Cursor) -> None:
        """Store a cursor, inside a transaction."""
        self._db.execute(
            "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?)",
            [name, cursor.epoch, cursor.seq, cursor.mark],
        )

    def cursor(self, name: str) -> Cursor:
        """Return the stored cursor, or that of a source never read."""
        row = self._db.execute(
            "SELECT epoch, seq, mark FROM cursor WHERE name = ?", [name]
        ).fetchone()
        return Cursor(epoch=row[0], seq=row[1], mark=row[2]) if row else Cursor()

    def peek(self, uplink: str, after: int, limit: int) -> list[Stored]:
        """Return up to `limit` messages with seq > `after`, in order."""
        stream = self._stream(uplink)
        rows = self._db.execute(
            "SELECT id, kind, payload, crc FROM message"
            " WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
            [*stream.span(after + 1, stream.next_seq), limit],
        ).fetchall()
        for key, _, payload, crc in rows:
            if zlib.crc32(payload) != crc:
                raise DamageError(f"message {key & _SEQ_MASK} of {uplink} has a wrong checksum")
        return [
            Stored(seq=key & _SEQ_MASK, kind=kind, payload=payload)
            for key, kind, payload, _ in rows
        ]

    def commit(self, uplink: str, epoch: str, ranges: Sequence[tuple[int, int]]) -> int:
        """Delete the messages of `ranges` (both ends included) and return how many there were."""
        if epoch != self.epoch:
            return 0
        with self.transaction():
            stream = self._stream(uplink)
            return sum(
                self._delete(stream, "id BETWEEN ? AND ?", *stream.span(low, high))
                for low, high in ranges
            )

    def trim(self, uplink: str, max_bytes: int) -> Dropped | None:
        """Delete the oldest telemetry until the payloads fit `max_bytes`, evidence never."""
        stream = self._stream(uplink)
        surplus = stream.bytes - max_bytes
        if surplus <= 0:
            return None
        surplus += int(max_bytes * (1 - _KEPT_AFTER_TRIM))
        span = stream.span(1, stream.next_seq)
        found: list[tuple[int, int, int]] = []  # id, lines, at_ns
        for key, size, lines, at_ns in self._db.execute(
            "SELECT id, length(payload), lines, at_ns FROM message"
            " WHERE id BETWEEN ? AND ? AND kind = 'telemetry' ORDER BY id",
            span,
        ):
            found.append((key, lines, at_ns))
            surplus -= size
            if surplus <= 0:
                break
        if not found:
            return None
        first, last = found[0], found[-1]
        with self.transaction():
            self._delete(stream, "id BETWEEN ? AND ? AND kind = 'telemetry'", first[0], last[0])
        return Dropped(
            uplink=uplink,
            first_seq=first[0] & _SEQ_MASK,
            last_seq=last[0] & _SEQ_MASK,
            messages=len(found),
            lines=sum(lines for _, lines, _ in found),
            since_ns=first[2],
            until_ns=last[2],
        )

    def stats(self, uplink: str) -> SpoolStats:
        """Return the counts of one uplink."""
        stream = self._stream(uplink)
        oldest, at_ns = self._oldest(stream)
        return SpoolStats(
            messages=stream.messages,
            bytes=stream.bytes,
            oldest_at_ns=at_ns,
            next_seq=stream.next_seq,
            committed=(oldest or stream.next_seq) - 1,
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside one commit with one fsync, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._streams.clear()  # they count what is rolled back
            if self._db.in_transaction:  # SQLite itself rolls back on some errors
                self._db.execute("ROLLBACK")
            raise

    def _delete(self, stream: _Stream, where: str, low: int, high: int) -> int:
        sizes = self._db.execute(
            f"DELETE FROM message WHERE {where} RETURNING length(payload)",  # noqa: S608 - `where` is one of two constants above
            [low, high],
        ).fetchall()
        if sizes:
            stream.messages -= len(sizes)
            stream.bytes -= sum(size for (size,) in sizes)
            self._save(stream)
        return len(sizes)

    def _stream(self, uplink: str) -> _Stream:
        if known := self._streams.get(uplink):
            return known
        row = self._db.execute(
            "SELECT number, next_seq, messages, bytes FROM stream WHERE uplink = ?", [uplink]
        ).fetchone()
        if row is None:
            return _Stream(number=0)  # which no stream in the file has: it holds nothing
        stream = self._streams[uplink] = _Stream(*row)
        for key, size in self._db.execute(
            "SELECT id, length(payload) FROM message WHERE id BETWEEN ? AND ? ORDER BY id",
            [stream.id(stream.next_seq), stream.id(_SEQ_MASK)],
        ).fetchall():
            stream.next_seq = (key & _SEQ_MASK) + 1
            stream.messages += 1
            stream.bytes += size
            stream.unsaved += 1
        return stream

    def _save(self, stream: _Stream) -> None:
        self._db.execute(
            "UPDATE stream SET next_seq = ?, messages = ?, bytes = ? WHERE number = ?",
            [stream.next_seq, stream.messages, stream.bytes, stream.number],
        )
        stream.unsaved = 0

    def _oldest(self, stream: _Stream) -> tuple[int | None, int | None]:
        """Return number and time of the oldest message."""
        row = self._db.execute(
            "SELECT id, at_ns FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1",
            stream.span(1, stream.next_seq),
        ).fetchone()
        return (row[0] & _SEQ_MASK, row[1]) if row else (None, None)

    def _refuse_foreign(self, path: Path) -> None:
        """Look before anything is written: a file that is not ours stays as it is."""
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_schema")}
        if tables and "meta" not in tables:
            raise SpoolRefusedError(f"{path} is a database, but not a spool", "check the path")
        if not tables:
            return
        row = self._db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        if row is None or not row[0].isdecimal():
            raise DamageError("the spool does not say which version made it")
        if int(row[0]) > SCHEMA_VERSION:
            raise SpoolRefusedError(
                f"{path} was made by a newer Lini (spool version {row[0]}, "
                f"this one knows {SCHEMA_VERSION})",
                "install that version again, or let it empty the spool before going back",
            )

    def _configure(self, path: Path, cap_bytes: int) -> None:
        # A failure shows in the answer only; unread, it goes on with four fsyncs a commit.
        [mode] = self._db.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise SpoolError(
                f"{path} cannot be switched to a write-ahead log",
                "check the disk (`dmesg`); network file systems will not do",
            )
        self._db.execute("PRAGMA synchronous=FULL")
        # After a failed fsync the kernel may call pages clean that are not on the disk. A fresh
        # log must not stand on such frames, or the next power cut takes all that follow them.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        self._db.execute("PRAGMA journal_size_limit=4194304")
        [page_size] = self._db.execute("PRAGMA page_size").fetchone()
        self._db.execute(f"PRAGMA max_page_count={cap_bytes // page_size}")

    def _made(self) -> str:
        """Return the epoch; make the tables and draw one when the file is new."""
        if not self._db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            with self.transaction():
                for table in _TABLES.split(";\n"):
                    self._db.execute(table)
                self._db.executemany(
                    "INSERT INTO meta VALUES (?, ?)",
                    [("schema", str(SCHEMA_VERSION)), ("epoch", secrets.token_hex(8))],
                )
        self._bring_up_to_date()
        row = self._db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        if row is None:
            raise DamageError("the spool has lost its epoch")
        return str(row[0])

    def _bring_up_to_date(self) -> None:
        """Give a file of version 1 what it lacks."""
        with self.transaction():
            if self._db.execute("SELECT 1 FROM meta WHERE key='schema' AND value='1'").fetchone():
                self._db.execute("ALTER TABLE cursor ADD COLUMN mark TEXT NOT NULL DEFAULT ''")
                self._db.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
