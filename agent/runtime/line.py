"""Between the buses and the outbox: what is read goes through the model and on to the disk."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping

from agent.delivery.entry import SpoolError
from agent.delivery.outbox import Outbox
from agent.model.points import event_point, record_point
from agent.model.station import StationModel
from agent.parts.families import Derived, derive, underived
from agent.parts.store import PartsError, PartStore
from agent.wire.point import Point
from collectors.process import Happened, ProcessWatch
from collectors.record import Event
from collectors.records import Batch
from collectors.sample import Sample, StationId

log = logging.getLogger(__name__)

_TELEMETRY = {"telemetry", "formation_curve", "agent"}
_TICK_S = 0.5
_NO_WATCHES: Mapping[StationId, ProcessWatch] = {}


class Line:
    """The observer of all buses of an agent."""

    def __init__(
        self,
        models: Mapping[StationId, StationModel],
        outbox: Outbox,
        *,
        clock: Callable[[], int],
        watches: Mapping[StationId, ProcessWatch] = _NO_WATCHES,
        parts: PartStore | None = None,
    ) -> None:
        self.samples = self.records = self.records_lost = 0  # since the start
        self._models = models
        self._outbox = outbox
        self._parts = parts
        self._has_no_parts = False
        self._clock = clock
        self._watches = watches
        self._writing: set[asyncio.Task[None]] = set()

    def sampled(self, sample: Sample) -> None:
        """Take one sample."""
        self.samples += 1
        self._send(self._models[sample.station].sampled(sample))
        watch = self._watches.get(sample.station)
        if watch is not None and (happened := watch.sampled(sample)):
            self._begin(self._keep(watch, happened))

    async def recorded(self, source: str, batch: Batch) -> None:
        """Store a batch with its cursor; only then does it count."""
        derived = await self._derived(batch)
        parts = [
            record_point(record, self._models[record.station].profile)
            for record in (*derived.records, *derived.summaries)
        ]
        found = [*batch.events, *derived.events]
        events = [event_point(event) for event in found]
        await self._outbox.add_evidence([*parts, *events], (source, batch.cursor))
        self.records += len(batch.records)
        for record in derived.records:
            self._models[record.station].recorded(record)
        for event in found:
            self.records_lost += self._models[event.station].happened(event)
            log.warning("%s: %s: %s", event.station, event.kind, dict(event.values))

    async def _derived(self, batch: Batch) -> Derived:
        """Return the batch's records with what earlier parts tell; without, if those are lost."""
        source = self._models[batch.records[0].station].profile.records if batch.records else None
        if source is None or self._parts is None:
            return Derived(batch.records)
        try:
            derived = await derive(self._parts, source, batch.records)
        except PartsError as error:
            if not self._has_no_parts:
                log.error("parts are stored without what earlier ones would tell: %s", error)  # noqa: TRY400 - the error says it all
            self._has_no_parts = True
            return underived(source, batch.records)
        self._has_no_parts = False
        return derived

    def happened(self, event: Event) -> None:
        """Store an event of the agent itself."""
        self._send([event_point(event)])

    async def entered(self, entry: Event | Point) -> None:
        """Store what people entered, an event or a row of its own; on the disk when it returns."""
        if isinstance(entry, Point):
            await self._outbox.add_evidence([entry])
            return
        await self._outbox.add_evidence([event_point(entry)])
        self._models[entry.station].happened(entry)

    async def run(self) -> None:
        """Let time pass for the stations: values grow old, and states are told again."""
        while True:
            now_ns = self._clock()
            for model in self._models.values():
                self._send(model.tick(now_ns))
            await asyncio.sleep(_TICK_S)

    def close(self) -> None:
        """Store what the stations held back. Nothing is read any more."""
        for model in self._models.values():
            self._send(model.close())

    async def drain(self) -> None:
        """Wait for what is still on its way to the disk."""
        await asyncio.gather(*self._writing)

    def _send(self, points: Iterable[Point]) -> None:
        telemetry: list[Point] = []
        evidence: list[Point] = []
        for point in points:
            (telemetry if point.measurement in _TELEMETRY else evidence).append(point)
        if telemetry:
            self._outbox.add(telemetry)
        if evidence:
            self._begin(self._store(evidence))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="store evidence")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _keep(self, watch: ProcessWatch, happened: Happened) -> None:
        try:
            await self._outbox.add_evidence([event_point(event) for event in happened.events])
        except SpoolError as error:
            log.warning("process events will be seen again after the start: %s", error)
            return
        watch.stored(happened)
        for event in happened.events:
            self._models[event.station].happened(event)
            log.info("%s: %s: %s", event.station, event.kind, dict(event.values))

    async def _store(self, points: list[Point]) -> None:
        try:
            await self._outbox.add_evidence(points)
        except SpoolError as error:
            log.error("%d states or alarms could not be stored: %s", len(points), error)  # noqa: TRY400 - the error says it all
