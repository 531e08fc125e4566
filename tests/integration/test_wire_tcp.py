"""What a device on TCP may send in place of its answer: none of it is taken for a value."""

import asyncio
import struct
from collections.abc import Callable

import pytest
from pymodbus.client import AsyncModbusTcpClient

from collectors.errors import BusDownError, NoAnswerError
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import TcpLink
from collectors.modbus.transport.wire import Wire
from tests.services.rogue import good, holding, next_request, rogue, tcp_frame, words

Lie = Callable[[int, Request], bytes]

LIES: dict[str, Lie] = {
    "transaction 0": lambda _, asked: tcp_frame(0, 1, good(asked.count, 666)),
    "an old transaction": lambda number, asked: tcp_frame(number - 1, 1, good(asked.count, 666)),
    "another unit": lambda number, asked: tcp_frame(number, 2, good(asked.count, 666)),
    "another function": lambda number, asked: tcp_frame(number, 1, good(asked.count, 666, 4)),
    "an answer to a write": lambda number, _: tcp_frame(number, 1, b"\x06\x00\x00\x02\x9a"),
    "too few registers": lambda number, asked: tcp_frame(number, 1, good(asked.count - 1, 666)),
    "too many registers": lambda number, asked: tcp_frame(number, 1, good(asked.count + 1, 666)),
    "an odd byte count": lambda number, _: tcp_frame(number, 1, bytes([3, 3, 2, 154, 2])),
    "an exception of another function": lambda number, _: tcp_frame(number, 1, b"\x84\x02"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_wrong_answer_is_never_taken_for_the_right_one(lie: str) -> None:
    """The wrong answer comes first, the right one after it: only the right one counts."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, request = await next_request(reader)
            writer.write(LIES[lie](transaction, request))
            writer.write(tcp_frame(transaction, 1, good(request.count, 42)))

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        for _ in range(3):
            assert words(await bus.read(holding(0, 10), 1)) == [42] * 10
        assert bus.counts.discarded.total() == 3


@pytest.mark.parametrize("lie", ["too few registers", "too many registers", "transaction 0"])
async def test_control_bare_pymodbus_takes_the_wrong_answer(lie: str) -> None:
    """What the guards are for: the library's own client returns these as good."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(LIES[lie](*await next_request(reader)))

    async with rogue(script) as port:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, timeout=1)
        await client.connect()
        answer = await client.read_holding_registers(0, count=10, device_id=1)
        client.close()
    assert answer.registers[0] == 666


async def values_after_a_late_answer() -> tuple[list[int], Bus]:
    """Give up on address 0, whose answer comes with that to address 100; return the values."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late, request = await next_request(reader)
        while True:
            transaction, request = await next_request(reader)
            writer.write(tcp_frame(late, 1, good(request.count, 666)))
            writer.write(tcp_frame(transaction, 1, good(request.count, 42)))

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(holding(0, 1), 0.1)
        return words(await bus.read(holding(100, 1), 1)), bus


async def test_a_late_answer_is_not_the_answer_to_the_next_question() -> None:
    values, bus = await values_after_a_late_answer()
    assert values == [42]
    assert bus.counts.connects == 1
    assert bus.counts.discarded == {"late": 1}


async def test_control_with_a_number_used_again_the_late_answer_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Wire, "_next_transaction", lambda _: 7)
    values, _ = await values_after_a_late_answer()
    assert values == [666]


async def test_a_number_is_not_used_again_while_its_answer_may_come() -> None:
    """Request 1 was never answered. After 65535 others its number is left out."""
    asked: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next_request(reader)
        while True:
            transaction, request = await next_request(reader)
            asked.append(transaction)
            writer.write(tcp_frame(transaction, 1, good(request.count, 42)))

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        with pytest.raises(NoAnswerError):
            await bus.read(holding(0, 1), 0.1)
        (wire,) = bus._wires
        wire._transaction = 0xFFFE
        for _ in range(2):
            await bus.read(holding(0, 1), 1)
    assert asked == [0xFFFF, 2]


@pytest.mark.parametrize(
    "noise",
    [
        b"\xff" * 300,
        tcp_frame(1, 1, b"\x03", protocol=9),
        struct.pack(">HHH", 1, 0, 65535) + b"x" * 9,
        tcp_frame(1, 1, good(1, 666))[:-1],
    ],
    ids=["garbage", "a foreign protocol", "a huge length", "half a frame"],
)
async def test_a_broken_stream_costs_one_connection_and_no_value(noise: bytes) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        is_first = connections == 1
        while True:
            transaction, request = await next_request(reader)
            right = tcp_frame(transaction, 1, good(request.count, 42))
            writer.write(noise if is_first else right)

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        with pytest.raises(BusDownError):
            await bus.read(holding(0, 1), 0.3)
        assert words(await bus.read(holding(0, 1), 1)) == [42]
    assert connections == 2


async def test_a_connection_cut_at_any_byte_of_an_answer_gives_no_value() -> None:
    """And the next read opens a new one: nothing is left over from the broken answer."""
    whole = len(tcp_frame(1, 1, good(2, 666)))
    cuts = iter(range(whole))

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transaction, request = await next_request(reader)
        if request.address:
            writer.write(tcp_frame(transaction, 1, good(2, 42)))
            await reader.read()
        else:
            writer.write(tcp_frame(transaction, 1, good(2, 666))[: next(cuts)])

    async with rogue(cut) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        for _ in range(whole):
            with pytest.raises(BusDownError):
                await bus.read(holding(0, 2), 5)
            assert words(await bus.read(holding(1, 2), 5)) == [42, 42]
            bus._wires[0].close()
    assert next(cuts, None) is None


async def test_an_answer_that_trickles_in_is_bounded_by_the_time_out() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transaction, request = await next_request(reader)
        for byte in tcp_frame(transaction, 1, good(request.count, 666)):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        with pytest.raises(BusDownError, match="half a frame"):
            await bus.read(holding(0, 100), 0.3)


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
