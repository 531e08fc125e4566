"""One value of a machine: where it stands, how its bits are coded, what it means to people."""

import math
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from collectors.scaling import Factor, ScaledBy, decimals
from collectors.toml_file import Strict

MAX_NAME = 40
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=MAX_NAME)]
Address = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[float, Field(gt=0)]


def _low_first(band: tuple[float, float]) -> tuple[float, float]:
    if band[0] >= band[1]:
        raise ValueError("limits are [low, high], low first")
    return band


Band = Annotated[tuple[float, float], AfterValidator(_low_first)]  # in the unit of its value


class Text(Strict):
    """A short text for people, in both languages of the product."""

    id: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]


class Table(StrEnum):
    """The four tables of the Modbus data model."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"

    @property
    def holds_bits(self) -> bool:
        """Whether an address of this table is one bit, not a 16-bit register."""
        return self in {Table.COIL, Table.DISCRETE}


class Type(StrEnum):
    """What the bits of a register mean."""

    BOOL = "bool"
    INT8 = "int8"  # the low byte of a register, or the high one
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD = "bcd"  # four decimal digits a register
    STRING = "string"
    ENUM = "enum"
    BITFIELD = "bitfield"


_ONLY_FOR = {
    "bit": {Type.BOOL},
    "byte": {Type.INT8, Type.UINT8},
    "alarm": {Type.BOOL},  # in a bitfield it belongs to a bit
}
RESERVED = {"time", "name"}  # InfluxDB drops a field called so, without a word

INTEGERS = {  # the lowest and the highest number of each
    Type.INT8: (-(2**7), 2**7 - 1),
    Type.UINT8: (0, 2**8 - 1),
    Type.INT16: (-(2**15), 2**15 - 1),
    Type.UINT16: (0, 2**16 - 1),
    Type.INT32: (-(2**31), 2**31 - 1),
    Type.UINT32: (0, 2**32 - 1),
    Type.INT64: (-(2**63), 2**63 - 1),
    Type.UINT64: (0, 2**64 - 1),
}
FLOATS = {Type.FLOAT16, Type.FLOAT32, Type.FLOAT64}

WORDS = {
    Type.BOOL: 1,
    Type.INT8: 1,
    Type.UINT8: 1,
    Type.INT16: 1,
    Type.UINT16: 1,
    Type.FLOAT16: 1,
    Type.INT32: 2,
    Type.UINT32: 2,
    Type.FLOAT32: 2,
    Type.INT64: 4,
    Type.UINT64: 4,
    Type.FLOAT64: 4,
}


class Order(StrEnum):
    """Byte order of a value in registers, A the most significant byte.

    64-bit values likewise: ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA. BADC and DCBA swap the two
    bytes of a single register too. In strings the words never swap, so BADC and DCBA mean the
    same there: the two characters of each register are swapped.
    """

    ABCD = "ABCD"  # big endian: Siemens, energy meters
    CDAB = "CDAB"  # low word first: Mitsubishi, Delta, Inovance, K&M
    BADC = "BADC"
    DCBA = "DCBA"


class Priority(StrEnum):
    """Alarm priorities of ISA-18.2, lowest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Alarm(Strict):
    """What an alarm bit means and what the operator is to do about it."""

    priority: Priority
    text: Text
    response: Text


class Bit(Strict):
    """One named bit of a bitfield. A bit with an `alarm` is an alarm, any other a status."""

    bit: Annotated[int, Field(ge=0, le=63)]
    name: Name
    alarm: Alarm | None = None


class Compression(Strict):
    """Which values need not be stored, because those that are tell of them well enough.

    One of: `deadband` (in the register's unit) or `deadband_percent` (of the last stored value)
    stores a value when it has moved by more than that; `swinging_door` (in the unit) stores the
    corners of a curve that stays within that of every value. At least one value is stored in each
    `max_interval_s`, and every fault is.
    """

    deadband: Positive | None = None
    deadband_percent: Positive | None = None
    swinging_door: Positive | None = None
    max_interval_s: Positive = 60.0

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (
            sum(x is not None for x in (self.deadband, self.deadband_percent, self.swinging_door))
            != 1
        ):
            raise ValueError("choose one of `deadband`, `deadband_percent` and `swinging_door`")
        return self


class Rollover(Strict):
    """A machine's counter that begins anew: after `wrap` counts, or when it is reset.

    A step back is a wrap if it means at most `max_step` counts since the last look, else a reset.
    The monotone total is stored beside the counter, as `<name>_total`.
    """

    wrap: Annotated[int, Field(ge=2, le=2**64)]
    max_step: Annotated[int, Field(ge=1)] | None = None  # None: a sixteenth of `wrap`


