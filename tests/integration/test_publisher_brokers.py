"""Other brokers than Mosquitto, and the version of MQTT that each of them knows."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.delivery.spool import Spool
from agent.wire.broker import Broker
from tests.services.database import Database
from tests.services.delivering import Delivery, outlive_a_kill
from tests.services.link import Link
from tests.services.mosquitto import Mosquitto
from tests.services.nats import Nats
from tests.services.waiting import eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.influxdb]
_CONNACK_5 = bytes.fromhex("2003000000")
_TAKEN_OVER_5 = bytes.fromhex("e0028e00")
_OLD = "was reached in MQTT 3.1.1 only"


@pytest.fixture
async def delivery(tmp_path: Path) -> AsyncIterator[Delivery]:
    """Return an edge with nothing to deliver yet."""
    async with Spool(tmp_path / "edge.db") as spool:
        yield Delivery(spool)


@pytest.mark.nats
async def test_nats_delivers_all_through_a_kill(
    influx: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """NATS refuses MQTT 5: both ends fall back to 3.1.1 by themselves, told once each."""
    caplog.set_level(logging.INFO)
    with Nats(tmp_path / "nats") as server:
        await outlive_a_kill(server, influx, tmp_path)
    assert caplog.text.count(_OLD) == 1
    assert "does not speak" not in caplog.text


async def test_mosquitto_delivers_all_through_a_kill_in_mqtt_5(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Control: a broker that knows 5 is never spoken to in 3.1.1, whatever happens to it."""
    await outlive_a_kill(mosquitto, influx, tmp_path)
    assert _OLD not in caplog.text
    log = mosquitto.log.read_text()
    assert "as lini-pi1-home (p5" in log
    assert "as lini-pi1-home (p2" not in log  # p2 is how it calls 3.1.1


async def test_a_broker_that_hangs_up_at_mqtt_5_is_spoken_to_in_the_old_version(
    delivery: Delivery, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """RabbitMQ before 3.13 does so, without a word."""
    async with Link(mosquitto.port, hangs_up_at=b"MQTT\x05") as link:
        async with delivery.publishing(Broker(host="127.0.0.1", port=link.port)) as status:
            await eventually(lambda: status.connected)
        assert link.connections == 2
    assert "as lini-pi1-home (p2" in mosquitto.log.read_text()
    assert caplog.text.count(_OLD) == 1


async def test_with_the_version_set_a_broker_that_does_not_know_it_is_a_trouble(
    delivery: Delivery, tmp_path: Path
) -> None:
    """Control: what was asked for is tried and nothing else, and the next step is told."""
    with Nats(tmp_path / "nats") as server:
        broker = Broker(host="127.0.0.1", port=server.port, mqtt="5")
        async with delivery.publishing(broker) as status:
            await eventually(lambda: status.last_error)
            assert "does not speak MQTT 5" in status.last_error
            assert '→ set `mqtt = "auto"`' in status.last_error
            assert not status.connected


async def test_two_agents_of_one_name_both_notice_though_the_broker_says_nothing(
    delivery: Delivery, mosquitto: Mosquitto
) -> None:
    """Mosquitto hangs up on the one when the other comes, three times and more."""
    broker = mosquitto.broker()
    async with delivery.publishing(broker, longest_s=0.3) as first:
        await eventually(lambda: first.connected)
        assert not first.disputed
        async with delivery.publishing(broker, longest_s=0.3) as second:
            await eventually(lambda: first.disputed and second.disputed, timeout_s=30)


async def test_a_single_agent_whose_broker_restarts_disputes_nothing(
    delivery: Delivery, mosquitto: Mosquitto
) -> None:
    """Control: a broker that was gone in between is no second agent."""
    async with delivery.publishing(mosquitto.broker(), longest_s=0.3) as status:
        for _ in range(4):
            await eventually(lambda: status.connected)
            mosquitto.kill()
            await eventually(lambda: "does the broker run" in status.last_error)
            mosquitto.start()
        await eventually(lambda: status.connected)
        assert not status.disputed


async def test_an_agent_that_is_told_of_its_namesake_leaves_it_the_name_for_a_while(
    delivery: Delivery,
) -> None:
    """A broker of MQTT 5 says why it ends a connection; the next try is half a minute away."""
    tries: list[bytes] = []

    async def throw_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(await reader.read(1_000))
        writer.write(_CONNACK_5 + _TAKEN_OVER_5)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(throw_out, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, delivery.publishing(Broker(host="127.0.0.1", port=port)) as status:
        await eventually(lambda: status.disputed)
        assert "another client took over the name 'lini-pi1-home'" in status.last_error
        assert len(tries) == 1
