"""A formation cabinet: each channel takes one cell after the other through a grading cycle."""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import NamedTuple

from collectors.record import Result
from collectors.simulated import cell_physics
from collectors.simulated.cell_physics import Step
from collectors.simulated.plc import Codes, Outcome, Plc

_CODES: Codes = (("capacity_ah", "capacity_low", "capacity_high"),)
_STEPS = ("cc_charge", "cv_charge", "rest", "cc_discharge", "rest")
_FOLLOWING: Mapping[str, Callable[[Step], Step]] = {
    "cv_charge": cell_physics.charge_voltage,
    "rest": cell_physics.rest,
    "cc_discharge": cell_physics.discharge,
}
_END_REASONS = ("voltage", "current", "time", "voltage", "time")
_STATES = ("charging", "charging", "rest", "discharging", "rest")
_DISCHARGE = _STEPS.index("cc_discharge")
_CHANNELS = 64
_PROGRAM_S = 14_500.0  # about; only for the progress shown and the stagger at the start


class Fate(NamedTuple):
    """How a cell's program ends early: at which step, after which share of it, and why."""

    step: int
    share: float
    end_reason: str
    code: str


class Channel:
    """One channel: the cell on it, the step it is in, and when that ends (machine time in s)."""

    def __init__(self, cabinet: "FormationCabinet", number: int) -> None:
        self.number = number
        self.due = 0.0
        self.fault = ""  # reject code while the channel is protected
        self._cabinet = cabinet
        self._cells = 0
        self._step: Step | None = None
        self._step_no = 0
        self._began = 0.0
        # The program had begun before the simulation did, on each channel at another moment.
        self._load(-cabinet.draw("start", number).uniform(0, _PROGRAM_S))

    @property
    def is_active(self) -> bool:
        """Whether a step is running."""
        return self._step is not None

    def advance(self) -> Outcome | None:
        """Do what is due; return the record of the step that ended, if one did."""
        step, now = self._step, self.due
        if step is None:
            self._load(now)
            return None
        outcome = self._outcome(step)
        if outcome.values["end_reason"] in {"protection", "operator"}:
            self._unload(now, minutes=self._rng.uniform(20, 40))
            self.fault = outcome.code if outcome.code != "none" else ""
        elif self._step_no + 1 == len(_STEPS):
            self._unload(now, minutes=self._rng.uniform(5, 20))
        else:
            self._begin(self._step_no + 1, now)
        return outcome

    def show(self, now: float) -> None:
        """Put what the channel does at `now` into its registers."""
        step = self._step
        if step is None:
            values = {
                "state": "protected" if self.fault else "finished",
                "step": "none",
                "step_no": 0,
                "voltage": 0.0 if self.fault else cell_physics.open_circuit(0.03),
                "current": 0.0,
                "capacity_ah": 0.0,
                "temperature": self._cell.ambient,
                "progress": 100.0,
                "serial": self._serial,
            }
        else:
            elapsed = min(max(0.0, now - self._began), self.due - self._began)
            values = {
                "state": _STATES[self._step_no],
                "step": _STEPS[self._step_no],
                "step_no": self._step_no + 1,
                "voltage": step.voltage(elapsed),
                "current": step.current(elapsed),
                "capacity_ah": step.amp_hours(elapsed),
                "temperature": step.temperature(elapsed),
                "progress": min(99.9, 100 * (now - self._loaded) / _PROGRAM_S),
                "serial": self._serial,
            }
        for name, value in values.items():
            self._cabinet.memory.set_channel(self.number - 1, name, value)

    def _load(self, now: float) -> None:
        """Put in the next cell."""
        self._cells += 1
        self.fault = ""
        self._loaded = now
        self._rng = rng = self._cabinet.draw("cell", self.number, self._cells)
        self._serial = f"F{self.number:02d}-{self._cells:06d}"
        resistance = rng.gauss(0.060, 0.002)
        lot_shift = self._cabinet.draw("lot", self._cells).gauss(0, 0.004)
        graded = rng.gauss(2.550, 0.008) + lot_shift
        if rng.random() < 0.012:
            graded -= rng.uniform(0.06, 0.30)
        self._cell = cell_physics.Cell(
            capacity=cell_physics.capacity_for(graded, resistance),
            resistance=resistance,
            ambient=26 + 2 * (self.number % 8) / 7 + rng.gauss(0, 0.3),
            warming=rng.gauss(4.0, 0.4),
        )
        self._fate = _draw_fate(rng)
        self._begin(0, now)

    def _begin(self, step_no: int, now: float) -> None:
        before = self._step
        if before is None:
            step: Step = cell_physics.charge_current(self._cell, self._rng.uniform(0.25, 0.33))
        else:
            step = _FOLLOWING[_STEPS[step_no]](before)
        fate = self._fate
        if fate and fate.step == step_no and fate.code == "over_temperature":
            hot = replace(self._cell, warming=self._rng.uniform(26, 36))
            step = replace(step, cell=hot)
        self._step, self._step_no, self._began = step, step_no, now
        share = fate.share if fate and fate.step == step_no else 1.0
        self.due = now + step.duration * share

    def _unload(self, now: float, *, minutes: float) -> None:
        self._step = None
        self.due = now + 60 * minutes

    def _outcome(self, step: Step) -> Outcome:
        elapsed = self.due - self._began
        fate = self._fate if self._fate and self._fate.step == self._step_no else None
        values = self._cabinet.as_measured(
            {
                "step_no": self._step_no + 1,
                "cycle": 1,
                "end_reason": fate.end_reason if fate else _END_REASONS[self._step_no],
                "capacity_ah": step.amp_hours(elapsed),
                "energy_wh": step.watt_hours(elapsed),
                "duration_s": elapsed,
                "v_end": step.voltage(elapsed),
                "i_end": step.current(elapsed),
                "t_max": max(step.temperature(0), step.temperature(elapsed)),
            }
        )
        code = fate.code if fate else "none"
        if self._step_no == _DISCHARGE and fate is None:
            code = self._cabinet.judge(values, _CODES)
        result = Result.NG if code != "none" else Result.UNKNOWN if fate else Result.OK
        return Outcome(
            serial=self._serial,
            result=result,
            code=code,
            tags={"channel": self.number, "step": _STEPS[self._step_no]},
            values=values,
        )


