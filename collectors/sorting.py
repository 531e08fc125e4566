"""What earlier measurements of a cell tell of it: its self-discharge, and whether it was here before.

K is the open-circuit voltage that a cell loses in a time: (OCV1 - OCV2) / (t2 - t1). It is a few
hundredths of a millivolt an hour, so it is computed only where nothing else moved the voltage: a
cell that has rested, at the same temperature, between two times of one trusted clock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from collectors.derived import DerivedQuantity
from collectors.quality import Fault, Reason
from collectors.record import Result, TimeSource
from collectors.register import Name, Positive
from collectors.toml_file import Strict

_HOUR_NS = 3_600_000_000_000
_HOURS = {"mV/h": 1.0, "mV/d": 24.0}
_MILLIVOLTS = {"mV": 1.0, "V": 1000.0}
_CLOCKS_DISAGREE = 0.05  # of the rest: by more, the machine's clock was set between the two


class KValue(DerivedQuantity):
    """How K is computed; `ocv` and `temperature` are registers of the record.

    Of the earlier measurements the newest that meets the conditions counts.
    """

    ocv: Name
    temperature: Name
    unit: Literal["mV/h", "mV/d"]
    sign: Literal["loss_is_positive", "loss_is_negative"]
    min_rest_h: Positive  # before, a cell's voltage still relaxes
    max_temperature_difference: Annotated[float, Field(ge=0)]  # in the register's unit
    across_stations: bool = False  # of two machines, each with a clock of its own
    agent_clock: bool = False  # also between times of the agent's clock: NTP must keep it
    decimals: Annotated[int, Field(ge=0, le=9)] = 4


class Repeats(Strict):
    """When a serial that was measured before is the same cell, measured again.

    It is when either measurement was a test, when the earlier one ended with a code of
    `again_after` (the cell is put in again), or when they are `apart_h` apart. Any other is a
    duplicate: two cells with one serial, or one cell counted twice.
    """

    apart_h: Positive
    again_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement of a cell. `values` holds the good ones only.

    `heard_ns` is the agent's clock when it heard of it first: what the machine's is checked by.
    """

    station: str
    epoch: int
    seq: int
    time_ns: int
    time_source: TimeSource
    heard_ns: int
    result: Result
    code: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class K:
    """A K value and the earlier measurement it comes from, or why there is none."""

    value: float | Fault
    rest_h: float | None = None
    earlier: Measured | None = None


NOT_SCANNED = K(value=Fault(reason=Reason.NO_EARLIER))  # without a serial, none can be found
NO_MEMORY = K(value=Fault(reason=Reason.NO_MEMORY))


def k_value(rule: KValue, ocv_unit: str, earlier: Sequence[Measured], now: Measured) -> K:
    """Return K of a cell; `earlier` are the measurements before `now`, the newest first."""
    found = [_pair(rule, ocv_unit, each, now) for each in earlier if each.result != Result.TEST]
    if not found:
        return K(value=Fault(reason=Reason.NO_EARLIER))
    return next((each for each in found if not isinstance(each.value, Fault)), found[0])


def duplicate(rule: Repeats, earlier: Iterable[Measured], now: Measured) -> Measured | None:
    """Return the measurement that `now` repeats without being a measurement of the same cell."""
    last = next((each for each in earlier if each.result != Result.TEST), None)
    if last is None or now.result == Result.TEST or last.code in rule.again_after:
        return None
    is_apart = now.time_ns - last.time_ns >= rule.apart_h * _HOUR_NS
    return None if is_apart else last


def _pair(rule: KValue, ocv_unit: str, earlier: Measured, now: Measured) -> K:
    rest_h = (now.time_ns - earlier.time_ns) / _HOUR_NS
    return K(value=_value(rule, ocv_unit, earlier, now), rest_h=rest_h, earlier=earlier)


def _value(rule: KValue, ocv_unit: str, earlier: Measured, now: Measured) -> float | Fault:
    pair = (earlier.values, now.values)
    before, after = (each.get(rule.ocv) for each in pair)
    cold, warm = (each.get(rule.temperature) for each in pair)
    if before is None or after is None or cold is None or warm is None:
        return Fault(reason=Reason.INPUT, raw=rule.ocv if None in (before, after) else None)
    if not _is_one_clock(rule, earlier, now):
        return Fault(reason=Reason.CLOCK)
    rest_h = (now.time_ns - earlier.time_ns) / _HOUR_NS
    if rest_h < rule.min_rest_h:
        return Fault(reason=Reason.REST, raw=round(rest_h, 2))
    if abs(warm - cold) > rule.max_temperature_difference:
        return Fault(reason=Reason.TEMPERATURE, raw=round(warm - cold, 2))
    loss = (before - after) * _MILLIVOLTS[ocv_unit] / rest_h * _HOURS[rule.unit]
    return round(loss if rule.sign == "loss_is_positive" else -loss, rule.decimals)


def _is_one_clock(rule: KValue, earlier: Measured, now: Measured) -> bool:
    """Whether the time between two measurements can be believed.

    A machine's clock must say the same as the agent's did when it heard of the parts.
    """
    if now.time_source is not earlier.time_source or now.time_ns <= earlier.time_ns:
        return False
    if earlier.station != now.station and not rule.across_stations:
        return False
    if now.time_source is TimeSource.AGENT:
        return rule.agent_clock
    rest_ns = now.time_ns - earlier.time_ns
    return abs(now.heard_ns - earlier.heard_ns - rest_ns) <= _CLOCKS_DISAGREE * rest_ns


def faults_of_k(rule: KValue, units: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with a rule; `units` are those of the record's numbers, by name."""
    for name in (rule.ocv, rule.temperature):
        if name not in units:
            yield f"k_value: there is no number `{name}` in the record"
    if units.get(rule.ocv, "mV") not in _MILLIVOLTS:
        yield f"k_value: `{rule.ocv}` must be in mV or V"
