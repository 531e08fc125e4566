"""One station as it is known now: state, values, alarms, counters and the last part."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.model.alarms import AlarmTracker
from agent.model.counters import CounterTracker, Facts, Remember, forget
from agent.model.points import event_point, place_tags, sample_point
from agent.model.states import STATE_CODES, StateSpan, StateTracker
from agent.wire.point import Point
from collectors.change import ChangeFilter
from collectors.profile import Profile
from collectors.quality import Fault
from collectors.record import Event, Record, Result
from collectors.register import Text
from collectors.sample import Sample, StationId, Value

_REPEAT_STATE_NS = 30_000_000_000  # InfluxQL's fill(previous) does not look before its window
_NOTHING: Facts = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shown:
    """The last that is known of one register: a value or a fault, and when (ns since 1970)."""

    value: Value | None
    fault: Fault | None
    time_ns: int


def part_value(part: Record, name: str) -> Shown:
    """Return what a part was measured at."""
    return Shown(part.values.get(name), part.faults.get(name), part.time_ns)


@dataclass(slots=True)
class PartCounts:
    """Parts stored since the agent started."""

    stored: int = 0
    ng: int = 0
    lost: int = 0


class StationModel:
    """Takes what comes from one station and returns the points to store.

    What is shown, states and alarms see every sample; stored is what `compress` leaves of them.
    `counted` is what `remember` was last given: where the counters stood.
    """

    def __init__(
        self,
        station: StationId,
        title: Text,
        profile: Profile,
        *,
        now_ns: int,
        counted: Facts = _NOTHING,
        remember: Remember = forget,
    ) -> None:
        self.station = station
        self.title = title
        self.profile = profile
        self.states = StateTracker(profile, now_ns=now_ns)
        self.alarms = AlarmTracker(profile, station)
        self.counters = CounterTracker(profile, station, recalled=counted, remember=remember)
        self.parts = PartCounts()
        self.last_part: Record | None = None
        self.version = 0  # grows with every change that a page would show
        self._changes = ChangeFilter(profile)
        self._newest: dict[str, dict[str, Sample]] = {}  # by channel and register
        self._state_stored: tuple[StateSpan, int] | None = None

    @property
    def channels(self) -> list[str]:
        """The channels seen so far."""
        return [channel for channel in self._newest if channel]

    def registers(self, channel: str = "") -> Mapping[str, Shown]:
        """Return the last that is known of each register."""
        return {
            name: Shown(sample.values.get(name), sample.faults.get(name), sample.time_ns)
            for name, sample in self._newest.get(channel, {}).items()
        }

    def sampled(self, sample: Sample) -> list[Point]:
        """Take a sample: its rows, resets of counters, alarms, and the state if that changed."""
        newest = self._newest.setdefault(sample.channel, {})
        newest.update(dict.fromkeys(sample.values, sample))
        newest.update(dict.fromkeys(sample.faults, sample))
        self.version += 1
        counted, resets = self.counters.sampled(sample)
        points = [sample_point(row) for row in self._changes.sampled(counted)]
        points += map(event_point, resets)
        if not sample.channel:
            self.states.sampled(sample)
            points += self.alarms.sampled(sample)
        return points + self.tick(sample.time_ns)

    def close(self) -> list[Point]:
        """Return the rows that were held back, and have the counts kept: nothing comes any more."""
        self.counters.remember()
        return [sample_point(row) for row in self._changes.flush()]

    def recorded(self, record: Record) -> None:
        """Count a finished part, now that it is stored."""
        self.parts.stored += 1
        self.parts.ng += record.result is Result.NG
        self.last_part = record
        self.version += 1

    def happened(self, event: Event) -> int:
        """Take an event; return how many parts were lost with it."""
        lost = int(event.values["count"]) if event.kind == "records_lost" else 0
        self.parts.lost += lost
        self.version += 1
        return lost

    def tick(self, now_ns: int) -> list[Point]:
        """Return the state as a point when it changed, or was last stored too long ago."""
        before = self.states.span
        span = self.states.at(now_ns)
        if span != before:
            self.version += 1
        if self.profile.state is None or not self._is_due(span, now_ns):
            return []
        self._state_stored = (span, now_ns)
        fields: dict[str, int | float | str] = {
            "code": STATE_CODES[span.state],
            "name": span.state.value,
            "reason": str(span.reason),
            "since_ms": span.since_ns // 1_000_000,
        }
        tags = place_tags(self.station)
        return [Point(measurement="state", tags=tags, fields=fields, time_ns=now_ns)]

    def _is_due(self, span: StateSpan, now_ns: int) -> bool:
        if self._state_stored is None:
            return True
        stored, at_ns = self._state_stored
        return stored != span or now_ns - at_ns >= _REPEAT_STATE_NS
