"""Other brokers than Mosquitto, and the version of MQTT that each of them knows."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.delivery.spool import Spool
from agent.wire.broker import Broker
from tests.conftest import Database
from tests.services.delivering import Delivery, outlive_a_kill
from tests.services.link import Link
from tests.services.mosquitto import Mosquitto
from tests.services.nats import Nats
from tests.services.waiting import eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.influxdb]
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
