"""The publisher and brokers with limits or with something against it."""

import asyncio
import dataclasses
import gc
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from agent.delivery.entry import Draft, Stored
from agent.delivery.publisher import Publisher
from agent.delivery.session import PublisherStatus
from agent.delivery.spool import Spool
from agent.wire.broker import Broker
from agent.wire.message import Commit, commit_topic, data_topic, decode, status_topic
from tests.services.certificates import Authority
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

AGENT, UPLINK = "pi1", "home"
pytestmark = pytest.mark.mosquitto


def _draft(size: int = 100) -> Draft:
    lines = ["telemetry a=1i 1"] * max(1, size // 17)
    return Draft(agent=AGENT, uplink=UPLINK, config="0badcafe", kind="telemetry", lines=lines)


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    """Return an empty spool."""
    async with Spool(tmp_path / "spool" / "spool.db") as spool:
        yield spool


@asynccontextmanager
async def _publishing(
    spool: Spool, broker: Broker, *, agent: str = AGENT, window: int = 20
) -> AsyncIterator[PublisherStatus]:
    publisher = Publisher(
        spool, asyncio.Event(), broker, agent=agent, uplink=UPLINK, version="1", window=window
    )
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher.status
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


@asynccontextmanager
async def _sink(broker: Broker) -> AsyncIterator[list[int]]:
    """Commit everything that arrives, and yield the numbers."""
    seqs: list[int] = []

    async def work(client: aiomqtt.Client) -> None:
        async for arrived in client.messages:
            assert isinstance(arrived.payload, bytes)
            header = decode(arrived.payload).header
            seqs.append(header.seq)
            commit = Commit(epoch=header.epoch, ranges=((header.seq, header.seq),))
            await client.publish(commit_topic(AGENT, UPLINK), commit.encode(), qos=1)

    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(data_topic(AGENT, UPLINK), qos=1)
        task = asyncio.create_task(work(client))
        yield seqs
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_message_the_broker_is_too_small_for_blocks_nothing(
    spool: Spool, tmp_path: Path
) -> None:
    """It would break every connection for ever; it is told, kept, and the others go on."""
    await spool.append([_draft(), _draft(), _draft(30_000), _draft(), _draft()])
    limit = ("max_packet_size 10000",)
    with Mosquitto(tmp_path / "mosquitto", settings=limit) as server:
        async with _sink(server.broker()) as seqs, _publishing(spool, server.broker()) as status:
            await eventually(lambda: status.committed == 4)
            assert status.connected
            assert status.oversize == 1
        assert sorted(seqs) == [1, 2, 4, 5]
        assert [each.seq for each in await spool.peek(UPLINK, 0, 9)] == [3]


async def test_a_message_that_breaks_every_connection_blocks_nothing(
    spool: Spool, tmp_path: Path
) -> None:
    """A limit that the broker does not announce, so that it is found out by trying."""
    await spool.append([_draft(), _draft(30_000), *[_draft()] * 30])
    limit = ("message_size_limit 10000",)
    with Mosquitto(tmp_path / "mosquitto", settings=limit) as server:
        async with _sink(server.broker()) as seqs, _publishing(spool, server.broker()) as status:
            await eventually(lambda: status.committed == 31, timeout_s=30)
            assert status.connected
            assert status.refused >= 1
        assert set(seqs) == {1, *range(3, 33)}
        assert [each.seq for each in await spool.peek(UPLINK, 0, 9)] == [2]


async def test_the_window_never_passes_the_brokers_receive_maximum(
    spool: Spool, tmp_path: Path
) -> None:
    """A broker with room for two gets two at a time, and everything all the same."""
    await spool.append([_draft()] * 200)
    with Mosquitto(tmp_path / "mosquitto", settings=("max_inflight_messages 2",)) as server:
        async with _sink(server.broker()) as seqs, _publishing(spool, server.broker()) as status:
            most = 0
            while status.committed < 200:
                most = max(most, status.in_flight)
                await asyncio.sleep(0)
    assert most == 2
    assert sorted(set(seqs)) == list(range(1, 201))


async def test_without_a_receive_maximum_the_window_is_used(
    spool: Spool, mosquitto: Mosquitto
) -> None:
    """Control: more than two are in flight where the broker allows it."""
    await spool.append([_draft()] * 200)
    async with (
        _sink(mosquitto.broker()),
        _publishing(spool, mosquitto.broker(), window=9) as status,
    ):
        most = 0
        while status.committed < 200:
            most = max(most, status.in_flight)
            await asyncio.sleep(0)
    assert 2 < most <= 9


async def test_the_backlog_is_never_loaded(
    spool: Spool, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is, a few messages at a time are in memory."""
    limits: list[int] = []
    peek = spool.peek

    async def counting(uplink: str, after: int, limit: int) -> list[Stored]:
        limits.append(limit)
        return await peek(uplink, after, limit)

    monkeypatch.setattr(spool, "peek", counting)
    await spool.append([_draft()] * 1_000)
    async with _sink(mosquitto.broker()), _publishing(spool, mosquitto.broker()) as status:
        await eventually(lambda: status.committed >= 300, timeout_s=30)
    assert 0 < max(limits) <= 20


async def test_a_commit_that_is_none_deletes_nothing(
    spool: Spool, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """Junk, and a commit of another epoch, are passed over; the next good one counts."""
    await spool.append([_draft()] * 3)
    broker = mosquitto.broker()
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(data_topic(AGENT, UPLINK), qos=1)
        async with _publishing(spool, broker) as status:
            await eventually(lambda: status.published == 3)
            for payload in (
                b"\xff\x00junk",
                b"# lini-commit 1 epoch=0000000000000000 1-3",
                b"# lini-commit 1 epoch=" + spool.epoch.encode() + b" 3-1",
                Commit(epoch=spool.epoch, ranges=((2, 2),)).encode(),
            ):
                await client.publish(commit_topic(AGENT, UPLINK), payload, qos=1)
            await eventually(lambda: status.committed)
            assert status.connected
    assert [each.seq for each in await spool.peek(UPLINK, 0, 9)] == [1, 3]
    assert caplog.text.count("is none") == 2


async def test_a_wrong_password_is_told_once_with_the_next_step(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent goes on, the status says what is wrong; the password itself is nowhere."""
    with Mosquitto(tmp_path / "mosquitto", users={"pi1": "right"}) as server:
        broker = dataclasses.replace(server.broker("pi1"), password="wr0ng-secret")
        async with _publishing(spool, broker) as status:
            await eventually(lambda: status.last_error)
            assert not status.connected
            assert "refuses user 'pi1'" in status.last_error
            assert "→ check username and password" in status.last_error
    assert [each.levelno for each in caplog.records if "refuses" in each.message] == [logging.ERROR]
    assert "wr0ng-secret" not in caplog.text


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # paho leaves a refused socket to the gc
async def test_tls_with_a_known_authority_connects_and_with_an_unknown_one_does_not(
    spool: Spool, tmp_path: Path
) -> None:
    """Never past a certificate that cannot be verified."""
    known, unknown = Authority(tmp_path / "known"), Authority(tmp_path / "unknown")
    with Mosquitto(tmp_path / "mosquitto", tls=known.issue("server")) as server:
        async with _publishing(spool, server.broker()) as status:
            await eventually(lambda: status.connected)
        stranger = dataclasses.replace(server.broker(), ca_file=unknown.ca)
        async with _publishing(spool, stranger) as status:
            await eventually(lambda: status.last_error)
            assert "not trusted" in status.last_error
            assert "→ check ca_file" in status.last_error
            assert not status.connected
    gc.collect()


async def test_a_missing_certificate_file_is_told(spool: Spool, tmp_path: Path) -> None:
    """A fault of the configuration shows in the status, not as a crash."""
    broker = Broker(host="localhost", tls=True, ca_file=tmp_path / "none.crt")
    async with _publishing(spool, broker) as status:
        await eventually(lambda: status.last_error)
        assert "none.crt" in status.last_error


async def test_no_broker_at_all_is_told(spool: Spool, mosquitto: Mosquitto) -> None:
    """And found by itself as soon as it is there."""
    mosquitto.stop()
    async with _publishing(spool, mosquitto.broker()) as status:
        await eventually(lambda: status.last_error)
        assert "does the broker run" in status.last_error
        mosquitto.start()
        await eventually(lambda: status.connected, timeout_s=30)
        assert status.last_error == ""


async def test_a_connection_taken_over_by_another_agent_names_the_suspicion(
    spool: Spool, mosquitto: Mosquitto
) -> None:
    """Two agents of one name throw each other out; this broker says nothing when it does so."""
    async with _publishing(spool, mosquitto.broker()) as first:
        await eventually(lambda: first.connected)
        async with _publishing(spool, mosquitto.broker()) as second:
            await eventually(lambda: second.connected)
            await eventually(lambda: first.last_error)
            assert "does another agent use the name 'lini-pi1-home'" in first.last_error


async def test_a_killed_agent_is_announced_by_its_will(spool: Spool, mosquitto: Mosquitto) -> None:
    """Birth while it runs, the last will when the connection breaks without a goodbye."""
    broker = mosquitto.broker()
    said: list[dict[str, object]] = []

    async def listen(client: aiomqtt.Client) -> None:
        async for arrived in client.messages:
            assert isinstance(arrived.payload, bytes)
            said.append(json.loads(arrived.payload))

    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(status_topic(AGENT), qos=1)
        listening = asyncio.create_task(listen(client))
        async with _publishing(spool, broker):
            await eventually(lambda: said and said[-1]["online"])
            assert said[-1]["version"] == "1"
            assert isinstance(said[-1]["since"], int)
            # Whoever takes its name makes the broker cut it off, as a lost link would.
            async with aiomqtt.Client(
                broker.host, broker.port, identifier=f"lini-{AGENT}-{UPLINK}"
            ):
                # The agent may have its name back before anyone looks.
                await eventually(lambda: {"online": False} in said)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
