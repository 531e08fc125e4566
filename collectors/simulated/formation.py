"""A formation cabinet: each channel takes one cell after the other through two grading cycles."""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from collectors.record import Result
from collectors.simulated import cell_physics
from collectors.simulated.cell_physics import Step
from collectors.simulated.grading import PROGRAM, Place, Truth, draw_breaks, draw_fate
from collectors.simulated.ledger import Cycle
from collectors.simulated.plc import Codes, Outcome, Plc

_CODES: Codes = (("capacity_ah", "capacity_low", "capacity_high"),)
_FOLLOWING: Mapping[str, Callable[[Step], Step]] = {
    "cc_charge": cell_physics.recharge,
    "cv_charge": cell_physics.charge_voltage,
    "rest": cell_physics.rest,
    "pulse": cell_physics.pulse,
    "cc_discharge": cell_physics.discharge,
}
_ENDS = {
    "cc_charge": "voltage",
    "cv_charge": "current",
    "rest": "time",
    "pulse": "time",
    "cc_discharge": "voltage",
}
_STATES = {
    "cc_charge": "charging",
    "cv_charge": "charging",
    "rest": "rest",
    "pulse": "discharging",
    "cc_discharge": "discharging",
}
_CHANNELS = 64
_PROGRAM_S = 32_500.0  # about; only for the progress shown and the stagger at the start
_CUT = {"protection", "operator"}


