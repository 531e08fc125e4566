"""What a fault costs: a lost connection its own reads, a silent unit its neighbours."""

import asyncio
import time
from collections.abc import Iterator

from collectors.errors import BusDownError
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import TcpLink
from collectors.register import Table
from tests.bench.device import DEAF_AFTER, SILENT_ID, serving
from tests.bench.edge_path import Counting, bench_profile, runner_of
from tests.bench.figures import Figure, show

_TIMEOUT_S = 1.0
_WATCH_S = 10.0


async def _lost_s(port: int) -> float:
    """Return how long the slowest of the pending reads hangs on a connection that has gone."""
    async with Bus("b", TcpLink(host="127.0.0.1", port=port), window=4) as bus:
        await bus.read(Request(1, Table.HOLDING, 0, 1), 5.0)
        silent = [bus.read(Request(SILENT_ID, Table.HOLDING, 0, 1), 30.0) for _ in range(3)]
        reads = [*silent, bus.read(Request(1, Table.HOLDING, DEAF_AFTER, 1), 30.0)]
        start = time.perf_counter()
        ended = await asyncio.gather(*reads, return_exceptions=True)
        if not all(isinstance(each, BusDownError) for each in ended):
            raise AssertionError(ended)
        return time.perf_counter() - start


async def _waited_s(port: int) -> float:
    """Return what a silent unit costs the others on its connection, in all, over ten seconds."""
    profile = bench_profile(period_s=0.1, timeout_s=_TIMEOUT_S)
    ids = (1, 2, 3, SILENT_ID)
    observer = Counting()
    async with Bus("b", TcpLink(host="127.0.0.1", port=port)) as bus:
        runner = runner_of(bus, profile, ids, observer)
        polling = asyncio.create_task(runner.run())
        await asyncio.sleep(_WATCH_S)
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
    gaps = observer.longest_gaps(skip=f"unit-{SILENT_ID}")
    return max(gaps) - 0.1


def _figures() -> Iterator[Figure]:
    with serving("tcp", "0") as port:
        lost_s = asyncio.run(_lost_s(int(port)))
        yield Figure(
            name="a lost connection fails its pending reads",
            value=1000 * lost_s,
            unit="ms",
            most=50,
        )
        waited = asyncio.run(_waited_s(int(port))) / _TIMEOUT_S
        yield Figure(
            name="a silent unit costs its neighbours, longest hold-up",
            value=waited,
            unit="time-outs",
            most=1.1,
        )


if __name__ == "__main__":
    show(_figures())
