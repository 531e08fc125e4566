"""When to poll: fixed rates on one clock, earliest deadline first, and the dead left alone.

The runner of a bus is the one place of the engine that waits, retries and tells others. A device
that does not answer costs its neighbours one time-out; then it is asked ever more rarely, while
they keep their periods.
"""

import asyncio
import heapq
import logging
import random
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
from collectors.modbus.device import Device
from collectors.modbus.reader import RecordReader
from collectors.quality import Reason
from collectors.records import Batch
from collectors.sample import Sample

log = logging.getLogger(__name__)

_FIRST_PROBE_S = 0.5
_LAST_PROBE_S = 30.0
_IDENTIFY_EVERY_S = 60.0
_TOLD_AFTER = 2  # failures in a row: one lost frame on a noisy line is no news

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


@dataclass(slots=True)
class _Health:
    """Whether a device answers, and when to ask again if it does not."""

    failures: int = 0
    retry_at: float = 0.0
    identified_at: float = float("-inf")


@dataclass(order=True, slots=True)
class _Job:
    """One thing to do each period. Jobs of a bus are ordered by when they are due."""

    due: float
    number: int
    period_s: float = field(compare=False)
    device: Device = field(compare=False)
    group: str = field(compare=False, default="")
    reader: RecordReader | None = field(compare=False, default=None)
    storing: asyncio.Task[None] | None = field(compare=False, default=None)
    is_refused: bool = field(compare=False, default=False)


class BusRunner:
    """Polls the devices of one bus until cancelled."""

    def __init__(
        self, devices: Sequence[Device], readers: Sequence[RecordReader], observer: Observer
    ) -> None:
        self.missed = 0  # polls left out, because the bus was busy when they were due
        self._observer = observer
        self._health = {device.station: _Health() for device in devices}
        self._wake = asyncio.Event()
        groups = [
            (period_s, device, group, None)
            for device in devices
            for group, period_s in device.place.profile.groups.items()
        ]
        rings = [(reader.period_s, reader.device, "", reader) for reader in readers]
        self._jobs = [_Job(0.0, number, *about) for number, about in enumerate([*groups, *rings])]

    async def run(self) -> None:
        """Poll for ever. What is due is done in order; what was missed is skipped, and counted."""
        try:
            while True:
                await self._until_due()
                job = heapq.heappop(self._jobs)
                try:
                    await self._do(job)
                finally:
                    job.due = self._next_tick(job)
                    heapq.heappush(self._jobs, job)
        finally:
            storing = [job.storing for job in self._jobs if job.storing is not None]
            for task in storing:
                task.cancel()
            await asyncio.gather(*storing, return_exceptions=True)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # a bus that is always late must not starve the others
        while (delay := self._jobs[0].due - loop.time()) > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _next_tick(self, job: _Job) -> float:
        now = asyncio.get_running_loop().time()
        if job.due:
            self.missed += max(0, int((now - job.due) / job.period_s))
        return (now // job.period_s + 1) * job.period_s

    async def _do(self, job: _Job) -> None:
        health = self._health[job.device.station]
        now = asyncio.get_running_loop().time()
        if now < health.retry_at:
            return
        try:
            if health.failures or now - health.identified_at >= _IDENTIFY_EVERY_S:
                await job.device.identify()
                health.identified_at = now
            await self._poll(job)
        except (BusDownError, NoAnswerError, WrongDeviceError) as error:
            self._lost(job.device, health, error)
        else:
            self._found(job.device, health)

    async def _poll(self, job: _Job) -> None:
        if job.reader is None:
            for sample in await job.device.sample(job.group):
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
        if reader.is_behind(batch) and job in self._jobs:
            job.due = 0.0
            heapq.heapify(self._jobs)
            self._wake.set()

    def _lost(self, device: Device, health: _Health, error: LiniError) -> None:
        now = asyncio.get_running_loop().time()
        health.failures += 1
        pause_s = min(_LAST_PROBE_S, _FIRST_PROBE_S * 2 ** min(health.failures, 10))
        health.retry_at = now + random.uniform(0.5, 1.0) * pause_s  # noqa: S311 - jitter, no secret
        for group in device.place.profile.groups:
            for sample in device.silent(group, _REASONS[type(error)]):
                self._observer.sampled(sample)
        if health.failures == _TOLD_AFTER:
            log.warning("%s is lost: %s", device.station, error)

    def _found(self, device: Device, health: _Health) -> None:
        if health.failures >= _TOLD_AFTER:
            log.info("%s is back after %d failures", device.station, health.failures)
        health.failures = 0
        health.retry_at = 0.0
