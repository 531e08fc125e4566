"""A small SQLite database that outlives power cuts: one connection, in one thread.

Never a second connection: SQLite before 3.51.3 may damage its write-ahead log with two. A file
that two processes must reach is `shared`: it has a rollback journal in place of that log.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

from collectors.errors import LiniError

T = TypeVar("T")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SqliteFile:
    """Base of what is kept in one file. Use as `async with`; opening makes the `tables`.

    `failure` makes of what the disk says the error that opening and every transaction raise.
    `exclusive` keeps every other process out as long as the file is open; `shared` lets them in,
    each waiting up to 5 s for its turn. `set_aside` lets a new file begin where the old one is
    damaged: it is given the error, tells of it, and returns the ending that the old one is kept
    under.
    """

    def __init__(
        self,
        path: Path,
        *,
        tables: str,
        failure: Callable[[str], LiniError],
        exclusive: bool = False,
        shared: bool = False,
        set_aside: Callable[[LiniError], str] | None = None,
    ) -> None:
        self.path = path
        self._tables = tables
        self._failure = failure
        self._exclusive = exclusive
        self._set_aside = set_aside
        self._journal = "DELETE" if shared else "WAL"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=path.stem)
        self._db: sqlite3.Connection

    async def __aenter__(self) -> Self:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except LiniError:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
        self._thread.shutdown()

    def _open(self) -> None:
        try:
            self._open_once()
        except LiniError as error:
            if self._set_aside is None or not _is_damage(error.__cause__):
                raise
            ending = self._set_aside(error)
            for name in (self.path.name, f"{self.path.name}-wal", f"{self.path.name}-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(name).replace(self.path.with_name(name + ending))
            self._open_once()

    def _open_once(self) -> None:
        with self._translated():
            db = sqlite3.connect(self.path, check_same_thread=False)
            try:
                if self._exclusive:
                    db.execute("PRAGMA locking_mode = EXCLUSIVE")
                db.execute(f"PRAGMA journal_mode = {self._journal}")
                # What is written here may be deleted at its source: it must outlive a power cut.
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(self._tables)
            except sqlite3.Error:
                db.close()
                raise
        self._db = db

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` does to the database in one transaction."""
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
            raise self._failure(f"{self.path}: {error}") from error


def _is_damage(error: BaseException | None) -> bool:
    # The low byte is the kind of error; what is above only says where it was met.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
