"""What people see of a spool, whether an agent has it or it lies there alone."""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.delivery.entry import (
    Kind,
    Limits,
    SpoolError,
    SpoolRefusedError,
    SpoolStats,
    Stored,
)
from agent.delivery.shedding import room
from agent.delivery.spool_rows import DamageError, SpoolRows, refuse_foreign
from agent.wire.message import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What one receiver still has to get."""

    uplink: str
    stats: SpoolStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A spool at a glance; room in bytes, below zero there is too much."""

    queues: tuple[Queue, ...]
    room: int
    full_in_h: float | None = None  # None: not at this rate, or no agent runs that could tell
    disk_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message that waits, its lines readable; `bytes` is its size as it lies there."""

    seq: int
    kind: Kind
    bytes: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some messages, in order; empty behind the last."""

    messages: tuple[Shown, ...]


def shown(stored: list[Stored]) -> Page:
    """Return messages as people read them."""
    return Page(
        messages=tuple(
            Shown(
                seq=each.seq,
                kind=each.kind,
                bytes=len(each.payload),
                lines=tuple(decode(each.payload).lines),
            )
            for each in stored
        )
    )


class LoneSpool:
    """A spool that no agent uses, looked at and left as it is."""

    def __init__(self, path: Path, rows: SpoolRows) -> None:
        self._path = path
        self._rows = rows

    def overview(self, limits: Limits) -> Overview:
        """Return what waits, and how much room there is."""
        free = shutil.disk_usage(self._path.parent).free
        with _told(self._path):
            return Overview(
                queues=tuple(
                    Queue(uplink=name, stats=self._rows.stats(name))
                    for name in self._rows.uplinks()
                ),
                room=room(self._rows, limits, free),
            )

    def page(self, uplink: str, after: int, limit: int) -> Page:
        """Return up to `limit` messages with a number > `after`."""
        with _told(self._path):
            return shown(self._rows.peek(uplink, after, limit))


@contextmanager
def looking_at(path: Path) -> Iterator[LoneSpool]:
    """Look at the spool at `path` without changing it; no agent can start meanwhile.

    Raises SpoolRefusedError when an agent has it, SpoolError when it cannot be read.
    """
    if not path.exists():
        raise SpoolError(
            f"there is no spool at {path}", "it is made at the agent's first start: `lini run`"
        )
    shm = path.with_name(f"{path.name}-shm")
    wal = path.with_name(f"{path.name}-wal")
    with _locked(path):
        # What a killed agent left in its log is read too, which takes an index beside it.
        is_whole = not wal.exists() or not wal.stat().st_size
        had_index = shm.exists()
        try:
            uri = f"{path.absolute().as_uri()}?{'immutable=1' if is_whole else 'mode=ro'}"
            with _told(path), closing(sqlite3.connect(uri, uri=True)) as db:
                refuse_foreign(db, path)
                yield LoneSpool(path, SpoolRows(db))
        finally:
            if not had_index:
                shm.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = None
    try:
        with suppress(FileNotFoundError):
            lock = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SpoolRefusedError(
            f"an agent is using {path}, but does not answer", "wait for it to start, or stop it"
        ) from error
    finally:
        if lock is not None:
            os.close(lock)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, DamageError) as error:
        raise SpoolError(
            f"{path}: {error}",
            "is the disk read-only? Else it is damaged: the agent salvages it when it starts",
        ) from error
