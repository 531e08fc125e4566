"""When to poll: fixed rates on one clock, earliest deadline first, and the dead left alone.

The runner of a bus is the one place of the engine that waits, retries and tells others.

- **Ticks.** A group is due at the multiples of its period on the loop's clock, so that groups of one
  period are due together on all buses of the agent.
- **Order.** Of what is due, the poll whose period ends first goes first (`Agenda`).
- **Overload.** A poll that the bus did not reach before its next tick is left out and counted as
  missed, never made up for: what is read is always the newest.
- **Silence.** A device that does not answer costs its neighbours that one time-out. Then none of
  its groups is polled; the poll that failed is the probe, made when `Probing` says so.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from collectors.errors import (
    BusDownError,
    LiniError,
    NoAnswerError,
    RefusedError,
    WrongDeviceError,
)
from collectors.modbus.planning.plan import items_of
from collectors.modbus.reading.device import Device
from collectors.modbus.reading.reader import RecordReader
from collectors.modbus.scheduling.agenda import Agenda, Periodic
from collectors.modbus.scheduling.measures import DeviceMeasures
from collectors.modbus.scheduling.probing import Probing
from collectors.modbus.transport.frame import Request
from collectors.quality import Reason
from collectors.records import Batch
from collectors.sample import Sample

log = logging.getLogger(__name__)

_TOLD_AFTER = 2  # failures in a row: one lost frame on a noisy line is no news
_MARK_EVERY_S = 30.0  # the values of a silent device are marked missing again, for those who join
_NO_IO_S = 1e-4  # a poll done so soon may never have waited
_THINKING_TIMES = 3  # the usual time to think, so often, is time enough for a healthy device
_SPARED = 20  # probes that hold up the others take no more than one part in so many of the time
_FRAME = 13  # characters of request and answer without the data

_REASONS: dict[type[LiniError], Reason] = {
    BusDownError: Reason.COMM,
    NoAnswerError: Reason.COMM,
    WrongDeviceError: Reason.WRONG_DEVICE,
}


class Observer(Protocol):
    """Who is told what the bus says."""

    def sampled(self, sample: Sample) -> None:
        """Take one sample."""

    async def recorded(self, source: str, batch: Batch) -> None:
        """Store records, events and the cursor of `source`; return once they are safe."""


@dataclass(slots=True, eq=False)
class _Unit:
    """A device on the bus, and whether it answers."""

    device: Device
    probing: Probing
    measures: DeviceMeasures = field(default_factory=DeviceMeasures)
    probe: "_Job | None" = None  # the poll that failed, if the device is set aside
    is_to_blame: bool = False  # or could it not be reached, because the bus was down
    cause: LiniError | None = None  # of its silence: later errors only say that it lasts
    marked: Reason = Reason.NONE
    marked_at: float = -math.inf


@dataclass(slots=True, eq=False, kw_only=True)
class _Job(Periodic):
    """One poll group, or one ring of records."""

    unit: _Unit
    group: str = ""
    reader: RecordReader | None = None
    begun: float = 0.0  # when it last went well; 0: never, or not since the silence
    storing: asyncio.Task[None] | None = None
    is_refused: bool = False


class BusRunner:
    """Polls the devices of one bus until cancelled.

    `character_s` is what a character takes on a serial line: a device cannot answer sooner.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        readers: Sequence[RecordReader],
        observer: Observer,
        *,
        character_s: float = 0.0,
    ) -> None:
        self._observer = observer
        self._units = {device.station: _unit(device, character_s) for device in devices}
        self._by_id = {unit.device.place.device_id: unit for unit in self._units.values()}
        self._wake = asyncio.Event()
        self._is_up = True  # whether the bus answered, or was not tried, since it was last down
        groups = [
            _Job(period_s=period_s, unit=unit, group=group)
            for unit in self._units.values()
            for group, period_s in unit.device.place.profile.groups.items()
            if any(items_of(unit.device.place.profile, group))
        ]
        rings = [
            _Job(period_s=each.period_s, unit=self._units[each.device.station], reader=each)
            for each in readers
        ]
        self._jobs = [*groups, *rings]
        self._agenda: Agenda[_Job] = Agenda()
        self._silent: list[_Unit] = []
        self._spared_until = 0.0  # no probe that holds up the others before

    @property
    def measures(self) -> dict[Device, DeviceMeasures]:
        """How well each device is read."""
        return {unit.device: unit.measures for unit in self._units.values()}

    @property
    def missed(self) -> int:
        """Polls left out, because the bus was busy until the next one was due."""
        return sum(unit.measures.missed for unit in self._units.values())

    def heard(self, request: Request, seconds: float) -> None:
        """Take the time that the answer to `request` took; a `Bus` calls it."""
        self._by_id[request.device_id].measures.latency.add(seconds)

    async def run(self) -> None:
        """Poll for ever."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for job in self._jobs:
            job.tick = job.newest_tick(now)
            self._agenda.plan(job)
        try:
            while True:
                job, listen_s = await self._next(loop)
                begun = loop.time()
                await self._do(job, begun, listen_s)
                if loop.time() - begun < _NO_IO_S:
                    await asyncio.sleep(0)  # what fails without waiting must not starve the others
        finally:
            storing = [job.storing for job in self._jobs if job.storing is not None]
            for task in storing:
                task.cancel()
            await asyncio.gather(*storing, return_exceptions=True)

    async def _next(self, loop: asyncio.AbstractEventLoop) -> tuple[_Job, float]:
        """Wait for what is to be done next; return it, and for how long to listen if a probe."""
        while True:
            now = loop.time()
            if self._silent and (found := self._due_probe(now)):
                return found
            if job := self._agenda.pop(now):
                return job, 0.0
            await self._wait(loop, self._wake_at(now))

    async def _wait(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self._wake.clear()
        timer = loop.call_at(until, self._wake.set) if until < math.inf else None
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _wake_at(self, now: float) -> float:
        wake_at = self._agenda.next_at
        for unit in self._silent:
            probe_at = unit.probing.next_at(now)
            wake_at = min(wake_at, probe_at if probe_at > now else self._spared_until)
        return wake_at

    def _due_probe(self, now: float) -> tuple[_Job, float] | None:
        """Return a silent device's probe if it is time, and for how long to listen."""
        gap_s = self._agenda.gap_s(now)
        for unit in self._silent:  # the one that waits longest stands first
            listen_s = unit.probing.listen_s(now, gap_s)
            if listen_s > gap_s:  # holds up the others: many dead devices must not add up
                if now < self._spared_until:
                    continue
                self._spared_until = now + _SPARED * listen_s
            if listen_s and unit.probe:
                return unit.probe, listen_s
        return None

    async def _do(self, job: _Job, begun: float, listen_s: float) -> None:
        unit, tick = job.unit, job.newest_tick(begun)
        if not listen_s:
            unit.measures.missed += max(0, tick - job.tick)
        job.tick = tick + 1
        whole_s = unit.device.place.timeout_s
        unit.device.timeout_s = listen_s or whole_s
        try:
            await self._poll(job)
        except (BusDownError, NoAnswerError, WrongDeviceError) as error:
            self._lost(job, error, unit.device.timeout_s)
            return
        unit.measures.polls += 1
        if not self._is_up:
            self._bus_is_back(job, begun)
        if unit.cause is not None:
            self._found(job, begun)
        elif job.begun:
            unit.measures.interval_error.add(abs(begun - job.begun - job.period_s))
        job.begun = begun
        self._agenda.plan(job)

    async def _poll(self, job: _Job) -> None:
        if job.reader is None:
            for sample in await job.unit.device.sample(job.group):
                self._observer.sampled(sample)
            return
        if job.storing is not None and not job.storing.done():
            return  # the disk is slower than the machine: the ring keeps the parts as long
        if batch := await self._read(job, job.reader):
            # Stored beside the bus: a slow disk must not hold up the polls.
            work = self._store(job, job.reader, batch)
            job.storing = asyncio.create_task(work, name=f"store {job.reader.name}")

    async def _read(self, job: _Job, reader: RecordReader) -> Batch | None:
        """Return new records. A ring that is refused leaves the rest of the device alone."""
        try:
            batch = await reader.read()
        except RefusedError as error:
            if not job.is_refused:
                log.warning("%s: no records: %s", reader.name, error)
            job.is_refused = True
            return None
        job.is_refused = False
        return batch

    async def _store(self, job: _Job, reader: RecordReader, batch: Batch) -> None:
        try:
            await self._observer.recorded(reader.name, batch)
        except LiniError as error:
            log.warning(
                "%s: records are not stored yet, will be read again: %s", reader.name, error
            )
            return
        reader.stored(batch)
        if reader.is_behind(batch) and job.unit.probe is None:
            job.begun = 0.0
            self._agenda.remove({job})
            self._agenda.plan(job, at=0.0)
            self._wake.set()

    def _lost(self, job: _Job, error: LiniError, waited_s: float) -> None:
        """Set the device aside: all that is planned for it waits until a probe is answered."""
        unit, now = job.unit, asyncio.get_running_loop().time()
        unit.measures.timeouts += isinstance(error, NoAnswerError)
        is_bus_down = isinstance(error, BusDownError)
        unit.is_to_blame = not is_bus_down or self._is_up
        if unit.is_to_blame:  # a connection may have been broken by what this device was asked
            unit.probing.failed(now, waited_s=waited_s)
        else:
            unit.probing.unreachable(now)
        self._is_up = not is_bus_down
        if unit.probe is None:
            self._agenda.remove({each for each in self._jobs if each.unit is unit})
        else:
            self._silent.remove(unit)
        self._silent.append(unit)
        unit.probe = job
        unit.cause = unit.cause or error
        unit.measures.is_silent = True
        self._mark(unit, _REASONS[type(error)], now)
        if unit.probing.failures == _TOLD_AFTER:
            log.warning("%s is lost: %s", unit.device.station, unit.cause)

    def _mark(self, unit: _Unit, reason: Reason, now: float) -> None:
        if unit.marked is reason and now - unit.marked_at < _MARK_EVERY_S:
            return
        unit.marked, unit.marked_at = reason, now
        for group in unit.device.place.profile.groups:
            for sample in unit.device.silent(group, reason):
                self._observer.sampled(sample)

    def _bus_is_back(self, heard: _Job, now: float) -> None:
        """Take up all that could not be reached, as if nothing had been."""
        self._is_up = True
        for unit in [each for each in self._silent if not each.is_to_blame]:
            self._take_up(unit, heard, now)

    def _found(self, heard: _Job, now: float) -> None:
        unit = heard.unit
        if unit.probing.failures >= _TOLD_AFTER:
            log.info("%s is back after %d failures", unit.device.station, unit.probing.failures)
        unit.probing.answered()
        self._spared_until = 0.0  # a probe that is answered holds up nobody
        unit.cause, unit.marked, unit.measures.is_silent = None, Reason.NONE, False
        if unit.probe is not None:
            self._take_up(unit, heard, now)

    def _take_up(self, unit: _Unit, heard: _Job, now: float) -> None:
        """Plan a device again, all but the poll just `heard`: what came due is due now."""
        for job in self._jobs:
            if job.unit is unit and job is not heard:
                tick = job.newest_tick(now)
                job.tick = tick if job is unit.probe else max(job.tick, tick)
                job.begun = 0.0
                self._agenda.plan(job)
        self._silent.remove(unit)
        unit.probe = None


def _unit(device: Device, character_s: float) -> _Unit:
    limits = device.place.profile.modbus
    longest_s = (_FRAME + 2 * limits.max_registers) * character_s
    return _Unit(
        device,
        Probing(
            timeout_s=device.place.timeout_s,
            least_s=_THINKING_TIMES * limits.answer_s + longest_s,
        ),
    )
