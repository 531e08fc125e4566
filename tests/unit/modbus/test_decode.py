"""Decoding: values from published vectors, and everything an independent encoder can make."""

import struct

import pytest

from collectors.modbus.decoding.decode import Decoder
from collectors.modbus.planning.plan import Item, Read
from collectors.quality import Fault, Reason
from collectors.register import Bit, Order, Register, Table, Type
from collectors.sample import Value


def decode(
    *registers: Register, payload: bytes, order: Order = Order.ABCD, table: Table = Table.HOLDING
) -> dict[str, Value | Fault]:
    items = tuple(
        Item(register=each, table=table, order=each.order or order, address=each.address)
        for each in registers
    )
    read = Read(table=table, address=0, count=max(each.end for each in items), items=items)
    (decoded,) = Decoder(read).decode(payload)
    return {**decoded.values, **decoded.faults}


def words(*registers: int) -> bytes:
    return struct.pack(f">{len(registers)}H", *registers)


@pytest.mark.parametrize(
    ("order", "registers", "expected"),
    [
        (Order.DCBA, (0xDA77, 0xFB41), 31.4335),
        (Order.BADC, (36543, 31508), -1.11),
        (Order.CDAB, (0, 16320), 1.5),
        (Order.ABCD, (0x4048, 0xF5C3), 3.14),
    ],
)
def test_float_vectors_from_the_field(
    order: Order, registers: tuple[int, int], expected: float
) -> None:
    register = Register(name="x", address=0, type=Type.FLOAT32)
    value = decode(register, payload=words(*registers), order=order)["x"]
    assert value == pytest.approx(expected, abs=1e-4)


def test_an_array_with_the_low_word_first_keeps_its_order() -> None:
    """Bare pymodbus reverses the whole list here."""
    two = [Register(name=f"x{n}", address=2 * n, type=Type.FLOAT32) for n in range(2)]
    payload = words(0, 16320, 0, 16448)
    assert decode(*two, payload=payload, order=Order.CDAB) == {"x0": 1.5, "x1": 3.0}


@pytest.mark.parametrize(
    ("order", "registers"),
    [
        (Order.ABCD, (0x0102, 0x0304, 0x0506, 0x0708)),
        (Order.CDAB, (0x0708, 0x0506, 0x0304, 0x0102)),
        (Order.BADC, (0x0201, 0x0403, 0x0605, 0x0807)),
        (Order.DCBA, (0x0807, 0x0605, 0x0403, 0x0201)),
    ],
)
def test_64_bits_in_all_four_orders(order: Order, registers: tuple[int, ...]) -> None:
    register = Register(name="x", address=0, type=Type.UINT64)
    decoded = decode(register, payload=words(*registers), order=order)
    assert decoded == {"x": 0x0102030405060708}


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (Type.INT16, 0xFBB4, -110.0),  # SMC HRS: lowest temperature
        (Type.INT16, 0x05DC, 150.0),  # and highest
        (Type.INT16, 0xFFCE, -5.0),  # Omron E5CC: lowest output
        (Type.INT16, 0x041A, 105.0),  # and highest
        (Type.UINT16, 0x0226, 55.0),  # highest heater current
    ],
)
def test_vectors_of_manuals(kind: Type, raw: int, value: float) -> None:
    register = Register(name="x", address=0, type=kind, scale=0.1, unit="°C")
    assert decode(register, payload=words(raw)) == {"x": value}


@pytest.mark.parametrize(
    ("raw", "value"), [(0x3C00, 1.0), (0xC000, -2.0), (0x3555, 0.333251953125)]
)
def test_half_precision_floats(raw: int, value: float) -> None:
    register = Register(name="x", address=0, type=Type.FLOAT16)
    assert decode(register, payload=words(raw)) == {"x": value}


def test_bcd_has_a_decimal_digit_in_each_nibble() -> None:
    """In the order of the profile; a nibble that is no digit is a fault, not a number."""
    two = Register(name="x", address=0, type=Type.BCD, length=2, order=Order.CDAB)
    assert decode(two, payload=words(0x5678, 0x1234)) == {"x": 12345678}
    fault = Fault(reason=Reason.ENCODING, raw="12a4")
    one = Register(name="x", address=0, type=Type.BCD, scale=0.1)
    assert decode(one, payload=words(0x1234)) == {"x": 123.4}
    assert decode(one, payload=words(0x12A4)) == {"x": fault}


def test_a_count_that_the_database_cannot_hold_is_a_fault() -> None:
    """Its ints end at 63 bits; what is beyond is a device's "no value" more often than a count."""
    register = Register(name="x", address=0, type=Type.UINT64)
    assert decode(register, payload=b"\x7f" + 7 * b"\xff") == {"x": 2**63 - 1}
    fault = Fault(reason=Reason.OUT_OF_RANGE, raw=2**64 - 1)
    assert decode(register, payload=8 * b"\xff") == {"x": fault}


@pytest.mark.parametrize("length", [0, 3, 5, 6])
def test_an_answer_of_another_length_is_not_decoded(length: int) -> None:
    """The bus lets no such answer through; if one came, it would not be taken for values."""
    register = Register(name="x", address=0, type=Type.UINT32)
    with pytest.raises(ValueError, match="4 that were asked for"):
        decode(register, payload=bytes(length))


def test_scale_and_offset_are_applied_and_rounded_to_the_scale() -> None:
    register = Register(name="t", address=0, type=Type.INT16, scale=0.1, offset=-5, unit="°C")
    assert decode(register, payload=words(0xFBB4)) == {"t": -115.0}  # SMC HRS: -110.0 °C raw
    assert decode(register, payload=words(3)) == {"t": -4.7}  # not -4.699999999999999


