"""What the operator's page shows: the whole line as one JSON frame, and what changed since."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from agent.model.alarms import Standing
from agent.model.states import stale_after_s
from agent.model.station import Shown, StationModel, part_value
from collectors.record_source import Quantity
from collectors.register import Priority

Json = dict[str, object]

_LAST = 99  # rank of what is not for the tile
_PART_OLD_S = 60.0  # a part made longer ago is not "now": its values tell their age


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What stands at the head of the page."""

    name: str
    line: str
    timezone: str
    agent: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkView:
    """How one uplink fares: `queue` messages wait, the oldest for `oldest_s`."""

    name: str
    connected: bool
    queue: int
    oldest_s: float | None


class Board:
    """Makes frames of the stations. A frame's version grows whenever a later one would differ."""

    def __init__(
        self, site: Site, stations: Sequence[StationModel], *, clock: Callable[[], int]
    ) -> None:
        self.uplinks: Sequence[UplinkView] = ()
        self._site = site
        self._stations = stations
        self._clock = clock
        self._version = 0
        self._seen: list[int] = [-1] * len(stations)  # each station's own version, as last seen
        self._changed = [0] * len(stations)  # the board's version when a station last changed
        self._uplinks_seen: Sequence[UplinkView] = ()
        self._uplinks_changed = 0

    def snapshot(self) -> Mapping[str, object]:
        """Return the whole frame."""
        return {"site": asdict(self._site), **self._frame(self._stations)}

    def changes(self, since: int) -> tuple[int, Mapping[str, object] | None]:
        """Return the version now, and a frame of the stations that changed after `since`, if any."""
        for index, station in enumerate(self._stations):
            if station.version != self._seen[index]:
                self._version += 1
                self._seen[index] = station.version
                self._changed[index] = self._version
        if self.uplinks != self._uplinks_seen:
            self._version += 1
            self._uplinks_seen, self._uplinks_changed = self.uplinks, self._version
        changed = [
            station
            for station, version in zip(self._stations, self._changed, strict=True)
            if version > since
        ]
        if not changed and self._uplinks_changed <= since:
            return self._version, None
        return self._version, self._frame(changed)

    def _frame(self, stations: Sequence[StationModel]) -> Json:
        return {
            "time_ms": self._clock() // 1_000_000,
            "uplinks": [asdict(uplink) for uplink in self.uplinks],
            "stations": [_station(station) for station in stations],
        }


def _station(model: StationModel) -> Json:
    span = model.states.span
    registers = model.registers()
    return {
        "name": model.station.station,
        "title": model.title.model_dump(),
        "family": model.profile.family.value,
        "state": span.state.value,
        "reason": str(span.reason),
        "since_ms": _ms(span.since_ns),
        "seen_ms": _ms(model.states.seen_ns),
        "stale_after_s": model.states.stale_after_s,
        "values": [*_part_values(model), *_values(model, registers)],
        "counts": _counts(model, registers),
        "parts": asdict(model.parts) if model.profile.records else None,
        "last": _last(model),
        "alarms": [_alarm(standing) for standing in _by_priority(model.alarms.standing.values())],
        "channels": [
            _channel(number, model.registers(number)) for number in sorted(model.channels, key=int)
        ],
    }


def _values(model: StationModel, registers: Mapping[str, Shown]) -> list[Json]:
    """Return the values of the main map that have a label, those for the tile first."""
    profile = model.profile
    labelled = (register for register in profile.registers if register.label is not None)
    return [
        _value(
            register,
            registers.get(register.name),
            stale_after_s(profile.groups[profile.group_of(register)]),
            register.spec,
        )
        for register in sorted(labelled, key=lambda each: each.show or _LAST)
    ]


def _part_values(model: StationModel) -> list[Json]:
    """Return what the last part was measured at, as far as the profile wants it shown."""
    part, records = model.last_part, model.profile.records
    if records is None:
        return []
    shown = sorted(
        (each for each in records.quantities if each.show), key=lambda each: each.show or 0
    )
    judged = dict(records.limits_of(part)) if part else {}
    return [
        _value(each, part_value(part, each.name) if part else None, _PART_OLD_S, limits)
        for each in shown
        for limits in (judged.get(each.name) if part else each.spec,)
    ]


def _value(
    register: Quantity,
    shown: Shown | None,
    stale_after_s: float,
    limits: tuple[float, float] | None,
) -> Json:
    low, high = limits or (None, None)
    fault = shown.fault if shown else None
    return {
        "name": register.name,
        "label": register.label.model_dump() if register.label else None,
        "show": register.show,
        "unit": register.unit,
        "value": shown.value if shown else None,
        "decimals": register.digits if register.is_number else None,
        "quality": fault.quality.value if fault else ("good" if shown else "bad"),
        "why": str(fault.reason) if fault else "",
        "time_ms": _ms(shown.time_ns) if shown else None,
        "stale_after_s": stale_after_s,
        "low": low,
        "high": high,
    }


def _counts(model: StationModel, registers: Mapping[str, Shown]) -> Json | None:
    counters = model.profile.counters
    if counters is None:
        return None
    names = {"total": counters.total, "good": counters.good, "reject": counters.reject}
    return {role: _number(registers.get(name or "")) for role, name in names.items()}


def _last(model: StationModel) -> Json | None:
    part = model.last_part
    if part is None:
        return None
    return {
        "serial": part.serial,
        "result": part.result.value,
        "code": part.code,
        "time_ms": _ms(part.time_ns),
    }


def _by_priority(standing: Iterable[Standing]) -> list[Standing]:
    """Sort alarms: the most urgent first, then the newest."""
    order = list(Priority)
    return sorted(
        standing, key=lambda each: (order.index(each.alarm.priority), each.since_ns), reverse=True
    )


def _alarm(standing: Standing) -> Json:
    return {
        "code": standing.code,
        "text": standing.alarm.text.model_dump(),
        "response": standing.alarm.response.model_dump(),
        "priority": standing.alarm.priority.value,
        "since_ms": _ms(standing.since_ns),
    }


def _channel(number: str, registers: Mapping[str, Shown]) -> Json:
    # One sensor that shows nothing does not make the whole channel unknown.
    is_bad = all(shown.fault for shown in registers.values())
    values = {name: shown.value for name, shown in registers.items()}
    return {"channel": number, **values, "quality": "bad" if is_bad else "good"}


def _number(shown: Shown | None) -> int | None:
    return shown.value if shown and isinstance(shown.value, int) else None


def _ms(time_ns: int | None) -> int | None:
    return None if time_ns is None else time_ns // 1_000_000
