"""Devices whose unit or decimal point is a setting, read over the wire: the same value comes out."""

from collections.abc import Mapping

import pytest

from collectors.modbus.reading.device import Device, Place
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.link import TcpLink
from collectors.profile import shipped
from collectors.quality import Fault, Reason
from collectors.sample import StationId, Value
from collectors.simulated.memory import Memory
from collectors.simulated.server import TcpServer
from collectors.simulated.utilities import Chiller

PROFILES = shipped()
GOOD: Mapping[str, Fault] = {}


async def look(memory: Memory) -> tuple[dict[str, Value], dict[str, Fault]]:
    """Return what the collector reads of a device, with all its faults."""
    values: dict[str, Value] = {}
    faults: dict[str, Fault] = {}
    async with (
        TcpServer({1: memory}, host="127.0.0.1") as server,
        Bus("b", TcpLink(host="127.0.0.1", port=server.port)) as bus,
    ):
        station = StationId(site="s", line="l", station="x")
        place = Place(station=station, device_id=1, profile=memory.profile, timeout_s=2.0)
        device = Device(place, bus, lambda: 1)
        for group in memory.profile.groups:
            for sample in await device.sample(group):
                values |= sample.values
                faults |= sample.faults
    return values, faults


@pytest.mark.parametrize(
    "units",
    [set(), {"temperature_unit_f"}, {"pressure_unit_psi", "temperature_unit_f"}],
    ids=["°C and MPa", "°F", "°F and PSI"],
)
async def test_a_chiller_is_read_in_celsius_and_megapascal(units: set[str]) -> None:
    """Whatever its panel is set to."""
    chiller = Chiller(
        station="c", profile=PROFILES["smc-hrs-chiller"], seed=1, monotonic=lambda: 0.0
    )
    chiller.units = frozenset(units)
    chiller.live(0.0)
    values, faults = await look(chiller.memory)
    assert faults == GOOD
    assert values["outlet_temperature"] == pytest.approx(20.0, abs=0.06)
    assert values["set_temperature"] == pytest.approx(20.0, abs=0.06)
    assert values["outlet_pressure"] == pytest.approx(0.32, abs=0.004)


@pytest.mark.parametrize("decimal_point", [0, 1])
async def test_a_temperature_is_of_the_right_size_whatever_its_decimal_point(
    decimal_point: int,
) -> None:
    """The deciding register is in another read than the values."""
    oven = Memory(PROFILES["omron-e5cc"])
    oven.set("decimal_point", decimal_point)
    oven.set("process_value", 185)
    oven.set("set_point", 190)
    values, faults = await look(oven)
    assert faults == GOOD
    assert (values["process_value"], values["set_point"]) == (185.0, 190.0)


async def test_a_model_without_the_decimal_point_has_faults_not_numbers() -> None:
    """What does not depend on it is still read."""
    profile = PROFILES["omron-e5cc"]
    older = Memory(profile)
    older.set("process_value", 185)
    older.remove("decimal_point")
    values, faults = await look(older)
    assert faults["decimal_point"].reason is Reason.REFUSED
    assert faults["process_value"].reason is Reason.UNSCALED
    assert values["output_heating"] == 0.0
    assert "process_value" not in values
