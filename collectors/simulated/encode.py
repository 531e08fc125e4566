"""Values to register bytes: the simulated machine's own opinion of a profile.

Written without looking at the collector's decoder, and by other means, so that the tests have
two opinions of every type and byte order.
"""

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from collectors.register import Order, Register, Type
from collectors.sample import Value


@dataclass(frozen=True, slots=True)
class Raw:
    """A number to be put into a register as it is: a sentinel, "not measured"."""

    number: float


Content = Value | Raw | Collection[str]  # names: of the bits that are set in a bitfield
Encode = Callable[[Content], bytes]

_FORMATS: Mapping[Type, str] = {
    Type.INT8: ">b",
    Type.UINT8: ">B",
    Type.INT16: ">h",
    Type.UINT16: ">H",
    Type.INT32: ">i",
    Type.UINT32: ">I",
    Type.INT64: ">q",
    Type.UINT64: ">Q",
    Type.FLOAT16: ">e",
    Type.FLOAT32: ">f",
    Type.FLOAT64: ">d",
}


def encoder(register: Register, order: Order) -> Encode:
    """Return what makes the bytes of `register`, first register first, high byte first.

    An 8-bit value is one byte, whose place in the register is not told here.
    What it returns raises ValueError for a value that the register cannot hold.
    """
    match register.type:
        case Type.STRING:
            return _text(register, swapped=order in {Order.BADC, Order.DCBA})
        case Type.INT8 | Type.UINT8:
            return _number(register)
        case Type.BOOL:
            raise ValueError(f"`{register.name}` is one bit, not whole registers")
        case Type.ENUM:
            return _ordered(_enum(register), order)
        case Type.BITFIELD:
            return _ordered(_bitfield(register), order)
        case Type.BCD:
            return _ordered(_bcd(register), order)
        case _:
            return _ordered(_number(register), order)


def _ordered(big_endian: Encode, order: Order) -> Encode:
    match order:
        case Order.ABCD:
            return big_endian
        case Order.DCBA:
            return lambda value: big_endian(value)[::-1]
        case Order.BADC:
            return lambda value: _swap(big_endian(value))
        case Order.CDAB:
            return lambda value: _swap(big_endian(value))[::-1]


def _swap(data: bytes) -> bytes:
    """Exchange the two bytes of each register."""
    swapped = bytearray(len(data))
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)


def _text(register: Register, *, swapped: bool) -> Encode:
    size = 2 * register.words

    def encode(value: Content) -> bytes:
        data = str(value).encode("ascii")
        if len(data) > size:
            raise ValueError(f"{value!r} is longer than the {size} characters of {register.name}")
        padded = data.ljust(size, b"\0")
        return _swap(padded) if swapped else padded

    return encode


def _enum(register: Register) -> Encode:
    size = 2 * register.words
    numbers = {name: int(number) for number, name in register.values.items()}

    def encode(value: Content) -> bytes:
        if isinstance(value, Raw):
            return int(value.number).to_bytes(size, "big")
        if value not in numbers:
            raise ValueError(f"{register.name} has no value {value!r}")
        return numbers[str(value)].to_bytes(size, "big")

    return encode


def _bitfield(register: Register) -> Encode:
    size = 2 * register.words
    masks = {bit.name: 1 << bit.bit for bit in register.bits}

    def encode(value: Content) -> bytes:
        if isinstance(value, (Raw, str, bool, int, float)):
            raise ValueError(f"{register.name} takes the names of its bits, not {value!r}")  # noqa: TRY004 - one error for all misfits
        if unknown := set(value) - masks.keys():
            raise ValueError(f"{register.name} has no bit {', '.join(sorted(unknown))}")
        return sum(masks[name] for name in set(value)).to_bytes(size, "big")

    return encode


def _bcd(register: Register) -> Encode:
    size = 2 * register.words

    def encode(value: Content) -> bytes:
        if isinstance(value, Raw):
            return int(value.number).to_bytes(size, "big")
        digits = f"{round(_unscaled(register, value)):0{2 * size}d}"
        if len(digits) > 2 * size or not digits.isdecimal():
            raise ValueError(f"{value!r} does not fit the {2 * size} digits of {register.name}")
        return bytes.fromhex(digits)

    return encode


def _number(register: Register) -> Encode:
    pack = struct.Struct(_FORMATS[register.type]).pack
    is_float = register.type in {Type.FLOAT16, Type.FLOAT32, Type.FLOAT64}

    def encode(value: Content) -> bytes:
        number = value.number if isinstance(value, Raw) else _unscaled(register, value)
        try:
            return pack(number if is_float else round(number))
        except (struct.error, OverflowError, ValueError) as error:
            raise ValueError(f"{value!r} does not fit {register.name}: {error}") from error

    return encode


def _unscaled(register: Register, value: Content) -> float:
    if not isinstance(value, (int, float)):
        raise ValueError(f"{register.name} takes a number, not {value!r}")  # noqa: TRY004 - one error for all misfits
    if (register.scale, register.offset) == (1, 0):
        return value  # dividing by 1 would round what is beyond 53 bits
    return (value - register.offset) / register.scale
