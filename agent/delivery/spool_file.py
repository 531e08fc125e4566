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
from pathlib import Path

from agent.delivery.entry import Draft, Kind, SpoolError
from agent.delivery.spool_rows import SCHEMA_VERSION, DamageError, SpoolRows, Stream, refuse_foreign
from agent.wire.message import Header, Message, encode
from collectors.record import Cursor

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


class SpoolFile(SpoolRows):
    """An open spool file of this agent. Methods raise sqlite3.Error, or DamageError."""

    def __init__(self, path: Path, *, cap_bytes: int, clock: Callable[[], int]) -> None:
        self._clock = clock
        path.touch(mode=0o600)
        super().__init__(sqlite3.connect(path, isolation_level=None))
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            refuse_foreign(self._db, path)
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
        stream = self.stream(draft.uplink)
        if not stream.number:
            self._db.execute("INSERT INTO stream VALUES (NULL, ?, 1, 0, 0)", [draft.uplink])
            stream = self.stream(draft.uplink)
        seq = stream.next_seq
        header = Header(
            agent=draft.agent,
            uplink=draft.uplink,
            epoch=self.epoch,
            seq=seq,
            first=self.oldest(stream)[0] or seq,
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

    def commit(self, uplink: str, epoch: str, ranges: Sequence[tuple[int, int]]) -> int:
        """Delete the messages of `ranges` (both ends included) and return how many there were."""
        if epoch != self.epoch:
            return 0
        with self.transaction():
            stream = self.stream(uplink)
            return sum(self.delete(stream, *stream.span(low, high)) for low, high in ranges)

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

    def delete(self, stream: Stream, low: int, high: int, *, kind: Kind | None = None) -> int:
        """Delete the messages with these ids, of one kind or all, inside a transaction."""
        sizes = self._db.execute(
            "DELETE FROM message WHERE id BETWEEN ? AND ? AND kind = ifnull(?, kind)"
            " RETURNING length(payload)",
            [low, high, kind],
        ).fetchall()
        if sizes:
            stream.messages -= len(sizes)
            stream.bytes -= sum(size for (size,) in sizes)
            self._save(stream)
        return len(sizes)

    def rewrite(self, stream: Stream, key: int, payload: bytes, *, lines: int) -> None:
        """Give a message fewer lines under its old number, inside a transaction."""
        [size] = self._db.execute(
            "SELECT length(payload) FROM message WHERE id = ?", [key]
        ).fetchone()
        self._db.execute(
            "UPDATE message SET payload = ?, crc = ?, lines = ? WHERE id = ?",
            [payload, zlib.crc32(payload), lines, key],
        )
        stream.bytes += len(payload) - size
        self._save(stream)

    def mark(self, key: str, value: int) -> None:
        """Store a number of the spool's own, inside a transaction."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, str(value)])

    def _save(self, stream: Stream) -> None:
        self._db.execute(
            "UPDATE stream SET next_seq = ?, messages = ?, bytes = ? WHERE number = ?",
            [stream.next_seq, stream.messages, stream.bytes, stream.number],
        )
        stream.unsaved = 0

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
