"""The site's own files: `lini.toml` for the edge, `sink.toml` for the server.

Config objects stop at the wiring: below `runtime` everything takes plain arguments. Secrets stand
in files of their own, so that a configuration can be mailed to whoever helps.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, TypedDict
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from agent.genealogy.site import GenealogyTable
from agent.wire.broker import Broker, MqttVersion
from collectors import profile as profiles
from collectors import toml_file
from collectors.errors import FixTheFileError
from collectors.modbus.transport.link import (
    AsciiLink,
    Link,
    RtuLink,
    RtuOverTcpLink,
    TcpLink,
    TlsLink,
)
from collectors.profile import Profile
from collectors.register import Order, Positive, Text
from collectors.toml_file import Strict

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Port = Annotated[int, Field(ge=1, le=65535)]
Transport = Literal["tcp", "tls", "rtu", "rtu-over-tcp", "ascii"]
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# What a bus needs and may have, by its transport.
_CERTIFICATES = ("ca_file", "cert_file", "key_file")
_HOST = {"host": "the device's address"}
_DEVICE = {"device": "the serial port, as /dev/serial/by-id/…"}
_NEEDS: Mapping[Transport, Mapping[str, str]] = {
    "tcp": _HOST,
    "tls": {
        **_HOST,
        "ca_file": "the authority that signed the device's certificate",
        "cert_file": "this agent's certificate",
        "key_file": "the key of this agent's certificate",
    },
    "rtu": _DEVICE,
    "rtu-over-tcp": {**_HOST, "port": "that of the serial server"},
    "ascii": _DEVICE,
}
_COMMON = {"name", "transport"}
_NETWORK = {"host", "port", "gateway_timeout_s"}
_SERIAL = {"baud", "parity", "stop_bits", "echo"}
_MAY: Mapping[Transport, set[str]] = {
    "tcp": _NETWORK,
    "tls": {*_NETWORK, *_CERTIFICATES},
    "rtu": {"device", *_SERIAL},
    "rtu-over-tcp": {*_NETWORK, *_SERIAL},
    "ascii": {"device", "data_bits", *_SERIAL},
}
_BY_ID = Path("/dev/serial/by-id")
_NUMBERED_PORT = re.compile(r"/dev/tty(USB|ACM)[0-9]+")


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
    min_free_mb: Annotated[int, Field(ge=0)] = 200  # that the spool leaves of the disk
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


class _SerialKeys(TypedDict):
    baud: int
    parity: str
    stop_bits: int
    echo: bool


class BusTable(Strict):
    """The connections to one host (a machine or a gateway), or one serial port."""

    name: Slug
    transport: Transport = "tcp"
    host: str | None = None
    port: Port | None = None  # None: 502, with TLS 802
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    device: Path | None = None  # serial port, as /dev/serial/by-id/…
    baud: Annotated[int, Field(ge=300, le=921_600)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    data_bits: Literal[7, 8] | None = None  # None: 7 in ascii, and 8 is all there is elsewhere
    echo: bool = False  # a two-wire adapter that returns what was sent
    gateway_timeout_s: Positive | None = None  # as set in the gateway

    @model_validator(mode="after")
    def _fits_its_transport(self) -> Self:
        for key, reason in _NEEDS[self.transport].items():
            if getattr(self, key) is None:
                raise ValueError(f"transport `{self.transport}` needs `{key}`: {reason}")
        foreign = sorted(self.model_fields_set - _COMMON - _MAY[self.transport])
        if foreign:
            known = ", ".join(sorted(_MAY[self.transport]))
            raise ValueError(
                f"transport `{self.transport}` has no {', '.join(foreign)}; it has: {known}"
            )
        return self

    def link(self, folder: Path) -> Link:
        """Return how to reach the devices on this bus; files are relative to `folder`."""
        host, device = self.host or "", self.device or Path()
        if self.transport == "tcp":
            return TcpLink(host=host, port=self.port or 502)
        if self.transport == "tls":
            return TlsLink(
                host=host,
                port=self.port or 802,
                ca_file=folder / (self.ca_file or ""),
                cert_file=folder / (self.cert_file or ""),
                key_file=folder / (self.key_file or ""),
            )
        line: _SerialKeys = {
            "baud": self.baud,
            "parity": self.parity,
            "stop_bits": self.stop_bits,
            "echo": self.echo,
        }
        if self.transport == "rtu-over-tcp":
            return RtuOverTcpLink(host=host, port=self.port or 0, **line)
        if self.transport == "rtu":
            return RtuLink(port=device, **line)
        return AsciiLink(port=device, data_bits=self.data_bits or 7, **line)

    @property
    def unstable_port(self) -> str:
        """What is wrong with the name of the serial port, or ""."""
        if self.device is None or not _NUMBERED_PORT.fullmatch(str(self.device)):
            return ""
        stable = [each for each in _BY_ID.glob("*") if each.resolve() == self.device.resolve()]
        name = stable[0] if stable else f"a name in {_BY_ID}"
        return f"{self.device} may be another adapter after a restart; better: {name}"


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

    @model_validator(mode="after")
    def _tells_one_machine(self) -> Self:
        if self.acknowledge and self.device_id == 0:
            raise ValueError(
                "an acknowledgement to device id 0 would reach every device of a line: "
                "give the machine a number of its own"
            )
        return self


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
    mqtt: MqttVersion = "auto"

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


class ShareTable(Strict):
    """What an uplink gets, and nothing else. `*` in a name stands for any letters."""

    stations: Annotated[tuple[str, ...], Field(min_length=1)]  # the agent's own name: its own rows
    fields: Annotated[Mapping[str, tuple[str, ...]], Field(min_length=1)]  # by measurement
    round: Mapping[str, Annotated[int, Field(ge=0, le=9)]] = {}  # field → decimals, the first fits
    serial: Literal["plain", "hashed", "none"] = "none"
    secret_file: Path | None = None  # what serials are hashed with

    @model_validator(mode="after")
    def _has_its_secret(self) -> Self:
        if (self.serial == "hashed") != (self.secret_file is not None):
            raise ValueError('`secret_file` is for serial = "hashed", which needs it')
        return self


class UplinkTable(BrokerTable):
    """Where the data go: one broker, and whoever writes it into a database behind it."""

    name: Slug
    compress: bool = True  # false: plain line protocol, for Telegraf and others
    share: ShareTable | None = None  # None: everything


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
    genealogy: GenealogyTable = GenealogyTable()

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
        if fault := self.genealogy.fault({station.name for station in self.station}):
            raise ValueError(fault)
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

    Raises FixTheFileError naming every station whose profile does not exist, cannot do what the
    station asks of it, or would give up before its gateway does.
    """
    gateways = {bus.name: bus.gateway_timeout_s for bus in file.bus}
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
        patience_s = station.timeout_s or profile.modbus.timeout_s
        gateway_s = gateways[station.bus]
        if gateway_s is not None and patience_s <= gateway_s:
            faults.append(
                f"station {station.name}: gives up after {patience_s:g} s, but the gateway of "
                f"{station.bus} waits {gateway_s:g} s for the device: the answers to requests "
                "given up would hold up those behind them\n"
                f"  → set `timeout_s` of the station above {gateway_s:g}, or shorten the time-out "
                "in the gateway and `gateway_timeout_s` with it"
            )
    if faults:
        raise FixTheFileError("\n".join(faults))
    return found


def check_links(file: LiniFile, found: Mapping[str, Profile]) -> None:
    """Raise FixTheFileError for each register of `[genealogy]` that no record has.

    `found`: the profile of each station, by the station's name.
    """
    records = {name: profile.records for name, profile in found.items()}
    measured = {
        name: [each.name for each in source.measured] if source else None
        for name, source in records.items()
    }
    if faults := list(file.genealogy.faults_of_registers(measured)):
        raise FixTheFileError("\n".join(faults))


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
