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
    Type.INT16: ">h",
    Type.UINT16: ">H",
    Type.INT32: ">i",
    Type.UINT32: ">I",
    Type.INT64: ">q",
    Type.UINT64: ">Q",
    Type.FLOAT32: ">f",
    Type.FLOAT64: ">d",
}


def encoder(register: Register, order: Order) -> Encode:
    """Return what makes the bytes of `register`, first register first, high byte first.

    What it returns raises ValueError for a value that the register cannot hold.
    """
    if register.type is Type.STRING:
        return _text(register, swapped=order in {Order.BADC, Order.DCBA})
    match register.type:
        case Type.ENUM:
            big_endian = _enum(register)
        case Type.BITFIELD:
            big_endian = _bitfield(register)
        case Type.BOOL:
            raise ValueError(f"`{register.name}` is one bit, not whole registers")
        case _:
            big_endian = _number(register)
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


def _number(register: Register) -> Encode:
    pack = struct.Struct(_FORMATS[register.type]).pack
    is_float = register.type in {Type.FLOAT32, Type.FLOAT64}
    scale, offset = register.scale, register.offset
    is_plain = (scale, offset) == (1, 0)

    def encode(value: Content) -> bytes:
        if isinstance(value, Raw):
            number = value.number
        elif isinstance(value, (int, float)):
            # Dividing by 1 would round what is beyond 53 bits.
            number = value if is_plain else (value - offset) / scale
        else:
            raise ValueError(f"{register.name} takes a number, not {value!r}")  # noqa: TRY004 - one error for all misfits
        try:
            return pack(number if is_float else round(number))
        except (struct.error, OverflowError, ValueError) as error:
            raise ValueError(f"{value!r} does not fit {register.name}: {error}") from error

    return encode
