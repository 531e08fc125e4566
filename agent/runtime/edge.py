"""Wiring: buses → line → outbox → spool → publishers, and the operator's page beside.

This is the one place where configuration objects become plain arguments.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.config import LiniFile, fingerprint, site_profiles, station_profiles
from agent.delivery.outbox import Outbox, UplinkSpec
from agent.delivery.publisher import Publisher
from agent.delivery.spool import Spool
from agent.model.board import Board, Site
from agent.model.station import StationModel
from agent.page.app import create_app
from agent.page.server import serve
from agent.parts.store import PartStore
from agent.runtime.health import VERSION, Health
from agent.runtime.line import Line
from agent.wire.schema import Schema
from collectors.modbus.bus import Bus
from collectors.modbus.device import Device, Place
from collectors.modbus.reader import RecordReader, name_of, reader_of
from collectors.modbus.schedule import BusRunner
from collectors.profile import Profile
from collectors.sample import StationId

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A running agent, as those who watch it see it. `page_url` is "" without a page."""

    models: Sequence[StationModel]
    line: Line
    publishers: Sequence[Publisher]
    spool: Spool
    page_url: str


@asynccontextmanager
async def running(path: Path, file: LiniFile, *, search_port: bool = False) -> AsyncIterator[Edge]:
    """Run the agent of the configuration `file` at `path`, as long as the context lasts.

    Entering raises LiniError when it cannot start; leaving stops it within seconds, with all that
    was read on the disk. With `search_port`, a taken port of the page leads to the next free one.
    """
    folder, clock = path.parent, time.time_ns
    models = _models(file, station_profiles(file, folder), now_ns=clock())
    own = folder / file.agent.profiles if file.agent.profiles else None
    schema = Schema.of(site_profiles(own))
    async with AsyncExitStack() as stack:
        spool = await stack.enter_async_context(Spool(folder / file.agent.data / "spool.db"))
        outbox = Outbox(
            spool,
            [UplinkSpec(name=uplink.name, pack=uplink.compress) for uplink in file.uplink],
            schema,
            agent=file.agent.name,
            config_hash=fingerprint(path),
            flush_s=file.agent.flush_s,
        )
        publishers = {
            uplink.name: Publisher(
                spool,
                outbox.stored(uplink.name),
                uplink.broker(folder),
                agent=file.agent.name,
                uplink=uplink.name,
                version=VERSION,
            )
            for uplink in file.uplink
        }
        parts = PartStore(folder / file.agent.data / "parts.db", clock=clock)
        await stack.enter_async_context(parts)
        line = Line({model.station: model for model in models}, outbox, clock=clock, parts=parts)
        board = Board(_site(file), models, clock=clock)
        health = Health(
            line,
            outbox,
            spool,
            publishers,
            board,
            station=_place(file, file.agent.name),
            clock=clock,
        )
        runners = await _runners(stack, file, models, spool, line)
        page_url = ""
        if file.page.enabled:
            app = create_app(board, clock=clock, names=file.page.names)
            page = serve(app, host=file.page.host, port=file.page.port, search=search_port)
            page_url = await stack.enter_async_context(page)
        work: dict[str, Coroutine[None, None, None]] = {
            "outbox": outbox.run(),
            "line": line.run(),
            "health": health.run(max_bytes=file.agent.max_spool_mb * 1_000_000),
            **{f"bus {name}": runner.run() for name, runner in runners.items()},
            **{f"uplink {name}": publisher.run() for name, publisher in publishers.items()},
        }
        stack.push_async_callback(line.drain)
        stack.push_async_callback(outbox.close)  # before the drain: the stack unwinds backwards
        await stack.enter_async_context(_tasks(work))
        log.info("%s %s watches %d stations", file.agent.name, VERSION, len(models))
        yield Edge(
            models=models,
            line=line,
            publishers=list(publishers.values()),
            spool=spool,
            page_url=page_url,
        )


@asynccontextmanager
async def _tasks(work: Mapping[str, Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """Run each coroutine as a named task while the context lasts; one that fails ends it all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each, name=name) for name, each in work.items()]
        yield
        for task in tasks:
            task.cancel()


def _models(file: LiniFile, profiles: Mapping[str, Profile], *, now_ns: int) -> list[StationModel]:
    return [
        StationModel(
            _place(file, station.name),
            station.title or profiles[station.name].title,
            profiles[station.name],
            now_ns=now_ns,
        )
        for station in file.station
    ]


async def _runners(
    stack: AsyncExitStack,
    file: LiniFile,
    models: Sequence[StationModel],
    spool: Spool,
    line: Line,
) -> dict[str, BusRunner]:
    """Return the runner of each bus, by the bus's name. `stack` closes the buses."""
    runners: dict[str, BusRunner] = {}
    for table in file.bus:
        bus = await stack.enter_async_context(Bus(table.name, table.link()))
        devices: list[Device] = []
        readers: list[RecordReader] = []
        for station, model in zip(file.station, models, strict=True):
            if station.bus != table.name:
                continue
            place = Place(
                station=model.station,
                device_id=station.device_id,
                profile=model.profile,
                timeout_s=station.timeout_s or model.profile.modbus.timeout_s,
                acknowledge=station.acknowledge,
            )
            device = Device(place, bus, time.time_ns)
            devices.append(device)
            if source := model.profile.records:
                cursor = await spool.cursor(name_of(device, source))
                readers.append(reader_of(device, source, cursor))
        runners[table.name] = BusRunner(devices, readers, line)
    return runners


def _site(file: LiniFile) -> Site:
    return Site(
        name=file.agent.title or file.agent.site,
        line=file.agent.line,
        timezone=file.agent.timezone,
        agent=file.agent.name,
        version=VERSION,
    )


def _place(file: LiniFile, station: str) -> StationId:
    return StationId(site=file.agent.site, line=file.agent.line, station=station)
