"""The genealogy of a running agent: opened, fed, and with what it knows of the registers watched."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from agent.control.requests import EnterPullTest, Entry
from agent.delivery.spool import Spool
from agent.genealogy.errors import EntryError
from agent.genealogy.links import Links
from agent.genealogy.store import Genealogy
from agent.model.pull_test import pull_test_point
from agent.model.station import StationModel
from agent.runtime.keeper import Keeper, Tell
from agent.runtime.line import Line
from collectors.process import ProcessWatch
from collectors.record import Event
from collectors.sample import StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An open genealogy, what feeds it, and the watches of the stations that tell process events."""

    genealogy: Genealogy
    keeper: Keeper
    watches: Mapping[StationId, ProcessWatch]


@asynccontextmanager
async def keeping(
    folder: Path,
    links: Links,
    models: Sequence[StationModel],
    spool: Spool,
    tell: Tell,
    *,
    clock: Callable[[], int],
) -> AsyncIterator[Kept]:
    """Keep the genealogy in `folder` open; on leaving it takes what the spool still holds for it."""
    own = replace(links, own=_own_registers(models))
    async with Genealogy(folder / "genealogy.db", own, clock=clock) as genealogy:
        watches: dict[StationId, ProcessWatch] = {}
        keeper = Keeper(
            spool,
            genealogy,
            [model.station for model in models],
            lambda: {station: watch.known for station, watch in watches.items()},
            tell,
        )
        await keeper.try_to_catch_up()  # an event on its way there tells what a register held last
        for model in models:
            if model.profile.events:
                known = await genealogy.known(model.station)
                watches[model.station] = ProcessWatch(model.profile, model.station, known)
        try:
            yield Kept(genealogy=genealogy, keeper=keeper, watches=watches)
        finally:
            await keeper.try_to_catch_up()


def entering(
    line: Line, models: Sequence[StationModel], *, clock: Callable[[], int]
) -> Callable[[Entry], Awaitable[None]]:
    """Return what stores what people entered. It raises EntryError for a wrong station."""
    stations = {model.station.station: model.station for model in models}

    async def enter(request: Entry) -> None:
        station = stations.get(request.station)
        if station is None:
            raise EntryError(
                f"there is no station `{request.station}`",
                f"there is: {', '.join(sorted(stations))}",
            )
        if isinstance(request, EnterPullTest):
            facts = request.model_dump(exclude={"do", "station"})
            await line.entered(pull_test_point(station, time_ns=clock(), **facts))
            return
        told = {"value": request.value, "note": request.note, "by": request.by}
        values = {name: text for name, text in told.items() if text}
        await line.entered(
            Event(station=station, kind=request.kind, time_ns=clock(), values=values)
        )

    return enter


def _own_registers(models: Sequence[StationModel]) -> Mapping[str, Mapping[str, str]]:
    """Return the registers of each station's records that tell what an event would, by subject."""
    return {
        model.station.station: {
            rule.name: rule.subject
            for rule in model.profile.events
            if rule.when == "changes"
            and model.profile.records is not None
            and rule.name in {each.name for each in model.profile.records.measured}
        }
        for model in models
    }
