"""Devices whose every value tells whose it is, of which register and of which moment.

So each value that the engine reports can be held against what the device really held.
"""

import asyncio
from dataclasses import dataclass, field
from itertools import cycle, islice

from pymodbus.constants import ExcCodes

from collectors.errors import BusDownError, NoAnswerError
from collectors.modbus.reading.device import Device, Place
from collectors.modbus.transport.bus import Bus
from collectors.profile import Profile
from collectors.records import Batch
from collectors.register import Table
from collectors.sample import Sample, StationId
from collectors.simulated.memory import Memory
from tests.services.profiles import small_profile

_VERSIONS = 65536
# Two groups of reads that look alike, the likeliest to be mistaken for each other.
_GROUPS = {
    "first": ((Table.HOLDING, 0), (Table.HOLDING, 200), (Table.INPUT, 1000)),
    "second": ((Table.HOLDING, 400), (Table.HOLDING, 600), (Table.INPUT, 1200)),
}
VALUES = 9  # of one poll


def _profile() -> Profile:
    """Return a map of values of two words, in many reads that look alike."""
    return small_profile(
        [
            {
                "name": f"{table}_{block + offset}",
                "address": block + offset,
                "type": "uint32",
                "table": table,
                "group": group,
            }
            for group, blocks in _GROUPS.items()
            for table, block in blocks
            for offset in (0, 2, 4)
        ],
        modbus={"max_gap": 0},
        groups=dict.fromkeys(_GROUPS, 0.05),
    )


PROFILE = _profile()


class TwinMemory(Memory):
    """Each value is its owner's number, its address and the version; each read makes a new one."""

    def __init__(self, device_id: int) -> None:
        super().__init__(PROFILE)
        self.device_id = device_id
        self.version = 0

    def read(self, function: int, address: int, count: int) -> bytes | ExcCodes:
        content = super().read(function, address, count)
        if isinstance(content, ExcCodes):
            return content
        self.version += 1
        table = {3: Table.HOLDING, 4: Table.INPUT}[function]
        words = b"".join(
            self.value(table, each, self.version).to_bytes(4, "big")
            for each in range(address - address % 2, address + count, 2)
        )
        start = address % 2 * 2
        return words[start : start + 2 * count]

    def value(self, table: Table, address: int, version: int) -> int:
        """Return what the two words at an even `address` hold at a version."""
        owner = (self.device_id % 16) << 12 | (table is Table.INPUT) << 11 | address
        return owner << 16 | version % _VERSIONS


@dataclass(slots=True)
class Verdict:
    """What the values were worth, over a whole run."""

    polls: int = 0
    failed: int = 0
    true: int = 0
    missing: int = 0
    wrong: list[str] = field(default_factory=list)


class TwinDevice(Device):
    """A device of the engine that compares what it reads with the memory it is read from."""

    def __init__(self, bus: Bus, memory: TwinMemory, timeout_s: float, verdict: Verdict) -> None:
        self.memory = memory
        self.verdict = verdict
        station = StationId(site="s", line="l", station=f"twin{memory.device_id}")
        place = Place(
            station=station, device_id=memory.device_id, profile=PROFILE, timeout_s=timeout_s
        )
        super().__init__(place, bus, lambda: 0)

    async def sample(self, group: str) -> list[Sample]:
        before = self.memory.version
        self.verdict.polls += 1
        try:
            samples = await super().sample(group)
        except (BusDownError, NoAnswerError):
            self.verdict.failed += 1
            raise
        for sample in samples:
            self._judge(sample, before)
        return samples

    def _judge(self, sample: Sample, before: int) -> None:
        """Hold values against what the device held between the request and now."""
        self.verdict.missing += len(sample.faults)
        moments = range(before + 1, self.memory.version + 1)
        for name, value in sample.values.items():
            table, _, address = name.partition("_")
            base = self.memory.value(Table(table), int(address), 0)
            is_true = isinstance(value, int) and any(
                value == base + moment % _VERSIONS for moment in moments
            )
            self.verdict.true += is_true
            if not is_true:
                self.verdict.wrong.append(
                    f"{self.station} {name} = {value:#x}, {base:#x} since version {before}"
                )

    async def poll(self, times: int) -> None:
        """Poll both groups in turn as fast as the bus allows; failures are part of it."""
        for group in islice(cycle(_GROUPS), times):
            try:
                await self.sample(group)
            except (BusDownError, NoAnswerError):
                await asyncio.sleep(0.01)  # it may have failed at once, and would do so again


class Nobody:
    """An observer who looks away: the device itself has judged."""

    def sampled(self, sample: Sample) -> None:
        """Take one sample."""

    async def recorded(self, source: str, batch: Batch) -> None:
        """Store nothing."""
