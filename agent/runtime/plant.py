"""The buses of a site and the devices on them, as its files want them; nothing is opened yet."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config import BusTable, LiniFile, StationTable
from agent.runtime.memory import Facts, Memory
from collectors.modbus.planning.healing import News
from collectors.modbus.reading.device import Device, Place, Tell
from collectors.modbus.scheduling.budget import Budget, budget
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import Link
from collectors.profile import Profile
from collectors.sample import StationId

log = logging.getLogger(__name__)

HOLES = "holes"  # the topic of what devices refuse to read


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBus:
    """One bus with its devices, and the time that their polls need on it."""

    bus: Bus
    devices: tuple[Device, ...]
    budget: Budget
    character_s: float


def plan_buses(
    file: LiniFile,
    folder: Path,
    profiles: Mapping[str, Profile],
    memory: Memory,
    *,
    clock: Callable[[], int],
) -> list[PlannedBus]:
    """Return the buses of `file`, with `profiles` by station and what `memory` knows of each."""
    planned = []
    for table in file.bus:
        stations = [station for station in file.station if station.bus == table.name]
        link = table.link(folder)
        bus = _bus(table, link, [profiles[station.name] for station in stations])
        devices = tuple(
            Device(
                _place(file, station, profiles[station.name]),
                bus,
                clock,
                learned=memory.recall(HOLES).get(station.name),
                tell=_keeper(memory, station.name),
            )
            for station in stations
        )
        planned.append(
            PlannedBus(
                bus=bus,
                devices=devices,
                budget=budget(table.name, link, devices, in_flight=bus.window),
                character_s=link.character_s,
            )
        )
    return planned


def station_id(file: LiniFile, station: str) -> StationId:
    """Return where a station of the site stands."""
    return StationId(site=file.agent.site, line=file.agent.line, station=station)


def _place(file: LiniFile, station: StationTable, profile: Profile) -> Place:
    return Place(
        station=station_id(file, station.name),
        device_id=station.device_id,
        profile=profile.in_order(station.order) if station.order else profile,
        timeout_s=station.timeout_s or profile.modbus.timeout_s,
        acknowledge=station.acknowledge,
    )


def _bus(table: BusTable, link: Link, profiles: list[Profile]) -> Bus:
    """Return the bus of a table, with as much in flight as each device on it allows."""
    if table.unstable_port:
        log.warning("bus %s: %s", table.name, table.unstable_port)
    return Bus(
        table.name,
        link,
        window=min((profile.modbus.max_in_flight for profile in profiles), default=1),
        connections=min((profile.modbus.max_connections for profile in profiles), default=1),
    )


def _keeper(memory: Memory, station: str) -> Tell:
    """Return what keeps and tells the news of one device."""

    def tell(news: News, facts: Facts) -> None:
        memory.remember(HOLES, station, facts, at_once=bool(news.lost or news.back))
        for what in news.lost:
            log.warning("%s refuses %s: left out, and asked again now and then", station, what)
        for what in news.back:
            log.info("%s gives %s again", station, what)
        for what in news.found:
            log.info("%s: %s", station, what)

    return tell
