"""Every type, order and scale: what the simulated machine writes, the decoder reads back.

The machine's encoder is written by other means than the decoder; it puts values into its memory,
and its answer is decoded.
"""

import math
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collectors.modbus.decoding.decode import Decoder
from collectors.modbus.planning.plan import Item, Read, place
from collectors.profile import Profile
from collectors.quality import Fault
from collectors.register import FLOATS, INTEGERS, Bit, Order, Register, Table, Type
from collectors.sample import Value
from collectors.simulated.memory import Memory
from tests.services.profiles import small_profile

SCALES = (1, 10, 0.1, 0.5, 0.25, 0.001, -0.1, 1e-05)
OFFSETS = (0, -40, 273.15)
BITS = [{"bit": 0, "name": "first"}, {"bit": 15, "name": "last"}]
PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)


def profile_of(registers: list[dict[str, Any]]) -> Profile:
    """Return a profile with these registers, of which one read takes all."""
    return small_profile(registers, modbus={"max_gap": 124})


def read_of(profile: Profile) -> Read:
    """Return the one read that takes everything."""
    items = tuple(place(profile, each) for each in profile.registers)
    first = min(item.address for item in items)
    return Read(
        table=Table.HOLDING,
        address=first,
        count=max(item.end for item in items) - first,
        items=items,
    )


def decoded(profile: Profile, memory: Memory) -> dict[str, Value | Fault]:
    """Return what the decoder makes of the memory of a machine."""
    read = read_of(profile)
    payload = memory.read(3, read.address, read.count)
    assert isinstance(payload, bytes)
    (part,) = Decoder(read).decode(payload)
    return {**part.values, **part.faults}


