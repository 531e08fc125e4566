"""Lines with faults between the engine and devices whose values tell whose they are."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import Link, RtuLink, TcpLink
from collectors.simulated.server import PtyServer, TcpServer
from tests.services.fault_proxy import (
    NETWORK_ANSWERS,
    NETWORK_REQUESTS,
    SERIAL_ANSWERS,
    SERIAL_REQUESTS,
    Faults,
    SerialFaultProxy,
    TcpFaultProxy,
)
from tests.services.twin import TwinDevice, TwinMemory, Verdict

DEVICES = (1, 2)
TIMEOUT_S = 0.05
_POLLS_A_TURN = 10  # so that late answers meet requests to the same device


@asynccontextmanager
async def network(faults: Faults) -> AsyncIterator[tuple[Link, list[TwinMemory]]]:
    """Yield devices behind one TCP port."""
    memories = {each: TwinMemory(each) for each in DEVICES}
    async with (
        TcpServer(memories, host="127.0.0.1") as server,
        TcpFaultProxy(server.port, faults) as proxy,
    ):
        yield TcpLink(host="127.0.0.1", port=proxy.port), [*memories.values()]


@asynccontextmanager
async def serial(faults: Faults) -> AsyncIterator[tuple[Link, list[TwinMemory]]]:
    """Yield devices on one pseudo terminal."""
    memories = {each: TwinMemory(each) for each in DEVICES}
    async with PtyServer(memories) as server, SerialFaultProxy(Path(server.path), faults) as proxy:
        yield RtuLink(port=proxy.path, baud=115200), [*memories.values()]


LINES = {"network": network, "serial": serial}
KINDS = {
    "network": {*NETWORK_ANSWERS, *NETWORK_REQUESTS},
    "serial": {*SERIAL_ANSWERS, *SERIAL_REQUESTS},
}


async def compare(
    line: str, verdict: Verdict, faults: Faults, until: Callable[[], bool], *, window: int = 1
) -> None:
    """Poll the devices in turn, a few polls each, `window` of them at once, and judge."""

    async def poll(devices: list[TwinDevice]) -> None:
        while True:
            for device in devices:
                await device.poll(_POLLS_A_TURN)
                if until():
                    return

    async with (
        LINES[line](faults) as (link, memories),
        Bus(line, link, window=window) as bus,
        asyncio.TaskGroup() as group,
    ):
        devices = [TwinDevice(bus, memory, faults.timeout_s, verdict) for memory in memories]
        for _ in range(window):
            group.create_task(poll(devices))
