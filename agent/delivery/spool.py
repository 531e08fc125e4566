"""The spool: every message on disk, in order, until the database has it.

SQLite in one thread with one connection. When `append` returns, a power cut takes nothing of it
(provided the disk honours fsync). After an I/O error the file is opened anew, for a failed fsync
must never be retried: the kernel may have thrown the data away and call the second one good.
"""

import asyncio
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from agent.delivery.entry import (
    Draft,
    Dropped,
    Limits,
    Salvage,
    SpoolError,
    SpoolRefusedError,
    SpoolStats,
    Stored,
)
from agent.delivery.salvage import damaged_name, error_code, is_damage, move_away, salvage
from agent.delivery.shedding import Tell, room, shed
from agent.delivery.spool_file import SpoolFile
from agent.delivery.spool_rows import DamageError
from collectors.record import Cursor

T = TypeVar("T")

_CAP_BYTES = 4 << 30
_SALVAGE_NEXT = "it is set aside at the next use, and what can be read of it goes on"
_NO_CURSORS: Mapping[str, Cursor] = {}


def _disk_free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Spool:
    """Messages and cursors in one file. Open with `async with`.

    Entering raises SpoolRefusedError when another agent holds the file or a newer version made
    it, and SpoolError when the disk fails, as does every method. `cap_bytes` bounds the file,
    whatever is in it. `clock` is the wall clock in ns; `disk_free` tells what the disk has left.
    """

    def __init__(
        self,
        path: Path,
        *,
        cap_bytes: int = _CAP_BYTES,
        clock: Callable[[], int] = time.time_ns,
        disk_free: Callable[[Path], int] = _disk_free,
    ) -> None:
        self.path = path
        self.epoch = ""
        """16 hex digits, drawn when the file was made; a damaged file that is replaced ends it."""
        self.salvage: Salvage | None = None
        """What became of a damaged file, None when there was none."""
        self._cap_bytes = cap_bytes
        self._clock = clock
        self._disk_free = disk_free
        self._file: SpoolFile | None = None
        self._lock: int | None = None
        self._checked = False
        self._damaged = False
        self._thread = ThreadPoolExecutor(1, "spool")

    async def __aenter__(self) -> Self:
        try:
            await self._run(lambda _: None)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def append(
        self, drafts: Sequence[Draft], cursors: Mapping[str, Cursor] = _NO_CURSORS
    ) -> None:
        """Store messages, numbered in their order, and cursors: all of it durably, or nothing."""
        await self._run(lambda file: file.append(drafts, cursors))

    async def peek(self, uplink: str, after: int, limit: int) -> list[Stored]:
        """Return up to `limit` messages of `uplink` with a number > `after`, in order."""
        return await self._run(lambda file: file.peek(uplink, after, limit))

    async def commit(self, uplink: str, epoch: str, ranges: Sequence[tuple[int, int]]) -> int:
        """Delete what the sink has safe, both ends of each range included; return how many.

        Ranges of an epoch that is not this spool's are ignored.
        """
        return await self._run(lambda file: file.commit(uplink, epoch, ranges))

    async def trim(self, limits: Limits, tell: Tell) -> Dropped | None:
        """Give up telemetry beyond the limits, a part at a time; never evidence.

        The messages that `tell` makes of it, on the spool's own thread, are in the same commit.
        Returns what was given up, None when that was not needed or nothing can be.
        """
        return await self._run(lambda file: self._trim(file, limits, tell))

    async def room(self, limits: Limits) -> int:
        """Return how many bytes more fit into the limits; below zero there are too many."""
        return await self._run(lambda file: self._room(file, limits))

    async def uplinks(self) -> list[str]:
        """Return the names of all that ever had a message."""
        return await self._run(SpoolFile.uplinks)

    async def stats(self, uplink: str) -> SpoolStats:
        """Return how much waits for `uplink`."""
        return await self._run(lambda file: file.stats(uplink))

    async def cursor(self, name: str) -> Cursor:
        """Return the cursor last stored under `name`; a fresh one before the first."""
        return await self._run(lambda file: file.cursor(name))

    def _room(self, file: SpoolFile, limits: Limits) -> int:
        return room(file, limits, self._disk_free(self.path.parent))

    def _trim(self, file: SpoolFile, limits: Limits, tell: Tell) -> Dropped | None:
        left = self._room(file, limits)
        return shed(file, -left, self._clock(), tell) if left < 0 else None

    async def _run(self, work: Callable[[SpoolFile], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[SpoolFile], T]) -> T:
        try:
            if self._file is None:
                self._file = self._open()
            return work(self._file)
        except DamageError as error:
            self._drop_file(damaged=True)
            raise SpoolError(f"{self.path} is damaged: {error}", _SALVAGE_NEXT) from error
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            if error_code(error) != sqlite3.SQLITE_FULL:
                self._drop_file(damaged=is_damage(error))
            raise SpoolError(f"{self.path}: {error}", _next_step(error)) from error
        except OSError as error:
            self._unlock()
            raise SpoolError(
                f"{self.path}: {error}", "check the disk and the rights of the folder"
            ) from error

    def _open(self) -> SpoolFile:
        self._take_lock()
        file = None if self._damaged else self._sound_file()
        if file is None:
            move_away(self.path)
            self._damaged = False
            file = SpoolFile(self.path, cap_bytes=self._cap_bytes, clock=self._clock)
        try:
            if damaged_name(self.path).exists():
                self.salvage = salvage(self.path, file)
        except BaseException:
            file.close()
            raise
        self.epoch = file.epoch
        return file

    def _sound_file(self) -> SpoolFile | None:
        """Return the opened file, or None when its content is damaged."""
        file = None
        try:
            file = SpoolFile(self.path, cap_bytes=self._cap_bytes, clock=self._clock)
            if not self._checked:
                file.check()
                self._checked = True
        except (DamageError, sqlite3.DatabaseError) as error:
            if file is not None:
                file.close()
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise
            return None
        return file

    def _take_lock(self) -> None:
        """Keep every other process out; the kernel lets go when this one ends, however it ends."""
        if self._lock is not None:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise SpoolRefusedError(
                f"another agent is using {self.path}",
                "stop it first (`systemctl status lini`), or give this one its own data folder",
            ) from error
        self._lock = lock

    def _drop_file(self, *, damaged: bool) -> None:
        self._damaged = self._damaged or damaged
        file, self._file = self._file, None
        if file is not None:
            file.close()
        if not damaged:
            self._unlock()

    def _close(self) -> None:
        self._drop_file(damaged=False)

    def _unlock(self) -> None:
        """Let go of the disk altogether: one that has failed can only so be mounted anew."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _next_step(error: sqlite3.Error) -> str:
    match error_code(error) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return "free some disk space, or raise the limit of the spool; nothing is lost yet"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return "check that the disk is not mounted read-only, and the rights of the folder"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _SALVAGE_NEXT
        case _:
            return "check the disk (`dmesg`); a worn-out card must be replaced"
