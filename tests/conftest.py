"""Real services for whoever asks: each test has its own database, ports and folders."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import capture
from tests.services.capture import HARMLESS, Functions
from tests.services.database import Database
from tests.services.gateway import Gateway
from tests.services.influxdb import Influx
from tests.services.mosquitto import Mosquitto
from tests.services.plant import Plant, plant_in


@pytest.fixture(scope="session", autouse=True)
def sent() -> Iterator[Functions]:
    """Whatever the engine sends in the whole run is a read, or allowed by `capture.allowing`."""
    with capture.sent() as functions:
        yield functions
    assert {*functions} <= HARMLESS


@pytest.fixture(scope="session")
def influx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    """One InfluxDB for the whole run; never stop or freeze it (see `killable_influx`)."""
    with Influx(tmp_path_factory.mktemp("influxdb")) as server:
        yield server


def _databases(server: Influx) -> Iterator[Database]:
    bucket = f"test_{secrets.token_hex(6)}"
    server.query(f'CREATE DATABASE "{bucket}"')
    with Gateway(server) as gateway:
        yield Database(server=server, gateway=gateway, bucket=bucket)


@pytest.fixture
def influx(influx_server: Influx) -> Iterator[Database]:
    """Return an empty database of the shared server, behind a gateway of its own."""
    for database in _databases(influx_server):
        yield database
        influx_server.query(f'DROP DATABASE "{database.bucket}"')


@pytest.fixture
def killable_influx(tmp_path: Path) -> Iterator[Database]:
    """Return an empty database on a server of the test's own, to freeze, kill or restart."""
    with Influx(tmp_path / "influxdb") as server:
        yield from _databases(server)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker without passwords or persistence, the test's own."""
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture
def plant(tmp_path: Path, mosquitto: Mosquitto, influx: Database) -> Iterator[Plant]:
    """Return all between the machines and the database; agent and sink do not run yet."""
    with plant_in(tmp_path, mosquitto, influx) as made:
        yield made
