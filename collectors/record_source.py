"""How a machine shows its finished parts: one table of the profile, `[records]`.

Four shapes are known. Each names a trigger, the registers of one part, and what tells that a
part was missed:

- `ring`: slots that the machine fills in turn; each begins and ends with the part's sequence;
- `block`: one block, overwritten by each part, and a counter that moves once it is whole;
- `signal`: one block, and a bit that rises, or toggles, once it is whole. Nothing numbers the
  parts, so Lini counts them;
- `fifo`: a queue read by function 24. Its entries may hold a sequence; if not, Lini counts.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from collectors.block import Registers
from collectors.formation import Cycles, faults_of_cycles
from collectors.record import Record, Result
from collectors.record_formulas import Check, Derived, faults_of_checks, faults_of_derived
from collectors.register import Address, Name, Positive, Register, Type
from collectors.sorting import KValue, Repeats, faults_of_k
from collectors.toml_file import Strict

Quantity = Register | Derived | KValue  # a value of a part, measured or derived
QUEUE_REGISTERS = 31  # the most that function 24 can answer


class Shape(StrEnum):
    """How parts stand in the machine's memory."""

    RING = "ring"
    BLOCK = "block"
    SIGNAL = "signal"
    FIFO = "fifo"


_NEEDS = {
    Shape.RING: {"sequence", "write_index", "slots", "stride", "begin", "end"},
    Shape.BLOCK: {"sequence"},
    Shape.SIGNAL: {"signal", "edge", "cycle_s"},
    Shape.FIFO: {"stride"},
}
_MAY = {
    Shape.RING: {"wrap", "wrap_to"},
    Shape.BLOCK: {"wrap", "wrap_to", "begin", "end", "settle_s"},
    Shape.SIGNAL: {"total", "wrap", "settle_s"},
    Shape.FIFO: {"begin", "end", "wrap", "wrap_to", "total", "settle_s"},
}
_OF_SHAPES = frozenset[str]().union(*_NEEDS.values(), *_MAY.values())


