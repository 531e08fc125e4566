"""What the raw contents of registers mean: their values, or why there is none.

Values are made in columns, all registers of one kind in one go: a good value costs no call and no
object of its own. What gives no value is put aside, to be explained afterwards.
"""

import math
import struct
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from collectors.modbus.decoding.layout import picker
from collectors.quality import Fault, Reason
from collectors.register import FLOATS, INTEGERS, Register, Type
from collectors.sample import Value
from collectors.scaling import Scaling

Raw = int | float | bytes
Convert = Callable[[Any], Value | None]  # None: the content gives no value
Failed = dict[int, Raw]  # what gave no value, by its place
Finish = Callable[[Sequence[Any], Failed], list[Any]]  # from the raw contents of all places
Ratio = tuple[int, int, int]  # value = (raw * first + second) / third, exactly

_PLAIN: Ratio = (1, 0, 1)
_MOST = sys.float_info.max
_LONG = 2**63  # whole numbers of the database are below
_FLOAT_CODES = {Type.FLOAT16: ">e", Type.FLOAT32: ">f", Type.FLOAT64: ">d"}


def columns(fields: Sequence[tuple[int, Register]]) -> list[tuple[list[int], Finish]]:
    """Return what finishes registers, given with their places: places, and their common way.

    Places that are in none hold a value as they are, or one that another register scales.
    """
    flags: list[tuple[int, int]] = []
    checked: list[tuple[int, float, float]] = []
    scaled: dict[Ratio, list[tuple[int, float, float]]] = {}
    others: list[tuple[int, Convert]] = []
    for place, register in fields:
        if register.type is Type.BOOL:
            flags.append((place, 1 << (register.bit or 0)))
        elif register.type is Type.BITFIELD or register.scaled_by:
            continue
        elif (simple := _simple(register)) is None:
            others.append((place, converter(register, register)))
        elif not register.is_whole and register.type not in FLOATS:
            ratio, low, high = simple
            scaled.setdefault(ratio, []).append((place, low, high))
        elif simple[1:] != INTEGERS.get(register.type):
            checked.append((place, *simple[1:]))
    made = [(_places(each), _scaled(ratio, each)) for ratio, each in scaled.items()]
    if checked:
        made.append((_places(checked), _checked(checked)))
    if flags:
        made.append((_places(flags), _flags(flags)))
    if others:
        made.append((_places(others), _others(others)))
    return made


def converter(register: Register, scaling: Scaling | Register) -> Convert:
    """Return what makes a value of one raw content by `scaling`, the register's own or another."""
    match register.type:
        case Type.STRING:
            return _text
        case Type.ENUM:
            return {int(number): name for number, name in register.values.items()}.get
        case Type.BCD:
            number = _number(register, scaling)
            return lambda raw: None if (digits := _bcd(raw)) is None else number(digits)
        case _:
            return _number(register, scaling)


def explain(register: Register, raw: Raw) -> Fault:
    """Return why `raw` gave no value."""
    if isinstance(raw, bytes):
        return Fault(reason=Reason.ENCODING, raw=raw.hex())
    if register.type is Type.ENUM:
        return Fault(reason=Reason.UNKNOWN_CODE, raw=raw)
    number = _bcd(int(raw)) if register.type is Type.BCD else raw
    if number is None:
        return Fault(reason=Reason.ENCODING, raw=f"{raw:x}")
    if number in _sentinels(register):
        return Fault(reason=Reason.SENTINEL, raw=number)
    if not math.isfinite(number):
        return Fault(reason=Reason.ENCODING, raw=str(number))
    return Fault(reason=Reason.OUT_OF_RANGE, raw=number)


def _places(fields: Sequence[tuple[int, *tuple[Any, ...]]]) -> list[int]:
    return [field[0] for field in fields]


def _flags(fields: Sequence[tuple[int, int]]) -> Finish:
    places, masks = zip(*fields, strict=True)
    pick = picker(places)

    def finish(raw: Sequence[Any], _failed: Failed) -> list[Any]:
        return [word & mask != 0 for word, mask in zip(pick(raw), masks, strict=True)]

    return finish


def _checked(fields: Sequence[tuple[int, float, float]]) -> Finish:
    places, lows, highs = zip(*fields, strict=True)
    pick = picker(places)

    def finish(raw: Sequence[Any], failed: Failed) -> list[Any]:
        fail = failed.setdefault
        return [
            number if low <= number <= high else fail(place, number)
            for place, number, low, high in zip(places, pick(raw), lows, highs, strict=True)
        ]

    return finish


