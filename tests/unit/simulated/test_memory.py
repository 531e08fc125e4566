"""The register image: what exists, what it answers, what it refuses."""

from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from collectors.profile import Profile, shipped
from collectors.simulated.memory import Memory
from tests.services.profiles import small_profile

PROFILES = shipped()
HOLDING = 3


def profile(registers: list[dict[str, Any]], **modbus: Any) -> Profile:
    """Return a profile with these registers."""
    return small_profile(registers, modbus=modbus)


WORD = {"name": "a", "address": 10, "type": "uint16"}


def test_only_what_the_profile_names_exists() -> None:
    """An address that is not in the profile is refused, alone and as part of a longer read."""
    memory = Memory(profile([WORD]))
    assert memory.read(HOLDING, 10, 1) == b"\0\0"
    assert memory.read(HOLDING, 9, 1) == ExcCodes.ILLEGAL_ADDRESS
    assert memory.read(HOLDING, 10, 2) == ExcCodes.ILLEGAL_ADDRESS
    assert memory.read(HOLDING, 65535, 2) == ExcCodes.ILLEGAL_ADDRESS


def test_gaps_that_a_read_may_bridge_answer_zero() -> None:
    """The profile says how long a gap a joined read may cover; a longer one is refused."""
    registers = [WORD, {"name": "b", "address": 13, "type": "uint16"}]
    bridged, split = Memory(profile(registers, max_gap=2)), Memory(profile(registers, max_gap=1))
    bridged.set("b", 5)
    assert bridged.read(HOLDING, 10, 4) == bytes([0, 0, 0, 0, 0, 0, 0, 5])
    assert split.read(HOLDING, 10, 4) == ExcCodes.ILLEGAL_ADDRESS


def test_other_tables_and_functions_are_refused() -> None:
    """A table the profile does not use has no addresses; there is no function but 1 to 4."""
    memory = Memory(profile([WORD]))
    assert memory.read(4, 10, 1) == ExcCodes.ILLEGAL_ADDRESS
    assert memory.read(1, 10, 1) == ExcCodes.ILLEGAL_ADDRESS
    assert memory.read(6, 10, 1) == ExcCodes.ILLEGAL_FUNCTION
    assert memory.read(16, 10, 1) == ExcCodes.ILLEGAL_FUNCTION


def test_a_read_longer_than_the_device_takes_is_refused() -> None:
    """A meter that answers 4 registers at most refuses 5, although each of them exists."""
    registers = [{"name": f"r{at}", "address": at, "type": "uint16"} for at in range(8)]
    memory = Memory(profile(registers, max_registers=4))
    assert memory.read(HOLDING, 0, 4) == bytes(8)
    assert memory.read(HOLDING, 0, 5) == ExcCodes.ILLEGAL_VALUE
    assert memory.read(HOLDING, 0, 0) == ExcCodes.ILLEGAL_VALUE


def test_bits_are_packed_eight_to_a_byte_lowest_first() -> None:
    """Discrete inputs come as the protocol packs them, from any address on."""
    memory = Memory(PROFILES["km-ds400"])
    for name in ("run", "ready", "overheat", "power_limit"):  # 0, 3, 10, 15
        memory.set(name, value=True)
    assert memory.read(2, 0, 16) == bytes([0b0000_1001, 0b1000_0100])
    assert memory.read(2, 3, 8) == bytes([0b1000_0001])
    memory.set("ready", value=False)
    assert memory.read(2, 0, 5) == bytes([0b0000_0001])


def test_a_bit_inside_a_register_leaves_the_others_alone() -> None:
    """Two flags in one register are set and cleared apart, in either byte order."""
    for order, expected in (("ABCD", b"\x02\x01"), ("BADC", b"\x01\x02")):
        flags = [
            {"name": f"bit{bit}", "address": 0, "type": "bool", "bit": bit} for bit in (0, 9, 3)
        ]
        memory = Memory(profile(flags, order=order))
        for name in ("bit0", "bit9", "bit3"):
            memory.set(name, value=True)
        memory.set("bit3", value=False)
        assert memory.read(HOLDING, 0, 1) == expected


def test_a_byte_of_a_register_leaves_the_other_alone() -> None:
    """Two values share a register, in either byte order."""
    for order, expected in (("ABCD", b"\x17\xfe"), ("BADC", b"\xfe\x17")):
        pair = [
            {"name": "high", "address": 0, "type": "uint8", "byte": "high"},
            {"name": "low", "address": 0, "type": "int8"},
        ]
        memory = Memory(profile(pair, order=order))
        memory.set("high", 0x17)
        memory.set("low", -2)
        assert memory.read(HOLDING, 0, 1) == expected


def test_a_register_that_is_removed_is_refused() -> None:
    """Another model has fewer registers than the profile names."""
    memory = Memory(profile([WORD, {"name": "b", "address": 11, "type": "uint16"}]))
    memory.remove("b")
    assert memory.read(HOLDING, 10, 1) == b"\0\0"
    assert memory.read(HOLDING, 11, 1) == ExcCodes.ILLEGAL_ADDRESS


def test_a_value_is_put_in_the_unit_that_another_register_says() -> None:
    """A chiller set to °F holds 68.0 for 20 °C, and 20.0 again once it is set back."""
    memory = Memory(PROFILES["smc-hrs-chiller"])
    for flags, expected in ((set[str](), 200), ({"temperature_unit_f"}, 680), ({"run"}, 200)):
        memory.set("status_flags", flags)
        memory.set("outlet_temperature", 20)
        assert memory.read(HOLDING, 0, 1) == expected.to_bytes(2, "big")


def test_channels_and_slots_stand_where_the_profile_puts_them() -> None:
    """Channel 63 and slot 511 of the cabinet are read at base plus stride."""
    memory = Memory(PROFILES["formation-cabinet-64"])
    memory.set_channel(63, "step_no", 4)
    memory.write_slot(511, {"begin": 70000})
    assert memory.read(HOLDING, 20000 + 63 * 16 + 2, 1) == b"\0\4"
    assert memory.read(HOLDING, 100 + 511 * 36, 2) == bytes([0x11, 0x70, 0x00, 0x01])
    memory.clear_slots()
    assert memory.read(HOLDING, 100 + 511 * 36, 2) == bytes(4)
    assert memory.read(HOLDING, 20000 + 63 * 16 + 2, 1) == b"\0\4"
    with pytest.raises(IndexError):
        memory.set_channel(64, "step_no", 1)
    with pytest.raises(IndexError):
        memory.write_slot(512, {"begin": 1})


def test_slow_values_are_brought_up_to_date_before_each_good_read() -> None:
    """`refresh` runs when something is really read, and its values are in that very answer."""
    calls: list[int] = []

    def refresh() -> None:
        calls.append(1)
        memory.set("a", len(calls))

    memory = Memory(profile([WORD]), refresh)
    assert memory.read(HOLDING, 10, 1) == b"\0\1"
    assert memory.read(HOLDING, 11, 1) == ExcCodes.ILLEGAL_ADDRESS
    assert memory.read(HOLDING, 10, 1) == b"\0\2"
