"""Eight hours of a made-up line, in the shape of the wire schema, with all its figures known.

Beside the parts that count there are some that must not: test welds, parts before the window, a
second line whose stations have the same names, and samples that only say "no answer".
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.wire.point import Field, Point
from collectors.record import record_time_ns

SITE, LINE = "bdg-1", "line/1.a"  # a slash and a dot: they must be escaped inside a regex
HOURS = 8
DOUBTED = ("voltage", "current")  # of some welds, that count as parts but enter no statistic
LIMITS: Mapping[str, tuple[float, float]] = {
    "current": (1.30, 1.75),
    "voltage": (1.05, 1.40),
    "energy": (5.80, 8.60),
    "resistance": (0.65, 1.05),
    "force": (25.0, 40.0),
    "displacement": (0.02, 0.12),
}
_CENTRES = {
    "current": (1.52, 0.04),
    "voltage": (1.22, 0.03),
    "energy": (7.3, 0.3),
    "resistance": (0.8, 0.04),
    "force": (32.0, 1.5),
    "displacement": (0.07, 0.01),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part record, before it becomes a point."""

    kind: str
    station: str
    seq: int
    time_ns: int
    result: str
    code: str = "none"
    serial: str = ""
    values: Mapping[str, float | int]
    tags: Mapping[str, str]
    line: str = LINE
    doubts: tuple[str, ...] = ()  # values that contradict each other

    @property
    def ok(self) -> int | None:
        """1 or 0, and None where the part does not count."""
        return {"OK": 1, "NG": 0}.get(self.result)

    def point(self) -> Point:
        """Return the row of the database."""
        fields: dict[str, Field] = {
            "epoch": 1,
            "seq": self.seq,
            "serial": self.serial,
            "time_source": "machine",
            "bad": len(self.doubts),
            **self.values,
        }
        if self.doubts:
            fields["quality"] = " ".join(f"{name}:implausible" for name in self.doubts)
        if self.ok is not None:
            fields["ok"] = self.ok
        for name in self.values.keys() & LIMITS.keys():
            fields[f"{name}_lsl"], fields[f"{name}_usl"] = LIMITS[name]
        tags = {**_place(self.station, self.line), "result": self.result, "code": self.code}
        return Point(
            measurement=self.kind,
            tags={**tags, **self.tags},
            fields=fields,
            time_ns=self.time_ns,
        )


