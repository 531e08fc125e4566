"""Save what can be read of a damaged spool into a new one.

The messages get new numbers under the new epoch. Points are idempotent, so one that the database
already has overwrites itself.
"""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from agent.delivery.entry import Draft, Salvage, is_packed
from agent.delivery.spool_file import SpoolFile
from agent.delivery.spool_rows import SEQ_BITS
from agent.wire.message import decode
from collectors.record import Cursor

_PARTS = ("", "-wal", "-shm")


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether the file's content is at fault, not the disk's space or its rights."""
    return error_code(error) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def error_code(error: sqlite3.Error) -> int:
    """Return SQLite's extended result code."""
    # Python sets none when it cannot decode a text of the file: damage.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)


def move_away(spool: Path) -> None:
    """Name a damaged spool `<name>.damaged`, to be salvaged; a crash may come at any moment."""
    damaged = damaged_name(spool)
    if damaged.exists():
        _rename(damaged, _corrupt_name(spool))
    _rename(spool, damaged)


def damaged_name(spool: Path) -> Path:
    """Return the name of a damaged spool that is not yet salvaged."""
    return spool.with_name(f"{spool.name}.damaged")


def salvage(spool: Path, into: SpoolFile) -> Salvage:
    """Copy every intact message and cursor of the damaged `spool`, then name it `.corrupt-<time>`.

    All of them or none are stored: after a crash it is done again.
    """
    damaged, corrupt = damaged_name(spool), _corrupt_name(spool)
    messages = 0
    lost: int | None
    with closing(sqlite3.connect(damaged)) as old, into.transaction():
        try:
            keys, lost = _readable(old)
            for key in keys:
                if found := _draft(old, key):
                    into.store(*found)
                    messages += 1
                elif lost is not None:
                    lost += 1
            for name, cursor in _cursors(old):
                into.move(name, cursor)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            lost = None
    _rename(damaged, corrupt)
    return Salvage(file=corrupt, messages=messages, lost=lost)


def _readable(old: sqlite3.Connection) -> tuple[list[int], int | None]:
    """Return the messages before the first and after the last broken page.

    And how many may be missing between them; None when that cannot be told.
    """
    before, whole = _read(old, "ORDER BY id")
    if whole:
        return before, 0
    after, _ = _read(old, f"WHERE id > {before[-1] if before else 0} ORDER BY id DESC")
    after.reverse()
    if not before or not after or before[-1] >> SEQ_BITS != after[0] >> SEQ_BITS:
        return before + after, None
    return before + after, after[0] - before[-1] - 1


def _read(old: sqlite3.Connection, part: str) -> tuple[list[int], bool]:
    """Return the ids up to the first broken page, and whether there was none."""
    keys: list[int] = []
    try:
        for (key,) in old.execute(f"SELECT id FROM message {part}"):  # noqa: S608 - no text from outside
            keys.append(key)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return keys, False
    return keys, True


def _draft(old: sqlite3.Connection, key: int) -> tuple[Draft, int] | None:
    """Return one message and when it was stored, or None unless it is intact."""
    try:
        kind, at_ns, crc, payload = old.execute(
            "SELECT kind, at_ns, crc, payload FROM message WHERE id = ?", [key]
        ).fetchone()
        if zlib.crc32(payload) != crc:
            return None
        message = decode(payload)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return None
    except (TypeError, ValueError):
        return None
    draft = Draft(
        agent=message.header.agent,
        uplink=message.header.uplink,
        config=message.header.config,
        kind="telemetry" if kind == "telemetry" else "evidence",
        lines=message.lines,
        pack=is_packed(payload),
    )
    return draft, at_ns


def _cursors(old: sqlite3.Connection) -> Iterator[tuple[str, Cursor]]:
    for name, epoch, seq, *mark in old.execute("SELECT * FROM cursor"):  # version 1 has no mark
        yield name, Cursor(epoch=epoch, seq=seq, mark="".join(mark))


def _corrupt_name(spool: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return spool.with_name(f"{spool.name}.corrupt-{stamp}")


def _rename(source: Path, target: Path) -> None:
    for part in _PARTS:
        file = source.with_name(source.name + part)
        if file.exists():
            file.rename(target.with_name(target.name + part))