class FormationCabinet(Plc):
    """All channels of a cabinet; a record each time a step ends on one of them."""

    def prepare(self) -> None:
        self.memory.set("lot", "GRADING-25R")
        self.channels = [Channel(self, number + 1) for number in range(_CHANNELS)]

    def work(self) -> Iterator[float]:
        queue = [(channel.due, channel.number) for channel in self.channels]
        heapq.heapify(queue)
        now = 0.0
        while True:
            due, number = heapq.heappop(queue)
            if due > now:
                yield due - now
                now = due
            channel = self.channels[number - 1]
            outcome = channel.advance()
            heapq.heappush(queue, (channel.due, number))
            if outcome is not None and due > 0:
                for wait in self.record(outcome):
                    yield wait
                    now += wait
            self.set_alarms({each.fault for each in self.channels if each.fault})

    def live(self, uptime_s: float) -> None:
        self.memory.set("cabinet_temperature", 29 + 2 * math.sin(uptime_s / 300))
        self.memory.set("dc_bus_voltage", 12.05 + 0.03 * math.sin(uptime_s * 1.3))
        now = self.pace.now()
        for channel in self.channels:
            channel.show(now)
        self.memory.set("channels_active", sum(each.is_active for each in self.channels))
        self.memory.set("channels_protected", sum(bool(each.fault) for each in self.channels))


def _draw_fate(rng: Random) -> Fate | None:
    """Return how one cell in a hundred ends before its time."""
    what = rng.random()
    if what < 0.005:
        return Fate(0, rng.uniform(0.01, 0.08), "protection", "contact_fault")
    if what < 0.009:
        return Fate(_DISCHARGE, rng.uniform(0.4, 0.9), "protection", "over_temperature")
    if what < 0.011:
        return Fate(0, rng.uniform(0.2, 0.8), "operator", "none")
    return None
