"""The record engine: one record a part, exactly once, out of a machine's ring of slots.

Pure: it says which sequences to fetch, is given what the slots held, and returns the records,
what was lost, and the cursor to keep in the same transaction. It reads no bus and no clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collectors.profile import RecordSource
from collectors.quality import Fault
from collectors.record import Cursor, Event, Record, Result, TimeSource, record_time_ns
from collectors.sample import StationId, Value

_PATIENCE = 3  # reads of a slot that never becomes whole, before its part is given up as lost
_MACHINE_CLOCK_PAST_MS = 30 * 86_400_000
_MACHINE_CLOCK_AHEAD_MS = 120_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the ring stands: sequence of the newest part (0: none yet), and the next slot."""

    seq: int
    write_index: int


@dataclass(frozen=True, slots=True)
class Slot:
    """What one slot held."""

    values: Mapping[str, Value]
    faults: Mapping[str, Fault] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records and events in order, and the cursor that is true once they are stored."""

    records: tuple[Record, ...] = ()
    events: tuple[Event, ...] = ()
    cursor: Cursor

    def __bool__(self) -> bool:
        return bool(self.records or self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Sequences to fetch, oldest first, of one epoch."""

    cursor: Cursor
    events: tuple[Event, ...]
    seqs: tuple[int, ...]


