"""Machines of every shape, read over real frames, and told where the site allows it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from collectors.errors import BusDownError, FixTheFileError, WrongDeviceError
from collectors.modbus.reading.device import Device, Place
from collectors.modbus.reading.reader import RecordReader, reader_of
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import RtuLink, TcpLink
from collectors.record import Cursor, Record
from collectors.record_source import Shape
from collectors.sample import StationId
from collectors.simulated.server import PtyServer, TcpServer
from tests.services.capture import TOLD, Functions, allowing
from tests.unit.collectors.record_machine import MAP_ID, Clock, Machine, Variant

ACKNOWLEDGE = 6  # the register of these machines
WAITING = [
    Variant(shape=Shape.RING, waits=True),
    Variant(shape=Shape.BLOCK, waits=True),
    Variant(shape=Shape.SIGNAL, waits=True),
    Variant(shape=Shape.SIGNAL, waits=True, edge="toggle"),
    Variant(shape=Shape.FIFO, waits=True, wrap=600, wrap_to=1),
]
NAMES = ["ring", "block", "signal", "toggle", "fifo"]


@asynccontextmanager
async def reading(
    machine: Machine, kind: str, *, may_acknowledge: bool
) -> AsyncIterator[RecordReader]:
    """Yield a reader of the machine over a real link."""
    memories = {1: machine.memory}
    async with (
        TcpServer(memories, host="127.0.0.1") as network,
        PtyServer(memories) as serial,
        Bus("plc", TcpLink(host="127.0.0.1", port=network.port))
        if kind == "tcp"
        else Bus("rs485", RtuLink(port=Path(serial.path), baud=115200)) as bus,
    ):
        yield reader_on(bus, machine, may_acknowledge=may_acknowledge)


def reader_on(bus: Bus, machine: Machine, *, may_acknowledge: bool) -> RecordReader:
    place = Place(
        station=StationId(site="s", line="l", station="welder-1"),
        device_id=1,
        profile=machine.profile,
        timeout_s=2.0,
        acknowledge=may_acknowledge,
    )
    return reader_of(Device(place, bus, time.time_ns), machine.source, Cursor())


async def looks_away(device: Device) -> None:
    """Identify nothing."""
    del device


async def poll(reader: RecordReader) -> list[Record]:
    """Read and store once, and again as long as the reader is behind, as the runner does."""
    found: list[Record] = []
    for _ in range(10):
        batch = await reader.read()
        if not batch:
            break
        found += batch.records
        reader.stored(batch)
        if not reader.is_behind(batch):
            break
    return found


@pytest.mark.parametrize("kind", ["tcp", "rtu"])
@pytest.mark.parametrize("variant", WAITING, ids=NAMES)
async def test_a_machine_that_waits_makes_the_next_part_once_it_is_told(
    variant: Variant, kind: str, asked_of_devices: Functions
) -> None:
    """Each part is read once, in turn, and acknowledged; nothing else is written."""
    clock = Clock()
    machine = Machine(variant, clock)
    before = asked_of_devices[TOLD]
    with allowing(ACKNOWLEDGE):
        async with reading(machine, kind, may_acknowledge=True) as reader:
            await poll(reader)
            records: list[Record] = []
            for _ in range(20):
                if len(records) == 4:
                    break
                clock.now += 1.0
                machine.make(1)
                records += await poll(reader)
    assert [each.values["a"] for each in records] == [part.id for part in machine.made]
    assert len(records) == 4
    assert asked_of_devices[TOLD] - before >= 4
    assert asked_of_devices[6] == 0


@pytest.mark.parametrize("variant", WAITING, ids=NAMES)
async def test_without_the_sites_leave_nothing_is_written(
    variant: Variant, sent: Functions
) -> None:
    """The profile names the register, the site says nothing: parts are read all the same."""
    machine = Machine(variant, Clock())
    before = sent[6], sent[TOLD]
    async with reading(machine, "tcp", may_acknowledge=False) as reader:
        await poll(reader)
        machine.make(1)
        assert len(await poll(reader)) == 1
        await poll(reader)
        with pytest.raises(FixTheFileError, match="nothing may be written"):
            await reader.device.acknowledge(1)
    assert (sent[6], sent[TOLD]) == before
    assert machine.memory.acknowledged() == 0


@pytest.mark.parametrize("guard", [True, False], ids=["guarded", "control"])
async def test_another_machine_is_not_told(guard: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a case
    """It takes the first one's place once a part is stored, and shows the same part.

    The control looks away: the other machine is told.
    """
    variant = WAITING[1]
    machine, other = Machine(variant, Clock()), Machine(variant, Clock())
    other.memory.set("map_id", MAP_ID + 1)
    other.make(1)
    memories = {1: machine.memory}
    async with (
        TcpServer(memories, host="127.0.0.1") as server,
        Bus("plc", TcpLink(host="127.0.0.1", port=server.port)) as bus,
    ):
        reader = reader_on(bus, machine, may_acknowledge=True)
        await poll(reader)
        machine.make(1)
        batch = await reader.read()
        assert len(batch.records) == 1
        reader.stored(batch)
        memories[1] = other.memory
        await server.close()
        await server.open()
        if not guard:
            monkeypatch.setattr(Device, "identify", looks_away)
        with allowing(ACKNOWLEDGE), pytest.raises(WrongDeviceError) if guard else nullcontext():
            for _ in range(3):
                with suppress(BusDownError):  # the first one meets a connection that is gone
                    await reader.read()
    assert other.memory.acknowledged() == (0 if guard else 1)