class LineData:
    """The line until `until_ms`. `parts` are those of the window; `points` is everything."""

    def __init__(self, until_ms: int, seed: int = 7) -> None:
        self.until_ms = until_ms
        self.since_ms = until_ms - HOURS * 3_600_000
        self._random = random.Random(seed)
        self.parts = [
            *self._welds("weld-1"),
            *self._welds("weld-2"),
            *self._cells(),
            *self._steps(),
        ]
        self.states = [
            *self._states("weld-1"),
            *self._states("weld-2", silent_min=(120, 135)),
            *self._short_fault("weld-1"),
        ]
        self.silent_since_ms = until_ms - 300_000  # the chiller answers no more
        self.lost = {"weld-2": 10}
        self.telemetry = list(self._telemetry())
        self.points = [
            *(part.point() for part in [*self.parts, *self._strangers()]),
            *self.states,
            *self.telemetry,
            *self._alarms(),
            *self._events(),
            *self._agent(),
        ]

    def of(self, station: str, kind: str = "") -> list[Part]:
        """Return the counting parts of a station, oldest first."""
        found = [
            part
            for part in self.parts
            if part.station == station and part.kind in (kind, part.kind)
        ]
        return sorted(
            (part for part in found if part.ok is not None), key=lambda part: part.time_ns
        )

    def _welds(self, station: str) -> Iterator[Part]:
        count, wear = 1500, 0
        for seq in range(1, count + 1):
            wear = 0 if seq % 400 == 0 else wear + 1
            values: dict[str, float | int] = {
                name: round(self._random.gauss(*_CENTRES[name]) - 1e-5 * wear, 3) for name in LIMITS
            }
            result, code, doubts = "OK", "none", tuple[str, ...]()
            if station == "weld-1" and seq % 61 == 0:
                result, code = (
                    "NG",
                    self._random.choice(["low_current", "low_current", "low_force"]),
                )
                values["current"] = 1.2
            elif seq % 200 == 0:
                result, values["current"] = "TEST", 9.9
            elif doubts := DOUBTED if seq % 150 == 0 else ():
                values |= dict.fromkeys(doubts, 7.0)
            yield Part(
                kind="weld",
                station=station,
                seq=seq,
                time_ns=self._time_ns(seq, count),
                result=result,
                code=code,
                serial=f"M{seq // 10:05}",
                values={**values, "electrode": 1, "welds_since_dress": wear},
                tags={"program": "1"},
                doubts=doubts,
            )

    def _cells(self) -> Iterator[Part]:
        for seq in range(1, 801):
            is_ng = seq % 90 == 0
            yield Part(
                kind="cell",
                station="sort-1",
                seq=seq,
                time_ns=self._time_ns(seq, 800),
                result="NG" if is_ng else "OK",
                code="ocv_low" if is_ng else "none",
                serial=f"C{seq:06}",
                values={},
                tags={"bin": "NG" if is_ng else "A"},
            )

    def _steps(self) -> Iterator[Part]:
        for seq in range(1, 65):
            yield Part(
                kind="formation_step",
                station="form-1",
                seq=seq,
                time_ns=self._time_ns(seq, 64),
                result="NG" if seq == 13 else "OK",
                code="capacity_low" if seq == 13 else "none",
                serial=f"C{seq:06}",
                values={},
                tags={"channel": str(seq), "step": "CC-DCHG"},
            )

    def _strangers(self) -> Iterator[Part]:
        """Return parts that no figure of the line and the window may contain."""
        before = self.since_ms - 60_000
        other: Mapping[str, str] = {"program": "1"}
        for line, at_ms in ((LINE, before), ("line-2", self.until_ms - 3_600_000)):
            yield Part(
                kind="weld",
                station="weld-1",
                seq=1,
                time_ns=record_time_ns(at_ms, 1),
                result="NG",
                code="low_voltage",
                values=dict.fromkeys(LIMITS, 99.0) | {"welds_since_dress": 7},
                tags=other,
                line=line,
            )

    def _time_ns(self, seq: int, count: int) -> int:
        at_ms = self.since_ms + (self.until_ms - self.since_ms) * seq // (count + 1)
        return record_time_ns(at_ms + self._random.randrange(-2_000, 2_000), seq)

    def _states(self, station: str, silent_min: tuple[int, int] = (0, 0)) -> Iterator[Point]:
        code, names = 3, ("unknown", "stopped", "idle", "execute", "suspended", "held", "aborted")
        silent = range(*(self.since_ms + 60_000 * minute for minute in silent_min))
        for at_ms in range(self.since_ms, self.until_ms, 30_000):
            if self._random.random() < 0.05:
                code = self._random.choice([0, 2, 3, 3, 3, 4, 6])
            if at_ms not in silent:
                yield _state(station, at_ms, code, names[code])

    def _short_fault(self, station: str) -> Iterator[Point]:
        """Return a fault of three seconds, shorter than any interval of an eight-hour chart."""
        at_ms = (self.until_ms // 30_000 - 20) * 30_000 + 10_000
        yield _state(station, at_ms, 6, "aborted")
        yield _state(station, at_ms + 3_000, 3, "execute")

    def _telemetry(self) -> Iterator[Point]:
        for at_ms in range(self.since_ms, self.until_ms, 30_000):
            fields: dict[str, Field] = {"bad": 5, "quality": "*:comm"}
            if at_ms <= self.silent_since_ms:
                temperature = round(self._random.gauss(20, 0.3), 1)
                fields = {"bad": 1, "quality": "flow:sentinel", "outlet_temperature": temperature}
            yield _sample("chiller-1", at_ms, fields)
            power = float(round(self._random.gauss(4200, 300)))
            yield _sample("meter-1", at_ms, {"bad": 0, "power_total": power})
            for station in ("weld-1", "weld-2", "sort-1", "form-1"):
                yield _sample(station, at_ms, {"bad": 0})

    def _alarms(self) -> Iterator[Point]:
        """Return one alarm that came and went, one that stands, one that stands since two days."""
        hour = 3_600_000
        changes = (
            ("low_force", "high", 1, self.until_ms - 2 * hour),
            ("low_force", "high", 0, self.until_ms - hour),
            ("door_open", "critical", 0, self.until_ms - 2 * hour),
            ("door_open", "critical", 1, self.until_ms - hour),
            ("electrode_life", "low", 1, self.until_ms - 48 * hour),
        )
        for code, priority, active, at_ms in changes:
            yield Point(
                measurement="alarm",
                tags={**_place("weld-1"), "code": code, "priority": priority},
                fields={"active": active, "text_id": f"id {code}", "text_en": f"en {code}"},
                time_ns=at_ms * 1_000_000,
            )

    def _events(self) -> Iterator[Point]:
        for kind, count, minutes in (
            ("records_lost", 7, 50),
            ("records_lost", 3, 20),
            ("epoch_started", 99, 10),
            ("records_lost", 1000, 9 * 60),  # before the window
        ):
            fields: dict[str, Field] = {"count": count, "epoch": 1, "reason": "overwritten"}
            yield Point(
                measurement="event",
                tags={**_place("weld-2"), "kind": kind},
                fields=fields,
                time_ns=(self.until_ms - 60_000 * minutes) * 1_000_000,
            )

    def _agent(self) -> Iterator[Point]:
        for age_s in range(0, 3600, 30):
            yield Point(
                measurement="agent",
                tags={"site": SITE, "agent": "pi-1"},
                fields={
                    "version": "0.1.0",
                    "uptime_s": 90_000.0 - age_s,
                    "queue_messages": age_s,
                    "queue_age_s": float(age_s),
                    "rss_mb": 48.5,
                },
                time_ns=(self.until_ms - 1000 * age_s) * 1_000_000,
            )


def _place(station: str, line: str = LINE) -> dict[str, str]:
    return {"site": SITE, "line": line, "station": station}


def _sample(station: str, at_ms: int, fields: Mapping[str, Field]) -> Point:
    return Point(
        measurement="telemetry", tags=_place(station), fields=fields, time_ns=at_ms * 1_000_000
    )


def _state(station: str, at_ms: int, code: int, name: str) -> Point:
    fields: dict[str, Field] = {"code": code, "name": name, "reason": "", "since_ms": at_ms}
    return Point(
        measurement="state", tags=_place(station), fields=fields, time_ns=at_ms * 1_000_000
    )
