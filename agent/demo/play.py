"""Run the demo: everything real but the machines, in one process, and nothing left behind."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from agent.config import load_edge
from agent.demo.broker import EMBEDDED_MQTT, embedded_broker
from agent.demo.compare import Comparison, compare
from agent.demo.screen import Places, Screen, summary
from agent.demo.site_file import site_file
from agent.history import History
from agent.runtime import edge
from agent.server.dead_letters import DeadLetters
from agent.server.influx import InfluxStore
from agent.server.sink import Sink
from agent.wire.broker import Broker
from agent.wire.schema import Schema
from agent.wire.store import Store, Tee
from collectors.errors import LiniError
from collectors.profile import shipped
from collectors.simulated import ledger
from collectors.simulated.line import LineSpec, SimulatedLine

_REDRAW_S = 0.5
_SETTLE_S = 30.0
_EVERYTHING = 10_000_000


class ProofFailedError(LiniError):
    """The store does not hold what the machines made: a fault of Lini's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxTarget:
    """A real InfluxDB that the demo writes to as well."""

    url: str
    org: str
    bucket: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the demo is asked to do. `seconds` None: until Ctrl-C."""

    seconds: float | None
    spec: LineSpec
    page_host: str
    page_port: int
    influx: InfluxTarget | None


async def play(options: Options, console: Console) -> None:
    """Run the demo; with `seconds`, end with the proof, and raise ProofFailedError without one."""
    with TemporaryDirectory(prefix="lini-demo-") as name:
        folder = Path(name)
        truth = folder / "ledger.jsonl"
        async with (
            embedded_broker() as broker_port,
            SimulatedLine(options.spec, ledger_path=truth) as line,
            History(folder / "history.db") as history,
            _store(history, options.influx) as store,
            DeadLetters(folder / "deadletters.db") as dead_letters,
        ):
            sink = Sink(
                Broker(host="127.0.0.1", port=broker_port, mqtt=EMBEDDED_MQTT),
                store,
                Schema.of(shipped().values()),
                dead_letters,
                retention=timedelta(days=400),
            )
            config = folder / "lini.toml"
            config.write_text(
                site_file(
                    line.equipment,
                    broker_port=broker_port,
                    mqtt=EMBEDDED_MQTT,
                    page_host=options.page_host,
                    page_port=options.page_port,
                ),
                encoding="utf-8",
            )
            async with (
                _in_background(sink),
                edge.running(config, load_edge(config), search_port=True) as agent,
            ):
                places = Places(
                    page=agent.page_url,
                    broker=f"mqtt://127.0.0.1:{broker_port}",
                    store=str(options.influx.url if options.influx else history.path),
                    ledger=str(truth),
                )
                with Screen(console, places) as screen:
                    start = time.monotonic()
                    while (elapsed := time.monotonic() - start) < (options.seconds or float("inf")):
                        screen.show(agent, line.counts(), sink.stats, elapsed)
                        await asyncio.sleep(_REDRAW_S)
                line.pause()
                found = await _settled(truth, history)
                console.print(summary(found, agent.line.samples, sink.stats.dead))
    if not found.is_proof:
        raise ProofFailedError("the store does not hold exactly what the machines made")


@asynccontextmanager
async def _store(history: History, influx: InfluxTarget | None) -> AsyncIterator[Store]:
    if influx is None:
        yield history
        return
    target = InfluxStore(influx.url, org=influx.org, bucket=influx.bucket, token=influx.token)
    async with target as database:
        yield Tee(history, database)


@asynccontextmanager
async def _in_background(sink: Sink) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sink.run(), name="sink")
        yield
        task.cancel()


async def _settled(truth: Path, history: History) -> Comparison:
    """Wait until the store holds the whole ledger, at most half a minute; return what differs."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        stored = [
            point
            for kind in ("weld", "cell", "formation_step")
            for point in await history.rows(kind, limit=_EVERYTHING)
        ]
        found = compare(ledger.read(truth), stored)
        if found.is_proof or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_REDRAW_S)
