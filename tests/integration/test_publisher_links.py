"""Links as workshops have them: slow, flapping, or leading to a broker that stands still."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from agent.delivery.spool import Spool
from agent.wire.broker import Broker
from agent.wire.message import data_topic, decode
from tests.services.database import Database
from tests.services.delivering import AGENT, UPLINK, Delivery, background, storing
from tests.services.link import Link
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.influxdb]
_log = logging.getLogger(__name__)


@pytest.fixture
async def delivery(tmp_path: Path) -> AsyncIterator[Delivery]:
    """Return an edge with nothing to deliver yet."""
    async with Spool(tmp_path / "edge.db") as spool:
        yield Delivery(spool)


async def _note(broker: Broker, seqs: list[int]) -> None:
    """Note the numbers of messages as they pass the broker."""
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(data_topic(AGENT, UPLINK), qos=1)
        async for arrived in client.messages:
            assert isinstance(arrived.payload, bytes)
            seqs.append(decode(arrived.payload).header.seq)


async def test_over_64_kbit_per_second_a_backlog_arrives_once_and_live_values_do_not_wait_for_it(
    delivery: Delivery, mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """Sixty messages of a kilobyte take eight seconds there, over one and the same connection."""
    seqs: list[int] = []
    await delivery.put(60, padding=1_000)
    async with (
        background(_note(mosquitto.broker(), seqs)),
        storing(mosquitto.broker(), influx, tmp_path),
        Link(mosquitto.port, bits_s=64_000) as link,
        delivery.publishing(Broker(host="127.0.0.1", port=link.port)) as status,
    ):
        await eventually(lambda: seqs)
        await delivery.put(1)
        await eventually(lambda: status.committed == 61, timeout_s=60)
        assert link.connections == 1
    assert sorted(seqs) == [*range(1, 62)]  # nothing was sent twice
    assert seqs.index(61) < 40  # a window of 20 was under way, and the lanes take turns
    assert influx.count("event", "from_seq") == 61


async def test_over_a_link_that_flaps_every_two_seconds_everything_arrives_once(
    delivery: Delivery, mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """Each connection gets something done, and what is sent again overwrites itself."""
    seqs: list[int] = []
    await delivery.put(30, padding=1_000)
    async with (
        background(_note(mosquitto.broker(), seqs)),
        storing(mosquitto.broker(), influx, tmp_path),
        Link(mosquitto.port, bits_s=64_000, flap_s=2) as link,
        delivery.publishing(Broker(host="127.0.0.1", port=link.port)) as status,
    ):
        await eventually(lambda: link.cuts >= 2 and status.connected, timeout_s=30)
        await delivery.put(1)
        await eventually(lambda: status.committed == 31, timeout_s=90)
        _log.warning("%d connections, %d messages sent for 31", link.connections, len(seqs))
    assert set(seqs) == {*range(1, 32)}
    assert influx.count("event", "from_seq") == 31
    assert await delivery.waiting() == 0


async def test_a_frozen_broker_is_noticed_and_all_goes_on_when_it_thaws(
    delivery: Delivery, mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """Its connections stay open and take bytes: only a ping without an answer tells."""
    time_s = asyncio.get_running_loop().time
    async with (
        storing(mosquitto.broker(), influx, tmp_path),
        delivery.publishing(mosquitto.broker(), keepalive_s=2) as status,
    ):
        await delivery.put(10)
        await eventually(lambda: status.committed == 10)
        mosquitto.freeze()
        frozen_at = time_s()
        await delivery.put(10)
        await eventually(lambda: not status.connected, timeout_s=20)
        _log.warning("noticed after %.1f s at a keepalive of 2 s", time_s() - frozen_at)
        assert "stopped answering" in status.last_error
        assert status.committed == 10
        mosquitto.thaw()
        await eventually(lambda: status.committed == 20, timeout_s=30)
    assert influx.count("event", "from_seq") == 20
