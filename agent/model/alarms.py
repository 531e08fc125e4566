"""Alarm bits of one station: raised, standing, cleared."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.model.points import place_tags
from agent.wire.point import Point
from collectors.profile import Profile
from collectors.register import Alarm, Type
from collectors.sample import Sample, StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An alarm that is up, and since when (ns since 1970)."""

    code: str
    alarm: Alarm
    since_ns: int


class AlarmTracker:
    """Follows the alarm bits of one station."""

    def __init__(self, profile: Profile, station: StationId) -> None:
        self.standing: dict[str, Standing] = {}
        self._station = station
        self._known: set[str] = set()
        self._bits = {
            register.name: [(bit.bit, bit.name, bit.alarm) for bit in register.bits if bit.alarm]
            for register in profile.registers
            if register.type is Type.BITFIELD
        }
        self._flags = {
            register.name: register.alarm for register in profile.registers if register.alarm
        }

    def sampled(self, sample: Sample) -> list[Point]:
        """Return a point for each alarm that came or went.

        The first sight of a bit makes a point in any case: the database may still believe what
        was true before the agent stopped.
        """
        points: list[Point] = []
        for code, alarm, is_up in self._seen(sample):
            standing = self.standing.get(code)
            if is_up and standing is None:
                raised = Standing(code=code, alarm=alarm, since_ns=sample.time_ns)
                self.standing[code] = raised
                points.append(self._point(raised, active=1, time_ns=sample.time_ns))
            elif not is_up and standing is not None:
                del self.standing[code]
                points.append(self._point(standing, active=0, time_ns=sample.time_ns))
            elif code not in self._known:
                first = Standing(code=code, alarm=alarm, since_ns=sample.time_ns)
                points.append(self._point(first, active=0, time_ns=sample.time_ns))
            self._known.add(code)
        return points

    def _seen(self, sample: Sample) -> Iterator[tuple[str, Alarm, bool]]:
        for name, bits in self._bits.items():
            word = sample.values.get(name)
            if isinstance(word, int):
                yield from ((code, alarm, bool(word >> bit & 1)) for bit, code, alarm in bits)
        for name, alarm in self._flags.items():
            if name in sample.values:
                yield name, alarm, bool(sample.values[name])

    def _point(self, standing: Standing, *, active: int, time_ns: int) -> Point:
        fields: dict[str, int | float | str] = {
            "active": active,
            "text_id": standing.alarm.text.id,
            "text_en": standing.alarm.text.en,
        }
        if not active and time_ns > standing.since_ns:
            fields["dur_s"] = round((time_ns - standing.since_ns) / 1e9, 3)
            fields["since_ms"] = standing.since_ns // 1_000_000
        return Point(
            measurement="alarm",
            tags={
                **place_tags(self._station),
                "code": standing.code,
                "priority": standing.alarm.priority.value,
            },
            fields=fields,
            time_ns=time_ns,
        )
