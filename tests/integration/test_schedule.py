"""The runner of a bus: fixed rates, and the dead do not hold up the living."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collectors.modbus.reading.device import Device, Place
from collectors.modbus.scheduling.schedule import BusRunner
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import TcpLink
from collectors.profile import Profile
from collectors.quality import Reason
from collectors.records import Batch
from collectors.sample import Sample, StationId
from tests.services.profiles import small_profile
from tests.services.waiting import eventually

CLOCK_NS = 1_790_000_000_000_000_000


def profile(**more: object) -> Profile:
    return small_profile(
        [{"name": "t", "address": 0, "type": "uint16"}], groups={"fast": 0.05}, **more
    )


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def sampled(self, sample: Sample) -> None:
        self.samples.append(sample)

    async def recorded(self, source: str, batch: Batch) -> None:
        raise AssertionError(f"no records in this test, but {source} sent {batch}")

    def good(self, station: str) -> list[Sample]:
        return [each for each in self.samples if each.station.station == station and each.values]

    def reasons(self, station: str) -> set[Reason]:
        return {
            fault.reason
            for each in self.samples
            if each.station.station == station
            for fault in each.faults.values()
        }


class Gateway:
    """Answers for units in `answers`, value by unit; says nothing for others. Counts requests."""

    def __init__(self, answers: dict[int, int]) -> None:
        self.answers = answers
        self.asked: Counter[int] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readexactly(12)
                unit = request[6]
                self.asked[unit] += 1
                if unit in self.answers:
                    value = self.answers[unit].to_bytes(2, "big")
                    writer.write(request[:4] + bytes([0, 5, unit, 3, 2]) + value)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(
    gateway: Gateway, places: dict[int, Profile], notes: Notes
) -> AsyncIterator[BusRunner]:
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Bus("gateway", TcpLink(host="127.0.0.1", port=port)) as bus:
        devices = [
            Device(
                Place(
                    station=StationId(site="s", line="l", station=f"unit-{unit}"),
                    device_id=unit,
                    profile=about,
                    timeout_s=0.2,
                ),
                bus,
                clock=lambda: CLOCK_NS,
            )
            for unit, about in places.items()
        ]
        runner = BusRunner(devices, [], notes)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_silent_unit_costs_its_neighbour_a_time_out_and_is_then_left_alone() -> None:
    gateway, notes = Gateway({1: 7}), Notes()
    async with running(gateway, {1: profile(), 2: profile()}, notes):
        await eventually(lambda: len(notes.good("unit-1")) >= 40)
    assert notes.good("unit-2") == []
    assert notes.reasons("unit-2") == {Reason.COMM}
    assert gateway.asked[2] <= 5  # in 2 s of 20 polls a second
    assert notes.reasons("unit-1") == set()


async def test_a_unit_that_comes_back_is_found_again() -> None:
    gateway, notes = Gateway({}), Notes()
    async with running(gateway, {2: profile()}, notes):
        await eventually(lambda: notes.reasons("unit-2"))
        gateway.answers[2] = 9
        await eventually(lambda: notes.good("unit-2"))
    assert notes.good("unit-2")[0].values == {"t": 9}


async def test_another_machine_behind_the_address_is_never_decoded() -> None:
    """The identity register says 5, the profile is made for 4: no value may come out."""
    gateway, notes = Gateway({1: 5}), Notes()
    about = profile(identity={"register": "t", "value": 4})
    async with running(gateway, {1: about}, notes):
        await eventually(lambda: notes.reasons("unit-1"))
        assert notes.reasons("unit-1") == {Reason.WRONG_DEVICE}
        gateway.answers[1] = 4  # control: the right machine is taken at once
        await eventually(lambda: notes.good("unit-1"))
    assert {sample.values["t"] for sample in notes.good("unit-1")} == {4}


async def test_ticks_do_not_drift() -> None:
    """Polls stand on multiples of their period, however late a single one was."""
    gateway, notes = Gateway({1: 7}), Notes()
    async with running(gateway, {1: profile()}, notes) as runner:
        loop = asyncio.get_running_loop()
        await eventually(lambda: len(notes.good("unit-1")) >= 2)
        start, had = loop.time(), len(notes.good("unit-1")) + runner.missed
        await eventually(lambda: len(notes.good("unit-1")) >= 30)
        ticks = (loop.time() - start) / 0.05
        assert abs(len(notes.good("unit-1")) + runner.missed - had - ticks) <= 2
