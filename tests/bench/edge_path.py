"""Values a CPU second, from the wire to the disk: 20 TCP devices of 100 values, without a pause."""

import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

from agent.delivery.outbox import Outbox, UplinkSpec
from agent.delivery.spool import Spool
from agent.model.station import StationModel
from agent.runtime.line import Line
from agent.wire.schema import Schema
from collectors.modbus.reading.device import Device, Place
from collectors.modbus.scheduling.schedule import BusRunner, Observer
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import TcpLink
from collectors.profile import Profile
from collectors.records import Batch
from collectors.sample import Sample, StationId
from tests.bench.device import serving
from tests.bench.figures import Figure, show
from tests.services.profiles import small_profile

_DEVICES = 20
_SECONDS = 6.0
_FLAT_OUT_S = 0.0001  # no device answers as fast: the next poll is always due


class Counting:
    """An observer that counts values and notes when each station was heard."""

    def __init__(self) -> None:
        self.values = 0
        self._heard: dict[str, list[float]] = {}

    def sampled(self, sample: Sample) -> None:
        self.values += len(sample.values)
        if sample.values:
            self._heard.setdefault(sample.station.station, []).append(time.perf_counter())

    async def recorded(self, source: str, batch: Batch) -> None:
        raise AssertionError(f"{source} has no records, but sent {batch}")

    def longest_gaps(self, *, skip: str) -> list[float]:
        """Return the longest time between two samples of each station but `skip`, in s."""
        return [
            max(late - early for early, late in pairwise(times))
            for station, times in self._heard.items()
            if station != skip
        ]


class Counted:
    """Counts values on their way to another observer."""

    def __init__(self, observer: Observer) -> None:
        self.values = 0
        self._observer = observer

    def sampled(self, sample: Sample) -> None:
        self.values += len(sample.values)
        self._observer.sampled(sample)

    async def recorded(self, source: str, batch: Batch) -> None:
        await self._observer.recorded(source, batch)


def bench_profile(*, period_s: float, timeout_s: float = 1.0) -> Profile:
    """Return 100 values in one read: whole and scaled ones of 16 bits, and 25 of 32 bits."""
    registers: list[dict[str, object]] = []
    address = 0

    def add(count: int, words: int, **about: object) -> None:
        nonlocal address
        for _ in range(count):
            registers.append({"name": f"v{len(registers)}", "address": address, **about})
            address += words

    add(40, 1, type="uint16")
    add(35, 1, type="int16", scale=0.1, unit="°C", valid=[-50, 150])
    add(15, 2, type="float32", unit="A")
    add(10, 2, type="uint32", order="CDAB")
    profile = small_profile(registers, modbus={"timeout_s": timeout_s})
    return profile.model_copy(update={"groups": {"live": period_s}})  # faster than a file may ask


def station(device_id: int) -> StationId:
    """Return the station of a device id."""
    return StationId(site="bench", line="1", station=f"unit-{device_id}")


def runner_of(
    bus: Bus, profile: Profile, device_ids: Sequence[int], observer: Observer
) -> BusRunner:
    """Return what polls devices of one profile on one bus."""
    devices = [
        Device(
            Place(
                station=station(each),
                device_id=each,
                profile=profile,
                timeout_s=profile.modbus.timeout_s,
            ),
            bus,
            time.time_ns,
        )
        for each in device_ids
    ]
    return BusRunner(devices, [], observer)


async def _cpu_s(port: int, profile: Profile, observer: Counting | Counted) -> float:
    """Poll for a while; return the CPU seconds of one value."""
    async with AsyncExitStack() as stack:
        tasks = []
        for device_id in range(1, _DEVICES + 1):
            link = TcpLink(host="127.0.0.1", port=port)
            bus = await stack.enter_async_context(Bus(f"bus-{device_id}", link))
            # Unit 13 of the bench's device is mute: every device here is its own unit 1 … but 13.
            runner = runner_of(bus, profile, [100 + device_id], observer)
            tasks.append(asyncio.create_task(runner.run()))
        await asyncio.sleep(1.0)
        observer.values = 0
        start = time.process_time()
        await asyncio.sleep(_SECONDS)
        cpu_s = (time.process_time() - start) / observer.values
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return cpu_s


async def _stored_cpu_s(port: int, profile: Profile, folder: Path) -> float:
    """Return the CPU seconds of one value that ends in the spool."""
    models = {
        station(100 + n): StationModel(
            station(100 + n), profile.title, profile, now_ns=time.time_ns()
        )
        for n in range(1, _DEVICES + 1)
    }
    async with Spool(folder / "spool.db") as spool:
        outbox = Outbox(
            spool,
            [UplinkSpec(name="home", pack=True)],
            Schema.of([profile]),
            agent="bench",
            config_hash="0badcafe",
        )
        running = asyncio.create_task(outbox.run())
        line = Line(models, outbox, clock=time.time_ns)
        cpu_s = await _cpu_s(port, profile, Counted(line))
        await outbox.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return cpu_s


def _figures() -> Iterator[Figure]:
    profile = bench_profile(period_s=_FLAT_OUT_S)
    with serving("tcp", "0") as port, tempfile.TemporaryDirectory() as folder:
        seen_s = asyncio.run(_cpu_s(int(port), profile, Counting()))
        yield Figure(
            name="values read, decoded and handed on, 20 × 100",
            value=1e-6 / seen_s,
            unit="M a CPU s",
            least=1,
        )
        yield _memory("memory for this")
        stored_s = asyncio.run(_stored_cpu_s(int(port), profile, Path(folder)))
        yield Figure(
            name="… and through the model, as line protocol, into the spool",
            value=1e-6 / stored_s,
            unit="M a CPU s",
        )
        yield _memory("memory for all of this")


def _memory(name: str) -> Figure:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Figure(name=name, value=peak, unit="MiB", most=60)


if __name__ == "__main__":
    show(_figures())
