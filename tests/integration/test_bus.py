"""The bus against devices that are not made with pymodbus, and against one that lies."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from collectors.errors import BusDownError, NoAnswerError, RefusedError
from collectors.modbus.bus import Bus, RtuLink, TcpLink, _Wire
from collectors.modbus.frame import Request
from collectors.register import Table
from tests.services.libmodbus import compiled, pty_pair, rtu_device, tcp_device
from tests.services.ports import free_port


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("libmodbus"))


@pytest.fixture
def tcp(program: Path, tmp_path: Path) -> Iterator[TcpLink]:
    with tcp_device(program, tmp_path) as device:
        yield TcpLink(host="127.0.0.1", port=device.port)


def holding(address: int, count: int, device_id: int = 1) -> Request:
    return Request(device_id, Table.HOLDING, address, count)


def words(payload: bytes) -> list[int]:
    return list(struct.unpack(f">{len(payload) // 2}H", payload))


async def test_all_four_tables_of_a_libmodbus_device_are_read(tcp: TcpLink) -> None:
    async with Bus("plc", tcp) as bus:
        assert words(await bus.read(holding(10, 3), 1)) == [31, 34, 37]
        registers = await bus.read(Request(1, Table.INPUT, 4, 2), 1)
        assert words(registers) == [22, 27]
        assert await bus.read(Request(1, Table.COIL, 0, 9), 1) == bytes([0b01001001, 0])
        assert await bus.read(Request(1, Table.DISCRETE, 0, 6), 1) == bytes([0b00100001])


async def test_a_refusal_names_the_place_and_keeps_the_connection(tcp: TcpLink) -> None:
    async with Bus("plc", tcp) as bus:
        with pytest.raises(RefusedError, match="holding 995-1004 on plc refused: there is no such"):
            await bus.read(holding(995, 10), 1)
        assert words(await bus.read(holding(0, 1), 1)) == [1]
        assert bus.counts.connects == 1


async def test_rtu_over_a_cable_of_two_pseudo_terminals(program: Path) -> None:
    with rtu_device(program) as port:
        async with Bus("rs485", RtuLink(port=port, baud=115200)) as bus:
            for address in range(0, 500, 100):
                values = words(await bus.read(holding(address, 100, device_id=17), 2))
                assert values == [3 * n + 1 for n in range(address, address + 100)]
            with pytest.raises(NoAnswerError, match="device 3, holding 0 on rs485"):
                await bus.read(holding(0, 1, device_id=3), 0.2)


async def test_a_missing_serial_port_is_told_with_the_next_step(tmp_path: Path) -> None:
    async with Bus("rs485", RtuLink(port=tmp_path / "ttyUSB0")) as bus:
        with pytest.raises(BusDownError, match=r"rs485: no connection to .*ttyUSB0"):
            await bus.read(holding(0, 1), 1)


async def test_a_refused_connection_is_told_and_not_hammered() -> None:
    async with Bus("plc", TcpLink(host="127.0.0.1", port=free_port())) as bus:
        with pytest.raises(BusDownError, match=r"no connection to 127\.0\.0\.1") as refused:
            await bus.read(holding(0, 1), 1)
        assert "check that the machine is on" in refused.value.hint
        with pytest.raises(BusDownError, match="trying again soon"):
            await bus.read(holding(0, 1), 1)


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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


async def next_request(reader: asyncio.StreamReader) -> tuple[int, int, int, int, int]:
    """Return (transaction, unit, function, address, count)."""
    frame = await reader.readexactly(12)
    transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", frame)
    return transaction, unit, function, address, count


def frame(transaction: int, unit: int, pdu: bytes, *, protocol: int = 0) -> bytes:
    return struct.pack(">HHHB", transaction, protocol, len(pdu) + 1, unit) + pdu


def good(count: int, value: int, function: int = 3) -> bytes:
    return bytes([function, 2 * count]) + struct.pack(">H", value) * count


LIES: dict[str, Callable[[int, int, int], bytes]] = {
    "transaction 0": lambda _, unit, count: frame(0, unit, good(count, 666)),
    "an old transaction": lambda tid, unit, count: frame(tid - 1, unit, good(count, 666)),
    "another unit": lambda tid, unit, count: frame(tid, unit + 1, good(count, 666)),
    "another function": lambda tid, unit, count: frame(tid, unit, good(count, 666, function=4)),
    "an answer to a write": lambda tid, unit, _: frame(tid, unit, b"\x06\x00\x00\x02\x9a"),
    "too few registers": lambda tid, unit, count: frame(tid, unit, good(count - 1, 666)),
    "too many registers": lambda tid, unit, count: frame(tid, unit, good(count + 1, 666)),
    "an odd byte count": lambda tid, unit, _: frame(tid, unit, bytes([3, 3, 2, 154, 2])),
    "an exception of another function": lambda tid, unit, _: frame(tid, unit, b"\x84\x02"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_wrong_answer_is_never_taken_for_the_right_one(lie: str) -> None:
    """The wrong answer comes first, the right one after it: only the right one counts."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, unit, _, _, count = await next_request(reader)
            writer.write(LIES[lie](transaction, unit, count))
            writer.write(frame(transaction, unit, good(count, 42)))

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        for _ in range(3):
            assert words(await bus.read(holding(0, 10), 1)) == [42] * 10


