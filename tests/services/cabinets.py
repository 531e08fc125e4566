"""Formation cabinets to read, many at once; or in a process of their own, so that their cost is not ours.

`python -m tests.services.cabinets COUNT SPEED` serves them, prints their ports and ends when its
standard input is closed.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from subprocess import PIPE, Popen

from collectors.profile import find
from collectors.simulated.formation import FormationCabinet
from collectors.simulated.ledger import Ledger
from collectors.simulated.line import Endpoint
from collectors.simulated.pace import Pace
from collectors.simulated.server import TcpServer

PROFILE = "formation-cabinet-64"
_EVENTS_A_TURN = 50
_TURN_S = 0.01


@asynccontextmanager
async def cabinets(
    count: int, *, speed: float
) -> AsyncIterator[tuple[Sequence[FormationCabinet], Sequence[Endpoint]]]:
    """Run cabinets while the context lasts; yield them and where they are to be read."""
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(Ledger(None))
        made: list[FormationCabinet] = []
        endpoints: list[Endpoint] = []
        for number in range(1, count + 1):
            cabinet = FormationCabinet(
                station=f"formation-{number}",
                profile=find(PROFILE),
                seed=1,
                pace=Pace(speed=speed, clock=time.time, monotonic=time.monotonic),
                ledger=ledger,
            )
            server = TcpServer({1: cabinet.memory}, host="127.0.0.1", port=0)
            port = (await stack.enter_async_context(server)).port
            made.append(cabinet)
            endpoints.append(endpoint_of(number, port))
            cabinet.pace.resume()
        working = asyncio.create_task(_work(made), name="cabinets")
        try:
            yield made, endpoints
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


def endpoint_of(number: int, port: int) -> Endpoint:
    """Return where cabinet `number` is to be read."""
    return Endpoint(
        station=f"formation-{number}",
        profile_name=PROFILE,
        transport="tcp",
        device_id=1,
        host="127.0.0.1",
        port=port,
    )


@contextmanager
def serving(count: int, *, speed: float) -> Iterator[list[Endpoint]]:
    """Run cabinets in another process while the context lasts."""
    command = [sys.executable, "-m", "tests.services.cabinets", str(count), str(speed)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ports = process.stdout.readline().split()
        yield [endpoint_of(number, int(port)) for number, port in enumerate(ports, 1)]
        process.stdin.close()


async def _work(machines: Sequence[FormationCabinet]) -> None:
    while True:
        for each in machines:
            each.advance(_EVENTS_A_TURN)
        await asyncio.sleep(_TURN_S)


async def _serve(count: int, speed: float) -> None:
    async with cabinets(count, speed=speed) as (_, endpoints):
        sys.stdout.write(" ".join(str(each.port) for each in endpoints) + "\n")
        sys.stdout.flush()
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
