"""The publisher and a real Mosquitto: what the database has not confirmed is never forgotten."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt
import pytest

from agent.delivery.entry import Draft
from agent.delivery.publisher import Publisher
from agent.delivery.spool import Spool
from agent.wire.broker import Broker, MqttVersion
from agent.wire.message import Commit, commit_topic, data_topic, decode, status_topic
from tests.services.edge import event
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

AGENT, UPLINK = "pi1", "home"
pytestmark = pytest.mark.mosquitto


class Outbox:
    """A spool, and the bell that the outbox rings when something new is in it."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.stored = asyncio.Event()
        self._made = 0

    async def put(self, count: int) -> None:
        numbers = range(self._made + 1, self._made + count + 1)
        self._made += count
        drafts = [
            Draft(agent=AGENT, uplink=UPLINK, config="0badcafe", kind="telemetry", lines=[event(n)])
            for n in numbers
        ]
        await self.spool.append(drafts)
        self.stored.set()

    async def waiting(self) -> int:
        return (await self.spool.stats(UPLINK)).messages

    def publisher(self, broker: Broker, *, stall_s: float = 60) -> Publisher:
        return Publisher(
            self.spool,
            self.stored,
            broker,
            agent=AGENT,
            uplink=UPLINK,
            version="1",
            stall_s=stall_s,
        )