@pytest.mark.parametrize("lie", ["too few registers", "too many registers", "transaction 0"])
async def test_control_bare_pymodbus_takes_the_wrong_answer(lie: str) -> None:
    """What the guards are for: the library's own client returns these as good."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, unit, _, _, count = await next_request(reader)
            writer.write(LIES[lie](transaction, unit, count))

    async with rogue(script) as port:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, timeout=1)
        await client.connect()
        answer = await client.read_holding_registers(0, count=10, device_id=1)
        client.close()
    assert answer.registers[0] == 666


async def test_a_late_answer_is_not_the_answer_to_the_next_question() -> None:
    release = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transaction, unit, _, _, count = await next_request(reader)
        await release.wait()
        writer.write(frame(transaction, unit, good(count, 666)))  # late: asked for address 0
        while True:
            transaction, unit, _, _, count = await next_request(reader)
            writer.write(frame(transaction, unit, good(count, 42)))

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(holding(0, 1), 0.1)
        release.set()
        assert words(await bus.read(holding(100, 1), 1)) == [42]
        assert bus.counts.connects == 1


@pytest.mark.parametrize(
    "noise",
    [b"\xff" * 300, frame(1, 1, b"\x03", protocol=9), struct.pack(">HHH", 1, 0, 65535) + b"x" * 9],
    ids=["garbage", "a foreign protocol", "a huge length"],
)
async def test_a_broken_stream_costs_one_connection_and_no_value(noise: bytes) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        is_first = connections == 1
        while True:
            transaction, unit, _, _, count = await next_request(reader)
            writer.write(noise if is_first else frame(transaction, unit, good(count, 42)))

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        with pytest.raises((BusDownError, NoAnswerError)):
            await bus.read(holding(0, 1), 0.3)
        assert words(await bus.read(holding(0, 1), 1)) == [42]
    assert connections == 2


async def test_a_lost_connection_fails_the_pending_read_at_once() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next_request(reader)
        writer.close()

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(BusDownError, match="broke"):
            await bus.read(holding(0, 1), 30)
        assert loop.time() - start < 10  # not the 30 s of the time-out


@asynccontextmanager
async def slow_rtu_device() -> AsyncIterator[RtuLink]:
    """Device 1: each register holds its own address; the first answer takes 0.25 s.

    Like real ones it does one thing at a time: what is asked meanwhile is answered afterwards.
    """
    with pty_pair() as (near, far):
        device = os.open(far, os.O_RDWR | os.O_NOCTTY)
        loop = asyncio.get_running_loop()
        free_at = 0.0

        def answer() -> None:
            nonlocal free_at
            address = struct.unpack_from(">H", os.read(device, 64), 2)[0]
            delay = 0.25 if not free_at else 0.0
            free_at = max(loop.time(), free_at) + delay
            loop.call_at(free_at, os.write, device, rtu_answer(address))

        loop.add_reader(device, answer)
        try:
            yield RtuLink(port=near, baud=115200)
        finally:
            loop.remove_reader(device)
            os.close(device)


async def read_after_a_timeout(link: RtuLink) -> list[int]:
    """Ask for register 100 and give up too early, then ask for 1 to 4; return the values."""
    async with Bus("rs485", link) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(holding(100, 1), 0.2)
        return [words(await bus.read(holding(n, 1), 0.2))[0] for n in (1, 2, 3, 4)]


async def test_a_late_answer_on_a_serial_line_is_waited_out() -> None:
    """RTU has no transaction number: the late answer must be gone before the next request."""
    async with slow_rtu_device() as link:
        assert await read_after_a_timeout(link) == [1, 2, 3, 4]


async def test_control_without_waiting_every_later_value_is_the_wrong_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def do_not_wait(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(_Wire, "wait_out", do_not_wait)
    async with slow_rtu_device() as link:
        assert (await read_after_a_timeout(link))[0] == 100


def rtu_answer(value: int) -> bytes:
    """Return the answer of device 1 to a read of one register that holds its own address."""
    body = struct.pack(">BBBH", 1, 3, 2, value)
    crc = 0xFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return body + struct.pack("<H", crc)
