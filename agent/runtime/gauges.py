"""How the buses and the devices on them fare, as rows of the database."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.model.points import place_tags
from agent.wire.point import Field, Point
from collectors.modbus.reading.device import Device
from collectors.modbus.scheduling.budget import Budget
from collectors.modbus.scheduling.measures import DeviceMeasures, Histogram
from collectors.modbus.scheduling.schedule import BusRunner
from collectors.modbus.transport.bus import Bus
from collectors.sample import StationId


@dataclass(slots=True)
class _Watched:
    """One bus, and what was known of it when the last row was made."""

    bus: Bus
    runner: BusRunner
    budget: Budget
    busy_s: float
    at_s: float


class Gauges:
    """Reads off what buses count and measure.

    Counts are since the start; load and percentiles are those since the rows before.
    """

    def __init__(
        self, agent: StationId, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._tags = {"site": agent.site, "agent": agent.station}
        self._monotonic = monotonic
        self._watched: list[_Watched] = []

    def watch(self, bus: Bus, runner: BusRunner, budget: Budget) -> None:
        """Measure `bus` from now on."""
        bus.heard = runner.heard
        self._watched.append(_Watched(bus, runner, budget, bus.counts.busy_s, self._monotonic()))

    def rows(self, now_ns: int) -> Iterator[Point]:
        """Yield a row of each bus and of each device, and begin the percentiles anew."""
        for watched in self._watched:
            yield Point(
                measurement="bus",
                tags={**self._tags, "bus": watched.bus.name},
                fields=self._bus_fields(watched),
                time_ns=now_ns,
            )
            for device, measures in watched.runner.measures.items():
                yield Point(
                    measurement="device",
                    tags=place_tags(device.station),
                    fields=_device_fields(device, measures),
                    time_ns=now_ns,
                )

    def _bus_fields(self, watched: _Watched) -> dict[str, Field]:
        counts, now_s = watched.bus.counts, self._monotonic()
        passed_s = max(now_s - watched.at_s, 1e-9)
        load = (counts.busy_s - watched.busy_s) / passed_s
        watched.busy_s, watched.at_s = counts.busy_s, now_s
        return {
            "load_percent": round(100 * load, 1),
            "planned_percent": round(100 * watched.budget.share, 1),
            "requests": counts.requests,
            "refusals": counts.refusals,
            "timeouts": counts.timeouts,
            "discarded": sum(counts.discarded.values()),
            "connects": counts.connects,
            "losses": counts.losses,
        }


def _device_fields(device: Device, measures: DeviceMeasures) -> dict[str, Field]:
    fields: dict[str, Field] = {
        "up": int(not measures.is_silent),
        "polls": measures.polls,
        "missed": measures.missed,
        "timeouts": measures.timeouts,
        "refusals": device.refusals,
        **_percentiles("latency", measures.latency, 50, 95, 99),
        **_percentiles("interval_error", measures.interval_error, 99),
    }
    measures.latency.clear()
    measures.interval_error.clear()
    return fields


def _percentiles(name: str, durations: Histogram, *percents: int) -> dict[str, Field]:
    if not durations.count:
        return {}
    return {
        f"{name}_p{percent}_ms": round(1000 * durations.percentile(percent), 2)
        for percent in percents
    }
