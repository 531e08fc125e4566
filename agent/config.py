"""The site's own files: `lini.toml` for the edge, `sink.toml` for the server.

Config objects stop at the wiring: below `runtime` everything takes plain arguments. Secrets stand
in files of their own, so that a configuration can be mailed to whoever helps.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from agent.wire.broker import Broker, MqttVersion
from collectors import profile as profiles
from collectors import toml_file
from collectors.errors import FixTheFileError
from collectors.modbus.bus import RtuLink, TcpLink
from collectors.profile import Profile
from collectors.register import Order, Positive, Strict, Text

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Port = Annotated[int, Field(ge=1, le=65535)]
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class AgentTable(Strict):
    """Who this agent is, where it stands and where it keeps its data."""

    name: Slug
    site: Slug
    line: Slug
    title: str = ""  # of the workshop, at the head of the page
    timezone: str = "Asia/Jakarta"
    data: Path = Path("lini-data")
    profiles: Path | None = None  # folder of the site's own profiles
    max_spool_mb: Annotated[int, Field(ge=16)] = 2000
    flush_s: Annotated[float, Field(ge=0.05, le=60)] = 1.0

    @model_validator(mode="after")
    def _knows_its_zone(self) -> Self:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                "there is no such time zone; in Indonesia: Asia/Jakarta (WIB), "
                "Asia/Makassar (WITA), Asia/Jayapura (WIT)"
            ) from error
        return self


class BusTable(Strict):
    """One TCP connection (a machine or a gateway), or one serial port."""

    name: Slug
    transport: Literal["tcp", "rtu"] = "tcp"
    host: str | None = None
    port: Port = 502
    device: Path | None = None  # serial port, as /dev/serial/by-id/…
    baud: Annotated[int, Field(ge=300, le=921_600)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.transport == "tcp" and not self.host:
            raise ValueError("a tcp bus needs `host`")
        if self.transport == "rtu" and self.device is None:
            raise ValueError("an rtu bus needs `device`, as /dev/serial/by-id/…")
        return self

    def link(self) -> TcpLink | RtuLink:
        """Return how to reach the devices on this bus."""
        if self.transport == "tcp":
            return TcpLink(host=self.host or "", port=self.port)
        return RtuLink(
            port=self.device or Path(),
            baud=self.baud,
            parity=self.parity,
            stop_bits=self.stop_bits,
        )


class StationTable(Strict):
    """One machine: on which bus, with which device id, of which model."""

    name: Slug
    bus: Slug
    profile: Slug
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    title: Text | None = None
    order: Order | None = None  # overrides the profile's byte order
    timeout_s: Positive | None = None
    acknowledge: bool = False  # let Lini tell the machine which parts are stored


class BrokerTable(Strict):
    """An MQTT broker. Paths are relative to the configuration file."""

    host: Annotated[str, Field(min_length=1)]
    port: Port | None = None  # None: 8883 with TLS, 1883 without
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    mqtt: MqttVersion = "5"

    @model_validator(mode="after")
    def _keeps_its_password(self) -> Self:
        if self.password_file is not None and not self.tls and self.host not in _LOOPBACK:
            raise ValueError("a password would cross the network unencrypted: set `tls = true`")
        return self

    def broker(self, folder: Path) -> Broker:
        """Return the broker, with its secret read from its file."""
        return Broker(
            host=self.host,
            port=self.port or (8883 if self.tls else 1883),
            username=self.username,
            password=read_secret(folder / self.password_file) if self.password_file else None,
            tls=self.tls,
            ca_file=_under(folder, self.ca_file),
            cert_file=_under(folder, self.cert_file),
            key_file=_under(folder, self.key_file),
            mqtt=self.mqtt,
        )


class UplinkTable(BrokerTable):
    """Where the data go: one broker, and whoever writes it into a database behind it."""

    name: Slug
    compress: bool = True  # false: plain line protocol, for Telegraf and others


class PageTable(Strict):
    """The operator's page."""

    enabled: bool = True
    host: str = "0.0.0.0"  # noqa: S104 - look-only page for the workshop's own network
    port: Port = 8080
    names: tuple[str, ...] = ()  # further host names the page may be opened by


