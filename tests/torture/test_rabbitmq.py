"""RabbitMQ as the broker: it takes a quarter of a minute to start, so it is met here only."""

from pathlib import Path

import pytest

from tests.services.database import Database
from tests.services.delivering import outlive_a_kill
from tests.services.rabbitmq import RabbitMq


@pytest.mark.rabbitmq
@pytest.mark.influxdb
async def test_rabbitmq_delivers_all_through_a_kill(
    influx: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It hangs up at MQTT 5 without a word: both ends go on in 3.1.1 by themselves."""
    with RabbitMq(tmp_path / "rabbitmq") as server:
        await outlive_a_kill(server, influx, tmp_path)
    assert caplog.text.count("was reached in MQTT 3.1.1 only") == 1
