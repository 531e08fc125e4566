"""Turn the bytes of an answer into values, by a plan made once.

The bytes of each value are put into the machine's order by one permutation, then one `struct`
unpacks the whole answer. pymodbus's own converter is some twenty times slower and reverses
arrays when the low word comes first.
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from collectors.modbus.plan import Item, Read
from collectors.quality import Fault, Reason
from collectors.register import Order, Register, Type
from collectors.sample import Value

Raw = int | float | bytes
Finished = Value | Fault

_CODES = {
    Type.INT16: "h",
    Type.UINT16: "H",
    Type.INT32: "i",
    Type.UINT32: "I",
    Type.INT64: "q",
    Type.UINT64: "Q",
    Type.FLOAT32: "f",
    Type.FLOAT64: "d",
    Type.BOOL: "H",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Values and faults of one channel ("" for the station itself), by register name."""

    channel: str
    values: Mapping[str, Value]
    faults: Mapping[str, Fault]


class Decoder:
    """Decodes the answers to one read."""

    def __init__(self, read: Read) -> None:
        self.read = read
        finish = _finish_bit if read.table.holds_bits else _finish_of
        fields = [(item, finish(item)) for item in read.items]
        self._layers = (
            [_BitLayer(read, fields)]
            if read.table.holds_bits
            else [_WordLayer(read, layer) for layer in _without_overlap(fields)]
        )
        self._channels = tuple(dict.fromkeys(item.channel for item in read.items))

    def decode(self, payload: bytes) -> list[Decoded]:
        """Return what `payload`, the data bytes of the answer, holds: one entry a channel."""
        by_channel: dict[str, tuple[dict[str, Value], dict[str, Fault]]] = {
            channel: ({}, {}) for channel in self._channels
        }
        for layer in self._layers:
            for item, value in layer.unpack(payload):
                values, faults = by_channel[item.channel]
                if isinstance(value, Fault):
                    faults[item.register.name] = value
                else:
                    values[item.register.name] = value
        return [Decoded(channel, *parts) for channel, parts in by_channel.items()]


Field = tuple[Item, Callable[[Raw], Finished]]


class _WordLayer:
    """Values of 16-bit registers that do not overlap: one permutation, one `struct`."""

    def __init__(self, read: Read, fields: Sequence[Field]) -> None:
        format_ = [">"]
        order: list[int] = []
        position = read.address
        self._fields: list[tuple[Item, Callable[[Raw], Finished], int]] = []
        slots: dict[tuple[int, str, Order], int] = {}
        for item, finish in fields:
            code = _code(item.register)
            key = (item.address, code, item.order)
            if key not in slots:
                gap = 2 * (item.address - position)
                format_.append(f"{gap}x{code}")
                order += range(2 * (position - read.address), 2 * (item.address - read.address))
                order += _bytes_in_order(item, read.address)
                position = item.end
                slots[key] = len(slots)
            self._fields.append((item, finish, slots[key]))
        self._struct = struct.Struct("".join(format_))
        natural = order == list(range(len(order)))
        self._permute = None if natural else itemgetter(*order)

    def unpack(self, payload: bytes) -> list[tuple[Item, Finished]]:
        if self._permute is not None:
            payload = bytes(self._permute(payload))
        raw = self._struct.unpack_from(payload)
        return [(item, finish(raw[slot])) for item, finish, slot in self._fields]


class _BitLayer:
    """Values of a table of single bits, packed eight to a byte, the first one lowest."""

    def __init__(self, read: Read, fields: Sequence[Field]) -> None:
        self._fields = [(item, finish, item.address - read.address) for item, finish in fields]

    def unpack(self, payload: bytes) -> list[tuple[Item, Finished]]:
        return [
            (item, finish(payload[index >> 3] >> (index & 7) & 1))
            for item, finish, index in self._fields
        ]


