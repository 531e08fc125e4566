"""What a cycle came to: its sums, efficiencies and resistance, or what it lacks for them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import NamedTuple

from collectors.formation import Cycles, Run, StepRecord
from collectors.quality import Fault, Reason
from collectors.record import Result
from collectors.sample import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A cycle that has ended, known by its last record. `lack` is "" when it is complete.

    Values of an incomplete cycle are missing, each with its fault.
    """

    last: StepRecord
    result: Result
    code: str
    lack: str
    values: Mapping[str, Value]
    faults: Mapping[str, Fault]


def summary(rule: Cycles, run: Run, *, is_gapless: bool) -> Summary:
    """Return the summary of an ended cycle.

    `is_gapless`: no record is missing between the cycle's first and last one, as far as the
    numbers of a step's records do not tell anyway.
    """
    steps = [_Step(tuple(parts)) for _, parts in groupby(run.records, lambda each: each.step_no)]
    lack = next(_lacks(rule, steps), "" if is_gapless else "records_lost")
    sheet = _Sheet(is_complete=not lack)
    _fill(sheet, rule, steps)
    result, code = _verdict(run.records, is_complete=not lack)
    counts: dict[str, Value] = {
        "complete": int(not lack),
        "lack": lack,
        "steps": len(steps),
        "interruptions": sum(len(step.parts) - 1 for step in steps),
        "end_reason": run.last.end_reason or "",
    }
    if run.last.cycle is not None:
        counts["cycle"] = run.last.cycle
    return Summary(
        last=run.last,
        result=result,
        code=code,
        lack=lack,
        values={**counts, **sheet.values},
        faults=sheet.faults,
    )


class _Step(NamedTuple):
    """A step: one record, or several if it was interrupted."""

    parts: tuple[StepRecord, ...]

    @property
    def name(self) -> str | None:
        return self.parts[0].step

    @property
    def last(self) -> StepRecord:
        return self.parts[-1]

    def total(self, name: str) -> float | None:
        """Return the sum over the step's records, if each has the value.

        Some machines give what a discharge took a sign; the kind of the step tells it anyway.
        """
        found = [getattr(each, name) for each in self.parts]
        return _total(None if value is None else abs(value) for value in found)


def _total(values: Iterable[float | None]) -> float | None:
    found = list(values)
    return None if None in found else sum(each for each in found if each is not None)


def _lacks(rule: Cycles, steps: Sequence[_Step]) -> Iterator[str]:
    """Yield what a cycle lacks, what tells most first."""
    names, last = tuple(step.name or "" for step in steps), steps[-1].last
    if last.end_reason in rule.stopped:
        yield "stopped"
    if any((b.last.step_no or 0) - (a.last.step_no or 0) != 1 for a, b in pairwise(steps)):
        yield "step_missing"
    if not all(_is_whole(rule, step) for step in steps[:-1]):
        yield "part_missing"
    if last.end_reason in rule.interrupted:
        yield "unfinished"
    if not _is_whole(rule, steps[-1]):
        yield "part_missing"
    if names not in rule.programs:
        if any(names == program[: len(names)] for program in rule.programs):
            yield "unfinished"
        is_end = any(names == program[-len(names) :] for program in rule.programs)
        yield "step_missing" if is_end else "program_unknown"


def _is_whole(rule: Cycles, step: _Step) -> bool:
    """Whether each record of a step is there: all but the last were interrupted."""
    *cut, last = (each.end_reason in rule.interrupted for each in step.parts)
    if last or not all(cut):
        return False
    numbers = [each.part for each in step.parts]
    return rule.part is None or numbers == list(range(1, len(numbers) + 1))


@dataclass(slots=True)
class _Sheet:
    """Values of a cycle as they are found, and why others are not."""

    is_complete: bool
    values: dict[str, Value] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)

    def put(
        self, name: str, value: float | None, digits: int, unless: Reason = Reason.NONE
    ) -> None:
        """Put down a value; `unless` tells a condition that is not met, None a missing input."""
        if not self.is_complete:
            self.faults[name] = Fault(reason=Reason.INCOMPLETE)
        elif unless:
            self.faults[name] = Fault(reason=unless)
        elif value is None:
            self.faults[name] = Fault(reason=Reason.INPUT)
        else:
            self.values[name] = round(value, digits)


