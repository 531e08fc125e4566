"""Values whose unit or decimal point another register decides: of the one true size, or none."""

import struct
from collections.abc import Mapping
from typing import Any

import pytest

from collectors.modbus.decoding.decode import Decided, Decoder
from collectors.modbus.planning.plan import Read, items_of, plan
from collectors.profile import Profile, shipped
from collectors.quality import Fault, Reason
from collectors.sample import Value
from collectors.simulated.encode import Content
from collectors.simulated.memory import Memory
from collectors.simulated.utilities import Chiller

PROFILES = shipped()
CHILLER, OVEN = PROFILES["smc-hrs-chiller"], PROFILES["omron-e5cc"]


def poll(profile: Profile, memory: Memory) -> dict[str, Value | Fault]:
    """Read a whole device once, deciders first; a read that is refused decides nothing."""
    decided: Decided = {}
    found: dict[str, Value | Fault] = {}
    made = [Decoder(read) for read in reads_of(profile)]
    for decoder in sorted(made, key=lambda decoder: not decoder.decides):
        payload = memory.read(3, decoder.read.address, decoder.read.count)
        if isinstance(payload, bytes):
            for part in decoder.decode(payload, decided):
                found |= {**part.values, **part.faults}
    return found


def reads_of(profile: Profile) -> tuple[Read, ...]:
    """Return the reads of the only poll group."""
    (group,) = profile.groups
    return plan(items_of(profile, group), profile.modbus)


def chiller_answer(words: Mapping[int, int]) -> dict[str, Value | Fault]:
    """Return what the decoder makes of the chiller's 12 registers."""
    (read,) = reads_of(CHILLER)
    payload = struct.pack(">12H", *(words.get(address, 0) for address in range(12)))
    (part,) = Decoder(read).decode(payload)
    return {**part.values, **part.faults}


@pytest.mark.parametrize(
    ("flags", "temperature", "pressure", "celsius", "megapascal"),
    [
        (0, 0xFBB4, 0x12C, -110.0, 3.0),
        (0, 0x5DC, 0, 150.0, 0.0),
        (1 << 10, 0xF984, 0x12C, -110.0, 3.0),  # -166.0 °F
        (1 << 10, 0xBCC, 0, 150.0, 0.0),  # 302.0 °F
        (1 << 4, 0x5DC, 0x1B3, 150.0, 2.999),  # 435 PSI
        (1 << 4 | 1 << 10, 0x2A8, 100, 20.0, 0.689),  # 68.0 °F, 100 PSI
    ],
)
def test_the_ranges_of_the_chillers_manual_in_both_units(
    flags: int, temperature: int, pressure: int, celsius: float, megapascal: float
) -> None:
    """The manual gives each range in °C and °F, MPa and PSI: both come out as the same value."""
    found = chiller_answer({0: temperature, 2: pressure, 4: flags})
    assert found["outlet_temperature"] == celsius
    assert found["outlet_pressure"] == megapascal


@pytest.mark.parametrize("flag", ["temperature_unit_f", "pressure_unit_psi"])
def test_a_chiller_set_to_other_units_shows_the_same_values(flag: str) -> None:
    """Its registers hold other numbers; what comes out differs by less than a digit's worth."""
    usual = Chiller(station="c", profile=CHILLER, seed=1, monotonic=lambda: 0.0)
    other = Chiller(station="c", profile=CHILLER, seed=1, monotonic=lambda: 0.0)
    other.units = frozenset({flag})
    for chiller in (usual, other):
        chiller.live(0.0)
    assert other.memory.read(3, 0, 3) != usual.memory.read(3, 0, 3)
    expected, found = poll(CHILLER, usual.memory), poll(CHILLER, other.memory)
    for name in ("outlet_temperature", "set_temperature"):
        assert found[name] == pytest.approx(expected[name], abs=0.06), name
    assert found["outlet_pressure"] == pytest.approx(expected["outlet_pressure"], abs=0.004)
    assert found["flow"] == expected["flow"]


def test_without_the_unit_bit_the_number_would_be_stored_as_another() -> None:
    """The test above would notice: read as °C, 20 °C of a chiller set to °F are 68."""
    blind = CHILLER.named("outlet_temperature").model_copy(update={"scaled_by": None, "scale": 0.1})
    registers = tuple(each if each.name != blind.name else blind for each in CHILLER.registers)
    found = poll(CHILLER.model_copy(update={"registers": registers}), fahrenheit().memory)
    assert found["outlet_temperature"] == 68.0


