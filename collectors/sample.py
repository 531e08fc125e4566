"""Telemetry: what a machine shows now. A gap is allowed, as long as it is marked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.quality import Fault

Value = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class StationId:
    """Where a value comes from, after ISA-95: site, line, work cell."""

    site: str
    line: str
    station: str

    def __str__(self) -> str:
        return f"{self.site}/{self.line}/{self.station}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The values of one read of one poll group (of one channel, for multi-channel equipment).

    `values` holds what there is to show, by register name, in the unit its profile names.
    `faults` says why a register has no value, or one to doubt; a good value has no fault.
    `time_ns` is the wall clock at the arrival of the answer, in ns since 1970 (UTC).
    `left_out` is how many good values are not in `values`, since they have not moved.
    """

    station: StationId
    group: str
    time_ns: int
    values: Mapping[str, Value]
    faults: Mapping[str, Fault] = field(default_factory=dict)
    channel: str = ""
    left_out: int = 0
