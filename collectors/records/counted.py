"""Follows a machine that does not number its parts: a bit with a block, a queue without numbers.

Lini numbers them itself, by a count in the durable cursor. What was missed between two looks is
told exactly when the machine has a total counter, and otherwise as `records_maybe_lost`.

A look goes so: read trigger, then parts; if `is_news`, wait until the machine has surely finished
what it may have begun, look again, and `accept` what stood still.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from collectors.record import Cursor, Event, Record
from collectors.record_source import RecordSource, Shape
from collectors.records.batch import Batch, Journal, Slot, contradicts, merged
from collectors.sample import StationId, Value

_OWN = "counted"  # the first word of a mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the machine shows: its bit, its total, and the parts in its block or queue."""

    level: bool | None = None  # None: a queue has no bit
    total: int | None = None
    slots: tuple[Slot, ...] = ()  # oldest first
    acknowledged: int | None = None  # what the acknowledge register holds

    @property
    def digests(self) -> tuple[str, ...]:
        """What stands for the content of each part."""
        return tuple(slot.digest for slot in self.slots)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What was seen when the cursor was stored."""

    level: bool | None
    total: int | None
    digests: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the mark that `text` is, or None when another kind of engine wrote it."""
        own, *parts = text.split(" ")
        if own != _OWN:
            return None
        level, total, *digests = parts
        return cls(level == "1" if level else None, int(total) if total else None, tuple(digests))

    def __str__(self) -> str:
        level = "" if self.level is None else str(int(self.level))
        total = "" if self.total is None else str(self.total)
        return " ".join((_OWN, level, total, *self.digests))


