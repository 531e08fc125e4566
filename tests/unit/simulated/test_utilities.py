"""The chiller and the meter, decoded by pymodbus."""

import struct

from pymodbus.client.mixin import ModbusClientMixin

from collectors.simulated.utilities import Chiller, Meter
from tests.unit.simulated.conftest import PROFILES, Hand


def test_the_chiller_holds_its_temperature_and_now_and_then_lacks_water(hand: Hand) -> None:
    """Near 20 °C it is ready; for a minute each half hour it warns, and says of what."""
    chiller = Chiller(
        station="c", profile=PROFILES["smc-hrs-chiller"], seed=1, monotonic=hand.monotonic
    )

    def look() -> tuple[float, bool, bool, int]:
        data = chiller.memory.read(3, 0, 12)
        assert isinstance(data, bytes)
        celsius, _, _, _, status, alarms = struct.unpack(">hHHHHH", data[:12])
        return celsius / 10, bool(status >> 9 & 1), bool(status >> 2 & 1), alarms

    celsius, is_ready, is_warning, alarms = look()
    assert 19 < celsius < 21
    assert (is_ready, is_warning, alarms) == (True, False, 0)
    hand.seconds = 630
    warm, is_ready, is_warning, alarms = look()
    assert 20 < warm < 23
    assert (is_ready, is_warning, alarms) == (False, True, 1)
    hand.seconds = 700
    assert look()[1:] == (True, False, 0)


def test_the_meter_adds_up(hand: Hand) -> None:
    """Total power is that of three phases at power factor 0.93, and energy only grows."""
    meter = Meter(station="m", profile=PROFILES["eastron-sdm630"], seed=1, monotonic=hand.monotonic)

    def floats(address: int, count: int) -> list[float]:
        data = meter.memory.read(4, address, 2 * count)
        assert isinstance(data, bytes)
        words = [*struct.unpack(f">{2 * count}H", data)]
        values = ModbusClientMixin.convert_from_registers(words, ModbusClientMixin.DATATYPE.FLOAT32)
        return [float(value) for value in (values if isinstance(values, list) else [values])]

    *phases, power, energy = *floats(0, 6), *floats(0x34, 1), *floats(0x48, 1)
    expected = 0.93 * sum(volts * amps for volts, amps in zip(phases[:3], phases[3:], strict=True))
    assert abs(power - expected) < 0.01 * power
    hand.seconds = 3600
    assert 4 < floats(0x48, 1)[0] - energy < 6
    assert floats(0, 6) != phases
