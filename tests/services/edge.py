"""An edge agent reduced to its wire: numbered messages out, commits in."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aiomqtt

from agent.wire import line, message
from agent.wire.broker import Broker
from agent.wire.message import Commit, Header, Message
from agent.wire.point import Point

EPOCH = "00000000000000aa"


def header(seq: int, *, agent: str = "pi1", uplink: str = "home", epoch: str = EPOCH) -> Header:
    """Return the header of message `seq`."""
    return Header(agent=agent, uplink=uplink, epoch=epoch, seq=seq, first=1, config="0badcafe")


def event(number: int, *, time_ns: int | None = None) -> str:
    """Return an `event` line; each number has a time of its own, a little before now."""
    return line.encode(
        Point(
            measurement="event",
            tags={"site": "s", "line": "l", "station": "w1", "kind": "test"},
            fields={"from_seq": number},
            time_ns=_START_NS + number if time_ns is None else time_ns,
        )
    )


def payload(seq: int, lines: Iterable[str] | None = None, *, pack: bool = False) -> bytes:
    """Return message `seq` with these lines, or with one event of the same number."""
    body = [event(seq)] if lines is None else list(lines)
    return message.encode(Message(header=header(seq), lines=body), pack=pack)


class Edge:
    """Publishes as agent `pi1`, uplink `home`; `committed` holds every number it was told."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.commits: list[Commit] = []

    @property
    def committed(self) -> set[int]:
        """Every sequence number that a commit named so far."""
        return {
            number
            for commit in self.commits
            for low, high in commit.ranges
            for number in range(low, high + 1)
        }

    async def send(self, *bodies: bytes, topic: str = message.data_topic("pi1", "home")) -> None:
        """Publish with QoS 1; return when the broker has taken them all."""
        await asyncio.gather(*(self.client.publish(topic, body, qos=1) for body in bodies))

    async def listen(self) -> None:
        """Collect commits until cancelled."""
        async for told in self.client.messages:
            if isinstance(told.payload, bytes):
                self.commits.append(Commit.decode(told.payload))


@asynccontextmanager
async def edge(broker: Broker) -> AsyncIterator[Edge]:
    """Connect an edge and listen for commits while the block runs."""
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=broker.ssl_context(),
        max_inflight_messages=500,
    ) as client:
        await client.subscribe(message.commit_topic("pi1", "home"), qos=1)
        made = Edge(client)
        listening = asyncio.create_task(made.listen(), name="edge listens")
        try:
            yield made
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


_START_NS = time.time_ns() - 60_000_000_000