class CountedEngine:
    """Follows one source without numbers, from `cursor` on.

    With `is_acknowledged` the machine waits for us, and nothing can be missed between two looks.
    """

    def __init__(
        self,
        source: RecordSource,
        station: StationId,
        cursor: Cursor,
        *,
        is_acknowledged: bool = False,
    ) -> None:
        self.cursor = cursor
        self._source = source
        self._journal = Journal(source, station)
        self._is_acknowledged = is_acknowledged

    @property
    def acknowledgement(self) -> int | None:
        """What the machine may be told: the bit as it was when its part was stored."""
        mark = _Mark.parse(self.cursor.mark)
        return None if mark is None or mark.level is None else int(mark.level)

    def is_news(self, look: Look, unwatched_s: float | None) -> bool:
        """Whether `look` tells something that is not stored yet.

        `unwatched_s` lies between it and the last look that was accepted (None: there was none
        since the start).
        """
        mark = _Mark.parse(self.cursor.mark)
        if mark is None or (look.level, look.total) != (mark.level, mark.total):
            return True
        fresh = self._fresh(look, mark)
        return fresh > 0 or bool(self._doubt(look, mark, fresh, unwatched_s))

    def accept(
        self, look: Look, again: Look, *, at_ns: int, took_s: float, unwatched_s: float | None
    ) -> Batch:
        """Return what `look` proves, given the look after it; `took_s` lies between the two."""
        if not self._is_steady(look, again, took_s):
            return Batch(cursor=self.cursor)
        mark = _Mark.parse(self.cursor.mark)
        if mark is None:
            taken = self._first(look)
            return self._batch(look, taken, self.cursor, look.digests, at_ns=at_ns)
        cursor, events = self.cursor, list[Event]()
        if self._is_reset(look, mark):
            cursor, event = self._journal.next_epoch(self.cursor, look.total or 0, at_ns)
            events.append(event)
        fresh, seq = self._fresh(look, mark), cursor.seq or 0
        shown = 0 if self._is_void(look) else len(look.slots)
        lost = max(0, (self._made(look, mark) or 0) - max(fresh, shown))
        if lost:
            event = self._journal.lost(at_ns, cursor, seq + 1, seq + lost, "not seen")
            events.append(event)
        elif doubt := self._doubt(look, mark, fresh, unwatched_s):
            facts: dict[str, Value] = {"from_seq": seq, "reason": doubt}
            event = self._journal.event("records_maybe_lost", at_ns, cursor, count=0, **facts)
            events.append(event)
        cursor = replace(cursor, seq=seq + lost)
        # While the bit is 0 the block means nothing; the last valid one is remembered.
        digests = mark.digests if self._is_void(look) else look.digests
        taken = look.slots[len(look.slots) - fresh :]
        return self._batch(look, taken, cursor, digests, at_ns=at_ns, events=events)

    def advance(self, batch: Batch) -> None:
        """Move on: `batch` is stored."""
        self.cursor = batch.cursor

    def _first(self, look: Look) -> Sequence[Slot]:
        """Take what surely is a part; a bit that toggles does not say so the first time."""
        if self._source.edge == "toggle":
            is_waiting = look.acknowledged not in {None, int(look.level or 0)}
            return look.slots if self._is_acknowledged and is_waiting else ()
        return () if self._is_void(look) else look.slots

    def _batch(
        self,
        look: Look,
        taken: Sequence[Slot],
        cursor: Cursor,
        digests: tuple[str, ...],
        *,
        at_ns: int,
        events: Sequence[Event] = (),
    ) -> Batch:
        records: list[Record] = []
        for slot in taken:
            cursor = replace(cursor, seq=(cursor.seq or 0) + 1)
            records.append(self._journal.record(slot, cursor, at_ns))
        mark = str(_Mark(look.level, look.total, digests))
        cursor = Cursor(epoch=cursor.epoch, seq=cursor.seq or 0, mark=mark)
        return Batch(
            records=tuple(records),
            events=merged(events),
            cursor=cursor,
            keep_cursor=cursor != self.cursor,
        )

    def _is_steady(self, look: Look, again: Look, took_s: float) -> bool:
        """Whether nothing changed between two looks, and nothing can have changed back."""
        if (look.level, look.total) != (again.level, again.total):
            return False
        if not self._is_void(look) and look.digests != again.digests:
            return False
        is_told = look.total is not None or self._is_acknowledged
        return is_told or self._source.cycle_s is None or took_s < self._source.cycle_s

    def _is_void(self, look: Look) -> bool:
        """Whether the machine says that its block is not to be read."""
        return self._source.edge == "rising" and not look.level

    def _is_reset(self, look: Look, mark: _Mark) -> bool:
        """Whether the machine's total began anew: it went back, and too far for a wrap."""
        if mark.total is None or look.total is None or look.total >= mark.total:
            return False
        return (look.total - mark.total) % self._source.wrap > self._source.most_behind

    def _made(self, look: Look, mark: _Mark) -> int | None:
        """Return how many parts the machine's total has counted since; None without a total."""
        if mark.total is None or look.total is None:
            return None
        if self._is_reset(look, mark):
            return look.total
        return (look.total - mark.total) % self._source.wrap

    def _fresh(self, look: Look, mark: _Mark) -> int:
        """Return how many of the parts that are shown, the newest ones, are not stored yet."""
        if self._is_void(look):
            return 0
        made = min(self._made(look, mark) or 0, len(look.slots))
        if self._is_reset(look, mark):
            return made
        if self._source.shape is Shape.FIFO:
            return max(made, len(look.slots) - _overlap(mark.digests, look.digests))
        is_other = bool(mark.digests) and contradicts(look.digests[-1], mark.digests[-1])
        return max(made, int(is_other or look.level != mark.level))

    def _doubt(self, look: Look, mark: _Mark, fresh: int, unwatched_s: float | None) -> str:
        """Return why parts may have been missed; "" if none can, or the total counts them."""
        source = self._source
        if self._is_acknowledged or self._made(look, mark) is not None:
            return ""
        if source.shape is Shape.FIFO:
            may_overflow = bool(mark.digests) or fresh == source.entries
            is_all_new = fresh == len(look.slots) and look.digests != mark.digests
            return "nothing of what was stored is left" if is_all_new and may_overflow else ""
        if source.edge == "toggle" and fresh and look.level == mark.level:
            return "the bit stands as before, but the block is another"
        if unwatched_s is None:
            return "not watched while the agent was off"
        if unwatched_s >= (source.cycle_s or 0):
            return f"not watched for {unwatched_s:.1f} s"
        return ""


def _overlap(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many of the oldest in `new` are the newest of `old`."""
    most = min(len(old), len(new))
    return next((n for n in range(most, 0, -1) if old[-n:] == new[:n]), 0)
