"""Devices that do what a script says: on TCP, and at the far end of a serial line.

A script for TCP serves one connection. A script for a line is called with each request and a
function that sends bytes after so many seconds.
"""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pymodbus.framer import FramerRTU

from collectors.errors import NoAnswerError
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Acknowledgement, QueueRequest, Request
from collectors.modbus.transport.link import RtuLink
from collectors.register import Table
from tests.services.libmodbus import pty_pair

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Later = Callable[[float, bytes], None]
LineScript = Callable[[Request, Later], None]

_WRITE, _QUEUE = 6, 24
_TABLES = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}


def holding(address: int, count: int, device_id: int = 1) -> Request:
    """Return the read of some holding registers."""
    return Request(device_id, Table.HOLDING, address, count)


def words(payload: bytes) -> list[int]:
    """Return the registers in the data bytes of an answer."""
    return list(struct.unpack(f">{len(payload) // 2}H", payload))


def good(count: int, value: int, function: int = 3) -> bytes:
    """Return the PDU of an answer in which each register holds `value`."""
    return bytes([function, 2 * count]) + struct.pack(">H", value) * count


def own_addresses(request: Request) -> bytes:
    """Return the PDU of an answer in which each register holds its own address.

    A queue holds its address alone; an acknowledgement comes back.
    """
    if isinstance(request, QueueRequest):
        return struct.pack(">BHHH", request.function, 4, 1, request.address)
    if isinstance(request, Acknowledgement):
        return request.pdu
    numbers = range(request.address, request.address + request.count)
    return struct.pack(f">BB{request.count}H", request.function, request.byte_count, *numbers)


@asynccontextmanager
async def rogue(script: Script) -> AsyncIterator[int]:
    """Serve `script` to each connection; yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def next_request(reader: asyncio.StreamReader) -> tuple[int, Request]:
    """Return the transaction and what is asked."""
    frame = await reader.readexactly(12)
    transaction, _, _, device_id, function, address, count = struct.unpack(">HHHBBHH", frame)
    return transaction, Request(device_id, _TABLES[function], address, count)


def tcp_frame(transaction: int, device_id: int, pdu: bytes, *, protocol: int = 0) -> bytes:
    """Return the frame of an answer on TCP."""
    return struct.pack(">HHHB", transaction, protocol, len(pdu) + 1, device_id) + pdu


def rtu_frame(device_id: int, pdu: bytes) -> bytes:
    """Return the frame of an answer on a line."""
    body = bytes([device_id]) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def rtu_request(frame: bytes) -> Request:
    """Return what an RTU frame asks for."""
    device_id, function, address = struct.unpack_from(">BBH", frame)
    if function == _QUEUE:
        return QueueRequest(device_id, address)
    (number,) = struct.unpack_from(">H", frame, 4)
    if function == _WRITE:
        return Acknowledgement(device_id, address, number)
    return Request(device_id, _TABLES[function], address, number)


@asynccontextmanager
async def rogue_line(script: LineScript) -> AsyncIterator[Path]:
    """Run `script` at the far end of a serial line; yield the near end."""
    loop = asyncio.get_running_loop()
    with pty_pair() as (near, far):
        device = os.open(far, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        timers: list[asyncio.TimerHandle] = []
        buffer = bytearray()

        def later(delay_s: float, data: bytes) -> None:
            timers.append(loop.call_later(delay_s, os.write, device, data))

        def hear() -> None:
            buffer.extend(os.read(device, 256))
            while len(buffer) >= (size := 6 if buffer[1:2] == bytes([_QUEUE]) else 8):
                request = rtu_request(bytes(buffer[:size]))
                del buffer[:size]
                script(request, later)

        loop.add_reader(device, hear)
        try:
            yield near
        finally:
            loop.remove_reader(device)
            for timer in timers:
                timer.cancel()
            os.close(device)


def line(port: Path, baud: int = 115200, *, echo: bool = False) -> Bus:
    """Return a bus on the near end of a line."""
    return Bus("rs485", RtuLink(port=port, baud=baud, echo=echo))


async def read_on(bus: Bus, *addresses: int) -> list[int]:
    """Read each register until it answers; return the values."""
    return [
        value for address in addresses for value in words(await ask_on(bus, holding(address, 1)))
    ]


async def ask_on(bus: Bus, request: Request) -> bytes:
    """Ask until there is an answer, as a runner does; return its data."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await bus.read(request, 0.1)
            except NoAnswerError:
                continue
