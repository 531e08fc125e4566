"""What 8 cabinets of 64 channels cost an agent, at their shipped period: share of a core, memory."""

import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from agent.config import load_edge
from agent.demo.site_file import site_file
from agent.runtime.edge import running
from tests.bench.figures import Figure, show
from tests.services.cabinets import serving
from tests.services.ports import free_port

_CABINETS = 8
_SPEED = 30.0  # of the cells; a step then ends each second on one of the 512 channels
_WARM_UP_S, _SECONDS = 10.0, 30.0


async def _measure(path: Path) -> tuple[float, float, int, int]:
    """Return share of a core in %, values a second, steps stored and lost of a running agent."""
    async with running(path, load_edge(path)) as edge:
        await asyncio.sleep(_WARM_UP_S)
        samples, steps = edge.line.samples, edge.line.records
        cpu_s, start = time.process_time(), time.perf_counter()
        await asyncio.sleep(_SECONDS)
        took_s = time.perf_counter() - start
        share = 100 * (time.process_time() - cpu_s) / took_s
        rate = (edge.line.samples - samples) / took_s
        return share, rate, edge.line.records - steps, edge.line.records_lost


def _figures() -> Iterator[Figure]:
    with serving(_CABINETS, speed=_SPEED) as endpoints, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lini.toml"
        text = site_file(endpoints, broker_port=free_port())
        path.write_text(text.replace("[page]", "[page]\nenabled = false"))
        share, rate, steps, lost = asyncio.run(_measure(path))
    yield Figure(name="8 × 64 channels at 5 s: share of a core", value=share, unit="%", most=25)
    yield Figure(name="… samples", value=rate, unit="a second", least=100)
    yield Figure(name="… steps stored meanwhile", value=steps, unit="", least=1)
    yield Figure(name="… steps lost", value=lost, unit="", most=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure(name="… memory of the agent", value=peak, unit="MiB", most=100)


if __name__ == "__main__":
    show(_figures())
