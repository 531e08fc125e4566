"""How much of a serial line's legal time is used: RTU on a line that keeps to its baud rate.

The limit is what the standard lets through: the request, 3.5 characters, the answer, 3.5
characters, and so on, with a device that thinks no longer than that.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Request
from collectors.modbus.transport.link import RtuLink
from collectors.register import Table
from tests.bench.device import serving, silence_s
from tests.bench.figures import Figure, show

_SECONDS = 3.0


def _legal_s(baud: int, count: int) -> float:
    characters = 8 + 5 + 2 * count
    return characters * 11 / baud + 2 * silence_s(baud)


async def _share(path: str, baud: int, count: int) -> float:
    """Return the legal time of a request over the time it took."""
    request = Request(1, Table.HOLDING, 0, count)
    legal_s = _legal_s(baud, count)
    requests = max(5, int(_SECONDS / legal_s))
    async with Bus("line", RtuLink(port=Path(path), baud=baud)) as bus:
        await bus.read(request, 5.0)
        start = time.perf_counter()
        for _ in range(requests):
            await bus.read(request, 5.0)
        took_s = time.perf_counter() - start + silence_s(baud)  # the last silence is not waited for
        return requests * legal_s / took_s


def _figures() -> Iterator[Figure]:
    for baud in (9600, 19200, 115200):
        for count in (10, 50, 125):
            with serving("rtu", str(baud)) as path:
                share = asyncio.run(_share(path, baud, count))
            yield Figure(
                name=f"RTU, {baud} baud, {count} registers: share of the legal limit",
                value=100 * share,
                unit="%",
                least=97,
            )


if __name__ == "__main__":
    show(_figures())