def fahrenheit() -> Chiller:
    """Return a chiller that is set to °F."""
    chiller = Chiller(station="c", profile=CHILLER, seed=1, monotonic=lambda: 0.0)
    chiller.units = frozenset({"temperature_unit_f"})
    chiller.live(0.0)
    return chiller


def oven(decimal_point: int) -> Memory:
    """Return a temperature controller that shows 185 °C."""
    memory = Memory(OVEN)
    memory.set("decimal_point", decimal_point)
    for name in ("process_value", "set_point", "set_point_internal", "alarm_value_1"):
        memory.set(name, 185)
    return memory


def test_the_decimal_point_of_another_read_decides() -> None:
    """185 °C are the raw number 185 or 1850; the point is far away and read first."""
    whole, tenths = oven(0), oven(1)
    assert whole.read(3, 0x2000, 1) == struct.pack(">H", 185)
    assert tenths.read(3, 0x2000, 1) == struct.pack(">H", 1850)
    assert len(reads_of(OVEN)) == 3
    for memory in (whole, tenths):
        found = poll(OVEN, memory)
        assert {found[name] for name in ("process_value", "set_point", "alarm_value_1")} == {185.0}


@pytest.mark.parametrize("raw", [2, 3, 7])
def test_a_decider_that_says_nothing_known_leaves_faults_not_numbers(raw: int) -> None:
    """2 and 3 decimals are not temperatures, and 7 is not in the decider's own range."""
    memory = oven(1)
    memory.set("decimal_point", 1)
    memory._area(OVEN.modbus.table).data[2 * 0x2410 + 1] = raw  # behind its back
    found = poll(OVEN, memory)
    assert found["process_value"] == Fault(reason=Reason.UNSCALED, raw=1850)
    assert found["heater_current"] == 0.0


def test_a_refused_decider_leaves_faults_not_numbers() -> None:
    """Nor does what it said in the poll before count any more."""
    memory = Memory(OVEN)
    memory.set("process_value", 185)
    memory.remove("decimal_point")
    found = poll(OVEN, memory)
    assert found["process_value"] == Fault(reason=Reason.UNSCALED, raw=185)
    assert found["set_point"] == Fault(reason=Reason.UNSCALED, raw=0)


@pytest.mark.parametrize(
    ("decider", "by", "tens", "units"),
    [
        ({"type": "uint16"}, {}, 1, 0),
        ({"type": "bcd"}, {}, 1, 0),
        ({"type": "enum", "values": {"0": "off", "1": "on"}}, {}, "on", "off"),
        ({"type": "bool", "bit": 7}, {}, True, False),
        ({"type": "bitfield", "bits": [{"bit": 3, "name": "ten"}]}, {"bit": 3}, {"ten"}, set()),
    ],
)
def test_each_channel_has_its_own_decider_of_any_kind(
    decider: dict[str, Any], by: dict[str, Any], tens: Content, units: Content
) -> None:
    """Two channels of one read differ in their scale, and neither knows of the other's."""
    scaling = {"register": "range", "values": {"0": {}, "1": {"scale": 10}}, **by}
    registers = [
        {"name": "v", "address": 0, "type": "int16", "unit": "V", "scaled_by": scaling},
        {"name": "range", "address": 1, **decider},
    ]
    block = {"count": 2, "address": 0, "stride": 2, "group": "live", "registers": registers}
    profile = Profile.model_validate(
        CHILLER.model_dump(by_alias=True, exclude={"registers", "state", "groups", "channels"})
        | {"groups": {"live": 1.0}, "registers": [], "channels": block}
    )
    memory = Memory(profile)
    for channel, shown in enumerate((tens, units)):
        memory.set_channel(channel, "range", shown)
        memory.set_channel(channel, "v", 40)
    (read,) = reads_of(profile)
    assert memory.read(3, 0, 1) == b"\0\x04"
    assert memory.read(3, 2, 1) == b"\0\x28"
    payload = memory.read(3, read.address, read.count)
    assert isinstance(payload, bytes)
    assert [part.values["v"] for part in Decoder(read).decode(payload)] == [40.0, 40.0]
