"""Which values are stored: those from which all others can be told, within a stated tolerance.

A row of the database holds the values that moved. How its reader tells "unchanged" from "missing":

- `bad` and `quality` of a row speak of the whole poll, never only of what the row holds;
- a row that leaves out good values says how many were good (`Sample.left_out` → field `good`);
- each register is stored at least once in its `max_interval_s`, be it as a value or as a fault, so
  a longer silence is a gap: the agent was down. A power cut may cost what was held back, that is
  the last `max_interval_s` of a curve; a proper stop costs nothing.

Deadbands are read as steps: a value holds until the next one. Swinging doors are read as straight
lines from one stored value to the next. What is stored was measured: no value is computed. A mean
over rows weighs rows, not time, so what a dashboard averages is better left uncompressed.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from collectors.counter import total_name
from collectors.profile import Profile
from collectors.register import Compression, Register
from collectors.sample import Sample

_SLACK = 1 + 1e-9  # 20.1 is 0.1 away from 20.0, whatever binary fractions make of it
_ROUNDING = 1e-15  # of a number: more than a slope can be wrong by
_STEEPEST = sys.float_info.max


class ChangeFilter:
    """Takes the samples of one station and returns what is to be stored of them."""

    def __init__(self, profile: Profile) -> None:
        self._station = _rules(profile.registers)
        self._channel = _rules(profile.channels.registers) if profile.channels else {}
        self._curves: dict[tuple[str, str], _Curve] = {}

    def sampled(self, sample: Sample) -> Sequence[Sample]:
        """Return the samples to store, oldest first: some may be earlier ones, with their time.

        A sample of which all is stored is returned itself.
        """
        rules = self._channel if sample.channel else self._station
        if not rules:
            return (sample,)
        rows = _Rows()
        only_faults = (name for name in sample.faults if name not in sample.values)
        for name in chain(sample.values, only_faults):
            if rule := rules.get(name):
                rows.add(name, self._curve(sample.channel, name, rule).take(sample))
            else:
                rows.add(name, (sample,))
        return rows.samples()

    def flush(self) -> Sequence[Sample]:
        """Return what is held back. For the end: afterwards each curve goes on from there."""
        rows = _Rows()
        for (_, name), curve in self._curves.items():
            rows.add(name, curve.flush())
        return rows.samples()

    def _curve(self, channel: str, name: str, rule: Compression) -> "_Curve":
        curve = self._curves.get((channel, name))
        if curve is None:
            curve = self._curves[channel, name] = _Curve(name, rule)
        return curve


def _rules(registers: Iterable[Register]) -> Mapping[str, Compression]:
    rules: dict[str, Compression] = {}
    for register in registers:
        if register.compress is not None:
            rules[register.name] = register.compress
            if register.rollover is not None:
                rules[total_name(register.name)] = register.compress
    return rules


class _Rows:
    """Gathers which registers of which samples are stored."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[Sample, list[str]]] = {}

    def add(self, name: str, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self._names.setdefault(id(sample), (sample, []))[1].append(name)

    def samples(self) -> list[Sample]:
        rows = (_part(sample, names) for sample, names in self._names.values())
        return sorted(rows, key=lambda row: row.time_ns)


def _part(sample: Sample, names: Iterable[str]) -> Sample:
    values = {name: sample.values[name] for name in names if name in sample.values}
    if len(values) == len(sample.values):
        return sample
    return Sample(
        station=sample.station,
        group=sample.group,
        time_ns=sample.time_ns,
        values=values,
        faults=sample.faults,
        channel=sample.channel,
        left_out=len(sample.values) - len(values),
    )


class _Curve:
    """One register: what of it was stored last, and the newest sample that was not."""

    def __init__(self, name: str, rule: Compression) -> None:
        self._name = name
        self._max_ns = int(rule.max_interval_s * 1e9)
        self._tolerance = _Door(rule.swinging_door) if rule.swinging_door else _Deadband(rule)
        self._stores_corners = rule.swinging_door is not None
        self._stored: Sample | None = None
        self._stored_ns = 0
        self._held: Sample | None = None

    def take(self, sample: Sample) -> Sequence[Sample]:
        """Return the samples whose value or fault is to be stored."""
        last = self._held or self._stored
        if last is None or self._begins_anew(sample, last):
            return [*self.flush(), self._store(sample)]
        if sample.time_ns == last.time_ns:
            return ()  # it would overwrite what the curve was measured against
        kept = self.flush() if self._age_ns(sample) > self._max_ns else []
        fits = self._fits(sample)
        if not fits and self._stores_corners and self._held is not None:
            kept = self.flush()
            fits = self._fits(sample)
        if fits and self._age_ns(sample) < self._max_ns:
            self._held = sample
            return kept
        return [*kept, self._store(sample)]

    def flush(self) -> list[Sample]:
        """Return what is held back, as a point of the curve."""
        return [] if self._held is None else [self._store(self._held)]

    def _begins_anew(self, sample: Sample, last: Sample) -> bool:
        """Tell a new fault or its end, and a clock that was put back."""
        fault, before = sample.faults.get(self._name), last.faults.get(self._name)
        if fault is not before and (
            fault is None
            or before is None
            or (fault.reason, fault.quality) != (before.reason, before.quality)
        ):
            return True
        return sample.time_ns < last.time_ns

    def _age_ns(self, sample: Sample) -> int:
        return sample.time_ns - self._stored_ns

    def _store(self, sample: Sample) -> Sample:
        self._stored, self._held, self._stored_ns = sample, None, sample.time_ns
        if (value := self._number(sample)) is not None:
            self._tolerance.start(sample.time_ns, value)
        return sample

    def _fits(self, sample: Sample) -> bool:
        value = self._number(sample)  # None: a fault that stands
        return value is None or self._tolerance.fits(sample.time_ns, value)

    def _number(self, sample: Sample) -> int | float | None:
        value = sample.values.get(self._name)
        return None if isinstance(value, str) else value


class _Deadband:
    """A band around the last stored value."""

    def __init__(self, rule: Compression) -> None:
        self._deadband = rule.deadband
        self._part = (rule.deadband_percent or 0) / 100
        self._value: int | float = 0
        self._width = 0.0

    def start(self, time_ns: int, value: float) -> None:
        """Begin at a stored value."""
        del time_ns
        self._value = value
        self._width = (self._deadband or self._part * abs(value)) * _SLACK

    def fits(self, time_ns: int, value: float) -> bool:
        """Return whether the stored value tells of this one."""
        del time_ns
        return abs(value - self._value) <= self._width


class _Door:
    """The straight lines from the last stored value that pass every later one closely enough."""

    def __init__(self, width: float) -> None:
        self._width = width * _SLACK
        self._time_ns = 0
        self._value: int | float = 0
        self._low, self._high = -_STEEPEST, _STEEPEST  # slopes, per ns

    def start(self, time_ns: int, value: float) -> None:
        """Begin at a stored value: every slope will do."""
        self._time_ns, self._value = time_ns, value
        self._low, self._high = -_STEEPEST, _STEEPEST

    def fits(self, time_ns: int, value: float) -> bool:
        """Return whether the line to this value tells of all between; if so, close on it."""
        past_ns = time_ns - self._time_ns
        rise = value - self._value
        if not self._low <= rise / past_ns <= self._high:
            return False
        room = self._width - _ROUNDING * (abs(value) + abs(self._value))
        self._low = max(self._low, (rise - room) / past_ns)
        self._high = min(self._high, (rise + room) / past_ns)
        return True
