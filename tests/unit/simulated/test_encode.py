"""Values to bytes: published vectors, misfits, and agreement with the collector's decoder."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.modbus.decoding.decode import Decoder
from collectors.modbus.planning.plan import Item, Read
from collectors.register import Bit, Order, Register, Table, Type
from collectors.simulated.encode import Content, Raw, encoder


def register(kind: Type, **more: Any) -> Register:
    """Return a register of one type."""
    return Register(name="x", address=0, type=kind, **more)


def words(reg: Register, order: Order, value: Content) -> list[int]:
    """Return the registers that hold `value`."""
    data = encoder(reg, order)(value)
    return [*struct.unpack(f">{len(data) // 2}H", data)]


@pytest.mark.parametrize(
    ("order", "value", "expected"),
    [
        # found in the wild, as readings that pymodbus's own converter got wrong
        (Order.DCBA, 31.433521270751953, [0xDA77, 0xFB41]),
        (Order.BADC, -1.11, [36543, 31508]),
        (Order.CDAB, 1.5, [0, 16320]),
        (Order.CDAB, 3.0, [0, 16448]),
        (Order.ABCD, 1.5, [16320, 0]),
    ],
)
def test_floats_are_laid_out_as_real_devices_do(
    order: Order, value: float, expected: list[int]
) -> None:
    """The published vectors of all four byte orders come out to the bit."""
    assert words(register(Type.FLOAT32), order, value) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.ABCD, [0x0102, 0x0304, 0x0506, 0x0708]),
        (Order.CDAB, [0x0708, 0x0506, 0x0304, 0x0102]),
        (Order.BADC, [0x0201, 0x0403, 0x0605, 0x0807]),
        (Order.DCBA, [0x0807, 0x0605, 0x0403, 0x0201]),
    ],
)
def test_64_bit_values_follow_the_same_four_orders(order: Order, expected: list[int]) -> None:
    """CDAB turns four words round as it turns two."""
    assert words(register(Type.UINT64), order, 0x0102030405060708) == expected


@pytest.mark.parametrize(
    ("order", "expected"), [(Order.ABCD, b"ABC\0"), (Order.CDAB, b"ABC\0"), (Order.DCBA, b"BA\0C")]
)
def test_strings_never_swap_words(order: Order, expected: bytes) -> None:
    """Only the two characters inside a register can stand the wrong way round."""
    assert encoder(register(Type.STRING, length=2), order)("ABC") == expected


def test_numbers_are_scaled_and_shifted_back() -> None:
    """A value in its unit becomes the raw number of the register, negative ones too."""
    assert words(register(Type.INT16, scale=0.1), Order.ABCD, -110.0) == [0xFBB4]
    assert words(register(Type.UINT16, scale=0.5, offset=-40.0), Order.ABCD, 10.0) == [100]
    assert words(register(Type.UINT16, scale=0.001), Order.ABCD, Raw(65535)) == [65535]


def test_bcd_and_bytes() -> None:
    """A decimal digit takes a nibble; a value of 8 bits is a byte, put beside the other one."""
    assert words(register(Type.BCD, length=2), Order.CDAB, 12345678) == [0x5678, 0x1234]
    assert words(register(Type.BCD, scale=0.1), Order.ABCD, 12.3) == [0x0123]
    assert encoder(register(Type.INT8), Order.DCBA)(-2) == b"\xfe"


def test_names_become_numbers_and_bits() -> None:
    """Enums go by name, bitfields by the names of the bits that are set."""
    enum = register(Type.ENUM, values={"0": "off", "7": "on"})
    field = register(Type.BITFIELD, bits=(Bit(bit=0, name="a"), Bit(bit=9, name="b")))
    assert words(enum, Order.ABCD, "on") == [7]
    assert words(field, Order.ABCD, {"a", "b"}) == [0x0201]
    assert words(field, Order.ABCD, set()) == [0]


@pytest.mark.parametrize(
    ("reg", "value"),
    [
        (register(Type.UINT16), 65536),
        (register(Type.UINT16), -1),
        (register(Type.UINT16), "text"),
        (register(Type.UINT16), math.nan),
        (register(Type.UINT8), 256),
        (register(Type.BCD), 10000),
        (register(Type.BCD), -1),
        (register(Type.FLOAT16), 1e6),
        (register(Type.STRING, length=1), "ABC"),
        (register(Type.ENUM, values={"1": "on"}), "off"),
        (register(Type.BITFIELD, bits=(Bit(bit=0, name="a"),)), {"b"}),
        (register(Type.BITFIELD, bits=(Bit(bit=0, name="a"),)), 1),
    ],
)
def test_a_value_that_does_not_fit_is_refused(reg: Register, value: Content) -> None:
    """Nothing is cut off silently: the simulation stops instead of lying."""
    with pytest.raises(ValueError, match="x"):
        encoder(reg, Order.ABCD)(value)


_INTEGERS = {
    Type.INT16: (-(2**15), 2**15 - 1),
    Type.UINT16: (0, 2**16 - 1),
    Type.INT32: (-(2**31), 2**31 - 1),
    Type.UINT32: (0, 2**32 - 1),
    Type.INT64: (-(2**63), 2**63 - 1),
    Type.UINT64: (0, 2**63 - 1),  # the collector takes no more: the database cannot hold it
}


@st.composite
def registers_and_values(draw: st.DrawFn) -> tuple[Register, Content]:
    """Draw a register of any type, and something it can hold."""
    kind = draw(st.sampled_from([*_INTEGERS, Type.FLOAT32, Type.FLOAT64, Type.STRING, Type.ENUM]))
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        return register(kind), draw(st.integers(low, high) | st.sampled_from([low, high]))
    if kind is Type.STRING:
        letters = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
        return register(kind, length=6), draw(letters)
    if kind is Type.ENUM:
        return register(kind, values={"3": "three", "700": "many"}), draw(
            st.sampled_from(["three", "many"])
        )
    floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
    return register(kind), draw(floats)


def decoded(reg: Register, order: Order, data: bytes) -> object:
    """Return what the collector makes of `data`."""
    item = Item(register=reg, table=Table.HOLDING, order=order, address=0)
    read = Read(table=Table.HOLDING, address=0, count=reg.words, items=(item,))
    return Decoder(read).decode(data)[0].values["x"]


@given(registers_and_values(), st.sampled_from(Order))
def test_two_opinions_agree(case: tuple[Register, Content], order: Order) -> None:
    """What this encoder writes, the collector's decoder reads back, for every type and order."""
    reg, value = case
    assert decoded(reg, order, encoder(reg, order)(value)) == value


@pytest.mark.parametrize("wrong", [Order.ABCD, Order.BADC, Order.DCBA])
def test_two_opinions_would_notice_a_wrong_order(wrong: Order) -> None:
    """The agreement above is no accident: read in another order, a value is another."""
    reg = register(Type.UINT32)
    assert decoded(reg, wrong, encoder(reg, Order.CDAB)(0x01020304)) != 0x01020304
