"""What the machines make is plausible: laws of physics, wear, spread, share of rejects."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from collectors.record import Result
from collectors.simulated import cell_physics, ledger
from collectors.simulated.formation import FormationCabinet
from collectors.simulated.ledger import Ledger, Part
from collectors.simulated.plc import Plc
from collectors.simulated.sorter import FAULTS, Sorter
from collectors.simulated.welder import Welder
from tests.unit.simulated.conftest import PROFILES, Hand, build


def number(part: Part, name: str) -> float:
    """Return a value that was measured."""
    value = part.values[name]
    assert isinstance(value, (int, float)), (name, value)
    return value


def parts_of(machine: type[Plc], profile: str, count: int, path: Path) -> list[Part]:
    """Return the first `count` parts of a machine, as its ledger has them."""
    hand = Hand()
    with Ledger(path) as file:
        plc = build(machine, profile, hand, file)
        hand.run(plc, lambda: plc.made >= count, step=60.0)
    return list(ledger.read(path))[:count]


@pytest.fixture(scope="module")
def welds(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """Return 4000 welds."""
    return parts_of(Welder, "spot-welder-plc", 4000, tmp_path_factory.mktemp("welds") / "ledger")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """Return 12 000 sorted cells."""
    return parts_of(Sorter, "cell-sorter-plc", 12_000, tmp_path_factory.mktemp("cells") / "ledger")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """Return 4000 formation steps."""
    path = tmp_path_factory.mktemp("steps") / "ledger"
    return parts_of(FormationCabinet, "formation-cabinet-64", 4000, path)


def share_of(result: Result, parts: Iterable[Part]) -> float:
    """Return the share of parts with `result`."""
    return statistics.fmean(part.result is result for part in parts)


# -- welder ----------------------------------------------------------------------------------


def test_power_resistance_and_energy_agree_with_current_and_voltage(welds: list[Part]) -> None:
    """P = V·I, R = V/I and E = P·t hold to 0.5 %; without current there is no resistance."""
    without = [weld for weld in welds if number(weld, "current") == 0]
    assert without
    for weld in without:
        assert weld.values["resistance"] is None
        assert weld.code == "no_current"
    for weld in welds:
        current, voltage = number(weld, "current"), number(weld, "voltage")
        power = number(weld, "power")
        assert power == pytest.approx(voltage * current, rel=0.005)
        assert number(weld, "energy") == pytest.approx(power * number(weld, "weld_time"), rel=0.005)
        if current:
            assert number(weld, "resistance") == pytest.approx(voltage / current, rel=0.005)


def test_current_drifts_until_the_electrode_is_dressed(welds: list[Part]) -> None:
    """Toward the end of an electrode's life the current is lower by 3 % or more; then it is back."""
    fresh, worn = (
        statistics.fmean(
            number(weld, "current")
            for weld in welds
            if weld.code == "none" and span[0] <= number(weld, "welds_since_dress") < span[1]
        )
        for span in ((1, 40), (260, 420))
    )
    assert 0.90 * fresh < worn < 0.97 * fresh
    counts = [number(weld, "welds_since_dress") for weld in welds]
    dressed = [(before, after) for before, after in pairwise(counts) if after != before + 1]
    assert len(dressed) >= 8
    assert all(280 <= before <= 420 and after == 1 for before, after in dressed)
    assert {number(weld, "electrode") for weld in welds} >= {1, 2}


def test_a_module_is_80_welds_of_two_programs(welds: list[Part]) -> None:
    """Serials are those of modules: 40 welds of either program each, test welds apart."""
    runs = [
        (serial, Counter(part.tags["program"] for part in run))
        for serial, run in groupby(
            (weld for weld in welds if weld.result is not Result.TEST), lambda weld: weld.serial
        )
    ]
    assert all(programs == {"1": 40, "2": 40} for _, programs in runs[:-1])
    assert len({serial for serial, _ in runs}) == len(runs)


def test_welds_are_rejected_by_the_limits_of_the_profile(welds: list[Part]) -> None:
    """A good weld is within all limits, a reject outside one; about 1 % are rejects."""
    records = PROFILES["spot-welder-plc"].records
    assert records is not None
    limits = {each.name: each.spec for each in records.measured if each.spec}

    def is_within(weld: Part) -> bool:
        return all(
            low <= value <= high
            for name, (low, high) in limits.items()
            if isinstance(value := weld.values[name], (int, float))
        )

    assert all(is_within(weld) for weld in welds if weld.result is Result.OK)
    assert not any(is_within(weld) for weld in welds if weld.result is Result.NG)
    assert 0.003 < share_of(Result.NG, welds) < 0.02
    assert 0.003 < share_of(Result.TEST, welds) < 0.02


# -- sorter ----------------------------------------------------------------------------------


def test_cells_spread_as_a_delivery_does(cells: list[Part]) -> None:
    """OCV and resistance lie about the data sheet's values, and lots differ from one another."""
    good = [cell for cell in cells if cell.result is Result.OK]
    assert statistics.fmean(number(cell, "ocv") for cell in good) == pytest.approx(3600, abs=3)
    assert 1.5 < statistics.stdev(number(cell, "ocv") for cell in good) < 4
    acir = {
        lot: statistics.fmean(number(cell, "acir") for cell in group)
        for lot, group in groupby(good, lambda cell: cell.serial[:6])
    }
    assert len(acir) == 10
    assert max(acir.values()) - min(acir.values()) > 0.05
    assert {cell.tags["bin"] for cell in good} == {"A", "B", "C"}


