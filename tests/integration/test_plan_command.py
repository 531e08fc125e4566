"""`lini plan`: what would be asked, without asking."""

import json
from pathlib import Path

import pytest

from collectors.modbus.planning.holes import Holes, Refused, remembered
from collectors.profile import shipped
from collectors.register import Table
from tests.services.lini import run_once

HEAD = """
[agent]
name = "pi-1"
site = "bengkel"
line = "line-1"

[[uplink]]
name = "workshop"
host = "127.0.0.1"

[[bus]]
name = "rs485"
transport = "rtu"
device = "/dev/serial/by-id/none"
baud = {baud}
"""
METER = """
[[station]]
name = "meter-{number}"
bus = "rs485"
device_id = {number}
profile = "eastron-sdm630"
"""


def site(folder: Path, *, meters: int, baud: int = 9600) -> Path:
    path = folder / "lini.toml"
    stations = (METER.format(number=number) for number in range(1, meters + 1))
    path.write_text(HEAD.format(baud=baud) + "".join(stations))
    return path


def test_each_read_is_shown_with_its_addresses_bytes_time_and_names(tmp_path: Path) -> None:
    done = run_once("plan", "-c", site(tmp_path, meters=1))
    assert (done.returncode, done.stderr) == (0, "")
    assert "bus rs485, 9600 baud: " in done.stdout
    assert "meter-1, id 1, Three-phase energy meter" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if "voltage_l1" in line)
    assert "registers" in line
    assert "bytes" in line
    assert not (tmp_path / "lini-data").exists()  # nothing was started, nothing written


def test_a_bus_with_little_time_left_is_warned_of(tmp_path: Path) -> None:
    done = run_once("plan", "-c", site(tmp_path, meters=6))
    assert done.returncode == 0
    assert "! bus rs485 needs 9" in done.stdout
    assert "→ slow `live` of meter-1 from 1 s to " in done.stdout


@pytest.mark.parametrize("command", ["plan", "run"])
def test_more_than_a_bus_can_do_is_refused_before_anything_starts(
    tmp_path: Path, command: str
) -> None:
    done = run_once(command, "-c", site(tmp_path, meters=10))
    assert done.returncode == 2
    assert "bus rs485 needs 15" in done.stderr
    assert "raise the baud rate to 38400" in done.stderr
    assert not (tmp_path / "lini-data").exists()
    assert run_once("plan", "-c", site(tmp_path, meters=10, baud=19200)).returncode == 0


def test_what_a_device_refuses_is_shown_until_it_is_forgotten(tmp_path: Path) -> None:
    holes = Holes(refused={(Table.INPUT, 70, 2): Refused(name="frequency", code=2, pause_s=60.0)})
    facts = remembered(holes, shipped()["eastron-sdm630"], 1)
    learned = tmp_path / "lini-data" / "learned.json"
    learned.parent.mkdir()
    learned.write_text(json.dumps({"holes": {"meter-1": facts}}))
    path = site(tmp_path, meters=1)
    assert "learned: `frequency` (input 70-71, exception 2)" in run_once("plan", "-c", path).stdout
    done = run_once("plan", "-c", path, "--forget", "meter-1")
    assert "learned" not in done.stdout
    assert "learned" not in run_once("plan", "-c", path).stdout
    assert "meter-1" not in learned.read_text()


def test_an_unknown_station_cannot_be_forgotten(tmp_path: Path) -> None:
    done = run_once("plan", "-c", site(tmp_path, meters=2), "--forget", "meter-3")
    assert done.returncode == 2
    assert "there is no station `meter-3`" in done.stderr
    assert "choose one of: meter-1, meter-2" in done.stderr
