"""An empty database on a real InfluxDB, as tests write and read it."""

from dataclasses import dataclass

from tests.services.gateway import Gateway
from tests.services.influxdb import Influx, Row


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
