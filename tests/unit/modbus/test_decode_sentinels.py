"""What testers send instead of a number, as it stands in registers: never a number here."""

import struct

import pytest

from collectors.modbus.decoding.decode import Decoder
from collectors.modbus.planning.plan import items_of, plan
from collectors.profile import Profile
from collectors.quality import Quality
from tests.services.profiles import small_profile

HIOKI = (10.0000e8, -10.0000e8, 100.000e7, 1.00000e9, -1.00000e9, 1.0e10, -1.0e10, 100.000e8)


def cell_profile() -> Profile:
    """Return a tester's values as registers: float, scaled words of 16 and 32 bits."""
    registers = [
        {
            "name": "ocv",
            "address": 0,
            "type": "float32",
            "unit": "V",
            "valid": [-6, 6],
            "sentinels": [1e9, -1e9, 1e10, -1e10],
        },
        {
            "name": "acir",
            "address": 2,
            "type": "int16",
            "scale": 0.001,
            "unit": "mΩ",
            "valid": [0, 30],
            "sentinels": [0x7FFF],
        },
        {
            "name": "capacity",
            "address": 3,
            "type": "uint16",
            "unit": "mAh",
            "valid": [1, 9000],
            "sentinels": [0xFFFF, 9999],
        },
        {
            "name": "k",
            "address": 4,
            "type": "int32",
            "scale": 0.0001,
            "unit": "mV/h",
            "valid": [-3, 3],
            "sentinels": [0x7FFFFFFF, 0],
        },
    ]
    return small_profile(registers)


def read(
    ocv: float = 3.6, acir: int = 18_000, capacity: int = 2550, k: int = 180
) -> dict[str, object]:
    """Return what is decoded of registers with this content."""
    profile = cell_profile()
    (one,) = plan(items_of(profile, "live"), profile.modbus)
    (decoded,) = Decoder(one).decode(struct.pack(">fhHi", ocv, acir, capacity, k))
    assert not decoded.values.keys() & {
        name for name, fault in decoded.faults.items() if fault.quality is Quality.BAD
    }
    return dict(decoded.values)


def test_real_values_are_numbers() -> None:
    """The control: in their ranges all four are there."""
    assert read().keys() == {"ocv", "acir", "capacity", "k"}


@pytest.mark.parametrize("sent", [*HIOKI, float("nan"), float("inf"), float("-inf"), 6.5])
def test_over_range_and_open_probe_of_a_tester_are_no_voltage(sent: float) -> None:
    """Hioki's ±10.0000E+8 to 1.00000E+10, a float that is no number, and what no cell has."""
    assert read(ocv=sent).keys() == {"acir", "capacity", "k"}


@pytest.mark.parametrize(
    ("register", "sent"),
    [
        ("acir", 0x7FFF),
        ("acir", -1),
        ("capacity", 0xFFFF),
        ("capacity", 9999),
        ("capacity", 0),
        ("k", 0x7FFFFFFF),
        ("k", -0x80000000),
        ("k", 0),
    ],
)
def test_full_words_nines_and_a_zero_that_says_nothing_are_no_values(
    register: str, sent: int
) -> None:
    """What a PLC passes on when it has nothing: by its number, or by the range of the sensor."""
    assert register not in read(**{register: sent})
