"""One cell on a formation channel: a simple cell model, and the steps of a grading cycle.

Analytic throughout: what a channel shows at any moment is computed when somebody asks.
Units: V, A, Ah, Wh, s, °C. Currents are positive in charge.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

CURRENT = 1.25  # of the constant-current steps, 0.5 C
PULSE_CURRENT, PULSE_S = 2.5, 10.0  # of the pulse that the resistance is measured with, 1 C
CUT_OFF = 0.125  # of the constant-voltage step, 0.05 C
V_MAX, V_MIN = 4.20, 2.75
REST_S = 600.0
_WARM_UP_S = 900.0  # time constant of a cell's temperature
_RELAX_S = 200.0  # time constant of its voltage at rest


def open_circuit(charge: float) -> float:
    """Return the voltage at rest of an NMC cell; `charge` is 0 to 1."""
    return 3.40 + 0.80 * charge - 0.60 * math.exp(-22 * charge)


def charge_at(voltage: float) -> float:
    """Return the state of charge at which a resting cell has `voltage`."""
    low, high = 0.0, 1.2
    for _ in range(40):
        middle = (low + high) / 2
        if open_circuit(middle) < voltage:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _mean_open_circuit(start: float, end: float) -> float:
    """Return the mean voltage at rest between two states of charge."""
    if start == end:
        return open_circuit(start)

    def integral(charge: float) -> float:
        return 3.40 * charge + 0.40 * charge**2 + 0.60 / 22 * math.exp(-22 * charge)

    return (integral(end) - integral(start)) / (end - start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell: Ah, Ω, °C of the air around it, and K of its warming under current.

    `faradaic` is the share of the charge it takes that it can give again.
    """

    capacity: float
    resistance: float
    ambient: float
    warming: float
    faradaic: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(ABC):
    """One step of a cell from state of charge `start` on, for `duration` s."""

    cell: Cell
    start: float
    start_rise: float  # K above the air when the step began
    duration: float

    @abstractmethod
    def current(self, elapsed: float) -> float:
        """Return the current after `elapsed` s."""

    @abstractmethod
    def amp_hours(self, elapsed: float) -> float:
        """Return the Ah that flowed, either way."""

    @abstractmethod
    def voltage(self, elapsed: float) -> float:
        """Return the voltage of the cell."""

    @abstractmethod
    def watt_hours(self, elapsed: float) -> float:
        """Return the Wh that flowed, either way."""

    @property
    def final_rise(self) -> float:
        """K above the air that the step tends to."""
        return self.cell.warming

    def rise(self, elapsed: float) -> float:
        """Return the K above the air."""
        faded = math.exp(-elapsed / _WARM_UP_S)
        return self.final_rise + (self.start_rise - self.final_rise) * faded

    def temperature(self, elapsed: float) -> float:
        """Return the temperature of the cell."""
        return self.cell.ambient + self.rise(elapsed)

    def charge(self, elapsed: float) -> float:
        """Return the state of charge."""
        gain = self.cell.faradaic if self.current(elapsed) >= 0 else -1
        return self.start + gain * self.amp_hours(elapsed) / self.cell.capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantCurrent(Step):
    """Charge or discharge at so many `amperes`."""

    amperes: float = CURRENT

    @property
    def sign(self) -> int:
        """1 in charge, -1 in discharge."""
        return 1

    def current(self, elapsed: float) -> float:
        del elapsed
        return self.sign * self.amperes

    def amp_hours(self, elapsed: float) -> float:
        return self.amperes * elapsed / 3600

    def voltage(self, elapsed: float) -> float:
        return open_circuit(self.charge(elapsed)) + self.current(0) * self.cell.resistance

    def watt_hours(self, elapsed: float) -> float:
        mean = _mean_open_circuit(self.start, self.charge(elapsed))
        return (mean + self.current(0) * self.cell.resistance) * self.amp_hours(elapsed)


class Discharge(ConstantCurrent):
    """Discharge at so many `amperes`."""

    @property
    def sign(self) -> int:
        return -1


