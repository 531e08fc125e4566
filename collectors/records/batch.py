"""What both engines take and return: slots in, records and events out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from collectors.quality import Fault
from collectors.record import Cursor, Event, Record, Result, TimeSource, record_time_ns
from collectors.record_source import RecordSource
from collectors.records.complete import completed
from collectors.sample import StationId, Value

_MACHINE_CLOCK_PAST_MS = 30 * 86_400_000
_MACHINE_CLOCK_AHEAD_MS = 120_000


@dataclass(frozen=True, slots=True)
class Slot:
    """What one slot held. `digest` stands for its raw content; "" when it cannot be compared."""

    values: Mapping[str, Value]
    faults: Mapping[str, Fault] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records and events in order, and the cursor that is true once they are stored."""

    records: tuple[Record, ...] = ()
    events: tuple[Event, ...] = ()
    cursor: Cursor
    keep_cursor: bool = False  # it says something new, even without records or events
    more: bool = False  # another look will find more at once

    def __bool__(self) -> bool:
        return bool(self.records or self.events or self.keep_cursor)


def contradicts(digest: str, other: str) -> bool:
    """Whether two digests are of different content. Of different layouts, nothing can be said."""
    layout, _, content = digest.partition("-")
    other_layout, _, other_content = other.partition("-")
    return bool(content and layout == other_layout and content != other_content)


class Journal:
    """Writes down the records and events of one source."""

    def __init__(self, source: RecordSource, station: StationId) -> None:
        self._source = source
        self._station = station

    def record(self, slot: Slot, cursor: Cursor, at_ns: int) -> Record:
        """Return the record of the part whose number `cursor` holds."""
        source = self._source
        values, faults = completed(source, slot.values, slot.faults)
        seq = cursor.seq or 0
        serial = values.get(source.serial)
        machine_ms = self._machine_ms(values, at_ns)
        result = Result(str(values.get(source.result, Result.UNKNOWN)))
        if source.mode and values.get(source.mode) in source.test:
            result = Result.TEST
        return Record(
            station=self._station,
            kind=source.kind,
            epoch=cursor.epoch,
            seq=seq,
            time_ns=record_time_ns(machine_ms or at_ns // 1_000_000, seq),
            time_source=TimeSource.MACHINE if machine_ms else TimeSource.AGENT,
            result=result,
            code=str(values.get(source.code, "unknown")) if source.has_code else "none",
            serial=str(serial) if serial else None,
            tags={tag: str(values.get(tag, "unknown")) for tag in source.tags},
            values={name: value for name, value in values.items() if name not in source.roles},
            faults={name: fault for name, fault in faults.items() if name not in source.roles},
        )

    def next_epoch(self, cursor: Cursor, count: int, at_ns: int) -> tuple[Cursor, Event]:
        """Begin anew, with `count` parts made since.

        The event names the last part that was stored: what came after it until the reset, and
        was not read, nobody knows.
        """
        begun = Cursor(epoch=cursor.epoch + 1, seq=0)
        last = cursor.seq or 0
        return begun, self.event("epoch_started", at_ns, begun, count=count, from_seq=last)

    def lost(self, at_ns: int, cursor: Cursor, first: int, last: int, reason: str) -> Event:
        """Return the event of parts that will never be read: `first` to `last`, both included."""
        facts: dict[str, Value] = {"from_seq": first, "to_seq": last, "reason": reason}
        return self.event("records_lost", at_ns, cursor, count=last - first + 1, **facts)

    def event(self, kind: str, at_ns: int, cursor: Cursor, *, count: int, **values: Value) -> Event:
        """Return an event of this source, in the epoch of `cursor`."""
        facts = {"epoch": cursor.epoch, "count": count, "detail": self._source.kind, **values}
        return Event(station=self._station, kind=kind, time_ns=at_ns, values=facts)

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


def merged(events: Sequence[Event]) -> tuple[Event, ...]:
    """Join losses of neighbouring sequences for one reason into one event, and stamp them apart."""
    told: list[Event] = []
    for event in events:
        last = told[-1] if told else None
        if last is not None and _continues(last, event):
            count = _int(last.values["count"]) + _int(event.values["count"])
            values = {**last.values, "to_seq": event.values["to_seq"], "count": count}
            told[-1] = replace(last, values=values)
        else:
            told.append(replace(event, time_ns=event.time_ns + len(told)))
    return tuple(told)


def _continues(last: Event, event: Event) -> bool:
    same = all(last.values.get(key) == event.values.get(key) for key in ("reason", "epoch"))
    both_lost = last.kind == event.kind == "records_lost"
    return both_lost and same and _int(last.values["to_seq"]) + 1 == event.values["from_seq"]


def _int(value: Value) -> int:
    assert isinstance(value, int)  # noqa: S101 - set above, in `lost`
    return value