class RecordEngine:
    """Follows one ring. Call `wanted`, fetch those slots, read the head again, then `accept`."""

    def __init__(self, source: RecordSource, station: StationId, cursor: Cursor) -> None:
        self.cursor = cursor
        self._source = source
        self._station = station
        self._pending: _Wanted | None = None
        self._torn: dict[int, int] = {}

    def wanted(self, head: Head, *, at_ns: int, most: int) -> Sequence[int]:
        """Return the sequences to fetch now, oldest first, at most `most` of them.

        Sequences are counted on through wraps, so that each is unique in its epoch.
        """
        source, cursor = self._source, self.cursor
        events: list[Event] = []
        if cursor.seq is None:  # the first look at this machine: what was before is not ours
            newest = head.seq
            oldest = newest - min(newest, source.slots) + 1
        else:
            behind = (head.seq - cursor.seq) % source.wrap
            if behind > source.wrap // 2:  # the counter went back: restarted or cleared
                cursor = Cursor(epoch=cursor.epoch + 1, seq=0)
                events.append(self._event("epoch_started", at_ns, cursor, count=head.seq))
                behind = head.seq
            oldest = (cursor.seq or 0) + 1
            newest = oldest + behind - 1
            if behind > source.slots:
                held = newest - source.slots + 1
                events.append(self._lost(at_ns, cursor, oldest, held - 1, "overwritten"))
                oldest = held
        start = cursor if cursor.seq is None else Cursor(epoch=cursor.epoch, seq=oldest - 1)
        seqs = tuple(range(oldest, min(newest, oldest + most - 1) + 1))
        self._pending = _Wanted(cursor=start, events=tuple(events), seqs=seqs)
        return seqs

    def slot_of(self, seq: int, head: Head) -> int:
        """Return the slot that holds `seq`, when `head` is true."""
        return (head.write_index - 1 - self._age(seq, head)) % self._source.slots

    def _age(self, seq: int, head: Head) -> int:
        """Return how many parts were made after `seq`."""
        return (head.seq - seq) % self._source.wrap

    def accept(self, slots: Mapping[int, Slot], head: Head, *, at_ns: int) -> Batch:
        """Return what the fetched `slots` (by sequence) prove, given the head read after them.

        A slot counts only when its begin and end are both the sequence that was asked for. The
        first slot that does not, ends the batch: it was overwritten (lost), or it is being
        written and will be whole next time.
        """
        pending = self._pending
        if pending is None:
            return Batch(cursor=self.cursor)
        self._pending = None
        cursor = pending.cursor
        events = list(pending.events)
        records: list[Record] = []
        for seq in pending.seqs:
            slot = slots.get(seq)
            if slot is not None and self._is_whole(slot, seq):
                cursor = Cursor(epoch=cursor.epoch, seq=seq)
                records.append(self._record(slot, cursor, seq, at_ns))
            elif reason := self._why_lost(seq, head):
                if cursor.seq is not None:
                    events.append(self._lost(at_ns, cursor, seq, seq, reason))
                    cursor = Cursor(epoch=cursor.epoch, seq=seq)
            else:
                break
        return Batch(records=tuple(records), events=tuple(_merged(events)), cursor=cursor)

    def advance(self, batch: Batch) -> None:
        """Move on: `batch` is stored."""
        self.cursor = batch.cursor
        self._torn = {
            seq: tries for seq, tries in self._torn.items() if seq > (self.cursor.seq or 0)
        }

    def _is_whole(self, slot: Slot, seq: int) -> bool:
        begin, end = slot.values.get(self._source.begin), slot.values.get(self._source.end)
        return begin == end == seq % self._source.wrap

    def _why_lost(self, seq: int, head: Head) -> str:
        """Return why the part of a slot that is not whole will never be read; "" if it may."""
        source = self._source
        age = self._age(seq, head)
        if age > source.wrap // 2:
            return ""  # the counter went back meanwhile: the next round sees a new epoch
        if age >= source.slots:
            return "overwritten"
        self._torn[seq] = self._torn.get(seq, 0) + 1
        return "torn" if self._torn[seq] >= _PATIENCE else ""

    def _record(self, slot: Slot, cursor: Cursor, seq: int, at_ns: int) -> Record:
        source, values = self._source, slot.values
        result = Result(str(values.get(source.result, Result.UNKNOWN)))
        serial = values.get(source.serial) if source.serial else None
        machine_ms = self._machine_ms(values, at_ns)
        return Record(
            station=self._station,
            kind=source.kind,
            epoch=cursor.epoch,
            seq=seq,
            time_ns=record_time_ns(machine_ms or at_ns // 1_000_000, seq),
            time_source=TimeSource.MACHINE if machine_ms else TimeSource.AGENT,
            result=result,
            code=str(values.get(source.code, "unknown")),
            serial=str(serial) if serial else None,
            tags={tag: str(values.get(tag, "unknown")) for tag in source.tags},
            values={name: value for name, value in values.items() if name not in source.roles},
            faults={name: fault for name, fault in slot.faults.items() if name not in source.roles},
        )

    def _machine_ms(self, values: Mapping[str, Value], at_ns: int) -> int | None:
        """Return the machine's own stamp in ms since 1970, unless it cannot be true."""
        seconds = values.get(self._source.time_s) if self._source.time_s else None
        if not isinstance(seconds, int):
            return None
        extra = values.get(self._source.time_ms, 0) if self._source.time_ms else 0
        machine_ms = 1000 * seconds + (extra if isinstance(extra, int) else 0)
        age_ms = at_ns // 1_000_000 - machine_ms
        if -_MACHINE_CLOCK_AHEAD_MS <= age_ms <= _MACHINE_CLOCK_PAST_MS:
            return machine_ms
        return None

    def _lost(self, at_ns: int, cursor: Cursor, first: int, last: int, reason: str) -> Event:
        count = last - first + 1
        values: dict[str, Value] = {"from_seq": first, "to_seq": last, "reason": reason}
        return self._event("records_lost", at_ns, cursor, count=count, **values)

    def _event(
        self, kind: str, at_ns: int, cursor: Cursor, *, count: int, **values: Value
    ) -> Event:
        facts = {"epoch": cursor.epoch, "count": count, "detail": self._source.kind, **values}
        return Event(station=self._station, kind=kind, time_ns=at_ns, values=facts)


def _merged(events: Sequence[Event]) -> list[Event]:
    """Join losses of neighbouring sequences for one reason into one event, and stamp them apart."""
    merged: list[Event] = []
    for event in events:
        last = merged[-1] if merged else None
        if last is not None and _continues(last, event):
            values = {**last.values, "to_seq": event.values["to_seq"]}
            values["count"] = _int(last.values["count"]) + _int(event.values["count"])
            merged[-1] = Event(
                station=last.station, kind=last.kind, time_ns=last.time_ns, values=values
            )
        else:
            time_ns = event.time_ns + len(merged)
            merged.append(
                Event(station=event.station, kind=event.kind, time_ns=time_ns, values=event.values)
            )
    return merged


def _continues(last: Event, event: Event) -> bool:
    same = all(last.values.get(key) == event.values.get(key) for key in ("reason", "epoch"))
    both_lost = last.kind == event.kind == "records_lost"
    return both_lost and same and _int(last.values["to_seq"]) + 1 == event.values["from_seq"]


def _int(value: Value) -> int:
    assert isinstance(value, int)  # noqa: S101 - set above, in `_lost`
    return value
