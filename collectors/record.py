"""Part records and events: quality evidence. None may be lost, none may appear twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from collectors.quality import Fault
from collectors.sample import StationId, Value


class Result(StrEnum):
    """The machine's judgement of one part."""

    OK = "OK"
    NG = "NG"
    TEST = "TEST"  # made in test mode: kept, marked, never counted
    UNKNOWN = "UNKNOWN"  # a result code that the profile does not name


class TimeSource(StrEnum):
    """Whose clock stamped a record."""

    MACHINE = "machine"
    AGENT = "agent"  # the machine has no clock, or one that is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One finished part event: a weld, a sorted cell, a formation step.

    Its identity is (station, kind, epoch, seq). `epoch` counts the resets of the machine's
    counter, `seq` is the machine's own number, counted on through its wraps. `time_ns` already carries `seq` in its last six
    digits, so that a replay overwrites itself and two parts in one millisecond stay two.
    """

    station: StationId
    kind: str  # the measurement: "weld", "cell", "formation_step"
    epoch: int
    seq: int
    time_ns: int
    time_source: TimeSource
    result: Result
    code: str  # reject code by name, "none" when there is none
    serial: str | None
    tags: Mapping[str, str]  # program, channel, step, bin: bounded sets only
    values: Mapping[str, Value]
    faults: Mapping[str, Fault] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at a station: records lost, a new epoch, a recipe change.

    `values` holds the event's facts; names and types are those of the `event` measurement.
    """

    station: StationId
    kind: str
    time_ns: int
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last record of one source that is safe on this disk. `seq` is None before the first.

    `mark` is what the machine showed then, in the words of the source's engine: the next look is
    compared with it, since a counter alone does not tell a reset from progress.
    """

    epoch: int = 1
    seq: int | None = None
    mark: str = ""


def record_time_ns(machine_ms: int, seq: int) -> int:
    """Stamp of a record in ns: its millisecond, made unique by the part's number.

    >>> record_time_ns(1_700_000_000_123, 42)
    1700000000123000042
    """
    return machine_ms * 1_000_000 + seq % 1_000_000
