"""Wiring: buses → line → outbox → spool → publishers, and the operator's page beside.

This is the one place where configuration objects become plain arguments.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.config import LiniFile, check_links, fingerprint, site_profiles, station_profiles
from agent.control import server as control
from agent.control.desk import Desk
from agent.control.server import listening
from agent.delivery.outbox import Outbox
from agent.delivery.publisher import Publisher
from agent.delivery.spool import Spool
from agent.model.board import Board, Site
from agent.model.station import StationModel
from agent.page.app import create_app
from agent.page.server import serve
from agent.parts.store import PartStore
from agent.runtime.gauges import Gauges
from agent.runtime.health import VERSION, Health
from agent.runtime.keeper import RECEIVER
from agent.runtime.keeping import entering, keeping
from agent.runtime.line import Line
from agent.runtime.memory import Memory
from agent.runtime.plant import PlannedBus, plan_buses, station_id
from agent.runtime.sharing import receiver
from agent.runtime.spool_watch import SpoolWatch, limits_of
from agent.wire.schema import Schema
from collectors.modbus.reading.reader import RecordReader, name_of, reader_of
from collectors.modbus.scheduling.budget import refuse_overload
from collectors.modbus.scheduling.schedule import BusRunner
from collectors.profile import Profile

log = logging.getLogger(__name__)

_HARD_CAP = 2  # times the limit: evidence is never shed, and needs room beyond it


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
    profiles = station_profiles(file, folder)
    check_links(file, profiles)
    data = folder / file.agent.data
    memory = Memory(data / "learned.json")
    models = _models(file, profiles, memory, now_ns=clock())
    buses = plan_buses(file, folder, profiles, memory, clock=clock)
    _check_load(buses)
    own = folder / file.agent.profiles if file.agent.profiles else None
    schema = Schema.of(site_profiles(own))
    receivers = [receiver(file, folder, uplink, profiles) for uplink in file.uplink]
    async with AsyncExitStack() as stack:
        limits = limits_of(file.agent)
        spool = await stack.enter_async_context(
            Spool(data / "spool.db", cap_bytes=_HARD_CAP * limits.max_bytes)
        )
        links = file.genealogy.links()
        outbox = Outbox(
            spool,
            [*receivers, RECEIVER],
            schema,
            agent=file.agent.name,
            config_hash=fingerprint(path),
            flush_s=file.agent.flush_s,
        )
        kept = await stack.enter_async_context(
            keeping(data, links, models, spool, outbox.store, clock=clock)
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
        parts = await stack.enter_async_context(PartStore(data / "parts.db", clock=clock))
        line = Line(
            {model.station: model for model in models},
            outbox,
            clock=clock,
            watches=kept.watches,
            parts=parts,
        )
        board = Board(_site(file), models, clock=clock)
        agent = station_id(file, file.agent.name)
        gauges = Gauges(agent)
        watch = SpoolWatch(spool, outbox, limits, line.happened, station=agent, clock=clock)
        health = Health(
            line,
            outbox,
            spool,
            publishers,
            board,
            gauges=gauges,
            station=agent,
            clock=clock,
            watch=watch,
        )
        runners = await _runners(stack, buses, spool, line, gauges)
        desk = Desk(
            kept.genealogy,
            catch_up=kept.keeper.catch_up,
            enter=entering(line, models, clock=clock),
            spool=watch.answer,
        )
        page_url = ""
        if file.page.enabled:
            app = create_app(
                board,
                clock=clock,
                names=file.page.names,
                trace=kept.genealogy.trace,
            )
            page = serve(app, host=file.page.host, port=file.page.port, search=search_port)
            page_url = await stack.enter_async_context(page)
        work: dict[str, Coroutine[None, None, None]] = {
            "outbox": outbox.run(),
            "line": line.run(),
            "genealogy": kept.keeper.run(),
            "memory": memory.run(),
            "health": health.run(),
            **{f"bus {name}": runner.run() for name, runner in runners.items()},
            **{f"uplink {name}": publisher.run() for name, publisher in publishers.items()},
        }
        # The stack unwinds backwards: the line is the first to be closed, once nothing is read.
        stack.push_async_callback(line.drain)
        stack.push_async_callback(outbox.close)
        stack.callback(memory.save)
        stack.callback(line.close)
        await stack.enter_async_context(_tasks(work))
        await stack.enter_async_context(listening(data / control.NAME, desk.answer))
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


def _models(
    file: LiniFile, profiles: Mapping[str, Profile], memory: Memory, *, now_ns: int
) -> list[StationModel]:
    counted = memory.recall("counters")
    return [
        StationModel(
            station_id(file, station.name),
            station.title or profiles[station.name].title,
            profiles[station.name],
            now_ns=now_ns,
            counted=counted.get(station.name, {}),
            remember=partial(memory.remember, "counters", station.name),
        )
        for station in file.station
    ]


def _check_load(buses: Sequence[PlannedBus]) -> None:
    """Raise FixTheFileError for buses that cannot do what is asked; warn of those that hardly can."""
    budgets = [planned.budget for planned in buses]
    refuse_overload(budgets)
    for each in budgets:
        if each.is_tight:
            log.warning("%s\n  → %s", each.words, each.advice)


async def _runners(
    stack: AsyncExitStack,
    buses: Sequence[PlannedBus],
    spool: Spool,
    line: Line,
    gauges: Gauges,
) -> dict[str, BusRunner]:
    """Return the runner of each bus, by the bus's name. `stack` closes the buses."""
    runners: dict[str, BusRunner] = {}
    for planned in buses:
        bus = await stack.enter_async_context(planned.bus)
        readers: list[RecordReader] = []
        for device in planned.devices:
            if source := device.place.profile.records:
                cursor = await spool.cursor(name_of(device, source))
                readers.append(reader_of(device, source, cursor))
        runner = BusRunner(planned.devices, readers, line, character_s=planned.character_s)
        gauges.watch(bus, runner, planned.budget)
        runners[bus.name] = runner
    return runners


def _site(file: LiniFile) -> Site:
    return Site(
        name=file.agent.title or file.agent.site,
        line=file.agent.line,
        timezone=file.agent.timezone,
        agent=file.agent.name,
        version=VERSION,
    )
