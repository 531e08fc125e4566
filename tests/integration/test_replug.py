"""A serial adapter is pulled while its device is polled, and plugged in again."""

import asyncio
from pathlib import Path

import pytest

from collectors.modbus.reading.device import Device, Place
from collectors.modbus.scheduling.schedule import BusRunner
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import RtuLink
from collectors.quality import Reason
from collectors.records import Batch
from collectors.sample import Sample, StationId
from tests.services.adapter import Adapter
from tests.services.profiles import small_profile
from tests.services.waiting import eventually

PROFILE = small_profile([{"name": "t", "address": 7, "type": "uint16"}], groups={"live": 0.2})


class Last:
    """An observer that remembers the last sample."""

    def __init__(self) -> None:
        self.sample: Sample | None = None

    def sampled(self, sample: Sample) -> None:
        self.sample = sample

    async def recorded(self, source: str, batch: Batch) -> None:
        raise AssertionError(f"no records in this test, but {source} sent {batch}")

    @property
    def is_good(self) -> bool:
        return self.sample is not None and self.sample.values == {"t": 7}

    @property
    def is_lost(self) -> bool:
        faults = self.sample.faults.values() if self.sample else ()
        return Reason.COMM in {fault.reason for fault in faults}


async def test_values_are_back_within_5_s_of_plugging_in(tmp_path: Path) -> None:
    """However long it was away: the pauses of bus and device together stay below that."""
    adapter, last = Adapter(tmp_path / "usb-adapter"), Last()
    adapter.plug()
    place = Place(
        station=StationId(site="s", line="l", station="meter"),
        device_id=1,
        profile=PROFILE,
        timeout_s=0.5,
    )
    link = RtuLink(port=adapter.path, baud=115200)
    async with Bus("rs485", link) as bus:
        runner = BusRunner([Device(place, bus, lambda: 1)], [], last)
        polling = asyncio.create_task(runner.run())
        await eventually(lambda: last.is_good)
        adapter.pull()
        await eventually(lambda: last.is_lost)
        await eventually(lambda: bus._retry_s == link.last_retry_s)  # the pauses grow no longer
        adapter.plug()
        await eventually(lambda: last.is_good, timeout_s=5)
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
    adapter.pull()