class RecordSource(Strict):
    """Where the records of a machine come from. Names in the first part are main registers."""

    kind: Literal["weld", "cell", "formation_step"]
    shape: Shape = Shape.RING
    period_s: Positive
    sequence: Name | None = None  # number of the newest part; 0 before the first
    write_index: Name | None = None  # slot that the next part goes to
    signal: Name | None = None  # bit that tells of a part
    edge: Literal["rising", "toggle"] | None = None  # 1: the block is valid; or each change: a part
    total: Name | None = None  # the machine's count of parts: tells how many were missed
    acknowledge: Name | None = None  # told what is stored; the site must allow it as well

    wrap: Annotated[int, Field(ge=2, le=2**32)] = 2**32  # how many numbers sequence or total have
    wrap_to: Literal[0, 1] = 0  # the number that follows the last one
    settle_s: Annotated[float, Field(ge=0, le=1)] = 0.05  # from a block's first word to its trigger
    cycle_s: Positive | None = None  # shortest time from part to part: what looks must be closer to

    address: Address  # of the first slot, the block or the queue
    slots: Annotated[int, Field(ge=2)] = 2
    stride: Annotated[int, Field(ge=1, le=125)] = 125  # registers of one slot or entry
    begin: Name | None = None  # the part's sequence in the slot, written first
    end: Name | None = None  # and last
    time_s: Name | None = None  # machine clock, seconds since 1970
    time_ms: Name | None = None  # and its milliseconds
    result: Name = "result"
    code: Name = "code"
    serial: Name = "serial"
    mode: Name | None = None  # in which the part was made
    test: tuple[int, ...] = ()  # numbers of `mode` whose parts do not count
    tags: tuple[Name, ...] = ()
    registers: Registers
    derived: tuple[Derived, ...] = ()
    checks: tuple[Check, ...] = ()
    k_value: KValue | None = None  # of cells, from an earlier measurement
    repeats: Repeats | None = None  # of cells: what tells a second look from a second cell
    cycles: Cycles | None = None  # of formation steps: what they make together

    @property
    def is_numbered(self) -> bool:
        """Whether the machine numbers its parts; if not, Lini does."""
        return self.sequence is not None or self.begin is not None

    @property
    def entries(self) -> int:
        """How many parts the machine can hold."""
        match self.shape:
            case Shape.RING:
                return self.slots
            case Shape.FIFO:
                return QUEUE_REGISTERS // self.stride
        return 1

    @property
    def roles(self) -> frozenset[str]:
        """Names of the slot's registers that are not measured values."""
        named = (self.begin, self.end, self.time_s, self.time_ms, self.mode)
        more = (self.result, self.code, self.serial, *self.tags)
        return frozenset(name for name in (*named, *more) if name)

    @property
    def measured(self) -> tuple[Register, ...]:
        """The slot's registers that are values of the part."""
        return tuple(each for each in self.registers if each.name not in self.roles)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The values of the part that are stored and shown: measured, and derived from them."""
        return (*self.measured, *self.derived, *([self.k_value] if self.k_value else ()))

    def limits_of(self, record: Record) -> Iterator[tuple[str, tuple[float, float]]]:
        """Yield the values of a part, or of a cycle, that are judged, with lower and upper limit."""
        if record.kind != self.kind:
            yield from self._limits_of_cycle(record)
            return
        facts = {**record.values, **record.tags}
        for each in self.quantities:
            where = each.spec_where if isinstance(each, Register) else {}
            if each.spec and all(str(facts.get(name)) in those for name, those in where.items()):
                yield each.name, each.spec

    def _limits_of_cycle(self, record: Record) -> Iterator[tuple[str, tuple[float, float]]]:
        """Yield the limits of the capacity: a step of many parts is judged as a whole."""
        for each in self.registers if self.cycles else ():
            is_capacity = self.cycles and each.name == self.cycles.capacity_ah
            if is_capacity and each.spec and "capacity_ah" in record.values:
                yield "capacity_ah", each.spec

    @property
    def has_code(self) -> bool:
        """Whether the machine tells why it rejected a part."""
        return any(each.name == self.code for each in self.registers)

    def main_registers(self) -> Iterator[str]:
        """Yield the registers of the main map that the source names."""
        named = (self.sequence, self.write_index, self.signal, self.total, self.acknowledge)
        yield from (name for name in named if name)

    @property
    def identity(self) -> frozenset[str]:
        """The slot's registers by which a part is known again.

        With a clock in the slot, its stamp and serial: other values of a stored part may be
        edited later, as by an inspection. What has no number is known by all of it.
        """
        if self.is_numbered and self.time_s:
            named = (self.begin, self.end, self.time_s, self.time_ms, self.serial)
            return frozenset(name for name in named if name)
        return frozenset(each.name for each in self.registers)

    @property
    def _reach(self) -> int:
        """How many addresses the parts stand in; a queue is behind one."""
        match self.shape:
            case Shape.RING:
                return self.slots * self.stride
            case Shape.FIFO:
                return 1
        return max((each.end for each in self.registers), default=0)

    @property
    def most_behind(self) -> int:
        """How many parts a step back may mean to be the wrap of a counter, and not its reset."""
        return max(2 * self.entries, self.wrap // 8)

    def number_of(self, seq: int) -> int:
        """Return the machine's own number of part `seq`, which counts on through the wraps."""
        return (seq - self.wrap_to) % self.wrap + self.wrap_to

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if fault := next(self._faults(), None):
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        yield from self._faults_of_shape()
        by_name = {each.name: each for each in self.registers}
        optional = {"result", "code", "serial"} - {
            getattr(self, role) for role in ("result", "code", "serial") if self._sets(role)
        }
        for name in sorted(self.roles - by_name.keys() - optional):
            yield f"the slot has no register `{name}`"
        if any(each.compress or each.rollover for each in self.registers):
            yield "`compress` and `rollover` are for telemetry: a record is stored whole"
        for name in {self.result, self.code} & by_name.keys():
            if by_name[name].type is not Type.ENUM:
                yield f"`{name}` must be an enum: its numbers need names"
        if self.result in by_name and (
            unknown := set(by_name[self.result].values.values()) - {*Result}
        ):
            yield f"results are {', '.join(Result)}, not {', '.join(sorted(unknown))}"
        if self.mode in by_name and not by_name[self.mode].is_whole:
            yield f"`{self.mode}` must be a whole number, as those of `test`"
        yield from self._faults_of_formulas()
        yield from self._faults_of_families()

    def _faults_of_formulas(self) -> Iterator[str]:
        numbers = [each.name for each in self.registers if each.is_number]
        others = {each.name for each in self.registers} - {*numbers}
        for each in self.derived:
            if each.name in others:
                yield f"there is a `{each.name}` already: call the derived value otherwise"
        yield from faults_of_derived(self.derived, numbers)
        yield from faults_of_checks(self.checks, numbers, [each.name for each in self.measured])

    def _faults_of_families(self) -> Iterator[str]:
        by_name = {each.name: each for each in self.registers}
        for each in self.registers:
            for name in each.spec_where.keys() - by_name.keys():
                yield f"`{each.name}`: `spec_where` names `{name}`, which the record has not"
        if (self.k_value or self.repeats) and self.kind != "cell":
            yield "`k_value` and `repeats` are for cells"
        if self.k_value:
            units = {name: each.unit for name, each in by_name.items() if each.is_number}
            yield from faults_of_k(self.k_value, units)
            if self.k_value.name in {*by_name, *(each.name for each in self.derived)}:
                yield f"there is a `{self.k_value.name}` already: call the K value otherwise"
        if self.repeats and self.code in by_name:
            codes = {*by_name[self.code].values.values()}
            for code in sorted({*self.repeats.again_after} - codes):
                yield f"repeats: `{self.code}` never is `{code}`"
        if self.cycles:
            if self.kind != "formation_step":
                yield "`cycles` are for formation steps"
            tables = {name: each.values.values() for name, each in by_name.items()}
            yield from faults_of_cycles(self.cycles, tables)

    def _faults_of_shape(self) -> Iterator[str]:
        given = {name for name in _OF_SHAPES if self._sets(name)}
        if missing := sorted(_NEEDS[self.shape] - given):
            yield f"a {self.shape} needs `{missing[0]}`"
        if alien := sorted(given - _NEEDS[self.shape] - _MAY[self.shape]):
            yield f"`{alien[0]}` is not for a {self.shape}"
        if bool(self.begin) != bool(self.end):
            yield "`begin` and `end` guard a part together"
        if self.wrap < 4 * self.entries:
            yield f"`wrap` {self.wrap} is too short to tell {self.entries} parts from a reset"
        if self.wrap + self.wrap_to > 2**32:
            yield f"`wrap` {self.wrap} and `wrap_to` {self.wrap_to} make a number of 33 bits"
        if self.shape in {Shape.RING, Shape.FIFO}:
            yield from self._faults_of_slots()
        if self.address + self._reach > 65536:
            yield "the records reach beyond address 65535"
        if self.cycle_s is not None and self.period_s > self.cycle_s:
            yield "`period_s` is longer than `cycle_s`: most parts would be missed"
        if self.acknowledge and self.shape is Shape.FIFO and not self.is_numbered:
            yield (
                "a fifo is acknowledged by sequence, so its entries need `begin`: "
                "a count of parts taken could not be sent twice"
            )

    def _faults_of_slots(self) -> Iterator[str]:
        if any(each.address + each.words > self.stride for each in self.registers):
            yield f"a register reaches beyond the slot's {self.stride} registers"
        if any(each.table for each in self.registers):
            yield "the registers of a slot are all in one table: leave `table` out"
        if self.shape is Shape.FIFO and self.stride > QUEUE_REGISTERS:
            yield f"function 24 answers at most {QUEUE_REGISTERS} registers"

    def _sets(self, name: str) -> bool:
        return name in self.model_fields_set and getattr(self, name) is not None
