"""Where values stand in the bytes of an answer, and how to take them all out at once.

One `struct` unpacks a whole answer, in whatever byte order: where the two bytes of every register
are exchanged first, CDAB is plain little endian and BADC plain big endian.
"""

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

from collectors.modbus.planning.plan import Item, Read
from collectors.register import Order, Type

Pick = Callable[[Sequence[Any]], Sequence[Any]]
Unpack = Callable[[bytes], tuple[Any, ...]]

_VIEWS = {  # are the bytes of each register exchanged, then: which end comes first
    Order.ABCD: (False, ">"),
    Order.CDAB: (True, "<"),
    Order.BADC: (True, ">"),
    Order.DCBA: (False, "<"),
}
_CODES = {
    Type.BOOL: "H",
    Type.INT8: "b",
    Type.UINT8: "B",
    Type.INT16: "h",
    Type.UINT16: "H",
    Type.FLOAT16: "e",
    Type.INT32: "i",
    Type.UINT32: "I",
    Type.FLOAT32: "f",
    Type.INT64: "q",
    Type.UINT64: "Q",
    Type.FLOAT64: "d",
}
_BITS = [tuple(byte >> place & 1 == 1 for place in range(8)) for byte in range(256)]


def picker(places: Sequence[int]) -> Pick:
    """Return what takes the elements at `places` out of a sequence, in that order."""
    first, last = (places[0], places[-1] + 1) if places else (0, 0)
    if list(places) == list(range(first, last)):
        return itemgetter(slice(first, last))
    return itemgetter(*places)


class Layout:
    """Takes the raw contents of the items of one read out of its answers."""

    def __init__(self, read: Read) -> None:
        holds_bits = read.table.holds_bits
        self.size = (read.count + 7) // 8 if holds_bits else 2 * read.count
        if holds_bits:
            self._layers: list[Unpack] = [_unpack_bits]
            places = [item.address - read.address for item in read.items]
        else:
            slots = [_slot_of(item, read.address) for item in read.items]
            layers = _without_overlap(slots)
            self._layers = [_unpacker(layer, self.size) for layer in layers]
            place_of = {slot: place for place, slot in enumerate(chain.from_iterable(layers))}
            places = [place_of[slot] for slot in slots]
        self._pick = picker(places)

    def unpack(self, payload: bytes) -> Sequence[Any]:
        """Return one raw content for each item: a number, the bytes of a text, a bit.

        Raises ValueError if `payload` is not as long as the answer must be.
        """
        if len(payload) != self.size:
            raise ValueError(f"{len(payload)} bytes are not the {self.size} that were asked for")
        raw: tuple[Any, ...] = ()
        for unpack in self._layers:
            raw += unpack(payload)
        return self._pick(raw)


@dataclass(frozen=True, slots=True)
class _Slot:
    """The bytes of one value, in one view of the payload."""

    is_swapped: bool
    end: str
    start: int
    code: str

    @property
    def stop(self) -> int:
        return self.start + struct.calcsize(f"={self.code}")


def _slot_of(item: Item, first_address: int) -> _Slot:
    is_swapped, end = _VIEWS[item.order]
    start = 2 * (item.address - first_address)
    register = item.register
    match register.type:
        case Type.STRING:  # its words never swap, the two characters of each may
            is_swapped = item.order in {Order.BADC, Order.DCBA}
            end, code = ">", f"{2 * register.words}s"
        case (
            Type.BITFIELD
        ):  # 64 bits signed, as the database has them; bit 63 is found all the same
            code = {1: "H", 2: "I", 4: "q"}[register.words]
        case Type.ENUM | Type.BCD:
            code = {1: "H", 2: "I", 4: "Q"}[register.words]
        case Type.INT8 | Type.UINT8:
            start += (register.byte != "high") == (end == ">")
            code = _CODES[register.type]
        case _:
            code = _CODES[register.type]
    return _Slot(is_swapped, end, start, code)


def _without_overlap(slots: Iterable[_Slot]) -> list[list[_Slot]]:
    """Spread slots over layers: each of one view, and no byte twice in a layer."""
    layers: list[list[_Slot]] = []
    for slot in sorted(set(slots), key=lambda slot: (slot.is_swapped, slot.end, slot.start)):
        for layer in layers:
            last = layer[-1]
            if (last.is_swapped, last.end) == (slot.is_swapped, slot.end) and (
                last.stop <= slot.start
            ):
                layer.append(slot)
                break
        else:
            layers.append([slot])
    return layers


def _unpacker(layer: Sequence[_Slot], size: int) -> Unpack:
    format_, at = [layer[0].end], 0
    for slot in layer:
        format_.append(f"{slot.start - at}x{slot.code}")
        at = slot.stop
    unpack = struct.Struct("".join([*format_, f"{size - at}x"])).unpack
    return (lambda payload: unpack(_swapped(payload))) if layer[0].is_swapped else unpack


def _swapped(payload: bytes) -> bytes:
    words = array("H", payload)
    words.byteswap()
    return words.tobytes()


def _unpack_bits(payload: bytes) -> tuple[bool, ...]:
    return tuple(chain.from_iterable(map(_BITS.__getitem__, payload)))