def _without_overlap(fields: Sequence[Field]) -> list[list[Field]]:
    """Spread fields over layers, so that no two of a layer share a register differently."""
    layers: list[list[Field]] = []
    for field in fields:
        for layer in layers:
            last = layer[-1][0]
            if field[0].address >= last.end or _same_slot(field[0], last):
                layer.append(field)
                break
        else:
            layers.append([field])
    return layers


def _same_slot(one: Item, other: Item) -> bool:
    return (one.address, _code(one.register), one.order) == (
        other.address,
        _code(other.register),
        other.order,
    )


def _code(register: Register) -> str:
    if register.type is Type.STRING:
        return f"{2 * register.words}s"
    if register.type in {Type.ENUM, Type.BITFIELD}:
        return "H" if register.words == 1 else "I"
    return _CODES[register.type]


def _bytes_in_order(item: Item, start: int) -> list[int]:
    """Return where the bytes of a value stand in the answer, the most significant first."""
    first = 2 * (item.address - start)
    words = [[first + 2 * word, first + 2 * word + 1] for word in range(item.register.words)]
    is_text = item.register.type is Type.STRING
    if item.order in {Order.CDAB, Order.DCBA} and not is_text:
        words.reverse()
    if item.order in {Order.BADC, Order.DCBA}:
        words = [word[::-1] for word in words]
    return [byte for word in words for byte in word]


def _finish_bit(item: Item) -> Callable[[Raw], Finished]:
    del item
    return bool


def _finish_of(item: Item) -> Callable[[Raw], Finished]:
    """Return what makes a value of the raw content of one register."""
    register = item.register
    match register.type:
        case Type.BOOL:
            return _bit_of(register.bit or 0)
        case Type.STRING:
            return _text
        case Type.ENUM:
            return _enum_of(register)
        case Type.BITFIELD:
            return _int
        case _:
            return _number_of(register)


def _int(raw: Raw) -> Finished:
    return int(raw)


def _bit_of(bit: int) -> Callable[[Raw], Finished]:
    def finish(raw: Raw) -> Finished:
        return bool(int(raw) >> bit & 1)

    return finish


def _text(raw: Raw) -> Finished:
    assert isinstance(raw, bytes)  # noqa: S101 - the struct code of a string gives bytes
    text = raw.split(b"\0")[0].strip()
    try:
        return text.decode("ascii")
    except UnicodeDecodeError:
        return Fault(reason=Reason.ENCODING, raw=raw.hex())


def _enum_of(register: Register) -> Callable[[Raw], Finished]:
    names = {int(number): name for number, name in register.values.items()}

    def finish(raw: Raw) -> Finished:
        number = int(raw)
        return names.get(number) or Fault(reason=Reason.UNKNOWN_CODE, raw=number)

    return finish


def _number_of(register: Register) -> Callable[[Raw], Finished]:
    sentinels = frozenset(
        _as_float32(each) if register.type is Type.FLOAT32 else each for each in register.sentinels
    )
    whole = register.is_whole
    # Whole numbers stay ints all the way: a float cannot hold the last bits of 64.
    scale = int(register.scale) if whole else register.scale
    offset = int(register.offset) if whole else register.offset
    low, high = register.valid or (-math.inf, math.inf)
    digits = None if whole else register.digits

    def finish(raw: Raw) -> Finished:
        assert not isinstance(raw, bytes)  # noqa: S101 - the struct code of a number gives numbers
        if raw in sentinels:
            return Fault(reason=Reason.SENTINEL, raw=raw)
        if not math.isfinite(raw):
            return Fault(reason=Reason.ENCODING, raw=str(raw))
        value = raw * scale + offset
        if not low <= value <= high:
            return Fault(reason=Reason.OUT_OF_RANGE, raw=raw)
        return round(value, digits) if digits is not None else value

    return finish


def _as_float32(number: float) -> float:
    """Return the number that a register of 32 bits gives back for `number`."""
    return float(struct.unpack(">f", struct.pack(">f", number))[0])