@st.composite
def scaled_numbers(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """Draw an int or BCD register, perhaps scaled or an array, and the values of its elements."""
    kind = draw(st.sampled_from([*INTEGERS, Type.BCD]))
    register: dict[str, Any] = {"type": kind}
    if kind is Type.BCD:
        register["length"] = draw(st.sampled_from([1, 2, 4]))
        low, high = 0, 10 ** (4 * register["length"]) - 1
    else:
        low, high = INTEGERS[kind]
    if kind in {Type.INT8, Type.UINT8}:
        register["byte"] = draw(st.sampled_from(["low", "high"]))
    scale, offset = draw(st.sampled_from(SCALES)), draw(st.sampled_from(OFFSETS))
    if (scale, offset) == (1, 0):
        # Beyond 63 bits there is no int in the database.
        raw = st.integers(low, min(high, 2**63 - 1))
    else:  # what a float holds to the last bit, there and back
        register |= {"scale": scale, "offset": offset, "unit": "V"}
        raw = st.integers(max(low, -(2**45)), min(high, 2**45))
    count = draw(st.sampled_from([None, 2, 3]))
    if count:
        register["count"] = count
    numbers = draw(st.lists(raw, min_size=count or 1, max_size=count or 1))
    if (scale, offset) == (1, 0):
        return register, numbers
    exact = (Fraction(str(scale)) * number + Fraction(str(offset)) for number in numbers)
    return register, [float(each) for each in exact]


@st.composite
def floats(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """Draw a float register and a number that it holds to the last bit."""
    kind, width = draw(
        st.sampled_from([(Type.FLOAT16, 16), (Type.FLOAT32, 32), (Type.FLOAT64, 64)])
    )
    number = draw(st.floats(width=width, allow_nan=False, allow_infinity=False))  # type: ignore[arg-type] # a literal, from the list above
    return {"type": kind}, [number]


@st.composite
def codes(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """Draw an enum, a bitfield, a bit of a register or a text, and what it holds."""
    length = draw(st.sampled_from([1, 2, 4]))
    kind = draw(st.sampled_from([Type.ENUM, Type.BITFIELD, Type.BOOL, Type.STRING]))
    match kind:
        case Type.ENUM:
            highest = 2 ** (16 * length) - 1
            names = {"0": "off", str(highest): "full"}
            register = {"type": kind, "length": length, "values": names}
            return register, [draw(st.sampled_from(["off", "full"]))]
        case Type.BITFIELD:
            bits = [*BITS, {"bit": 16 * length - 1, "name": "top"}] if length > 1 else BITS
            names_ = [str(bit["name"]) for bit in bits]
            return {"type": kind, "length": length, "bits": bits}, [
                draw(st.sets(st.sampled_from(names_)))
            ]
        case Type.BOOL:
            return {"type": kind, "bit": draw(st.integers(0, 15))}, [draw(st.booleans())]
        case _:
            return {"type": kind, "length": length}, [draw(st.text(PRINTABLE, max_size=2 * length))]


@given(
    fields=st.lists(scaled_numbers() | floats() | codes(), min_size=1, max_size=6),
    data=st.data(),
)
def test_what_the_machine_shows_is_what_comes_out(
    fields: list[tuple[dict[str, Any], list[Any]]], data: st.DataObject
) -> None:
    """Any mix of types and arrays, each in any order, with gaps between them."""
    registers: list[dict[str, Any]] = []
    shown: dict[str, Any] = {}
    address = data.draw(st.integers(0, 65000))
    for number, (field, values) in enumerate(fields):
        order = data.draw(st.sampled_from(Order))
        register = {"name": f"r{number}", "address": address, "order": order, **field}
        registers.append(register)
        words = Register.model_validate(register).end - address
        address += words + data.draw(st.integers(0, 2))
        names = (
            [f"r{number}_{each + 1}" for each in range(len(values))]
            if "count" in field
            else [f"r{number}"]
        )
        shown |= dict(zip(names, values, strict=True))
    profile = profile_of(registers)
    memory = Memory(profile)
    for name, value in shown.items():
        memory.set(name, value)
    assert decoded(profile, memory) == {
        name: in_bits(profile.named(name), value) if isinstance(value, set) else value
        for name, value in shown.items()
    }


def in_bits(register: Register, names: set[str]) -> int:
    """Return a bitfield's number; of 64 bits the signed one, as the database has it."""
    number = sum(1 << bit.bit for bit in register.bits if bit.name in names)
    return number - 2**64 if number >= 2**63 else number


def test_two_values_share_a_register() -> None:
    """One byte is one value, the other another; writing one leaves the other alone."""
    registers = [
        {"name": "hour", "address": 7, "type": "uint8", "byte": "high"},
        {"name": "shift", "address": 7, "type": "int8"},
    ]
    for order in Order:
        profile = profile_of([{**each, "order": order} for each in registers])
        memory = Memory(profile)
        memory.set("hour", 23)
        memory.set("shift", -7)
        swapped = order in {Order.BADC, Order.DCBA}
        assert memory.read(3, 7, 1) == (b"\xf9\x17" if swapped else b"\x17\xf9")
        assert decoded(profile, memory) == {"hour": 23, "shift": -7}


@st.composite
def any_register(draw: st.DrawFn, name: str) -> Register:
    """Draw a register of any type with any range, sentinels, scale and rounding."""
    kind = draw(st.sampled_from(Type))
    if kind is Type.BOOL:
        return Register(name=name, address=0, type=kind, bit=draw(st.integers(0, 15)))
    if kind is Type.STRING:
        return Register(name=name, address=0, type=kind, length=draw(st.integers(1, 5)))
    length = draw(st.sampled_from([1, 2, 4]))
    if kind is Type.ENUM:
        return Register(name=name, address=0, type=kind, length=length, values={"1": "on"})
    if kind is Type.BITFIELD:
        bits = (Bit(bit=0, name="a"),)
        return Register(name=name, address=0, type=kind, length=length, bits=bits)
    low, high = INTEGERS.get(kind, (-9999, 9999))
    return Register(
        name=name,
        address=0,
        type=kind,
        length=length if kind is Type.BCD else None,
        scale=draw(st.sampled_from([*SCALES, 1 / 3, 1e12, -1e12, 1e-300])),
        offset=draw(st.sampled_from([*OFFSETS, 1e12, 0.1234567891])),
        unit=draw(st.sampled_from(["", "V"])),
        decimals=draw(st.none() | st.integers(0, 9)),
        valid=draw(st.sampled_from([None, (-100.0, 100.0), (0.1, 0.3), (-1e300, 1e300)])),
        sentinels=tuple(draw(st.lists(st.integers(low, high), max_size=2))),
    )


@given(data=st.data(), order=st.sampled_from(Order))
def test_whatever_arrives_is_a_value_to_store_or_a_fault(data: st.DataObject, order: Order) -> None:
    """No answer of the right length raises, loses a register or makes a number that is none."""
    count = data.draw(st.integers(1, 8))
    registers = [data.draw(any_register(f"r{number}")) for number in range(count)]
    items, address = [], 0
    for register in registers:
        items.append(Item(register=register, table=Table.HOLDING, order=order, address=address))
        address = items[-1].end - data.draw(st.integers(0, 1))  # now and then they overlap
        address = max(address, items[-1].address)
    total = max(item.end for item in items)
    read = Read(table=Table.HOLDING, address=0, count=total, items=tuple(items))
    ends = st.sampled_from([b"\0", b"\xff", b"\x7f", b"\x80", b"9"])
    payload = data.draw(
        st.binary(min_size=2 * total, max_size=2 * total) | ends.map(lambda end: end * 2 * total)
    )
    (part,) = Decoder(read).decode(payload)
    assert part.values.keys() | part.faults.keys() == {each.name for each in registers}
    assert not part.values.keys() & part.faults.keys()
    for register in registers:
        if register.name in part.values:
            assert can_be_stored(register, part.values[register.name])


def can_be_stored(register: Register, value: Value) -> bool:
    """Whether a value is of its register's type, in its range, and a number where one is due."""
    match value:
        case str():
            return register.type in {Type.STRING, Type.ENUM} and value.isprintable()
        case bool():
            return register.type is Type.BOOL
        case int():
            whole = register.is_whole or register.type is Type.BITFIELD
            return whole and -(2**63) <= value < 2**63 and is_valid(register, value)
    return not register.is_whole and math.isfinite(value) and is_valid(register, value)


def is_valid(register: Register, value: float) -> bool:
    """Whether a number is in its range, whose limits mean what is nearest in the register."""
    low, high = register.valid or (-math.inf, math.inf)
    slack = 1e-3 if register.type in FLOATS else 0
    return low - slack <= value <= high + slack
