"""Rows about buses and devices: what was counted, and the load since the rows before."""

from agent.runtime.gauges import Gauges
from agent.wire.point import Point
from agent.wire.schema import Schema
from collectors.modbus.reading.device import Device, Place
from collectors.modbus.scheduling.budget import budget
from collectors.modbus.scheduling.schedule import BusRunner
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import TcpLink
from collectors.register import Table
from collectors.sample import StationId
from tests.services.timed_bus import CLOCK_NS, Notes, profile

LINK = TcpLink(host="127.0.0.1")


class Watched:
    """A bus with one device, watched by a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.bus = Bus("plc", LINK)
        self.device = Device(
            Place(
                station=StationId(site="s", line="l", station="w1"),
                device_id=7,
                profile=profile({"live": 0.5}),
                timeout_s=1.0,
            ),
            self.bus,
            clock=lambda: CLOCK_NS,
        )
        self.runner = BusRunner([self.device], [], Notes())
        self._gauges = Gauges(
            StationId(site="s", line="l", station="pi"), monotonic=lambda: self.now
        )
        self._gauges.watch(self.bus, self.runner, budget("plc", LINK, [self.device]))

    def rows(self) -> dict[str, Point]:
        """Return the rows by measurement, each of which the schema lets through."""
        schema = Schema.of([])
        rows = {row.measurement: row for row in self._gauges.rows(1)}
        for row in rows.values():
            schema.check(row)
        return rows


def test_load_is_what_the_bus_was_busy_since_the_rows_before() -> None:
    watched = Watched()
    watched.bus.counts.busy_s, watched.now = 3.0, 110.0
    row = watched.rows()["bus"]
    assert row.tags == {"site": "s", "agent": "pi", "bus": "plc"}
    assert (row.fields["load_percent"], row.fields["planned_percent"]) == (30.0, 4.0)
    watched.bus.counts.busy_s, watched.now = 4.0, 120.0
    assert watched.rows()["bus"].fields["load_percent"] == 10.0


def test_counts_of_the_bus_are_told() -> None:
    watched = Watched()
    counts = watched.bus.counts
    counts.requests, counts.timeouts, counts.connects = 9, 2, 3
    counts.discarded.update(late=2, crc=1)
    fields = watched.rows()["bus"].fields
    told = {name: fields[name] for name in ("requests", "timeouts", "connects", "discarded")}
    assert told == {"requests": 9, "timeouts": 2, "connects": 3, "discarded": 3}


def test_a_device_tells_the_percentiles_of_what_its_bus_heard() -> None:
    watched = Watched()
    assert "latency_p99_ms" not in watched.rows()["device"].fields  # nothing heard, nothing told
    for _ in range(99):
        watched.bus.heard(Request(7, Table.HOLDING, 0, 1), 0.010)
    watched.bus.heard(Request(7, Table.HOLDING, 0, 1), 0.500)
    row = watched.rows()["device"]
    assert row.tags == {"site": "s", "line": "l", "station": "w1"}
    assert row.fields["up"] == 1
    for name, exact in (("latency_p50_ms", 10), ("latency_p95_ms", 10), ("latency_p99_ms", 10)):
        assert abs(float(row.fields[name]) - exact) < 0.6
    assert "latency_p99_ms" not in watched.rows()["device"].fields  # told once
