"""From the records of a channel's steps to cycles.

Cycle → step → record: a step that was interrupted and resumed has several records, which the
machine numbers or not. This tells which records make a cycle; `cycle_summary` sums them. A cycle is complete when its steps are those of a known program, one after
the other, none of their records missing. Of any other there are counts, but no sums: a capacity
from which an hour is missing is worse than none.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, groupby
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, model_validator

from collectors.record import Result, TimeSource
from collectors.register import Name, Positive
from collectors.toml_file import Strict

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Cycles(Strict):
    """How the steps of a channel make cycles. Names are registers or tags of the record.

    `charge` to `capacity` are kinds of steps; end reasons are those of the register's table.
    Capacity is what the last step of `capacity` gave, if it ended by one of `empty_by`. A cell
    began empty if its first charge began at `empty_below_v` or less: only then what it gives is
    what it took, and the cycle has an efficiency.
    """

    channel: Name
    cycle: Name
    step: Name
    step_no: Name
    part: Name | None = None  # 1 for a step's first record, +1 for each after an interruption
    end_reason: Name
    capacity_ah: Name
    energy_wh: Name
    duration_s: Name
    v_start: Name
    v_end: Name
    i_end: Name  # positive in charge, or the resistance of a pulse will not be told
    t_max: Name

    programs: Annotated[tuple[Names, ...], Field(min_length=1)]  # the steps of a cycle, in order
    charge: Names
    constant_voltage: tuple[str, ...] = ()  # those of `charge` that hold the voltage
    discharge: Names
    capacity: Names
    empty_by: Names
    empty_below_v: Positive
    pulse: tuple[str, ...] = ()  # short steps that the resistance is measured with
    interrupted: tuple[str, ...] = ()  # end reasons after which the same step goes on
    stopped: tuple[str, ...] = ()  # end reasons after which the cell's program does not

    @property
    def columns(self) -> Mapping[str, str]:
        """Which register each fact of a `StepRecord` comes from."""
        names = ("cycle", "step", "step_no", "part", "end_reason", *_NUMBERS)
        found = {name: getattr(self, name) for name in names}
        return {name: register for name, register in found.items() if register is not None}

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for one in self.programs:
            if any(other != one and other[: len(one)] == one for other in self.programs):
                raise ValueError("one program begins as another: nothing would tell that it ended")
        if alien := {*self.constant_voltage} - {*self.charge}:
            raise ValueError(f"`{min(alien)}` holds the voltage, but is no `charge`")
        if alien := {*self.capacity, *self.pulse} - {*self.charge, *self.discharge}:
            raise ValueError(f"`{min(alien)}` is neither `charge` nor `discharge`")
        return self


def faults_of_cycles(rule: Cycles, tables: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield what is wrong with a rule, of a record whose registers have these tables of names.

    A name that no register ever tells would join steps wrongly, without a word.
    """
    for name in sorted({rule.channel, *rule.columns.values()} - tables.keys()):
        yield f"cycles: the record has no `{name}`"
    kinds = {*rule.charge, *rule.discharge, *chain.from_iterable(rule.programs)}
    reasons = {*rule.empty_by, *rule.interrupted, *rule.stopped}
    for register, used in ((rule.step, kinds), (rule.end_reason, reasons)):
        for name in sorted(used - {*tables.get(register, used)}):
            yield f"cycles: `{register}` never is `{name}`"


_NUMBERS = ("capacity_ah", "energy_wh", "duration_s", "v_start", "v_end", "i_end", "t_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What one record tells of a step; None where it has no good value."""

    epoch: int
    seq: int
    time_ns: int
    time_source: TimeSource
    serial: str
    result: Result
    code: str
    cycle: int | None = None
    step: str | None = None
    step_no: int | None = None
    part: int | None = None
    end_reason: str | None = None
    capacity_ah: float | None = None
    energy_wh: float | None = None
    duration_s: float | None = None
    v_start: float | None = None
    v_end: float | None = None
    i_end: float | None = None
    t_max: float | None = None

    def facts(self) -> dict[str, Any]:
        """Return what there is to remember, as JSON takes it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Run(NamedTuple):
    """The records of one cycle, oldest first; `first` and `last` where only those matter."""

    records: Sequence[StepRecord]

    @property
    def first(self) -> StepRecord:
        """The oldest record."""
        return self.records[0]

    @property
    def last(self) -> StepRecord:
        """The newest record."""
        return self.records[-1]


def ended(rule: Cycles, newest_first: Iterable[StepRecord]) -> Iterator[Run]:
    """Yield the cycles that a channel's newest record ends: its own, or the one before it.

    `newest_first` is read no further than to the beginning of the cycle before.
    """
    current, before = _last_two(rule, newest_first)
    if before and len(current) == 1 and not _has_ended(rule, before):
        yield Run(before)
    if _has_ended(rule, current):
        yield Run(current)


def _last_two(
    rule: Cycles, newest_first: Iterable[StepRecord]
) -> tuple[list[StepRecord], list[StepRecord]]:
    current: list[StepRecord] = []
    before: list[StepRecord] = []
    group = current
    for record in newest_first:
        if group and _begins(rule, record, group[-1]):
            if group is before:
                break
            group = before
        group.append(record)
    return current[::-1], before[::-1]


def _begins(rule: Cycles, before: StepRecord, after: StepRecord) -> bool:
    """Whether `after` belongs to another cycle than the record before it."""
    if (before.serial, before.cycle) != (after.serial, after.cycle):
        return True
    if before.end_reason in rule.stopped or before.step_no is None or after.step_no is None:
        return True
    is_resumed = before.step_no == after.step_no and (
        before.end_reason in rule.interrupted or (after.part or 1) > (before.part or 1)
    )
    return after.step_no <= before.step_no and not is_resumed


def _has_ended(rule: Cycles, records: Sequence[StepRecord]) -> bool:
    last = records[-1]
    if last.end_reason in rule.stopped:
        return True
    if last.end_reason in rule.interrupted:
        return False
    kinds = groupby(records, lambda each: (each.step_no, each.step))
    return tuple(step for (_, step), _ in kinds) in rule.programs
