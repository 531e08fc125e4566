"""The grading program of a simulated cell: its steps, what may befall it, and what is true of it."""

from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from collectors.simulated import cell_physics
from collectors.simulated.cell_physics import Step

_CYCLES = (
    ("cc_charge", "cv_charge", "rest", "cc_discharge", "rest"),
    ("cc_charge", "cv_charge", "rest", "pulse", "cc_discharge", "rest"),
)


class Place(NamedTuple):
    """Where in its program a cell is: cycle and number count from 1."""

    cycle: int
    number: int
    kind: str

    @property
    def is_last(self) -> bool:
        """Whether the cycle ends with this step."""
        return self.number == len(_CYCLES[self.cycle - 1])


PROGRAM = tuple(
    Place(cycle + 1, number + 1, kind)
    for cycle, steps in enumerate(_CYCLES)
    for number, kind in enumerate(steps)
)
_FIRST_DISCHARGE = 3  # place in the program
_BREAKS = 0.02  # share of the steps that are interrupted


class Fate(NamedTuple):
    """How a cell's program ends early: at which step, after which share of it, and why."""

    place: int
    share: float
    end_reason: str
    code: str


@dataclass(slots=True)
class Truth:
    """What a cycle came to so far."""

    complete: bool = True
    interruptions: int = 0
    charge_ah: float = 0.0
    charge_wh: float = 0.0
    discharge_ah: float = 0.0
    discharge_wh: float = 0.0
    more: dict[str, float] = field(default_factory=dict)

    def add(self, kind: str, step: Step, before: Step | None) -> None:
        """Add a step that ended as it should."""
        ah, wh = step.amp_hours(step.duration), step.watt_hours(step.duration)
        if kind in {"cc_charge", "cv_charge"}:
            self.charge_ah += ah
            self.charge_wh += wh
        else:
            self.discharge_ah += ah
            self.discharge_wh += wh
        if kind == "cv_charge":
            self.more["cv_percent"] = 100 * ah / self.charge_ah
        elif kind == "cc_discharge":
            self.more["capacity_ah"] = ah
        elif kind == "pulse" and before is not None:
            fall = before.voltage(before.duration) - step.voltage(step.duration)
            self.more["dcir_mohm"] = 1000 * fall / cell_physics.PULSE_CURRENT
            self.more["dcir_pulse_s"] = cell_physics.PULSE_S

    def values(self) -> dict[str, float]:
        """Return the figures of the whole cycle."""
        return {
            "charge_ah": self.charge_ah,
            "charge_wh": self.charge_wh,
            "discharge_ah": self.discharge_ah,
            "discharge_wh": self.discharge_wh,
            **self.more,
        }


def draw_fate(rng: Random) -> Fate | None:
    """Return how one cell in a hundred ends before its time."""
    what = rng.random()
    if what < 0.005:
        return Fate(0, rng.uniform(0.01, 0.08), "protection", "contact_fault")
    if what < 0.009:
        return Fate(_FIRST_DISCHARGE, rng.uniform(0.4, 0.9), "protection", "over_temperature")
    if what < 0.011:
        return Fate(0, rng.uniform(0.2, 0.8), "operator", "none")
    return None


def draw_breaks(rng: Random, duration: float) -> list[float]:
    """Return after how many seconds a step is interrupted; seldom, and then once or twice."""
    if rng.random() >= _BREAKS:
        return []
    return sorted(duration * rng.uniform(0.1, 0.9) for _ in range(rng.choice((1, 1, 2))))
