"""A device over a real connection: healed, identified, and read as fast as it allows."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from collectors.errors import BusDownError, NoAnswerError, WrongDeviceError
from collectors.modbus.reading.device import Device, Place
from collectors.modbus.reading.reader import reader_of
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import TcpLink
from collectors.profile import Profile, find
from collectors.quality import Fault, Reason
from collectors.record import Cursor
from collectors.sample import Sample, StationId, Value
from tests.services.profiles import small_profile
from tests.services.refusing import RefusingDevice, serving, word


def profile(addresses: Sequence[int], **more: object) -> Profile:
    plain = [{"name": f"r{address}", "address": address, "type": "uint16"} for address in addresses]
    tables: dict[str, Any] = {"registers": plain, **more}
    return small_profile(**tables)


@asynccontextmanager
async def connected(
    machine: RefusingDevice, about: Profile, *, window: int = 1, timeout_s: float = 5.0
) -> AsyncIterator[tuple[Device, Bus]]:
    place = Place(
        station=StationId(site="s", line="l", station="chiller-1"),
        device_id=1,
        profile=about,
        timeout_s=timeout_s,
    )
    ticks = count(1)
    async with (
        serving(machine) as port,
        Bus("plc", TcpLink(host="127.0.0.1", port=port), window=window) as bus,
    ):
        yield Device(place, bus, lambda: next(ticks)), bus


def values_of(samples: Sequence[Sample]) -> dict[str, Value]:
    return {name: value for sample in samples for name, value in sample.values.items()}


def faults_of(samples: Sequence[Sample]) -> dict[str, Fault]:
    return {name: fault for sample in samples for name, fault in sample.faults.items()}


async def test_a_map_with_holes_and_a_small_count_is_healed_over_one_connection() -> None:
    """Holes, a border and a largest count at once; no exception answer closes the connection."""
    machine = RefusingDevice(holes={37, 81}, borders={20}, most=60)
    addresses = range(120)
    async with connected(machine, profile(addresses)) as (device, bus):
        for _ in range(40):
            samples = await device.sample("live")
            values = values_of(samples)
            assert all(values[f"r{n}"] == word(n) for n in addresses if f"r{n}" in values)
            assert values.keys() | faults_of(samples).keys() == {f"r{n}" for n in addresses}
        machine.asked.clear()
        samples = await device.sample("live")
        assert bus.counts.connects == 1
    assert values_of(samples) == {f"r{n}": word(n) for n in addresses if n not in {37, 81}}
    assert set(faults_of(samples).values()) == {Fault(reason=Reason.REFUSED, raw=2)}
    assert [(each.address, each.count) for each in machine.asked] == [
        (0, 20),
        (20, 17),
        (38, 43),
        (82, 38),
    ]


async def test_a_register_that_decides_a_scale_is_read_in_another_read_and_first() -> None:
    """The decimal point stands behind the value and in a read of its own."""
    registers = [
        {
            "name": "temperature",
            "address": 0,
            "type": "uint16",
            "scaled_by": {"register": "point", "values": {"0": {"scale": 1}, "1": {"scale": 0.1}}},
        },
        {"name": "point", "address": 500, "type": "uint16"},
    ]
    held = {0: 235, 500: 1}
    machine = RefusingDevice(edit=lambda request, _: struct.pack(">H", held[request.address]))
    async with connected(machine, profile([], registers=registers)) as (device, _):
        assert [sample.values for sample in await device.sample("live")] == [
            {"temperature": 23.5},
            {"point": 1},
        ]
        machine.holes = {500}
        faults = faults_of(await device.sample("live"))
        assert faults["temperature"].reason is Reason.UNSCALED
        assert faults["point"] == Fault(reason=Reason.REFUSED, raw=2)


async def test_values_carry_the_time_at_which_their_own_read_arrived() -> None:
    async with connected(RefusingDevice(), profile([0, 500])) as (device, _):
        first, second = await device.sample("live")
        assert first.time_ns < second.time_ns
        assert (first.values, second.values) == ({"r0": word(0)}, {"r500": word(500)})


@pytest.mark.parametrize("window", [4, 1])
async def test_reads_of_a_group_are_in_flight_together_where_the_bus_allows_it(
    window: int,
) -> None:
    """A machine that answers only when all three requests are there; with window 1 none is."""
    frames: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                frames.append(await reader.readexactly(12))
                if len(frames) == 3:
                    for head in reversed(frames):  # also out of order
                        value = head[8:10]
                        writer.write(head[:4] + bytes([0, 5, head[6], 3, 2]) + value)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = TcpLink(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    place = Place(
        station=StationId(site="s", line="l", station="plc-1"),
        device_id=1,
        profile=profile([0, 300, 600]),
        timeout_s=5.0 if window > 1 else 0.3,
    )
    async with server, Bus("plc", link, window=window) as bus:
        device = Device(place, bus, lambda: 0)
        if window == 1:
            with pytest.raises(NoAnswerError):
                await device.sample("live")
            assert len(frames) == 1
            return
        samples = await device.sample("live")
    assert [sample.values for sample in samples] == [{"r0": 0}, {"r300": 300}, {"r600": 600}]


IDENTITY = {"identity": {"register": "r9", "value": word(9), "every": 3}}


def identities(machine: RefusingDevice) -> int:
    return sum(request.count == 1 and request.address == 9 for request in machine.asked)


async def test_the_identity_is_asked_on_connect_and_every_few_polls() -> None:
    machine = RefusingDevice()
    async with connected(machine, profile([*range(10)], **IDENTITY)) as (device, _):
        looks = []
        for _ in range(7):
            await device.sample("live")
            looks.append(identities(machine))
    assert looks == [1, 1, 1, 2, 2, 2, 3]


async def test_a_machine_that_is_another_one_since_the_last_look_is_set_aside() -> None:
    """Its map is unknown: nothing is decoded until the right machine is back."""
    machine = RefusingDevice()
    async with connected(machine, profile([*range(10)], **IDENTITY)) as (device, _):
        await device.sample("live")
        machine.edit = lambda _, payload: bytes(byte ^ 1 for byte in payload)
        for _ in range(2):
            await device.sample("live")
        for _ in range(3):
            with pytest.raises(WrongDeviceError, match="`r9` is"):
                await device.sample("live")
        machine.edit = lambda _, payload: payload
        assert values_of(await device.sample("live"))["r9"] == word(9)


async def test_a_machine_behind_a_new_connection_is_identified_before_it_is_decoded() -> None:
    """The wrong machine takes the place of the right one between two polls."""
    about = profile([*range(10)], **IDENTITY)
    right = RefusingDevice()
    wrong = RefusingDevice(edit=lambda _, payload: bytes(byte ^ 1 for byte in payload))
    async with connected(right, about) as (device, bus):
        await device.sample("live")
        right.edit = wrong.edit
        (wire,) = bus._wires
        wire._transport.abort()
        for _ in range(20):
            try:
                samples = await device.sample("live")
            except BusDownError:
                await asyncio.sleep(0.1)
            except WrongDeviceError:
                break
            else:
                raise AssertionError(f"decoded a machine that is another one: {samples}")
        else:
            raise AssertionError("the new connection was never used")


async def test_a_machine_that_was_silent_is_identified_before_it_is_decoded_again() -> None:
    """On a serial line another one may have been put in its place, without any new connection."""
    machine = RefusingDevice()
    about = profile([*range(10)], **IDENTITY)
    async with connected(machine, about, timeout_s=0.2) as (device, bus):
        await device.sample("live")
        machine.edit = lambda _, payload: payload[:-1]  # a short answer is none
        with pytest.raises(NoAnswerError):
            await device.sample("live")
        machine.edit = lambda _, payload: bytes(byte ^ 1 for byte in payload)
        with pytest.raises(WrongDeviceError):
            await device.sample("live")
        assert bus.generation == 1


@pytest.mark.parametrize("code", [4, 5, 6])
async def test_a_machine_that_is_too_busy_to_identify_itself_is_not_called_a_wrong_one(
    code: int,
) -> None:
    machine = RefusingDevice(mood=code)
    async with connected(machine, profile([*range(10)], **IDENTITY)) as (device, _):
        with pytest.raises(NoAnswerError, match=f"exception {code}"):
            await device.sample("live")
        machine.mood = None
        assert values_of(await device.sample("live"))["r0"] == word(0)


async def test_records_of_another_machine_are_not_read_either() -> None:
    about = find("spot-welder-plc")
    source = about.records
    assert source is not None
    assert about.identity is not None
    machine = RefusingDevice()
    async with connected(machine, about) as (device, _):
        reader = reader_of(device, source, Cursor())
        with pytest.raises(WrongDeviceError):
            await reader.read()
    address = about.named(about.identity.name).address
    assert [(each.address, each.count) for each in machine.asked] == [(address, 1)]


async def test_a_gateway_without_the_device_is_no_refusal_that_teaches_holes() -> None:
    """Exceptions 10 and 11 come from the gateway: the device does not answer."""
    machine = RefusingDevice(mood=11)
    async with connected(machine, profile([*range(10)])) as (device, bus):
        with pytest.raises(NoAnswerError):
            await device.sample("live")
        assert len(machine.asked) == 1
        machine.mood = None
        assert values_of(await device.sample("live")) == {f"r{n}": word(n) for n in range(10)}
        assert bus.counts.connects == 1


async def test_a_time_out_in_the_middle_of_a_search_loses_nothing_of_it() -> None:
    machine = RefusingDevice(holes={7})
    silent: list[Request] = []

    def stay_silent(request: Request, payload: bytes) -> bytes:
        silent.append(request)
        return payload[:-1]  # a short answer is none

    async with connected(machine, profile([*range(40)]), timeout_s=0.2) as (device, _):
        await device.sample("live")
        machine.edit = stay_silent
        with pytest.raises(NoAnswerError):
            await device.sample("live")
        assert silent
        machine.edit = lambda _, payload: payload
        for _ in range(10):
            samples = await device.sample("live")
        assert faults_of(samples) == {"r7": Fault(reason=Reason.REFUSED, raw=2)}
        assert len(values_of(samples)) == 39
