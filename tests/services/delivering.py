"""Everything between an edge's spool and a database, around any broker."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Protocol

from agent.delivery.entry import Draft
from agent.delivery.pauses import Pauses
from agent.delivery.publisher import Publisher
from agent.delivery.session import PublisherStatus
from agent.delivery.spool import Spool
from agent.server.dead_letters import DeadLetters
from agent.server.influx import InfluxStore
from agent.server.sink import Sink
from agent.wire.broker import Broker
from agent.wire.schema import Schema
from tests.services.database import Database
from tests.services.edge import event
from tests.services.waiting import eventually

AGENT, UPLINK = "pi1", "home"


class Server(Protocol):
    """A broker that a test may hurt."""

    def broker(self) -> Broker:
        """Return how to reach it."""

    def kill(self) -> None:
        """End it at once."""

    def start(self) -> None:
        """Start it on the same port."""


class Delivery:
    """An edge whose messages are numbered from 1, and hold one event with that number each."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.stored = asyncio.Event()
        self.made = 0

    async def put(self, count: int, *, padding: int = 0) -> None:
        """Store messages; each with `padding` bytes of comment that no packing makes smaller."""
        numbers = range(self.made + 1, self.made + count + 1)
        self.made += count
        await self.spool.append([self._draft(number, padding) for number in numbers])
        self.stored.set()

    async def waiting(self) -> int:
        """Return how many are not confirmed."""
        return (await self.spool.stats(UPLINK)).messages

    @asynccontextmanager
    async def publishing(
        self, broker: Broker, *, keepalive_s: int = 10, longest_s: float = 1.0
    ) -> AsyncIterator[PublisherStatus]:
        """Publish during the block; yield how it goes."""
        publisher = Publisher(
            self.spool,
            self.stored,
            broker,
            agent=AGENT,
            uplink=UPLINK,
            version="1",
            keepalive_s=keepalive_s,
            pauses=Pauses(Random(1), longest_s=longest_s),
        )
        async with background(publisher.run()):
            yield publisher.status

    def _draft(self, number: int, padding: int) -> Draft:
        noise = Random(number).randbytes(padding // 2).hex()
        lines = [event(number), *([f"# {noise}"] if noise else [])]
        return Draft(agent=AGENT, uplink=UPLINK, config="0badcafe", kind="telemetry", lines=lines)


@asynccontextmanager
async def background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let `work` run during the block; fail if it ends by itself."""
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def storing(broker: Broker, influx: Database, folder: Path) -> AsyncIterator[Sink]:
    """Run a sink between a broker and a database during the block."""
    async with AsyncExitStack() as stack:
        store = InfluxStore(
            influx.url, org=influx.org, bucket=influx.bucket, token=influx.token, timeout_s=5
        )
        await stack.enter_async_context(store)
        letters = await stack.enter_async_context(DeadLetters(folder / "letters.db"))
        sink = Sink(broker, store, Schema.of([]), letters, retention=timedelta(days=1))
        await stack.enter_async_context(background(sink.run()))
        await eventually(lambda: sink.stats.connected, what="the sink connects")
        yield sink


async def outlive_a_kill(server: Server, influx: Database, folder: Path) -> PublisherStatus:
    """Deliver 600 messages through a broker that is killed on the way; return how it went.

    Both ends are left to find out which MQTT the broker speaks.
    """
    broker = server.broker()
    assert broker.mqtt == "auto"
    async with Spool(folder / "spool.db") as spool:
        delivery = Delivery(spool)
        await delivery.put(500)
        async with storing(broker, influx, folder), delivery.publishing(broker) as status:
            await eventually(lambda: status.committed, timeout_s=30, what="the first commit")
            server.kill()
            await eventually(lambda: not status.connected, what="the loss is noticed")
            await delivery.put(100)
            assert await delivery.waiting() > 0, "the kill came too late to prove anything"
            server.start()
            await eventually(lambda: status.committed == 600, timeout_s=60, what="all is safe")
        assert await delivery.waiting() == 0
    assert influx.count("event", "from_seq") == 600
    return status