class Receiver:
    """A tiny sink: notes the numbers that arrive, in order, and commits them if it is told to."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.seqs: list[int] = []
        self.commits = True
        self._client = client

    async def listen(self) -> None:
        await self._client.subscribe(data_topic(AGENT, UPLINK), qos=1)
        async for arrived in self._client.messages:
            assert isinstance(arrived.payload, bytes)
            header = decode(arrived.payload).header
            self.seqs.append(header.seq)
            if self.commits:
                commit = Commit(epoch=header.epoch, ranges=((header.seq, header.seq),))
                await self._client.publish(commit_topic(AGENT, UPLINK), commit.encode(), qos=1)


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with Spool(tmp_path / "spool.db") as spool:
        yield Outbox(spool)


@asynccontextmanager
async def background(*work: object) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each) for each in work]  # type: ignore[call-overload]
    try:
        yield
    finally:
        pending = set(tasks)
        while pending:  # a client of aiomqtt may swallow a cancellation that meets an answer
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.5)


@asynccontextmanager
async def receiving(broker: Broker, *, commits: bool = True) -> AsyncIterator[Receiver]:
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        max_inflight_messages=500,
    ) as client:
        receiver = Receiver(client)
        receiver.commits = commits
        async with background(receiver.listen()):
            yield receiver


def missing(seqs: Sequence[int], newest: int) -> set[int]:
    return set(range(1, newest + 1)) - set(seqs)


@pytest.mark.parametrize("mqtt", ["5", "3.1.1"])
async def test_what_is_committed_leaves_the_spool(
    outbox: Outbox, mosquitto: Mosquitto, mqtt: MqttVersion
) -> None:
    """Everything arrives, in order, and is deleted once it is confirmed."""
    broker = dataclasses.replace(mosquitto.broker(), mqtt=mqtt)
    async with receiving(broker) as receiver:
        await outbox.put(200)
        publisher = outbox.publisher(broker)
        async with background(publisher.run()):
            await eventually(lambda: publisher.status.committed == 200)
            await outbox.put(1)
            await eventually(lambda: publisher.status.committed == 201)
    assert list(dict.fromkeys(receiver.seqs)) == list(range(1, 202))
    assert await outbox.waiting() == 0


async def test_a_puback_alone_deletes_nothing(outbox: Outbox, mosquitto: Mosquitto) -> None:
    """Control: the broker has taken and delivered all, but the database has not confirmed."""
    async with receiving(mosquitto.broker(), commits=False) as receiver:
        await outbox.put(50)
        publisher = outbox.publisher(mosquitto.broker())
        async with background(publisher.run()):
            await eventually(lambda: publisher.status.published >= 50)
            await eventually(lambda: not missing(receiver.seqs, 50))
    assert await outbox.waiting() == 50


async def test_what_nobody_confirms_is_sent_again(outbox: Outbox, mosquitto: Mosquitto) -> None:
    """A sink that lost what it had taken gets it again, without a reconnect."""
    async with receiving(mosquitto.broker(), commits=False) as receiver:
        await outbox.put(10)
        publisher = outbox.publisher(mosquitto.broker(), stall_s=0.5)
        async with background(publisher.run()):
            await eventually(lambda: not missing(receiver.seqs, 10))
            receiver.commits = True
            await eventually(lambda: publisher.status.committed == 10)
    assert await outbox.waiting() == 0


async def test_a_killed_broker_loses_nothing(outbox: Outbox, mosquitto: Mosquitto) -> None:
    """Kill -9 of a broker without persistence while a thousand messages are on their way."""
    broker = mosquitto.broker()
    await outbox.put(1000)
    publisher = outbox.publisher(broker)
    seen: list[int] = []
    async with background(publisher.run()):
        with suppress(aiomqtt.MqttError):
            async with receiving(broker) as receiver:
                await eventually(lambda: publisher.status.committed >= 100)
                mosquitto.kill()
                seen += receiver.seqs
        mosquitto.start()
        async with receiving(broker) as receiver:
            await eventually(lambda: publisher.status.committed == 1000, timeout_s=40)
            seen += receiver.seqs
    assert missing(seen, 1000) == set()
    assert await outbox.waiting() == 0


@pytest.mark.parametrize("mqtt", ["5", "3.1.1"])
async def test_what_the_access_list_refuses_is_not_lost(
    outbox: Outbox, tmp_path: Path, mqtt: MqttVersion
) -> None:
    """MQTT 5 says 0x87 where 3.1.1 says success; either way the messages stay here."""
    acl = (
        f"user pi1\ntopic read {commit_topic(AGENT, UPLINK)}\ntopic {status_topic(AGENT)}\n"
        "user sink\ntopic #\n"
    )
    users = {"pi1": "secret-1", "sink": "secret-2"}
    with Mosquitto(tmp_path / "mosquitto", users=users, acl=acl) as server:
        await outbox.put(5)
        publisher = outbox.publisher(dataclasses.replace(server.broker("pi1"), mqtt=mqtt))
        async with receiving(server.broker("sink")) as receiver, background(publisher.run()):
            if mqtt == "5":
                await eventually(lambda: publisher.status.refused > 0)
                assert "check the broker's access list" in publisher.status.last_error
            else:
                await eventually(lambda: publisher.status.published >= 5)
    assert receiver.seqs == []
    assert publisher.status.committed == 0
    assert await outbox.waiting() == 5


async def test_after_an_outage_live_values_do_not_queue_behind_the_backlog(
    outbox: Outbox, mosquitto: Mosquitto
) -> None:
    """With two thousand messages waiting, one that is new overtakes most of them."""
    await outbox.put(2000)
    publisher = outbox.publisher(mosquitto.broker())
    async with receiving(mosquitto.broker()) as receiver, background(publisher.run()):
        await eventually(lambda: len(receiver.seqs) >= 100)
        await outbox.put(1)
        await eventually(lambda: 2001 in receiver.seqs)
        assert receiver.seqs.index(2001) < 1000  # in the order of the spool it would be the last
        await eventually(lambda: publisher.status.committed == 2001, timeout_s=40)
    assert missing(receiver.seqs, 2001) == set()


async def test_birth_and_last_will(outbox: Outbox, mosquitto: Mosquitto) -> None:
    """Others see at once whether the agent is there, by a retained word."""
    said: list[bytes] = []

    async def listen(client: aiomqtt.Client) -> None:
        async for arrived in client.messages:
            assert isinstance(arrived.payload, bytes)
            said.append(arrived.payload)

    broker = mosquitto.broker()
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(status_topic(AGENT), qos=1)
        async with background(listen(client)):
            async with background(outbox.publisher(broker).run()):
                await eventually(lambda: any(b'"online": true' in each for each in said))
            await eventually(lambda: said[-1] == b'{"online": false}')


async def test_a_publisher_ends_whenever_it_is_cancelled(
    outbox: Outbox, mosquitto: Mosquitto
) -> None:
    """Also at the very moment of an answer, where Python 3.11 would drop the cancellation."""
    chance = random.Random(5)
    await outbox.put(500)
    async with receiving(mosquitto.broker()):
        for _ in range(80):
            task = asyncio.create_task(outbox.publisher(mosquitto.broker()).run())
            await asyncio.sleep(chance.uniform(0, 0.02))  # at any point of connecting
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=15)
            assert done, "the publisher did not end"