class ConstantVoltage(Step):
    """Charge at `V_MAX`: the current fades from `CURRENT` to `CUT_OFF`."""

    def current(self, elapsed: float) -> float:
        return CURRENT * math.exp(-elapsed * math.log(CURRENT / CUT_OFF) / self.duration)

    def amp_hours(self, elapsed: float) -> float:
        fading = self.duration / math.log(CURRENT / CUT_OFF)
        return (CURRENT - self.current(elapsed)) * fading / 3600

    def voltage(self, elapsed: float) -> float:
        del elapsed
        return V_MAX

    def watt_hours(self, elapsed: float) -> float:
        return V_MAX * self.amp_hours(elapsed)

    @property
    def final_rise(self) -> float:
        return 0.3 * self.cell.warming


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest(Step):
    """No current; the voltage relaxes by `offset` V, which it had left over."""

    offset: float

    def current(self, elapsed: float) -> float:
        del elapsed
        return 0.0

    def amp_hours(self, elapsed: float) -> float:
        del elapsed
        return 0.0

    def voltage(self, elapsed: float) -> float:
        return open_circuit(self.start) + self.offset * math.exp(-elapsed / _RELAX_S)

    def watt_hours(self, elapsed: float) -> float:
        del elapsed
        return 0.0

    @property
    def final_rise(self) -> float:
        return 0.0


def charge_current(cell: Cell, start: float) -> ConstantCurrent:
    """Return the charge from `start` until the cell's terminals are at `V_MAX`."""
    end = charge_at(V_MAX - CURRENT * cell.resistance)
    duration = max(1.0, 3600 * (end - start) * cell.capacity / cell.faradaic / CURRENT)
    return ConstantCurrent(cell=cell, start=start, start_rise=0.0, duration=duration)


def recharge(before: Step) -> ConstantCurrent:
    """Return the charge that follows a rest, until the cell's terminals are at `V_MAX`."""
    charge = charge_current(before.cell, before.charge(before.duration))
    return replace(charge, start_rise=before.rise(before.duration))


def charge_voltage(before: Step) -> ConstantVoltage:
    """Return the charge at `V_MAX` that follows, until the current is `CUT_OFF`."""
    start = before.charge(before.duration)
    amp_hours = before.cell.capacity * (charge_at(V_MAX - CUT_OFF * before.cell.resistance) - start)
    amp_hours /= before.cell.faradaic
    duration = 3600 * amp_hours * math.log(CURRENT / CUT_OFF) / (CURRENT - CUT_OFF)
    return ConstantVoltage(
        cell=before.cell, start=start, start_rise=before.rise(before.duration), duration=duration
    )


def discharge(before: Step) -> Discharge:
    """Return the discharge that follows, until the terminals are at `V_MIN`."""
    start = before.charge(before.duration)
    end = charge_at(V_MIN + CURRENT * before.cell.resistance)
    return Discharge(
        cell=before.cell,
        start=start,
        start_rise=before.rise(before.duration),
        duration=3600 * (start - end) * before.cell.capacity / CURRENT,
    )


def pulse(before: Step) -> Discharge:
    """Return the short discharge that follows."""
    return Discharge(
        cell=before.cell,
        start=before.charge(before.duration),
        start_rise=before.rise(before.duration),
        duration=PULSE_S,
        amperes=PULSE_CURRENT,
    )


def rest(before: Step) -> Rest:
    """Return the pause that follows."""
    start = before.charge(before.duration)
    return Rest(
        cell=before.cell,
        start=start,
        start_rise=before.rise(before.duration),
        duration=REST_S,
        offset=0.3 * (before.voltage(before.duration) - open_circuit(start)),
    )


def capacity_for(discharged: float, resistance: float) -> float:
    """Return the capacity of a cell whose graded discharge gives `discharged` Ah."""
    full = charge_at(V_MAX - CUT_OFF * resistance)
    empty = charge_at(V_MIN + CURRENT * resistance)
    return discharged / (full - empty)
