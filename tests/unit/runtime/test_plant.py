"""The devices of a site, as its files want them."""

import time
from pathlib import Path

import pytest

from agent.config import load_edge, station_profiles
from agent.runtime.memory import Memory
from agent.runtime.plant import PlannedBus, plan_buses
from collectors import profile
from collectors.errors import FixTheFileError
from collectors.register import Order

SITE = """
[agent]
name = "pi-1"
site = "bengkel"
line = "line-1"

[[uplink]]
name = "workshop"
host = "127.0.0.1"

[[bus]]
name = "plc"
host = "127.0.0.1"

[[station]]
name = "as-the-profile-says"
bus = "plc"
device_id = 1
profile = "spot-welder-plc"

[[station]]
name = "set-otherwise"
bus = "plc"
device_id = 2
profile = "spot-welder-plc"
order = "ABCD"
"""
REC_ACK = """
[[registers]]
name = "rec_ack" # 41 REC_ACK_IDX
address = 41
type = "uint16"
label = { id = "Catatan tersimpan", en = "Stored record" }
"""


def planned(folder: Path, text: str) -> PlannedBus:
    """Return the one bus of a site."""
    path = folder / "lini.toml"
    path.write_text(text)
    file = load_edge(path)
    profiles = station_profiles(file, folder)
    (bus,) = plan_buses(file, folder, profiles, Memory(folder / "learned.json"), clock=time.time_ns)
    return bus


def test_a_station_may_have_another_byte_order_than_its_profile(tmp_path: Path) -> None:
    orders = {
        device.station.station: {item.order for read in device.reads("live") for item in read.items}
        for device in planned(tmp_path, SITE).devices
    }
    assert orders == {"as-the-profile-says": {Order.CDAB}, "set-otherwise": {Order.ABCD}}


def test_only_the_station_that_the_site_names_may_be_told(tmp_path: Path) -> None:
    """Its profile must name the register; a copy of a shipped one does."""
    shipped = (Path(profile.__file__).parent / "profiles/spot-welder-plc.toml").read_text()
    own = shipped.replace("[records]", '[records]\nacknowledge = "rec_ack"') + REC_ACK
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/own-welder.toml").write_text(own)
    site = SITE.replace('"spot-welder-plc"', '"own-welder"').replace(
        'site = "bengkel"', 'site = "bengkel"\nprofiles = "profiles"'
    )
    bus = planned(tmp_path, site + "acknowledge = true\n")
    assert [device.place.acknowledge for device in bus.devices] == [False, True]


def test_not_all_devices_of_a_line_may_be_told_at_once(tmp_path: Path) -> None:
    """Device id 0 is everybody's."""
    site = SITE.replace("device_id = 2", "device_id = 0\nacknowledge = true")
    with pytest.raises(FixTheFileError, match="would reach every device of a line"):
        planned(tmp_path, site)
