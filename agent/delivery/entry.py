"""What goes into the spool and what comes out of it, and the errors of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collectors.errors import LiniError

Kind = Literal["telemetry", "evidence"]  # evidence (records, events, alarms) is never dropped


class SpoolError(LiniError):
    """The disk did not take or give the data. Keep them, and try again; nothing half is stored."""


class SpoolRefusedError(LiniError):
    """This file may not be opened: another agent has it, or a newer version made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Lines of line protocol that will be one message; the spool gives it its number."""

    agent: str
    uplink: str
    config: str  # 8 hex digits: hash of the configuration that made the values
    kind: Kind
    lines: Sequence[str]
    pack: bool = False  # by zlib


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message as it lies on the disk: `payload` is published as it is, however often."""

    seq: int
    kind: Kind
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolStats:
    """How much one uplink still holds. Sizes are of payloads, in bytes; times in ns (UTC)."""

    messages: int
    bytes: int
    oldest_at_ns: int | None  # None: nothing waits
    next_seq: int
    committed: int  # everything up to this number has left the spool


def is_packed(payload: bytes) -> bool:
    """Return whether a stored message went through zlib."""
    return payload.startswith(b"x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the spool may hold, and what must stay free of the disk, in bytes."""

    max_bytes: int
    min_free: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Telemetry given up because the spool was full: what a gap event has to tell."""

    uplink: str
    how: Literal["thinned", "dropped"]  # thinned: of each series one row in ten is left
    first_seq: int
    last_seq: int
    lines: int  # that are gone
    since_ns: int  # when the oldest and the newest of them were stored
    until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """A damaged spool was set aside; `messages` of it go on under a new epoch."""

    file: Path
    messages: int
    lost: int | None  # at most so many; None: the file was beyond reading
