"""Telemetry: what a machine shows now. A gap is allowed, as long as it is marked."""

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.quality import Quality, Reason

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
class Reading:
    """One value read from one register, in the unit its profile names."""

    value: Value | None  # None unless there is a value to show: bad readings have none
    quality: Quality = Quality.GOOD
    reason: Reason = Reason.NONE
    raw: int | float | str | None = None  # what the register held, kept when the value is bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The values of one poll group (of one channel, for multi-channel equipment).

    `readings` maps the register's name to its reading. `time_ns` is the wall clock at the
    arrival of the answer, in nanoseconds since 1970 (UTC).
    """

    station: StationId
    group: str
    time_ns: int
    readings: Mapping[str, Reading]
    channel: str = ""
