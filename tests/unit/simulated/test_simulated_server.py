"""Modbus on the wire, read by pymodbus's own clients."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from collectors.profile import shipped
from collectors.simulated.memory import Memory
from collectors.simulated.server import PtyServer, Responder, TcpServer

PROFILES = shipped()
DATA = ModbusClientMixin.DATATYPE
HOST = "127.0.0.1"


def meter() -> Memory:
    """Return a meter that shows 228.5 V and 18250.25 kWh."""
    memory = Memory(PROFILES["eastron-sdm630"])
    memory.set("voltage_l1", 228.5)
    memory.set("energy_import", 18250.25)
    return memory


def chiller() -> Memory:
    """Return a chiller at -11.0 °C with a status of two bits."""
    memory = Memory(PROFILES["smc-hrs-chiller"])
    memory.set("outlet_temperature", -11.0)
    memory.set("status_flags", {"run", "temp_ready"})
    return memory


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[AsyncModbusTcpClient, dict[int, Memory]]]:
    """Yield a client of a gateway with a chiller (1) and a meter (2), and what is plugged in."""
    memories = {1: chiller(), 2: meter()}
    async with TcpServer(memories, host=HOST) as server:
        client = AsyncModbusTcpClient(HOST, port=server.port, timeout=2, retries=0)
        await client.connect()
        yield client, memories
        client.close()


Gateway = tuple[AsyncModbusTcpClient, dict[int, Memory]]


async def test_devices_of_one_port_are_told_apart_by_their_id(gateway: Gateway) -> None:
    """One TCP port is the way to several devices, as behind a real gateway."""
    client, _ = gateway
    volts = await client.read_input_registers(0, count=2, device_id=2)
    celsius = await client.read_holding_registers(0, count=1, device_id=1)
    status = await client.read_holding_registers(4, count=1, device_id=1)
    assert client.convert_from_registers(volts.registers, DATA.FLOAT32) == 228.5
    assert client.convert_from_registers(celsius.registers, DATA.INT16) == -110
    assert status.registers == [0x0201]


async def test_a_device_that_is_gone_is_reported_by_the_gateway(gateway: Gateway) -> None:
    """Exception 11 says that the device is away, while its neighbour still answers."""
    client, memories = gateway
    del memories[2]
    gone = await client.read_input_registers(0, count=2, device_id=2)
    there = await client.read_holding_registers(0, count=1, device_id=1)
    assert (gone.isError(), gone.exception_code) == (True, 11)
    assert not there.isError()


async def test_nothing_can_be_written(gateway: Gateway) -> None:
    """Every writing function is refused, and the register stays what it was."""
    client, _ = gateway
    for answer in (
        await client.write_register(0, 1, device_id=1),
        await client.write_registers(0, [1, 2], device_id=1),
        await client.write_coil(0, True, device_id=1),  # noqa: FBT003 - pymodbus's signature
        await client.readwrite_registers(
            read_address=0, read_count=1, write_address=0, values=[1], device_id=1
        ),
    ):
        assert (answer.isError(), answer.exception_code) == (True, 1)
    unchanged = await client.read_holding_registers(0, count=1, device_id=1)
    assert client.convert_from_registers(unchanged.registers, DATA.INT16) == -110


async def test_addresses_that_do_not_exist_are_exception_2(gateway: Gateway) -> None:
    """A wild address and a table that the device lacks are both refused as such."""
    client, _ = gateway
    for answer in (
        await client.read_holding_registers(0x7531, count=2, device_id=1),
        await client.read_coils(0, count=1, device_id=1),
    ):
        assert (answer.isError(), answer.exception_code) == (True, 2)


async def test_many_connections_are_served_at_once_and_cut_together() -> None:
    """Closing the server ends every connection and frees the port for opening again."""
    async with TcpServer({1: chiller()}, host=HOST) as server:
        links = [await asyncio.open_connection(HOST, server.port) for _ in range(5)]
        port = server.port
        await server.close()
        for reader, writer in links:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 2)
            writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        await server.open()
        assert server.port == port
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()


async def test_a_serial_line_is_read_by_a_serial_client() -> None:
    """The pseudo-terminal speaks RTU to whoever opens its path, more than once."""
    async with PtyServer({2: meter()}) as server:
        for _ in range(2):
            client = AsyncModbusSerialClient(server.path, baudrate=9600, timeout=2, retries=0)
            await client.connect()
            answer = await client.read_input_registers(0x48, count=2, device_id=2)
            assert client.convert_from_registers(answer.registers, DATA.FLOAT32) == 18250.25
            refused = await client.read_input_registers(0x200, count=2, device_id=2)
            assert refused.exception_code == 2
            client.close()


def rtu(device_id: int, request: bytes) -> bytes:
    """Return an RTU frame."""
    return FramerRTU(DecodePDU(is_server=True)).encode(request, device_id, 0)


READ_ONE = struct.pack(">BHH", 3, 0, 1)


def test_a_device_that_is_not_on_the_wire_stays_silent() -> None:
    """On a serial line nobody answers for another; the next request is answered again."""
    responder = Responder(FramerRTU(DecodePDU(is_server=True)), {1: chiller()}, is_gateway=False)
    assert responder.feed(rtu(9, READ_ONE)) == b""
    assert responder.feed(rtu(1, READ_ONE)) == rtu(1, b"\x03\x02\xff\x92")


def test_a_frame_with_a_wrong_checksum_is_ignored() -> None:
    """Noise on the wire costs one answer, not the ones after it."""
    responder = Responder(FramerRTU(DecodePDU(is_server=True)), {1: chiller()}, is_gateway=False)
    damaged = bytearray(rtu(1, READ_ONE))
    damaged[3] ^= 1
    assert responder.feed(bytes(damaged)) == b""
    assert responder.feed(rtu(1, READ_ONE)) != b""


def test_requests_may_come_in_pieces_or_many_at_once() -> None:
    """TCP has no message borders: bytes may dribble in, and requests may be pipelined."""
    framer = FramerSocket(DecodePDU(is_server=True))
    first, second = framer.encode(READ_ONE, 1, 7), framer.encode(READ_ONE, 1, 8)
    expected = framer.encode(b"\x03\x02\xff\x92", 1, 7) + framer.encode(b"\x03\x02\xff\x92", 1, 8)
    one = Responder(framer, {1: chiller()}, is_gateway=True)
    assert b"".join(one.feed(bytes([byte])) for byte in first + second) == expected
    assert one.feed(first + second) == expected


def test_noise_without_end_is_thrown_away() -> None:
    """Garbage that never becomes a frame does not fill the memory, nor block what follows."""
    framer = FramerSocket(DecodePDU(is_server=True))
    responder = Responder(framer, {1: chiller()}, is_gateway=True)
    assert responder.feed(b"\xff" * 10_000) == b""
    assert responder.feed(framer.encode(READ_ONE, 1, 7)) != b""


def test_a_malformed_request_is_refused() -> None:
    """A read that is cut short inside a whole frame is exception 3, an odd function 1."""
    framer = FramerSocket(DecodePDU(is_server=True))
    responder = Responder(framer, {1: chiller()}, is_gateway=True)
    assert responder.feed(framer.encode(b"\x03\x00\x00", 1, 1))[-2:] == b"\x83\x03"
    assert responder.feed(framer.encode(b"\x41\x00\x00", 1, 2))[-2:] == b"\xc1\x01"