@pytest.mark.parametrize(
    ("scale", "offset", "raw", "value"),
    [
        (0.25, 0, 3, 0.75),  # as many decimals as the scale is written with
        (1.5, 0, 3, 4.5),
        (1, -273.15, 300, 26.85),  # or the offset
        (0.1, 0, 2**16 - 1, 6553.5),
        (-0.001, 0, 5, -0.005),
    ],
)
def test_no_decimal_is_lost(scale: float, offset: float, raw: int, value: float) -> None:
    register = Register(name="x", address=0, type=Type.UINT16, scale=scale, offset=offset, unit="V")
    assert decode(register, payload=words(raw)) == {"x": value}


def test_decimals_can_be_fewer_than_the_scale_has() -> None:
    register = Register(name="x", address=0, type=Type.UINT16, scale=0.001, decimals=1)
    assert decode(register, payload=words(1251)) == {"x": 1.3}


@pytest.mark.parametrize("raw", [0x7FFF, 0xFFFF])
def test_a_sentinel_is_not_a_number(raw: int) -> None:
    register = Register(name="ocv", address=0, type=Type.UINT16, sentinels=(0x7FFF, 0xFFFF))
    assert decode(register, payload=words(raw)) == {"ocv": Fault(reason=Reason.SENTINEL, raw=raw)}


def test_a_float_sentinel_is_found_though_32_bits_cannot_hold_it_exactly() -> None:
    register = Register(name="r", address=0, type=Type.FLOAT32, sentinels=(9.99e9,))
    fault = decode(register, payload=struct.pack(">f", 9.99e9))["r"]
    assert isinstance(fault, Fault)
    assert fault.reason is Reason.SENTINEL


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800000, 0xFF800000])
def test_nan_and_infinity_are_not_numbers(bits: int) -> None:
    register = Register(name="x", address=0, type=Type.FLOAT32)
    fault = decode(register, payload=struct.pack(">I", bits))["x"]
    assert isinstance(fault, Fault)
    assert fault.reason is Reason.ENCODING


def test_a_value_outside_what_the_sensor_can_show_is_kept_as_raw_only() -> None:
    register = Register(name="t", address=0, type=Type.UINT16, scale=0.1, valid=(0, 100))
    assert decode(register, payload=words(1000)) == {"t": 100.0}
    fault = Fault(reason=Reason.OUT_OF_RANGE, raw=1001)
    assert decode(register, payload=words(1001)) == {"t": fault}


def test_enums_have_names_and_an_unknown_number_is_a_fault() -> None:
    register = Register(name="s", address=0, type=Type.ENUM, values={"0": "off", "3": "run"})
    assert decode(register, payload=words(3)) == {"s": "run"}
    fault = Fault(reason=Reason.UNKNOWN_CODE, raw=9)
    assert decode(register, payload=words(9)) == {"s": fault}


@pytest.mark.parametrize(
    ("order", "payload", "text"),
    [
        (Order.ABCD, b"LOT-7\0\0\0", "LOT-7"),
        (Order.CDAB, b"LOT-7   ", "LOT-7"),  # words of a text never swap
        (Order.BADC, b"OL-T\x007\0\0", "LOT-7"),
        (Order.DCBA, b"OL-T 7  ", "LOT-7"),
        (Order.ABCD, b"LOT\0\xffOLD", "LOT"),  # what an earlier, longer text left behind
    ],
)
def test_strings_in_both_byte_orders_and_paddings(order: Order, payload: bytes, text: str) -> None:
    register = Register(name="lot", address=0, type=Type.STRING, length=4)
    assert decode(register, payload=payload, order=order) == {"lot": text}


def test_text_that_is_not_text_is_a_fault() -> None:
    register = Register(name="lot", address=0, type=Type.STRING, length=1)
    fault = Fault(reason=Reason.ENCODING, raw="fffe")
    assert decode(register, payload=b"\xff\xfe") == {"lot": fault}
    fault = Fault(reason=Reason.ENCODING, raw="4107")
    assert decode(register, payload=b"A\x07") == {"lot": fault}


def test_bits_of_a_register_and_a_bitfield_share_it() -> None:
    """One register read three ways: two bits and the whole word."""
    registers = [
        Register(name="ready", address=0, type=Type.BOOL, bit=9),
        Register(name="run", address=0, type=Type.BOOL, bit=0),
        Register(name="all", address=0, type=Type.BITFIELD, bits=(Bit(bit=0, name="run"),)),
    ]
    assert decode(*registers, payload=words(0x0200)) == {"ready": True, "run": False, "all": 0x0200}


def test_overlapping_values_are_both_read() -> None:
    registers = [
        Register(name="long", address=0, type=Type.UINT32),
        Register(name="low", address=1, type=Type.UINT16),
    ]
    assert decode(*registers, payload=words(1, 2)) == {"long": 0x10002, "low": 2}


def test_tables_of_bits_are_packed_lowest_first() -> None:
    registers = [Register(name=f"b{n}", address=n, type=Type.BOOL) for n in (0, 1, 8)]
    decoded = decode(*registers, payload=bytes([0b10, 0b1]), table=Table.DISCRETE)
    assert decoded == {"b0": False, "b1": True, "b8": True}


def test_channels_are_kept_apart() -> None:
    register = Register(name="v", address=0, type=Type.UINT16)
    items = tuple(
        Item(register=register, table=Table.HOLDING, order=Order.ABCD, address=n, channel=str(n))
        for n in range(3)
    )
    read = Read(table=Table.HOLDING, address=0, count=3, items=items)
    decoded = Decoder(read).decode(words(7, 8, 9))
    assert {part.channel: part.values["v"] for part in decoded} == {"0": 7, "1": 8, "2": 9}
