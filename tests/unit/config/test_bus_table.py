"""`[[bus]]` of lini.toml: what each transport needs, and how mistakes are told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agent import config
from agent.config import BusTable, LiniFile, station_profiles
from collectors.errors import FixTheFileError
from collectors.modbus.transport.link import AsciiLink, RtuLink, RtuOverTcpLink, TcpLink, TlsLink

BY_ID = "/dev/serial/by-id/usb-adapter"


def bus(**keys: object) -> BusTable:
    return BusTable.model_validate({"name": "b", **keys})


@pytest.mark.parametrize(
    ("keys", "link"),
    [
        ({"host": "plc"}, TcpLink(host="plc", port=502)),
        (
            {
                "transport": "tls",
                "host": "plc",
                "ca_file": "ca.crt",
                "cert_file": "a.crt",
                "key_file": "a.key",
            },
            TlsLink(
                host="plc",
                port=802,
                ca_file=Path("/etc/lini/ca.crt"),
                cert_file=Path("/etc/lini/a.crt"),
                key_file=Path("/etc/lini/a.key"),
            ),
        ),
        (
            {"transport": "rtu", "device": BY_ID, "baud": 19200, "parity": "E", "echo": True},
            RtuLink(port=Path(BY_ID), baud=19200, parity="E", echo=True),
        ),
        (
            {"transport": "rtu-over-tcp", "host": "server", "port": 4001, "stop_bits": 2},
            RtuOverTcpLink(host="server", port=4001, stop_bits=2),
        ),
        ({"transport": "ascii", "device": BY_ID}, AsciiLink(port=Path(BY_ID), data_bits=7)),
        (
            {"transport": "ascii", "device": BY_ID, "data_bits": 8},
            AsciiLink(port=Path(BY_ID), data_bits=8),
        ),
    ],
)
def test_each_transport_leads_to_its_link(keys: dict[str, object], link: object) -> None:
    made = bus(**keys).link(Path("/etc/lini"))
    assert type(made) is type(link)
    assert made == link


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "transport `tcp` needs `host`: the device's address"),
        ({"transport": "rtu"}, "needs `device`: the serial port, as /dev/serial/by-id/…"),
        ({"transport": "rtu-over-tcp", "host": "s"}, "needs `port`: that of the serial server"),
        ({"transport": "tls", "host": "plc"}, "needs `ca_file`: the authority that signed"),
        ({"host": "plc", "baud": 9600}, "`tcp` has no baud; it has: gateway_timeout_s, host, port"),
        ({"transport": "rtu", "device": BY_ID, "data_bits": 7}, "`rtu` has no data_bits"),
    ],
)
def test_what_does_not_fit_a_transport_is_told(keys: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        bus(**keys)
    assert told in str(wrong.value)


def test_a_numbered_port_is_warned_of_with_the_name_that_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind /dev/ttyUSB0 may be another adapter after the next start."""
    monkeypatch.setattr(config, "_BY_ID", tmp_path)
    numbered = bus(transport="rtu", device="/dev/ttyUSB0")
    assert numbered.unstable_port.endswith(f"better: a name in {tmp_path}")
    (tmp_path / "usb-FTDI-A5").symlink_to("/dev/ttyUSB0")
    assert numbered.unstable_port.endswith(f"better: {tmp_path / 'usb-FTDI-A5'}")
    assert bus(transport="rtu", device=BY_ID).unstable_port == ""
    assert bus(host="plc").unstable_port == ""


def site(gateway_timeout_s: float | None, timeout_s: float | None) -> LiniFile:
    return LiniFile.model_validate(
        {
            "agent": {"name": "a", "site": "s", "line": "l"},
            "bus": [{"name": "gw", "host": "gw", "gateway_timeout_s": gateway_timeout_s}],
            "station": [
                {"name": "m", "bus": "gw", "profile": "eastron-sdm630", "timeout_s": timeout_s}
            ],
            "uplink": [{"name": "u", "host": "localhost"}],
        }
    )


@pytest.mark.parametrize("timeout_s", [0.5, 3.0, None])
def test_a_station_that_gives_up_before_its_gateway_is_refused(timeout_s: float | None) -> None:
    with pytest.raises(FixTheFileError, match="station m: gives up after") as refused:
        station_profiles(site(3.0, timeout_s), Path())
    assert "set `timeout_s` of the station above 3" in str(refused.value)


@pytest.mark.parametrize("gateway_timeout_s", [3.0, None])
def test_a_station_that_waits_longer_is_taken(gateway_timeout_s: float | None) -> None:
    assert station_profiles(site(gateway_timeout_s, 3.5), Path())
