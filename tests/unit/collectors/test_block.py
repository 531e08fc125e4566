"""Blocks of registers: arrays are written out, and what cannot be is told before any I/O."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from collectors.modbus.decoding.decode import Decoder
from collectors.modbus.planning.plan import items_of, plan
from collectors.profile import Profile
from collectors.sample import Value
from collectors.simulated.memory import Memory
from tests.services.profiles import small_profile

PLAIN = {"name": "a", "address": 10, "type": "uint16"}
CELLS = {"name": "cell", "address": 0, "type": "uint32", "count": 3}
LABEL = {"id": "Sel", "en": "Cell"}
POINT = {"name": "point", "address": 20, "type": "uint16"}
BY_POINT = {"register": "point", "values": {"0": {}, "1": {"scale": 0.1}}}
SCALED = {"name": "t", "address": 21, "type": "int16", "scaled_by": BY_POINT}
RESULT = {"name": "result", "address": 2, "type": "enum", "values": {"1": "OK"}}
CODE = {"name": "code", "address": 3, "type": "enum", "values": {"0": "none"}}
SLOT = [
    {"name": "begin", "address": 0, "type": "uint32"},
    RESULT,
    CODE,
    {"name": "end", "address": 18, "type": "uint32"},
]
HEAD = [
    {"name": "seq", "address": 0, "type": "uint32"},
    {"name": "index", "address": 2, "type": "uint16"},
]


def profile(registers: list[dict[str, Any]], **more: Any) -> Profile:
    """Return a profile with these registers."""
    return small_profile(registers, groups={"live": 1.0, "slow": 9.0}, **more)


def channels(*registers: dict[str, Any], stride: int = 10, **more: Any) -> dict[str, Any]:
    """Return a block of two channels."""
    block = {"count": 2, "address": 100, "stride": stride, "group": "live"}
    return block | {"registers": registers} | more


def records(*registers: dict[str, Any]) -> dict[str, Any]:
    """Return a ring of slots with these measured registers."""
    return {
        "kind": "weld",
        "period_s": 1,
        "sequence": "seq",
        "write_index": "index",
        "slots": 4,
        "address": 100,
        "stride": 20,
        "begin": "begin",
        "end": "end",
        "registers": [*SLOT, *registers],
    }


def test_an_array_is_written_out_with_all_it_has() -> None:
    """Each element has its number in its name, its label, and its alarm's code and text."""
    alarm = {"priority": "low", "text": LABEL, "response": {"id": "Cek.", "en": "Look."}}
    bits = [{"bit": 1, "name": "hot", "alarm": alarm}]
    first, second, third = profile([CELLS | {"label": LABEL}]).registers
    assert [each.name for each in (first, second, third)] == ["cell_1", "cell_2", "cell_3"]
    assert [each.address for each in (first, second, third)] == [0, 2, 4]
    assert second.label is not None
    assert second.label.en == "Cell 2"
    flags = {"name": "x", "address": 0, "type": "bitfield", "bits": bits, "count": 2}
    bit = profile([flags]).registers[1].bits[0]
    assert bit.name == "hot_2"
    assert bit.alarm is not None
    assert bit.alarm.text.id == "Sel 2"


def test_arrays_are_read_in_the_main_map_and_in_channels() -> None:
    """What a machine shows in the elements of an array comes out under their names."""
    made = profile([CELLS], channels=channels(CELLS))
    memory = Memory(made)
    for number in (1, 2, 3):
        memory.set(f"cell_{number}", 100 + number)
        memory.set_channel(1, f"cell_{number}", 200 + number)
    found: dict[str, Mapping[str, Value]] = {}
    for read in plan(items_of(made, "live"), made.modbus):
        payload = memory.read(3, read.address, read.count)
        assert isinstance(payload, bytes)
        found |= {part.channel: part.values for part in Decoder(read).decode(payload)}
    assert found[""] == {"cell_1": 101, "cell_2": 102, "cell_3": 103}
    assert found["1"] == {"cell_1": 0, "cell_2": 0, "cell_3": 0}
    assert found["2"] == {"cell_1": 201, "cell_2": 202, "cell_3": 203}


def test_arrays_are_written_out_in_record_slots() -> None:
    """The values of a part have one name each."""
    made = profile(HEAD, records=records(CELLS | {"address": 4}))
    assert made.records is not None
    assert [each.name for each in made.records.measured] == ["cell_1", "cell_2", "cell_3"]


def test_channels_may_interleave() -> None:
    """Cabinets that have all voltages together, then all currents, have a stride of 1."""
    volts = {"name": "v", "address": 0, "type": "uint16"}
    amperes = {"name": "i", "address": 2, "type": "uint16"}
    profile([PLAIN], channels=channels(volts, amperes, stride=1))


@pytest.mark.parametrize(
    ("registers", "more", "fault"),
    [
        ([CELLS, PLAIN | {"address": 5}], {}, r"`cell` \(addresses 0 to 5\) overlaps `a` \(at 5\)"),
        ([CELLS | {"address": 65532}], {}, "`cell` reaches beyond address 65535"),
        ([CELLS, PLAIN | {"name": "cell_2"}], {}, "two registers are called cell_2"),
        ([CELLS | {"name": 39 * "c"}], {}, "longer than 40 characters"),
        ([CELLS | {"show": 1, "label": LABEL}], {}, "a tile shows single values"),
        (
            [PLAIN],
            {"channels": channels(CELLS, stride=5)},
            "`cell_1` of channel 1 reaches into channel 2: `stride` 5 is too short",
        ),
        (
            [PLAIN],
            {"channels": channels(CELLS, address=65521)},
            "the last channel reaches beyond address 65535",
        ),
        (
            HEAD,
            {"records": records(CELLS | {"address": 5, "count": 7})},
            r"`cell` \(addresses 5 to 18\) overlaps `end`",
        ),
        (HEAD, {"records": records(CELLS | {"address": 20})}, "beyond the slot's 20 registers"),
        ([SCALED], {}, "`t` is scaled by `point`, which is not in the same block"),
        (
            [POINT],
            {"channels": channels(SCALED, stride=30)},
            "`t` is scaled by `point`, which is not in the same block",
        ),
        ([POINT | {"group": "slow"}, SCALED], {}, "`point` of another poll group"),
        ([POINT | {"scale": 0.1}, SCALED], {}, "not a bit, a code or a whole number"),
        ([SCALED | {"name": "point", "address": 30}, SCALED], {}, "itself scaled by another"),
        (
            [POINT, SCALED | {"scaled_by": BY_POINT | {"bit": 16}}],
            {},
            "has no bit 16",
        ),
        (
            [POINT, SCALED | {"scaled_by": {"register": "point", "bit": 1, "values": {"2": {}}}}],
            {},
            "a bit is 0 or 1",
        ),
        ([PLAIN | {"type": "int16", "sentinels": [0xFFFF]}], {}, "of int16 from -32768 to 32767"),
    ],
)
def test_what_cannot_be_is_told(
    registers: list[dict[str, Any]], more: dict[str, Any], fault: str
) -> None:
    """Before any I/O, with the names of those concerned."""
    with pytest.raises(ValidationError, match=fault):
        profile(registers, **more)
