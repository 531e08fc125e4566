"""The bus against devices that are not made with pymodbus: what is read, and how faults are told."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.errors import BusDownError, NoAnswerError, RefusedError
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import RtuLink, TcpLink
from collectors.register import Table
from tests.services.libmodbus import compiled, rtu_device, tcp_device
from tests.services.ports import free_port
from tests.services.rogue import good, holding, next_request, rogue, tcp_frame, words


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("libmodbus"))


@pytest.fixture
def tcp(program: Path, tmp_path: Path) -> Iterator[TcpLink]:
    with tcp_device(program, tmp_path) as device:
        yield TcpLink(host="127.0.0.1", port=device.port)


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
        assert bus.retry_at > asyncio.get_running_loop().time()


async def test_a_closed_bus_opens_nothing_again(tcp: TcpLink) -> None:
    bus = Bus("plc", tcp)
    async with bus:
        await bus.read(holding(0, 1), 1)
    with pytest.raises(BusDownError, match="the bus is closed"):
        await bus.read(holding(0, 1), 1)


async def test_a_silent_device_is_told_with_what_came_in_place_of_its_answer() -> None:
    """A technician who reads "3 for another transaction" looks at the gateway, not the cable."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, request = await next_request(reader)
        writer.write(tcp_frame(0, request.device_id, good(1, 666)) * 3)
        writer.write(tcp_frame(1, 9, good(1, 666)))
        await reader.read()

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        with pytest.raises(NoAnswerError) as silent:
            await bus.read(holding(0, 1), 0.2)
    assert "3 for another transaction, 1 of another device id" in silent.value.hint
    assert bus.counts.discarded == {"transaction": 3, "device": 1}
    assert bus.counts.timeouts == 1


@pytest.mark.parametrize("code", [0x0A, 0x0B])
async def test_a_gateway_that_misses_a_device_is_told_as_a_silent_device(code: int) -> None:
    """Devices 1 and 2 are behind one gateway, 3 is switched off: only 3 is at fault."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, request = await next_request(reader)
            pdu = bytes([0x83, code]) if request.device_id == 3 else good(1, request.device_id)
            writer.write(tcp_frame(transaction, request.device_id, pdu))

    async with rogue(script) as port, Bus("gw", TcpLink(host="127.0.0.1", port=port)) as bus:
        for _ in range(2):
            assert words(await bus.read(holding(0, 1, device_id=1), 1)) == [1]
            with pytest.raises(NoAnswerError, match=f"exception {code}") as missed:
                await bus.read(holding(0, 1, device_id=3), 1)
            assert "the gateway answers, the device behind it does not" in missed.value.hint
            assert words(await bus.read(holding(0, 1, device_id=2), 1)) == [2]
        assert bus.counts.connects == 1


async def test_who_listens_hears_each_answer_and_how_long_it_took(tcp: TcpLink) -> None:
    heard: list[tuple[Request, float]] = []
    async with Bus("plc", tcp) as bus:
        bus.heard = lambda request, seconds: heard.append((request, seconds))
        await bus.read(holding(0, 1), 1)
        with pytest.raises(RefusedError):
            await bus.read(holding(995, 10), 1)
    assert [request for request, _ in heard] == [holding(0, 1), holding(995, 10)]
    assert all(0 < seconds < 1 for _, seconds in heard)
    assert sum(seconds for _, seconds in heard) <= bus.counts.busy_s < 5


async def test_each_connect_is_a_new_generation() -> None:
    """So that who knows the device identifies it again: another may have been plugged in."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transaction, request = await next_request(reader)
        writer.write(tcp_frame(transaction, request.device_id, good(1, 42)))

    async with rogue(script) as port, Bus("plc", TcpLink(host="127.0.0.1", port=port)) as bus:
        generations: list[int] = []
        while len(generations) < 3:
            try:
                await bus.read(holding(0, 1), 1)
            except BusDownError:
                continue  # the device closes after each answer, which may be seen late
            generations.append(bus.generation)
    assert generations == sorted(set(generations))
