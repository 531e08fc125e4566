"""Debian's InfluxDB 1.6.7 with a generated configuration."""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.services.ports import free_port
from tests.services.process import Process, binary
from tests.services.waiting import wait_until

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
[continuous_queries]
  enabled = false
"""

Row = dict[str, Any]


class Influx(Process):
    """An InfluxDB server on loopback ports of its own. With `auth` only admin:admin may in."""

    def __init__(self, folder: Path, *, auth: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.auth = auth
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "influxdb.conf"
        config.write_text(
            _CONFIG.format(rpc=free_port(), port=port, folder=folder, auth=str(auth).lower())
        )
        argv = [binary("influxd"), "run", "-config", str(config)]
        super().__init__(argv, port=port, log=folder / "influxd.log")

    def start(self) -> None:
        """Start the server and return once it answers a ping."""
        super().start()
        wait_until(self._pings, timeout_s=30, what="influxd answers a ping")
        if self.auth:
            self.query("CREATE USER admin WITH PASSWORD 'admin' WITH ALL PRIVILEGES")

    def query(self, q: str, db: str = "") -> list[Row]:
        """Return the rows of an InfluxQL query, tags and `name` of each series among them.

        Times are integers in ns. Raises AssertionError with the server's words on a failure.
        """
        body = urllib.parse.urlencode({"q": q, "db": db, "epoch": "ns"}).encode()
        answer = json.loads(self._post("/query", body))
        failed = [each["error"] for each in answer["results"] if "error" in each]
        if failed:
            raise AssertionError(f"{q}: {failed}")
        return [
            {"name": series.get("name"), **series.get("tags", {})}
            | dict(zip(series["columns"], values, strict=True))
            for result in answer["results"]
            for series in result.get("series", [])
            for values in series.get("values", [])
        ]

    def write(self, lines: str, db: str) -> None:
        """Write line protocol (stamps in ns). Raises AssertionError when it is refused."""
        self._post(f"/write?db={urllib.parse.quote(db)}&precision=ns", lines.encode())

    def _pings(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as answer:  # noqa: S310 - http only
                return bool(answer.status == 204)
        except OSError:
            return False

    def _post(self, path: str, body: bytes, timeout_s: float = 20) -> bytes:
        request = urllib.request.Request(f"{self.url}{path}", data=body)  # noqa: S310 - http only
        request.add_header("Authorization", f"Basic {base64.b64encode(b'admin:admin').decode()}")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - http only
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                words = error.read().decode(errors="replace")
            raise AssertionError(f"{path}: {error.code} {words}") from error
