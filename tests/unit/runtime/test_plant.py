"""The devices of a site, as its files want them."""

import time
from pathlib import Path

from agent.config import load_edge, station_profiles
from agent.runtime.memory import Memory
from agent.runtime.plant import plan_buses
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


def test_a_station_may_have_another_byte_order_than_its_profile(tmp_path: Path) -> None:
    path = tmp_path / "lini.toml"
    path.write_text(SITE)
    file = load_edge(path)
    profiles = station_profiles(file, tmp_path)
    (bus,) = plan_buses(
        file, tmp_path, profiles, Memory(tmp_path / "learned.json"), clock=time.time_ns
    )
    orders = {
        device.station.station: {item.order for read in device.reads("live") for item in read.items}
        for device in bus.devices
    }
    assert orders == {"as-the-profile-says": {Order.CDAB}, "set-otherwise": {Order.ABCD}}