def _scaled(ratio: Ratio, fields: Sequence[tuple[int, float, float]]) -> Finish:
    places, lows, highs = zip(*fields, strict=True)
    pick = picker(places)
    factor, shift, divisor = ratio

    def finish(raw: Sequence[Any], failed: Failed) -> list[Any]:
        fail = failed.setdefault
        return [
            (number * factor + shift) / divisor if low <= number <= high else fail(place, number)
            for place, number, low, high in zip(places, pick(raw), lows, highs, strict=True)
        ]

    def finish_divided(raw: Sequence[Any], failed: Failed) -> list[Any]:
        fail = failed.setdefault
        return [
            number / divisor if low <= number <= high else fail(place, number)
            for place, number, low, high in zip(places, pick(raw), lows, highs, strict=True)
        ]

    return finish_divided if (factor, shift) == (1, 0) else finish


def _others(fields: Sequence[tuple[int, Convert]]) -> Finish:
    places, converts = zip(*fields, strict=True)
    pick = picker(places)

    def finish(raw: Sequence[Any], failed: Failed) -> list[Any]:
        fail = failed.setdefault
        return [
            fail(place, content) if (value := convert(content)) is None else value
            for place, content, convert in zip(places, pick(raw), converts, strict=True)
        ]

    return finish


def _simple(register: Register) -> tuple[Ratio, float, float] | None:
    """Return ratio and lowest and highest raw number, if these are all there is to a register."""
    low: float
    high: float
    low, high = INTEGERS.get(register.type, (-_MOST, _MOST))
    ratio = _ratio(register, register.digits or 0)
    if register.type in FLOATS:
        if ratio != _PLAIN or register.digits is not None:
            return None
        if register.valid:
            low, high = (_nearest(register.type, limit) for limit in register.valid)
    elif register.type in INTEGERS:
        if ratio is None or (register.is_whole and ratio != _PLAIN):
            return None
        if register.valid:
            first, last = sorted(_raw_of(Fraction(repr(limit)), ratio) for limit in register.valid)
            low, high = max(low, math.ceil(first)), min(high, math.floor(last))
        if register.is_whole:
            high = min(high, _LONG - 1)
    else:
        return None
    if any(low <= sentinel <= high for sentinel in _sentinels(register)):
        return None
    return ratio, low, high


def _ratio(scaling: Scaling | Register, digits: int) -> Ratio | None:
    """Return the scaling in whole numbers, or None if its values need rounding to `digits`.

    Division of ints gives the float nearest to the true value: 3 / 10, where 3 * 0.1 is not 0.3.
    """
    scale, offset = Fraction(repr(scaling.scale)), Fraction(repr(scaling.offset))
    divisor = math.lcm(scale.denominator, offset.denominator)
    if 10**digits % divisor:
        return None
    return int(scale * divisor), int(offset * divisor), divisor


def _raw_of(value: Fraction, ratio: Ratio) -> Fraction:
    factor, shift, divisor = ratio
    return (value * divisor - shift) / factor


def _number(register: Register, scaling: Scaling | Register) -> Callable[[float], Value | None]:
    sentinels = _sentinels(register)
    low, high = register.valid or (-_MOST, _MOST)
    value_of = _law(register, scaling)
    if register.is_whole:
        low, high = max(low, -_LONG), min(high, _LONG - 1)

    def convert(raw: float) -> Value | None:
        if raw in sentinels:
            return None
        value = value_of(raw)
        return value if low <= value <= high else None

    return convert


def _law(register: Register, scaling: Scaling | Register) -> Callable[[float], float]:
    scale, offset, digits = scaling.scale, scaling.offset, register.digits
    if register.is_whole:  # ints all the way: a float cannot hold the last bits of 64
        factor, shift = int(scale), int(offset)
        return lambda raw: raw * factor + shift
    if digits is None:
        return lambda raw: raw * scale + offset
    ratio = None if register.type in FLOATS else _ratio(scaling, digits)
    if ratio is None:
        return lambda raw: round(raw * scale + offset, digits)
    factor, shift, divisor = ratio
    return lambda raw: (raw * factor + shift) / divisor


def _sentinels(register: Register) -> frozenset[float]:
    return frozenset(_nearest(register.type, each) for each in register.sentinels)


def _nearest(kind: Type, number: float) -> float:
    """Return the number that a register of this type gives back for `number`."""
    if kind not in FLOATS:
        return number
    try:
        packed = struct.pack(_FLOAT_CODES[kind], number)
    except OverflowError:
        return number
    return float(struct.unpack(_FLOAT_CODES[kind], packed)[0])


def _bcd(raw: int) -> int | None:
    """Return the number whose decimal digits are the nibbles of `raw`."""
    digits = f"{raw:x}"
    return int(digits) if digits.isdecimal() else None


def _text(raw: bytes) -> str | None:
    """Return the text before the first NUL, without the spaces around it."""
    try:
        text = raw.split(b"\0")[0].strip().decode("ascii")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
