"""What a request costs on TCP, beside pymodbus's own client, and what a window gains."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from pymodbus.client import AsyncModbusTcpClient

from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import TcpLink
from collectors.register import Table
from tests.bench.device import serving
from tests.bench.figures import Figure, show

_CONNECTIONS = 20
_REQUESTS = 400  # of each connection
_ROUNDS = 3
_REQUEST = Request(1, Table.HOLDING, 0, 100)

Read = Callable[[], Awaitable[object]]


async def _cpu_s(reads: list[Read]) -> float:
    """Return the CPU seconds of one request, when all connections ask as fast as they can."""

    async def ask(read: Read) -> None:
        for _ in range(_REQUESTS):
            await read()

    await asyncio.gather(*(read() for read in reads))  # connect and warm up
    start = time.process_time()
    await asyncio.gather(*(ask(read) for read in reads))
    return (time.process_time() - start) / (_REQUESTS * len(reads))


async def _ours(port: int) -> float:
    buses = [Bus(f"b{n}", TcpLink(host="127.0.0.1", port=port)) for n in range(_CONNECTIONS)]
    try:
        return await _cpu_s([lambda bus=bus: bus.read(_REQUEST, 5.0) for bus in buses])  # type: ignore[misc]
    finally:
        for bus in buses:
            await bus.__aexit__(None, None, None)


async def _theirs(port: int) -> float:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port) for _ in range(_CONNECTIONS)]
    for client in clients:
        await client.connect()
    try:
        return await _cpu_s(
            [
                lambda client=client: client.read_holding_registers(0, count=100, device_id=1)  # type: ignore[misc]
                for client in clients
            ]
        )
    finally:
        for client in clients:
            client.close()


async def _per_second(port: int, window: int) -> float:
    """Return requests a second on one connection with `window` of them in flight."""
    count = 400
    async with Bus("b", TcpLink(host="127.0.0.1", port=port), window=window) as bus:
        await bus.read(_REQUEST, 5.0)

        async def ask() -> None:
            for _ in range(count // window):
                await bus.read(_REQUEST, 5.0)

        start = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(window)))
        return count / (time.perf_counter() - start)


def _figures() -> Iterator[Figure]:
    with serving("tcp", "0") as port:
        rounds = [
            (asyncio.run(_ours(int(port))), asyncio.run(_theirs(int(port)))) for _ in range(_ROUNDS)
        ]
    ours, theirs = (min(times) for times in zip(*rounds, strict=True))
    yield Figure(name="CPU of a request on 20 TCP connections", value=ours * 1e6, unit="µs")
    yield Figure(name="… of pymodbus's async client", value=theirs * 1e6, unit="µs")
    yield Figure(name="… ratio", value=ours / theirs, unit="", most=0.5)
    with serving("tcp", "0.005") as port:
        one, four = (asyncio.run(_per_second(int(port), window)) for window in (1, 4))
    yield Figure(
        name="window 4 beside window 1, device answers in 5 ms",
        value=four / one,
        unit="",
        least=3.5,
    )


if __name__ == "__main__":
    show(_figures())
