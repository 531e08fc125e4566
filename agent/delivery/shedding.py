"""What a full spool gives up: old telemetry down to one row in ten, then the oldest telemetry.

Never records, states, events or alarms. What tells of it is stored in the same commit, so that
nothing goes without a trace, whenever the agent is killed.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from agent.delivery.entry import Draft, Dropped, Limits, is_packed
from agent.delivery.spool_file import SpoolFile
from agent.delivery.spool_rows import Held, SpoolRows, Stream
from agent.wire.message import Message, decode, encode

Tell = Callable[[Dropped], Sequence[Draft]]

_OLD_NS = 24 * 3600 * 10**9
_KEEP_ONE_OF = 10
_AT_ONCE = 500  # messages; the outbox waits as long as they take
_HEAD = re.compile(r"(?:\\.|[^ \\])*")  # up to the first space that is not escaped
_SLACK = 0.05  # of what is held, so that a full spool is not trimmed at every flush


def room(rows: SpoolRows, limits: Limits, disk_free: int) -> int:
    """Return how many bytes more fit into the limits; below zero there are too many.

    The file never shrinks, for that would wear the disk: what is free inside it counts as free.
    """
    held = sum(rows.stream(uplink).bytes for uplink in rows.uplinks())
    return min(limits.max_bytes - held, disk_free + rows.free_bytes() - limits.min_free)


def shed(file: SpoolFile, surplus: int, now_ns: int, tell: Tell) -> Dropped | None:
    """Give up some telemetry of the fullest uplink that has any: once, and a bounded part of it.

    Returns what was given up; None when there is nothing left but evidence.
    """
    streams = [(uplink, file.stream(uplink)) for uplink in file.uplinks()]
    for uplink, stream in sorted(streams, key=lambda each: -each[1].bytes):
        with file.transaction():
            gone = _thin(file, uplink, stream, now_ns) or _drop(file, uplink, stream, surplus)
            if gone is not None:
                for draft in tell(gone):
                    file.store(draft, now_ns)
                return gone
    return None


def _thin(file: SpoolFile, uplink: str, stream: Stream, now_ns: int) -> Dropped | None:
    """Leave one row in ten of each series in the oldest messages that are not yet thinned."""
    mark = f"thinned {uplink}"
    found = file.telemetry(stream, file.marked(mark), _AT_ONCE)
    old = [each for each in found if each.at_ns < now_ns - _OLD_NS]
    if not old:
        return None
    rows_of: Counter[str] = Counter()
    gone = sum(_thin_one(file, uplink, stream, each, rows_of) for each in old)
    file.mark(mark, old[-1].seq)
    return _dropped(uplink, "thinned", old, gone) if gone else None


def _thin_one(
    file: SpoolFile, uplink: str, stream: Stream, held: Held, rows_of: Counter[str]
) -> int:
    """Thin one message and return how many of its lines are gone.

    It keeps its number: what is under way already holds more rows, and a commit of it is right.
    """
    [stored] = file.peek(uplink, held.seq - 1, 1)
    message = decode(stored.payload)
    kept: list[str] = []
    for line in message.lines:
        series = _series(line)
        if rows_of[series] % _KEEP_ONE_OF == 0:
            kept.append(line)
        rows_of[series] += 1
    if not kept:
        file.delete(stream, held.id, held.id)
    elif len(kept) < len(message.lines):
        payload = encode(Message(header=message.header, lines=kept), pack=is_packed(stored.payload))
        file.rewrite(stream, held.id, payload, lines=len(kept))
    return len(message.lines) - len(kept)


def _drop(file: SpoolFile, uplink: str, stream: Stream, surplus: int) -> Dropped | None:
    surplus += int(stream.bytes * _SLACK)
    going: list[Held] = []
    for each in file.telemetry(stream, 0, _AT_ONCE):
        going.append(each)
        surplus -= each.bytes
        if surplus <= 0:
            break
    if not going:
        return None
    file.delete(stream, going[0].id, going[-1].id, kind="telemetry")
    return _dropped(uplink, "dropped", going, sum(each.lines for each in going))


def _series(line: str) -> str:
    found = _HEAD.match(line)
    return found[0] if found else line


def _dropped(
    uplink: str, how: Literal["thinned", "dropped"], of: Sequence[Held], lines: int
) -> Dropped:
    return Dropped(
        uplink=uplink,
        how=how,
        first_seq=of[0].seq,
        last_seq=of[-1].seq,
        lines=lines,
        since_ns=of[0].at_ns,
        until_ns=of[-1].at_ns,
    )
