"""A resistance micro spot welder: nickel strip on cells, module by module, on wearing electrodes."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from collectors.record import Result
from collectors.sample import Value
from collectors.simulated.encode import Raw
from collectors.simulated.plc import Codes, Mode, Outcome, Plc, State
from collectors.simulated.welders_day import disturbance

_CYCLE_S = 1.2
WELDS_A_MODULE = 80
_MODULES_A_LOT = 12
_LOTS_A_RECIPE = 2
_DRESSINGS_AN_ELECTRODE = 6
_NOMINAL_LIFE = 350  # welds between two dressings
_STOPPERS = ("air_pressure_low", "door_open", "cooling_fault")
_NOT_MEASURED = Raw(65535)


@dataclass(frozen=True, slots=True)
class Program:
    """A weld program: tip voltage in V, resistance on a fresh electrode in mΩ."""

    voltage: float
    resistance: float


PROGRAMS = {1: Program(1.22, 0.80), 2: Program(1.24, 0.82)}

# In the order a welder judges: the first limit that is broken names the reject.
_CODES: Codes = (
    ("current", "low_current", "over_current"),
    ("force", "low_force", "high_force"),
    ("voltage", "low_voltage", "high_voltage"),
    ("resistance", "low_resistance", "high_resistance"),
    ("energy", "low_energy", "high_energy"),
    ("displacement", "low_displacement", "high_displacement"),
)


def weld(rng: Random, program: Program, wear: float) -> dict[str, Value | Raw]:
    """Return the values of one weld; `wear` is 0 after dressing and 1 at the nominal life.

    The power supply holds the voltage; a mushroomed, dirty tip adds resistance, so the current
    falls. Power, resistance and energy follow from current, voltage and time; now and then the
    power is misread, which no limit sees.
    """
    voltage = program.voltage * rng.gauss(1, 0.006)
    resistance = program.resistance * (1 + 0.09 * wear) * rng.gauss(1, 0.014)
    force = rng.gauss(32, 0.8)
    displacement = rng.gauss(0.060, 0.006) + 0.008 * wear
    time = rng.gauss(4.0, 0.02)
    crests = rng.gauss(1.11, 0.008), rng.gauss(1.12, 0.008)  # of current and voltage: peak by mean
    reading = 1.0  # of the power, by what it is
    match _mishap(rng):
        case "no_current":
            return {
                "current": 0.0,
                "current_peak": 0.0,
                "voltage": round(voltage, 3),
                "voltage_peak": round(voltage, 3),  # without load it is flat
                "power": 0.0,
                "energy": 0.0,
                "weld_time": round(time, 2),
                "resistance": _NOT_MEASURED,
                "force": round(force, 1),
                "displacement": 0.004,
            }
        case "low_force":
            force, resistance = rng.uniform(15, 24), resistance * 1.08
        case "splash":
            resistance *= 0.80
        case "burn_through":
            displacement = rng.uniform(0.13, 0.20)
        case "misread":
            reading = rng.uniform(1.10, 1.30)
    voltage = round(voltage, 3)
    current = round(voltage / resistance, 3)
    power = voltage * current
    return {
        "current": current,
        "current_peak": round(current * crests[0], 3),
        "voltage": voltage,
        "voltage_peak": round(voltage * crests[1], 3),
        "power": round(power * reading, 3),
        "energy": round(power * time, 2),
        "weld_time": round(time, 2),
        "resistance": round(voltage / current, 3),
        "force": round(force, 1),
        "displacement": round(displacement, 3),
    }


def _mishap(rng: Random) -> str:
    names = ("", "no_current", "low_force", "splash", "burn_through", "misread")
    return rng.choices(names, weights=(99.15, 0.15, 0.20, 0.10, 0.10, 0.30))[0]


class Welder(Plc):
    """Welds one module after the other; dresses the electrode when it is worn."""

    def prepare(self) -> None:
        self._dressings = 0
        self._life = self._draw_life()
        self._since_dress = self.draw("start").randrange(self._life // 2)

    def work(self) -> Iterator[float]:
        for number in itertools.count():
            module, place = divmod(number, WELDS_A_MODULE)
            if place == 0:
                yield from self._load(module)
            if self._since_dress >= self._life:
                yield from self._dress(module)
            rng = self.draw("weld", number)
            yield from disturbance(self, rng, *_STOPPERS)
            yield _CYCLE_S * rng.uniform(0.95, 1.1)
            outcome = self._weld(rng, number)
            yield from self.record(outcome)
            if outcome.code in {"no_current", "low_force"}:
                yield from self.stop(State.FAULT, rng.uniform(15, 40), outcome.code)

    def live(self, uptime_s: float) -> None:
        self.memory.set("head_temperature", 34 + 3 * math.sin(uptime_s / 170))
        self.memory.set("air_pressure", 0.52 + 0.02 * math.sin(uptime_s / 45))
        self.memory.set("capacitor_voltage", 63 + math.sin(uptime_s * 2.1))

    def _weld(self, rng: Random, number: int) -> Outcome:
        module, place = divmod(number, WELDS_A_MODULE)
        program = 1 if place < WELDS_A_MODULE // 2 else 2  # one side, then the other
        values = self._next_weld(rng, program)
        code = "no_current" if values["current"] == 0 else self.judge(values, _CODES)
        result = Result.OK if code == "none" else Result.NG
        if rng.random() < 0.0005:  # the judgement was interrupted
            result, code = Result.UNKNOWN, "none"
        return Outcome(
            serial=self._serial(module),
            result=result,
            code=code,
            tags={"program": program},
            values=values,
        )

    def _next_weld(self, rng: Random, program: int) -> dict[str, Value | Raw]:
        values = weld(rng, PROGRAMS[program], self._since_dress / _NOMINAL_LIFE)
        self._since_dress += 1
        if self._since_dress == int(0.9 * self._life):
            self.set_alarms({"electrode_life"})
        self._show_electrode()
        more = {"electrode": self._electrode, "welds_since_dress": self._since_dress}
        return self.as_measured({**values, **more})

    def _load(self, module: int) -> Iterator[float]:
        """Change the module, and the lot when it is full."""
        lot, place = divmod(module, _MODULES_A_LOT)
        self.begin("lot_changed", "lot", f"M{lot + 1:04d}-{self.station[-1]}")
        self.begin("recipe_changed", "recipe", 1 + lot // _LOTS_A_RECIPE % 2)
        self._show_electrode()
        rng = self.draw("module", module)
        if module == 0:
            return
        if place == 0:
            yield from self.stop(State.SETUP, rng.uniform(90, 180))
            yield from self._test_welds(module)
        else:
            self.show(State.IDLE)
            yield rng.uniform(8, 16)
            self.show(State.RUNNING)

    def _dress(self, module: int) -> Iterator[float]:
        self.set_alarms(set())
        electrode, welds = self._electrode, self._since_dress
        self._dressings += 1
        self._life = self._draw_life()
        self._since_dress = 0
        if self._electrode != electrode:
            self.deed("electrode_changed", electrode, self._electrode)
        else:
            self.deed("electrode_dressed", welds, 0)
        self._show_electrode()
        yield from self.stop(State.MAINTENANCE, self.draw("dress", self._dressings).uniform(50, 90))
        yield from self._test_welds(module)

    def _test_welds(self, module: int) -> Iterator[float]:
        """Make two welds on a scrap strip: they wear the electrode, but count for nothing."""
        self.mode(Mode.TEST)
        for place in range(2):
            yield 3 * _CYCLE_S
            rng = self.draw("test", self.made)
            values = self._next_weld(rng, 1)
            yield from self.record(
                Outcome(
                    serial=f"{self._serial(module)}-T{place + 1}",
                    result=Result.TEST,
                    tags={"program": 1},
                    values=values,
                )
            )
        self.mode(Mode.AUTO)

    def _serial(self, module: int) -> str:
        return f"MOD-{self.station[-1]}{module + 1:06d}"

    def _draw_life(self) -> int:
        return self.draw("electrode", self._dressings).randint(280, 420)

    @property
    def _electrode(self) -> int:
        return 1 + self._dressings // _DRESSINGS_AN_ELECTRODE

    def _show_electrode(self) -> None:
        self.memory.set("electrode", self._electrode)
        self.memory.set("welds_since_dress", self._since_dress)
