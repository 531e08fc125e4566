"""Real services for whoever asks: each test has its own database, ports and folders."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services import capture
from tests.services.capture import HARMLESS, Functions
from tests.services.gateway import Gateway
from tests.services.influxdb import Influx, Row
from tests.services.mosquitto import Mosquitto


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An empty database on a real InfluxDB: written through the gateway, read directly."""

    server: Influx
    gateway: Gateway
    bucket: str
    org: str = "test-org"

    @property
    def url(self) -> str:
        """Address of the write API (InfluxDB 2) and of `/query`."""
        return self.gateway.url

    @property
    def token(self) -> str:
        """Return the token that may write."""
        return self.gateway.token

    def query(self, q: str) -> list[Row]:
        """Return the rows of an InfluxQL query on this database."""
        return self.server.query(q, db=self.bucket)

    def write(self, lines: str) -> None:
        """Write line protocol straight into the database."""
        self.server.write(lines, db=self.bucket)

    def count(self, measurement: str, field: str) -> int:
        """Return how many rows of `measurement` have `field`."""
        rows = self.query(f'SELECT count("{field}") AS n FROM "{measurement}"')  # noqa: S608 - tests
        return int(rows[0]["n"]) if rows else 0


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