class Register(Strict):
    """One value: where it stands, how it is coded, what it means.

    `spec_where` names other values of a record, and which of theirs `spec` applies to.
    `address` counts from 0; inside a channel or record slot, from the start of that block.
    A number's value is `raw * scale + offset`, in `unit`, rounded to `decimals`.
    """

    name: Name
    address: Address
    type: Type
    table: Table | None = None  # None: the profile's own
    order: Order | None = None  # None: the profile's own
    group: Name | None = None  # poll group; None: the first one
    length: Annotated[int, Field(ge=1, le=120)] | None = None  # words: string, bcd, enum, bitfield
    count: Annotated[int, Field(ge=2, le=1000)] | None = None  # of an array: <name>_1, <name>_2 …
    byte: Literal["low", "high"] | None = None  # of an 8-bit value; None: low
    bit: Annotated[int, Field(ge=0, le=15)] | None = None  # of a bool inside a register
    scale: Factor = 1.0
    offset: Factor = 0.0
    unit: str = ""
    decimals: Annotated[int, Field(ge=0, le=9)] | None = None  # None: as scale and offset
    scaled_by: ScaledBy | None = None  # in place of `scale` and `offset`
    decides: bool = False  # scales others of its block, which say so; not for the file
    confirm: bool = False  # read twice, for devices that change a long value between its words
    compress: Compression | None = None
    rollover: Rollover | None = None  # of a counter
    valid: Band | None = None  # what the sensor can show, in `unit`
    spec: Band | None = None  # the product's lower and upper limit, in `unit`
    spec_where: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)  # of a record: below
    sentinels: tuple[int | float, ...] = ()  # raw numbers that mean "not measured"
    values: Mapping[str, str] = Field(default_factory=dict)  # of an enum: number → name
    bits: tuple[Bit, ...] = ()
    alarm: Alarm | None = None  # of a bool that is an alarm
    label: Text | None = None
    show: Annotated[int, Field(ge=1, le=9)] | None = None  # rank on the station's tile

    @property
    def words(self) -> int:
        """How many addresses the value covers; of an array, one of its elements."""
        return WORDS.get(self.type) or self.length or 1

    @property
    def end(self) -> int:
        """The first address behind the value, or the array."""
        return self.address + self.words * (self.count or 1)

    @property
    def digits(self) -> int | None:
        """Decimals to round to; None where there is nothing to round."""
        if self.decimals is not None:
            return self.decimals
        if self.type in FLOATS:
            return None
        scalings = self.scaled_by.values.values() if self.scaled_by else (self,)
        return max(decimals(each.scale, each.offset) for each in scalings)

    @property
    def is_number(self) -> bool:
        """Whether the value is a number that scale, range and rounding apply to."""
        return (self.type in WORDS or self.type is Type.BCD) and self.type is not Type.BOOL

    @property
    def is_whole(self) -> bool:
        """Whether the value is an int: a plain counter or code, not a scaled measurement."""
        return (
            self.is_number
            and self.type not in FLOATS
            and self.scaled_by is None
            and float(self.scale).is_integer()
            and float(self.offset).is_integer()
            and not self.unit
        )

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if fault := next(self._faults(), None):
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        yield from self._faults_of_type()
        if len({bit.bit for bit in self.bits}) < len(self.bits):
            yield "two of the `bits` have the same number"
        if any(bit.bit >= 16 * self.words for bit in self.bits):
            yield f"a bit is outside the {16 * self.words} bits of the value"
        if self.name in RESERVED:
            yield f"`{self.name}` is a name that the database keeps for itself: call it otherwise"
        yield from self._faults_of_number()
        if self.spec_where and self.spec is None:
            yield "`spec_where` says where `spec` applies, and there is none"
        if self.show is not None and self.count is not None:
            yield "a tile shows single values, not an array"
        if self.show is not None and self.label is None:
            yield "a value that is shown needs a `label` in both languages"

    def _faults_of_number(self) -> Iterator[str]:
        if self.scale == 0:
            yield "`scale` 0 makes every value 0"
        if self.scaled_by is not None and (self.scale, self.offset) != (1, 0):
            yield "`scaled_by` stands in place of `scale` and `offset`"
        if not self.is_number and (self.scaled_by or self.compress):
            yield "`scaled_by` and `compress` are for numbers"
        low, high = INTEGERS.get(self.type, (-math.inf, math.inf))
        if any(not low <= each <= high for each in self.sentinels):
            yield f"`sentinels` are raw numbers, of {self.type} from {low} to {high}"
        if self.rollover is not None and not self.is_whole:
            yield "`rollover` is for counters: whole numbers without scale or unit"

    def _faults_of_type(self) -> Iterator[str]:
        coded = {Type.ENUM, Type.BITFIELD, Type.BCD}
        if self.type is Type.STRING and self.length is None:
            yield "a string needs `length`, its number of registers"
        if self.type in coded and self.words not in {1, 2, 4}:
            yield "an enum, bitfield or bcd is 1, 2 or 4 registers long"
        if self.length is not None and self.type in WORDS:
            yield f"`length` is given by the type {self.type}"
        if self.table is not None and self.table.holds_bits and self.type is not Type.BOOL:
            yield f"the table {self.table} holds single bits: the type must be bool"
        if self.type is Type.ENUM and not self.values:
            yield "an enum needs `values`, as { 0 = 'off', 1 = 'idle' }"
        if not all(re.fullmatch(r"\d+", key) for key in self.values):
            yield "the keys of `values` are the register's numbers, as 0 or 17"
        if self.type is Type.BITFIELD and not self.bits:
            yield "a bitfield needs `bits`"
        for key, types in _ONLY_FOR.items():
            if getattr(self, key) is not None and self.type not in types:
                yield f"`{key}` is for the type {' or '.join(sorted(types))}"
