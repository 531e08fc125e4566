"""A laser welder: busbars on cells, two tracks a joint, under a cover glass that gets dirty."""

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

_CYCLE_S = 0.9
_TRACKS_A_SPOT = 2
_TRACKS_A_MODULE = 40 * _TRACKS_A_SPOT
_MODULES_A_LOT = 12
_NOMINAL_LIFE = 1500  # tracks between two cleanings of the glass
_STOPPERS = ("enclosure_open", "gas_flow_low", "cooling_fault")


@dataclass(frozen=True, slots=True)
class Program:
    """A weld program: power in kW, scan speed in mm/s, length of the track in mm."""

    power: float
    speed: float
    length: float


PROGRAMS = {1: Program(1.62, 300, 12.0), 2: Program(1.58, 295, 12.0)}  # first track, second track

# In the order a welder judges: the first limit that is broken names the reject.
_CODES: Codes = (
    ("power", "low_power", "high_power"),
    ("energy", "low_energy", "high_energy"),
    ("focus", "out_of_focus", "out_of_focus"),
    ("back_reflection", "low_back_reflection", "high_back_reflection"),
    ("plasma", "low_plasma", "high_plasma"),
)


def track(rng: Random, program: Program, dirt: float) -> dict[str, Value | Raw]:
    """Return the values of one track; `dirt` is 0 after cleaning and 1 at the nominal life.

    A dirty glass takes power from the work. More heat makes more plasma; a gap or a blank
    surface sends the light back. Time and energy follow from length, speed and power.
    """
    power = program.power * (1 - 0.03 * dirt) * rng.gauss(1, 0.006)
    speed = program.speed * rng.gauss(1, 0.003)
    length = program.length * rng.gauss(1, 0.002)
    back_reflection = rng.gauss(9, 1.2) + 0.01 * (speed - 300)
    plasma = 55 * power / 1.6 * rng.gauss(1, 0.05)
    focus = rng.gauss(0, 0.06)
    crest = rng.gauss(1.03, 0.004)
    match _mishap(rng):
        case "no_beam":
            power, back_reflection, plasma = 0.0, 0.0, 0.0
        case "low_power":
            power *= 0.87
        case "gap":
            back_reflection, plasma = rng.uniform(22, 40), rng.uniform(12, 30)
        case "out_of_focus":
            focus = rng.choice((-1, 1)) * rng.uniform(0.35, 0.9)
    time = 1000 * length / speed
    return {
        "power": power,
        "power_peak": power * crest,
        "energy": power * time,
        "weld_time": time,
        "scan_speed": speed,
        "track_length": length,
        "back_reflection": back_reflection,
        "plasma": plasma,
        "focus": focus,
    }


def line_energy(power: float, speed: float) -> float:
    """Return the heat input in J/mm, of power in kW and speed in mm/s."""
    return round(power * 1000 / speed, 3)


def _mishap(rng: Random) -> str:
    names = ("", "no_beam", "low_power", "gap", "out_of_focus")
    return rng.choices(names, weights=(99.2, 0.15, 0.15, 0.30, 0.20))[0]


class LaserWelder(Plc):
    """Welds one module after the other; has its glass cleaned when it is dirty."""

    def prepare(self) -> None:
        self._cleanings = 0
        self._life = self._draw_life()
        self._since_glass = self.draw("start").randrange(self._life // 2)

    def work(self) -> Iterator[float]:
        for number in itertools.count():
            module, place = divmod(number, _TRACKS_A_MODULE)
            if place == 0:
                yield from self._load(module)
            if self._since_glass >= self._life:
                yield from self._clean(module)
            rng = self.draw("track", number)
            yield from disturbance(self, rng, *_STOPPERS)
            yield _CYCLE_S * rng.uniform(0.95, 1.1)
            outcome = self._weld(rng, number)
            yield from self.record(outcome)
            if outcome.code == "no_beam":
                yield from self.stop(State.FAULT, rng.uniform(15, 40), outcome.code)

    def live(self, uptime_s: float) -> None:
        self.memory.set("laser_temperature", 27 + 1.5 * math.sin(uptime_s / 140))
        self.memory.set("gas_flow", 15 + 0.3 * math.sin(uptime_s / 20))

    def _weld(self, rng: Random, number: int) -> Outcome:
        module, place = divmod(number, _TRACKS_A_MODULE)
        spot, part = divmod(place, _TRACKS_A_SPOT)
        values = self._next_track(rng, spot=spot + 1, part=part + 1)
        code = "no_beam" if values["power"] == 0 else self.judge(values, _CODES)
        return self._outcome(
            self._serial(module), Result.OK if code == "none" else Result.NG, code, values
        )

    def _next_track(self, rng: Random, *, spot: int, part: int) -> dict[str, Value | Raw]:
        values = track(rng, PROGRAMS[part], self._since_glass / _NOMINAL_LIFE)
        self._since_glass += 1
        if self._since_glass == int(0.9 * self._life):
            self.set_alarms({"cover_glass"})
        self.memory.set("tracks_since_glass", self._since_glass)
        values |= {"spot": spot, "track": part, "tracks_since_glass": self._since_glass}
        return self.as_measured(values)

    def _outcome(
        self, serial: str, result: Result, code: str, values: dict[str, Value | Raw]
    ) -> Outcome:
        power, speed, part = (values[name] for name in ("power", "scan_speed", "track"))
        assert not isinstance(power, (str, Raw))  # noqa: S101 - `track` measures them all
        assert not isinstance(speed, (str, Raw))  # noqa: S101
        assert not isinstance(part, Raw)  # noqa: S101
        return Outcome(
            serial=serial,
            result=result,
            code=code,
            tags={"program": part},
            values=values,
            derived={"line_energy": line_energy(power, speed)},
        )

    def _load(self, module: int) -> Iterator[float]:
        """Change the module, and the lot when it is full."""
        lot, place = divmod(module, _MODULES_A_LOT)
        self.begin("lot_changed", "lot", f"L{lot + 1:04d}-{self.station[-1]}")
        rng = self.draw("module", module)
        if module == 0:
            return
        if place == 0:
            yield from self.stop(State.SETUP, rng.uniform(90, 180))
            yield from self._test_tracks(module)
        else:
            self.show(State.IDLE)
            yield rng.uniform(8, 16)
            self.show(State.RUNNING)

    def _clean(self, module: int) -> Iterator[float]:
        self.set_alarms(set())
        self._cleanings += 1
        self._life = self._draw_life()
        self._since_glass = 0
        yield from self.stop(State.MAINTENANCE, self.draw("clean", self._cleanings).uniform(40, 80))
        yield from self._test_tracks(module)

    def _test_tracks(self, module: int) -> Iterator[float]:
        """Make two tracks on a scrap busbar: they dirty the glass, but count for nothing."""
        self.mode(Mode.TEST)
        for part in range(1, _TRACKS_A_SPOT + 1):
            yield 3 * _CYCLE_S
            values = self._next_track(self.draw("test", self.made), spot=1, part=part)
            serial = f"{self._serial(module)}-T{part}"
            yield from self.record(self._outcome(serial, Result.TEST, "none", values))
        self.mode(Mode.AUTO)

    def _serial(self, module: int) -> str:
        return f"BUS-{self.station[-1]}{module + 1:06d}"

    def _draw_life(self) -> int:
        return self.draw("glass", self._cleanings).randint(1300, 1700)
