"""A cell sorter: lots of 18650 cells that differ a little, and the few cells that are bad."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from collectors.record import Result
from collectors.sample import Value
from collectors.simulated.encode import Raw
from collectors.simulated.plc import Codes, Mode, Outcome, Plc, State

_CYCLE_S = 1.5
_CELLS_A_LOT = 1200
_CELLS_A_TRAY = 100
BIN_LIMITS = {"A": 17.85, "B": 18.15, "C": math.inf}  # upper limits of AC resistance in mΩ
_OVER_RANGE, _OPEN_PROBE = Raw(1e9), Raw(1e10)  # as the tester sends them
_NO_CAPACITY, _NO_K = Raw(65535), Raw(32767)

# In the order a sorter judges: the first limit that is broken names the reject.
_CODES: Codes = (
    ("ocv", "ocv_low", "ocv_high"),
    ("acir", "acir_low", "acir_high"),
    ("k_value", "", "k_high"),
    ("capacity", "capacity_low", ""),
)
Measured = dict[str, Value | Raw]  # by register, in its unit


class Fault(NamedTuple):
    """What is wrong with `share` of 10 000 cells, and how that is measured."""

    share: int
    code: str  # what the machine itself notices before any limit; "" leaves it to the limits
    measured: Callable[[Random], Measured] = lambda _: {}


FAULTS: Mapping[str, Fault] = {
    "no_barcode": Fault(20, "no_barcode"),
    "duplicate_barcode": Fault(5, "duplicate_barcode"),
    "ocv_low": Fault(25, "", lambda rng: {"ocv": rng.uniform(3400, 3585)}),
    "ocv_high": Fault(5, "", lambda rng: {"ocv": rng.uniform(3615, 3660)}),
    "acir_low": Fault(3, "", lambda rng: {"acir": rng.uniform(15.0, 16.9)}),
    "acir_high": Fault(25, "", lambda rng: {"acir": rng.uniform(19.1, 24)}),
    "over_range": Fault(5, "acir_high", lambda _: {"acir": _OVER_RANGE}),
    "k_high": Fault(15, "", lambda rng: {"k_value": rng.uniform(0.085, 0.4)}),
    "probe_contact": Fault(
        20, "probe_contact", lambda _: {"ocv": _OPEN_PROBE, "acir": _OPEN_PROBE}
    ),
    "reversed": Fault(5, "reversed", lambda rng: {"ocv": rng.gauss(-3600, 2)}),
    "capacity_low": Fault(12, "", lambda rng: {"capacity": rng.uniform(2300, 2490)}),
    "db_miss": Fault(10, "db_miss", lambda _: {"capacity": _NO_CAPACITY, "k_value": _NO_K}),
}


@dataclass(frozen=True, slots=True)
class Lot:
    """How the cells of one delivery differ from the data sheet, and whether their data came."""

    ocv_shift: float
    acir_shift: float
    capacity_shift: float
    has_data: bool


def draw_lot(rng: Random) -> Lot:
    """Return the deviations of one lot."""
    return Lot(rng.gauss(0, 1.2), rng.gauss(0, 0.18), rng.gauss(0, 6), rng.random() < 0.75)


def draw_cell(rng: Random, lot: Lot, room: float) -> Measured:
    """Return a sound cell of `lot` at about `room` °C: mV, mΩ, °C, mAh, mV/h.

    Warm cells resist less.
    """
    temperature = rng.gauss(room, 0.3)
    acir = (rng.gauss(18, 0.15) + lot.acir_shift) * (1 - 0.004 * (temperature - 25))
    return {
        "ocv": rng.gauss(3600, 2.2) + lot.ocv_shift,
        "acir": acir,
        "temperature": temperature,
        "capacity": rng.gauss(2550, 8) + lot.capacity_shift if lot.has_data else _NO_CAPACITY,
        "k_value": rng.lognormvariate(math.log(0.018), 0.3),
    }


def draw_fault(rng: Random) -> str:
    """Return what is wrong with a cell, or ""."""
    what = rng.randrange(10_000)
    for name, fault in FAULTS.items():
        what -= fault.share
        if what < 0:
            return name
    return ""


class Sorter(Plc):
    """Measures cell after cell, and a golden cell at the start of each lot."""

    def prepare(self) -> None:
        self._rejects_in_a_row = 0

    def work(self) -> Iterator[float]:
        for number in itertools.count():
            lot_number, place = divmod(number, _CELLS_A_LOT)
            if place == 0:
                yield from self._begin_lot(lot_number)
            rng = self.draw("cell", number)
            yield from self._disturbance(rng, number)
            yield _CYCLE_S * rng.uniform(0.96, 1.06)
            outcome = self._sort(rng, number)
            yield from self.record(outcome)
            self.memory.set("probe_count", self.made)
            yield from self._react(rng, outcome)

    def live(self, uptime_s: float) -> None:
        self.memory.set("ambient_temperature", 26 + 1.5 * math.sin(uptime_s / 600))
        self.memory.set("vacuum", -68 + 2 * math.sin(uptime_s / 7))

    def _begin_lot(self, number: int) -> Iterator[float]:
        rng = self.draw("lot", number)
        self._lot = draw_lot(rng)
        self.begin("lot_changed", "lot", f"C{number + 1:05d}")
        self.memory.set("cells_per_hour", 3600 / _CYCLE_S)
        if number == 0:
            return
        yield from self.stop(State.SETUP, rng.uniform(60, 150))
        self.mode(Mode.TEST)
        for _ in range(2):
            yield 2 * _CYCLE_S
            yield from self.record(self._golden_cell())
        self.mode(Mode.AUTO)

    def _golden_cell(self) -> Outcome:
        cell = draw_cell(self.draw("golden", self.made), Lot(0, 0, 0, has_data=True), 25)
        return Outcome(
            serial="GOLDEN-18650-01",
            result=Result.TEST,
            tags={"bin": "B"},
            values=self.as_measured(cell | {"lane": 1, "position": 0}),
        )

    def _sort(self, rng: Random, number: int) -> Outcome:
        lot_number, place = divmod(number, _CELLS_A_LOT)
        room = 25 + 2 * math.sin(number / 900)
        cell = draw_cell(rng, self._lot, room)
        name = draw_fault(rng)
        fault = FAULTS.get(name)
        if fault is not None:
            cell |= fault.measured(rng)
        where: Measured = {"lane": 1 + number % 2, "position": 1 + place % _CELLS_A_TRAY}
        values = self.as_measured(cell | where)
        code = (fault.code if fault else "") or self.judge(values, _CODES)
        serial = f"C{lot_number + 1:05d}{place + 1:05d}"
        if name == "no_barcode":
            serial = ""
        elif name == "duplicate_barcode":
            serial = f"C{lot_number + 1:05d}{max(1, place):05d}"
        return Outcome(
            serial=serial,
            result=Result.OK if code == "none" else Result.NG,
            code=code,
            tags={"bin": _bin(values) if code == "none" else "NG"},
            values=values,
        )

    def _react(self, rng: Random, outcome: Outcome) -> Iterator[float]:
        """Let the machine call its operator when a part asks for one."""
        self._rejects_in_a_row = self._rejects_in_a_row + 1 if outcome.result is Result.NG else 0
        if self._rejects_in_a_row == 3:
            yield from self.stop(State.FAULT, rng.uniform(60, 120), "ng_streak")
        elif outcome.code == "reversed":
            yield from self.stop(State.FAULT, rng.uniform(20, 45), "cell_reversed")
        elif outcome.code == "no_barcode":
            yield from self.stop(State.RUNNING, 6, "scanner_timeout")
        elif outcome.code == "probe_contact":
            yield from self.stop(State.RUNNING, 6, "probe_contact")

    def _disturbance(self, rng: Random, number: int) -> Iterator[float]:
        """Let a machine's day happen: full trays, and now and then a jam or no cells."""
        if number and number % _CELLS_A_TRAY == 0:
            yield from self.stop(State.BLOCKED, rng.uniform(8, 20), "tray_full")
        what = rng.random()
        if what < 0.0008:
            alarm = rng.choice(("jam", "vacuum_low", "door_open"))
            yield from self.stop(State.FAULT, rng.uniform(20, 80), alarm)
        elif what < 0.0025:
            yield from self.stop(State.STARVED, rng.uniform(20, 70))


def _bin(values: Measured) -> str:
    acir = values["acir"]
    return next(
        name for name, limit in BIN_LIMITS.items() if isinstance(acir, float) and acir < limit
    )
