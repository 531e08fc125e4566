"""Follows a machine that numbers its parts: a ring, a block with a counter, a queue with numbers.

A look goes so: read the head; fetch what `wanted` names; read the head again; `accept`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from collectors.record import Cursor, Event, Record
from collectors.record_source import RecordSource, Shape
from collectors.records.batch import Batch, Journal, Slot, contradicts, merged
from collectors.sample import StationId

_FOREIGN = "foreign "  # begins the mark of a cursor before the first part: see `_Wanted.foreign`
_PATIENCE = 3  # looks at a slot that is not what it should be, before the worst is believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the machine stands: number of the newest part, and how many the machine holds."""

    seq: int
    held: int
    write_index: int = 0  # of a ring: the slot that the next part goes to
    acknowledged: int | None = None  # what the acknowledge register holds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Sequences to fetch, oldest first, of one epoch. `known` is the last that was stored."""

    head: Head
    cursor: Cursor
    events: tuple[Event, ...]
    known: int | None
    seqs: range
    foreign: int  # parts up to this one were made before the first look, and are not missed


class NumberedEngine:
    """Follows one numbered source, from `cursor` on."""

    def __init__(self, source: RecordSource, station: StationId, cursor: Cursor) -> None:
        self.cursor = cursor
        self._source = source
        self._journal = Journal(source, station)
        self._pending: _Wanted | None = None
        self._torn: dict[int, int] = {}
        self._strange = 0  # looks in a row that did not find the last stored part in its place

    @property
    def acknowledgement(self) -> int | None:
        """What the machine may be told: the number of the last stored part, as 16 bits."""
        seq = self.cursor.seq
        return None if seq is None else self._source.number_of(seq) & 0xFFFF if seq else 0

    def wanted(self, head: Head, *, at_ns: int, most: int) -> Sequence[int]:
        """Return the sequences to fetch now, oldest first: at most `most` new ones.

        Before them stands the last stored one, if the machine still holds it: its content tells
        whether the counter began anew and has already passed it. Sequences are counted on
        through wraps, so that each is unique in its epoch.
        """
        events: list[Event] = []
        known = None
        epoch, last, newest = self.cursor.epoch, self.cursor.seq, head.seq
        foreign = self._foreign
        if last is None or (foreign and head.seq < self._source.number_of(last)):
            foreign = newest
            last = max(0, newest - head.held)
        elif self._went_back(last, head):
            begun, event = self._journal.next_epoch(self.cursor, head.seq, at_ns)
            events.append(event)
            epoch, last = begun.epoch, 0
        else:
            behind = self._age(last, head)
            newest = last + behind
            known = last if behind < head.held and self.cursor.mark and not foreign else None
        oldest = max(last, newest - head.held) + 1
        cursor = Cursor(epoch=epoch, seq=oldest - 1)
        first_lost = max(last, foreign) + 1
        if oldest > first_lost:
            lost = self._journal.lost(at_ns, cursor, first_lost, oldest - 1, "overwritten")
            events.append(lost)
        if cursor == replace(self.cursor, mark=""):
            cursor = self.cursor
        seqs = range(oldest, min(newest, oldest + most - 1) + 1)
        self._pending = _Wanted(
            head=head,
            cursor=cursor,
            events=tuple(events),
            known=known,
            seqs=seqs,
            foreign=foreign,
        )
        return seqs if known is None else range(known, seqs.stop)

    def is_as_stored(self, slots: Mapping[int, Slot]) -> bool:
        """Whether nothing but the last stored part was fetched, and it is as it was."""
        pending = self._pending
        if pending is None or pending.seqs or pending.events or self.cursor.seq is None:
            return False
        slot = slots.get(pending.known) if pending.known is not None else None
        if slot is not None and slot.digest == self.cursor.mark:
            self._strange = 0
            return True
        return slot is None and not self._strange

    def accept(self, slots: Mapping[int, Slot], head: Head, *, at_ns: int) -> Batch:
        """Return what the fetched `slots` (by sequence) prove, given the head read after them.

        A slot counts only when it is whole and of the sequence that was asked for. The first one
        that is not ends the batch: it was overwritten (lost), or it is being written and will be
        whole next time.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return Batch(cursor=self.cursor)
        if pending.cursor.epoch == self.cursor.epoch and self._is_in_doubt(pending, slots, head):
            if self._strange < _PATIENCE:
                return Batch(cursor=self.cursor)
            cursor, event = self._journal.next_epoch(self.cursor, head.seq, at_ns)
            return Batch(events=(event,), cursor=cursor, more=True)
        cursor = pending.cursor
        events = list(pending.events)
        records: list[Record] = []
        whole = {
            seq: slot
            for seq, slot in slots.items()
            if self._is_whole(slot, seq, pending.head, head)
        }
        for seq in pending.seqs:
            self._torn[seq] = self._torn.get(seq, 0) + (seq not in whole)
        for seq in pending.seqs:
            if slot := whole.get(seq):
                cursor = Cursor(epoch=cursor.epoch, seq=seq, mark=slot.digest)
                records.append(self._journal.record(slot, cursor, at_ns))
            elif seq <= pending.foreign and not records:
                mark = f"{_FOREIGN}{pending.foreign}" if seq < pending.foreign else ""
                cursor = Cursor(epoch=cursor.epoch, seq=seq, mark=mark)
            elif reason := self._why_lost(seq, head):
                cursor = Cursor(epoch=cursor.epoch, seq=seq)
                events.append(self._journal.lost(at_ns, cursor, seq, seq, reason))
            else:
                break
        return Batch(
            records=tuple(records),
            events=merged(events),
            cursor=cursor,
            keep_cursor=cursor != self.cursor,
            more=cursor.seq == pending.seqs.stop - 1 and self._age(cursor.seq, head) > 0,
        )

    def advance(self, batch: Batch) -> None:
        """Move on: `batch` is stored."""
        if batch.cursor.epoch != self.cursor.epoch:
            self._torn.clear()
        self.cursor = batch.cursor
        self._strange = 0
        self._torn = {
            seq: tries for seq, tries in self._torn.items() if seq > (self.cursor.seq or 0)
        }

    @property
    def _foreign(self) -> int:
        mark = self.cursor.mark
        return int(mark.removeprefix(_FOREIGN)) if mark.startswith(_FOREIGN) else 0

    def _age(self, seq: int, head: Head) -> int:
        """Return how many parts were made after `seq`."""
        return (head.seq - seq) % self._source.wrap

    def _went_back(self, seq: int, head: Head) -> bool:
        """Whether the counter began anew: it went back, and too far for a wrap."""
        source = self._source
        if seq == 0 or head.seq >= source.number_of(seq):
            return False
        return head.seq < source.wrap_to or self._age(seq, head) > source.most_behind

    def _is_whole(self, slot: Slot, seq: int, before: Head, after: Head) -> bool:
        source = self._source
        if source.begin is None:  # all there is to tell is that the counter stood still
            return before.seq == after.seq == source.number_of(seq)
        begin, end = slot.values.get(source.begin), slot.values.get(source.end or "")
        return begin == end == source.number_of(seq)

    def _is_in_doubt(self, pending: _Wanted, slots: Mapping[int, Slot], head: Head) -> bool:
        """Whether the last stored part is not in its place as it was; counts how often in a row.

        Whole and different: the counter began anew, for certain. Not whole: only a ring tells
        something, and only of a slot that is not about to be overwritten; since index and
        sequence may be a scan apart, it is believed the third time.
        """
        known = pending.known
        slot = slots.get(known) if known is not None else None
        if known is None or slot is None:
            self._strange += self._strange > 0  # what was strange must be explained, not outrun
        elif self._is_whole(slot, known, pending.head, head):
            self._strange = _PATIENCE if contradicts(slot.digest, self.cursor.mark) else 0
        elif self._source.shape is Shape.RING and self._age(known, head) < head.held - 1:
            self._strange += 1
        else:
            self._strange += self._strange > 0
        return self._strange > 0

    def _why_lost(self, seq: int, head: Head) -> str:
        """Return why the part of a slot that is not whole will never be read; "" if it may."""
        age = self._age(seq, head)
        if age > self._source.wrap // 2:
            return ""  # the counter went back meanwhile: the next round sees a new epoch
        if age >= head.held:
            return "overwritten"
        return "torn" if self._torn[seq] >= _PATIENCE else ""