def _fill(sheet: _Sheet, rule: Cycles, steps: Sequence[_Step]) -> None:
    def total(name: str, kinds: Sequence[str]) -> float | None:
        return _total(step.total(name) for step in steps if step.name in kinds)

    charge_ah = total("capacity_ah", rule.charge)
    discharge_ah = total("capacity_ah", rule.discharge)
    charge_wh, discharge_wh = total("energy_wh", rule.charge), total("energy_wh", rule.discharge)
    held_ah = total("capacity_ah", rule.constant_voltage)
    graded = [step for step in steps if step.name in rule.capacity]
    is_emptied = bool(graded) and graded[-1].last.end_reason in rule.empty_by
    is_closed = is_emptied and _began_empty(rule, steps)
    capacity_ah = graded[-1].total("capacity_ah") if graded else None
    hottest = [each.t_max for step in steps for each in step.parts]
    not_emptied = Reason.NONE if is_emptied else Reason.NOT_EMPTY
    not_closed = Reason.NONE if is_closed else Reason.NOT_EMPTY

    sheet.put("charge_ah", charge_ah, 4)
    sheet.put("discharge_ah", discharge_ah, 4)
    sheet.put("charge_wh", charge_wh, 3)
    sheet.put("discharge_wh", discharge_wh, 3)
    sheet.put("capacity_ah", capacity_ah, 4, not_emptied)
    sheet.put("coulombic_percent", _percent(discharge_ah, charge_ah), 3, not_closed)
    sheet.put("energy_percent", _percent(discharge_wh, charge_wh), 3, not_closed)
    if rule.constant_voltage:
        sheet.put("cv_percent", _percent(held_ah, charge_ah), 3)
    sheet.put("duration_s", _total(step.total("duration_s") for step in steps), 0)
    sheet.put("t_max", None if None in hottest else max(h for h in hottest if h is not None), 1)
    pulses = (pair for pair in pairwise(steps) if pair[1].name in rule.pulse)
    if pair := next(pulses, None):
        _put_resistance(sheet, *pair)


def _began_empty(rule: Cycles, steps: Sequence[_Step]) -> bool:
    first = next((step for step in steps if step.name in rule.charge), None)
    v_start = first.parts[0].v_start if first else None
    return v_start is not None and v_start <= rule.empty_below_v


def _percent(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


def _put_resistance(sheet: _Sheet, before: _Step, pulse: _Step) -> None:
    """Put down the resistance by a pulse, with its length, currents and voltages: never alone."""
    volts = (before.last.v_end, pulse.last.v_end)
    amperes = (before.last.i_end, pulse.last.i_end)
    resistance = _resistance(volts, amperes)
    unless = Reason.NONE
    if len(pulse.parts) > 1:
        unless = Reason.INTERRUPTED
    elif resistance is not None and resistance <= 0:
        unless = Reason.IMPLAUSIBLE
    sheet.put("dcir_mohm", resistance, 3, unless)
    sheet.put("dcir_pulse_s", pulse.total("duration_s"), 1)
    for name, pair, digits in (("v", volts, 4), ("i", amperes, 3)):
        sheet.put(f"dcir_{name}_before", pair[0], digits)
        sheet.put(f"dcir_{name}_after", pair[1], digits)


def _resistance(
    volts: tuple[float | None, float | None], amperes: tuple[float | None, float | None]
) -> float | None:
    (v_before, v_after), (i_before, i_after) = volts, amperes
    if v_before is None or v_after is None or i_before is None or i_after is None:
        return None
    return None if i_before == i_after else 1000 * (v_before - v_after) / (i_before - i_after)


def _verdict(records: Sequence[StepRecord], *, is_complete: bool) -> tuple[Result, str]:
    """Return the result of a cycle: NG if a step was, with the first reason; OK if all were."""
    results = [each.result for each in records]
    if Result.TEST in results:
        return Result.TEST, "none"
    bad = next((each for each in records if each.result is Result.NG), None)
    if bad is not None:
        return Result.NG, bad.code
    is_ok = is_complete and set(results) == {Result.OK}
    return (Result.OK if is_ok else Result.UNKNOWN), "none"