class LiniFile(Strict):
    """`lini.toml`: everything the edge agent needs to know."""

    agent: AgentTable
    bus: Annotated[tuple[BusTable, ...], Field(min_length=1)]
    station: Annotated[tuple[StationTable, ...], Field(min_length=1)]
    uplink: Annotated[tuple[UplinkTable, ...], Field(min_length=1)]
    page: PageTable = PageTable()

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for kind in (self.bus, self.station, self.uplink):
            names = [each.name for each in kind]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"the name {', '.join(twice)} stands twice")
        known = {bus.name for bus in self.bus}
        for station in self.station:
            if station.bus not in known:
                raise ValueError(
                    f"station {station.name} is on the bus `{station.bus}`, which is not here; "
                    f"there is: {', '.join(sorted(known))}"
                )
        places = [(station.bus, station.device_id) for station in self.station]
        if len(set(places)) < len(places):
            raise ValueError("two stations have the same bus and device_id")
        return self


class SinkTable(Strict):
    """The server's part: who it is to the broker, and where refused lines are kept."""

    name: Slug = "sink"
    data: Path = Path("lini-sink")
    retention_days: Annotated[int, Field(ge=1)] = 400
    profiles: Path | None = None


class InfluxTable(Strict):
    """An InfluxDB 2 or 3, or 1.8 with `bucket = "database/policy"`."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    org: str = "lini"
    bucket: Annotated[str, Field(min_length=1)]
    token_file: Path


class SinkFile(Strict):
    """`sink.toml`: everything the sink needs to know."""

    sink: SinkTable = SinkTable()
    broker: BrokerTable
    influx: InfluxTable


def load_edge(path: Path) -> LiniFile:
    """Return `lini.toml`; raises FixTheFileError with every fault at once."""
    return toml_file.load(path, LiniFile)


def load_sink(path: Path) -> SinkFile:
    """Return `sink.toml`; raises FixTheFileError with every fault at once."""
    return toml_file.load(path, SinkFile)


def station_profiles(file: LiniFile, folder: Path) -> Mapping[str, Profile]:
    """Return the profile of each station, by the station's name.

    Raises FixTheFileError naming every station whose profile does not exist, or does not fit.
    """
    own = _under(folder, file.agent.profiles)
    found: dict[str, Profile] = {}
    faults: list[str] = []
    for station in file.station:
        try:
            profile = profiles.find(station.profile, folder=own)
        except FixTheFileError as error:
            faults.append(f"station {station.name}: {error}")
            continue
        found[station.name] = profile
        if station.acknowledge and not (profile.records and profile.records.acknowledge):
            faults.append(
                f"station {station.name}: `acknowledge` is set, but its profile "
                f"{station.profile} names no register for it"
            )
    if faults:
        raise FixTheFileError("\n".join(faults))
    return found


def site_profiles(folder: Path | None) -> list[Profile]:
    """Return all profiles there are: the package's, and those in the site's own `folder`."""
    own = [profiles.load(path) for path in sorted(folder.glob("*.toml"))] if folder else []
    return [*profiles.shipped().values(), *own]


def fingerprint(path: Path) -> str:
    """Return 8 hex digits that change whenever the configuration does."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def read_secret(path: Path) -> str:
    """Return the first line of a secret's file; never shown anywhere.

    A bare name is looked for where systemd puts credentials, if it is not beside the file.
    """
    granted = os.environ.get("CREDENTIALS_DIRECTORY")
    if not path.exists() and granted and (Path(granted) / path.name).exists():
        path = Path(granted) / path.name
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FixTheFileError(
            f"{path}: the secret cannot be read: {error.strerror}",
            "make the file with the password or token as its only line, readable by this user",
        ) from error
    if not lines or not lines[0].strip():
        raise FixTheFileError(f"{path}: the secret is empty", "put the password or token into it")
    return lines[0].strip()


def _under(folder: Path, path: Path | None) -> Path | None:
    return None if path is None else folder / path