class Channel:
    """One channel: the cell on it, the step it is in, and when that ends (machine time in s)."""

    def __init__(self, cabinet: "FormationCabinet", number: int) -> None:
        self.number = number
        self.due = 0.0
        self.fault = ""  # reject code while the channel is protected
        self._cabinet = cabinet
        self._cells = 0
        self._step: Step | None = None
        self._before: Step | None = None
        self._place = 0
        self._began = 0.0  # when this part of the step began
        # The program had begun before the simulation did, on each channel at another moment.
        self._load(-cabinet.draw("start", number).uniform(0, _PROGRAM_S))

    @property
    def is_active(self) -> bool:
        """Whether a step is running."""
        return self._step is not None and not self._is_paused

    def advance(self) -> Outcome | None:
        """Do what is due; return the record of the step, or part of a step, that ended."""
        step, now = self._step, self.due
        if step is None:
            self._load(now)
            return None
        if self._is_paused:
            self._resume(now)
            return None
        outcome = self._outcome(step)
        end_reason = outcome.values["end_reason"]
        is_seen = now > 0
        self._truth.complete &= is_seen and end_reason not in _CUT
        if self._until < self._end:
            self._pause(now)
            return outcome
        if end_reason not in _CUT:
            self._truth.add(self._place_now.kind, step, self._before)
        if is_seen and (end_reason in _CUT or self._place_now.is_last):
            self._cabinet.summarise(self, self._serial, self._place_now.cycle, self._truth)
        if end_reason in _CUT:
            self._unload(now, minutes=self._rng.uniform(20, 40))
            self.fault = outcome.code if outcome.code != "none" else ""
        elif self._place + 1 == len(PROGRAM):
            self._unload(now, minutes=self._rng.uniform(5, 20))
        else:
            self._begin(self._place + 1, now)
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
            passed = 0.0 if self._is_paused else min(max(0.0, now - self._began), self._length)
            elapsed = self._done + passed
            place = self._place_now
            values = {
                "state": "paused" if self._is_paused else _STATES[place.kind],
                "step": place.kind,
                "step_no": place.number,
                "voltage": step.voltage(elapsed),
                "current": 0.0 if self._is_paused else step.current(elapsed),
                "capacity_ah": step.amp_hours(elapsed),
                "temperature": step.temperature(elapsed),
                "progress": min(99.9, 100 * (now - self._loaded) / _PROGRAM_S),
                "serial": self._serial,
            }
        for name, value in values.items():
            self._cabinet.memory.set_channel(self.number - 1, name, value)

    @property
    def _place_now(self) -> Place:
        return PROGRAM[self._place]

    @property
    def _length(self) -> float:
        return self._until - self._done

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
            faradaic=rng.gauss(0.995, 0.001),
        )
        self._fate = draw_fate(rng)
        self._begin(0, now)

    def _begin(self, place: int, now: float) -> None:
        before = self._step
        if before is None:
            step: Step = cell_physics.charge_current(self._cell, self._rng.uniform(0.25, 0.33))
        else:
            step = _FOLLOWING[PROGRAM[place].kind](before)
        fate = self._fate if self._fate and self._fate.place == place else None
        if fate and fate.code == "over_temperature":
            hot = replace(self._cell, warming=self._rng.uniform(26, 36))
            step = replace(step, cell=hot)
        if PROGRAM[place].number == 1:
            self._truth = Truth()
        self._before, self._step, self._place = before, step, place
        self._end = step.duration * (fate.share if fate else 1.0)
        self._breaks = [] if fate else draw_breaks(self._rng, step.duration)
        self._part, self._done = 0, 0.0
        self._resume(now)

    def _resume(self, now: float) -> None:
        """Begin the step, or go on with it, until its end or the next interruption."""
        self._is_paused = False
        self._part += 1
        self._began = now
        self._until = self._breaks.pop(0) if self._breaks else self._end
        self.due = now + self._length

    def _pause(self, now: float) -> None:
        self._is_paused = True
        self._truth.interruptions += 1
        self._done = self._until
        self.due = now + 60 * self._rng.uniform(2, 30)

    def _unload(self, now: float, *, minutes: float) -> None:
        self._step = None
        self.due = now + 60 * minutes

    def _outcome(self, step: Step) -> Outcome:
        start, end, place = self._done, self._until, self._place_now
        fate = self._fate if self._fate and self._fate.place == self._place else None
        if end < self._end:
            end_reason = self._rng.choice(("power_loss", "pause"))
        else:
            end_reason = fate.end_reason if fate else _ENDS[place.kind]
        values = self._cabinet.as_measured(
            {
                "step_no": place.number,
                "cycle": place.cycle,
                "part": self._part,
                "end_reason": end_reason,
                "capacity_ah": step.amp_hours(end) - step.amp_hours(start),
                "energy_wh": step.watt_hours(end) - step.watt_hours(start),
                "duration_s": end - start,
                "v_start": step.voltage(start),
                "v_end": step.voltage(end),
                "i_end": step.current(end),
                "t_end": step.temperature(end),
                "t_max": max(step.temperature(start), step.temperature(end)),
            }
        )
        code = fate.code if fate else "none"
        if place.kind == "cc_discharge" and end == step.duration:
            whole = self._cabinet.as_measured({"capacity_ah": step.amp_hours(end)})
            code = self._cabinet.judge(whole, _CODES)
        result = Result.NG if code != "none" else Result.UNKNOWN if fate else Result.OK
        return Outcome(
            serial=self._serial,
            result=result,
            code=code,
            tags={"channel": self.number, "step": place.kind},
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

    def summarise(self, channel: Channel, serial: str, cycle: int, truth: Truth) -> None:
        """Write a cycle down, before the record that ends it."""
        self.note(
            Cycle(
                station=self.station,
                channel=channel.number,
                epoch=self.epoch,
                seq=self.next_seq,
                serial=serial,
                cycle=cycle,
                complete=truth.complete,
                interruptions=truth.interruptions,
                values=truth.values(),
            )
        )

    def live(self, uptime_s: float) -> None:
        self.memory.set("cabinet_temperature", 29 + 2 * math.sin(uptime_s / 300))
        self.memory.set("dc_bus_voltage", 12.05 + 0.03 * math.sin(uptime_s * 1.3))
        now = self.pace.now()
        for channel in self.channels:
            channel.show(now)
        self.memory.set("channels_active", sum(each.is_active for each in self.channels))
        self.memory.set("channels_protected", sum(bool(each.fault) for each in self.channels))