def test_every_fault_of_a_cell_has_its_code(cells: list[Part]) -> None:
    """Rejects are 0.5 to 3 %, of many causes, and all of them are in the NG bin."""
    rejects = [cell for cell in cells if cell.result is Result.NG]
    codes = Counter(cell.code for cell in rejects)
    assert 0.005 < len(rejects) / len(cells) < 0.03
    assert len(codes) >= 8
    assert set(codes) <= {fault.code or name for name, fault in FAULTS.items()}
    assert {cell.tags["bin"] for cell in rejects} == {"NG"}


def test_a_probe_without_contact_measures_nothing(cells: list[Part]) -> None:
    """Open probes and unread barcodes leave holes, not numbers; a reversed cell is negative."""
    by_code = {code: [cell for cell in cells if cell.code == code] for code in FAULTS}
    assert by_code["probe_contact"]
    assert by_code["no_barcode"]
    assert by_code["reversed"]
    for cell in by_code["probe_contact"]:
        assert cell.values["ocv"] is None
        assert cell.values["acir"] is None
    assert all(cell.serial == "" for cell in by_code["no_barcode"])
    assert all(number(cell, "ocv") < -3500 for cell in by_code["reversed"])


def test_a_duplicate_barcode_was_seen_before(cells: list[Part]) -> None:
    """The serial of a `duplicate_barcode` is that of the cell before it."""
    pairs = [pair for pair in pairwise(cells) if pair[1].code == "duplicate_barcode"]
    assert pairs
    assert all(before.serial in {cell.serial, ""} for before, cell in pairs)


# -- formation -------------------------------------------------------------------------------


def test_steps_of_a_channel_follow_the_program(steps: list[Part]) -> None:
    """Charge, hold, rest, discharge, rest; the next serial only after the last or a fault."""
    order = ["cc_charge", "cv_charge", "rest", "cc_discharge", "rest"]
    for channel in {part.tags["channel"] for part in steps}:
        own = [part for part in steps if part.tags["channel"] == channel]
        for serial, run in groupby(own, lambda part: part.serial):
            done = list(run)
            first = int(number(done[0], "step_no")) - 1
            assert [part.tags["step"] for part in done] == order[first : first + len(done)], serial
            assert first == 0 or done[0] is own[0]
            is_cut = done[-1].values["end_reason"] in {"protection", "operator"}
            assert is_cut or done[-1] is own[-1] or done[-1].values["step_no"] == 5


def test_charge_comes_back_as_discharge(steps: list[Part]) -> None:
    """A graded cell gives about 2.55 Ah at less voltage than it took: energy is lost on the way."""
    by_cell: dict[str, list[Part]] = {}
    for part in steps:
        by_cell.setdefault(part.serial, []).append(part)
    whole = [run for run in by_cell.values() if len(run) == 5 and run[3].code == "none"]
    assert len(whole) > 300
    for run in whole:
        charge, hold, _, discharge, _ = run
        mean_in = number(charge, "energy_wh") / number(charge, "capacity_ah")
        mean_out = number(discharge, "energy_wh") / number(discharge, "capacity_ah")
        assert mean_out < mean_in < 4.2
        assert 0.05 < number(hold, "capacity_ah") < 0.35
        assert number(charge, "v_end") == pytest.approx(4.2, abs=0.001)
        assert number(discharge, "v_end") == pytest.approx(2.75, abs=0.001)
        assert number(hold, "i_end") == pytest.approx(0.125, abs=0.002)
        assert number(discharge, "i_end") == -1.25
        expected = 1.25 * number(discharge, "duration_s") / 3600
        assert number(discharge, "capacity_ah") == pytest.approx(expected, abs=0.001)


def test_capacities_and_temperatures_spread(steps: list[Part]) -> None:
    """No two cells are alike, few are bad, and bad ones are told by what was wrong."""
    graded = [part for part in steps if part.tags["step"] == "cc_discharge" and part.code == "none"]
    capacities = [number(part, "capacity_ah") for part in graded]
    assert statistics.fmean(capacities) == pytest.approx(2.55, abs=0.01)
    assert 0.006 < statistics.stdev(capacities) < 0.015
    assert statistics.stdev(number(part, "t_max") for part in graded) > 0.3
    codes = Counter(part.code for part in steps if part.result is Result.NG)
    assert {"capacity_low", "contact_fault", "over_temperature"} <= set(codes)
    assert sum(codes.values()) / len(steps) < 0.02
    hot = [part for part in steps if part.code == "over_temperature"]
    assert all(number(part, "t_max") > 45 for part in hot)


def test_watt_hours_are_the_integral_of_voltage_and_current() -> None:
    """The closed forms agree with adding up many small pieces, in each kind of step."""
    cell = cell_physics.Cell(capacity=2.6, resistance=0.06, ambient=25, warming=4)
    charge = cell_physics.charge_current(cell, 0.3)
    hold = cell_physics.charge_voltage(charge)
    pause = cell_physics.rest(hold)
    discharge = cell_physics.discharge(pause)
    for step in (charge, hold, pause, discharge):
        pieces = 20_000
        width = step.duration / pieces
        middles = [(piece + 0.5) * width for piece in range(pieces)]
        amp_hours = sum(abs(step.current(at)) for at in middles) * width / 3600
        watt_hours = sum(abs(step.current(at)) * step.voltage(at) for at in middles) * width / 3600
        assert step.amp_hours(step.duration) == pytest.approx(amp_hours, rel=1e-4)
        assert step.watt_hours(step.duration) == pytest.approx(watt_hours, rel=1e-4)
    assert discharge.charge(discharge.duration) < 0.01
    assert math.isclose(pause.voltage(0), 4.2, abs_tol=0.02)
