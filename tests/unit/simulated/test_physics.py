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
from collectors.simulated.laser import LaserWelder
from collectors.simulated.ledger import Ledger, Part
from collectors.simulated.plc import Plc
from collectors.simulated.sorter import FAULTS, Sorter
from collectors.simulated.welder import Welder
from tests.unit.simulated.conftest import PROFILES, Hand, build

FIRST_CYCLE = ["cc_charge", "cv_charge", "rest", "cc_discharge", "rest"]


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
def tracks(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """Return 5000 laser tracks."""
    path = tmp_path_factory.mktemp("tracks") / "ledger"
    return parts_of(LaserWelder, "laser-welder-plc", 5000, path)


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
    """P = V·I, R = V/I and E = P·t hold to 0.5 %; without current there is no resistance.

    Of a few welds the power alone is misread, by 10 % or more.
    """
    misread = 0
    without = [weld for weld in welds if number(weld, "current") == 0]
    assert without
    for weld in without:
        assert weld.values["resistance"] is None
        assert weld.code == "no_current"
    for weld in welds:
        current, voltage = number(weld, "current"), number(weld, "voltage")
        power, time = number(weld, "power"), number(weld, "weld_time")
        if power > 1.095 * voltage * current:
            misread += 1
        else:
            assert power == pytest.approx(voltage * current, rel=0.005)
        assert number(weld, "energy") == pytest.approx(voltage * current * time, rel=0.005)
        if current:
            assert number(weld, "resistance") == pytest.approx(voltage / current, rel=0.005)
    assert 0.001 < misread / len(welds) < 0.006


def test_peaks_are_above_the_averages(welds: list[Part]) -> None:
    """A pulse is no rectangle: its peaks are some ten per cent above the mean."""
    for weld in welds:
        for name in ("current", "voltage"):
            mean, peak = number(weld, name), number(weld, f"{name}_peak")
            assert mean <= peak < 1.2 * mean or mean == 0


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


# -- laser -----------------------------------------------------------------------------------


def test_energy_and_time_of_a_track_agree_with_power_length_and_speed(tracks: list[Part]) -> None:
    """E = P·t and t = length / speed hold to 0.5 %, and the heat input is P / speed."""
    for track in tracks:
        power, speed = number(track, "power"), number(track, "scan_speed")
        time = number(track, "weld_time")
        assert number(track, "energy") == pytest.approx(power * time, rel=0.005)
        assert time / 1000 == pytest.approx(number(track, "track_length") / speed, rel=0.005)
        assert number(track, "line_energy") == pytest.approx(power * 1000 / speed, abs=0.001)
    without = [track for track in tracks if number(track, "power") == 0]
    assert without
    assert {track.code for track in without} == {"no_beam"}


def test_a_dirty_glass_takes_power_until_it_is_cleaned(tracks: list[Part]) -> None:
    """Toward its cleaning the glass costs 2 % of power or more; then the power is back."""
    fresh, dirty = (
        statistics.fmean(
            number(track, "power")
            for track in tracks
            if track.code == "none" and span[0] <= number(track, "tracks_since_glass") < span[1]
        )
        for span in ((1, 300), (1200, 1700))
    )
    assert 0.95 * fresh < dirty < 0.98 * fresh
    counts = [number(track, "tracks_since_glass") for track in tracks]
    cleaned = [(before, after) for before, after in pairwise(counts) if after != before + 1]
    assert len(cleaned) >= 2
    assert all(1300 <= before <= 1700 and after == 1 for before, after in cleaned)


def test_a_module_is_40_spots_of_two_tracks(tracks: list[Part]) -> None:
    """Each spot has its first track and its second, of a program each; test tracks apart."""
    counted = (track for track in tracks if track.result is not Result.TEST)
    modules = [[*run] for _, run in groupby(counted, lambda track: track.serial)]
    places = [(spot, track) for spot in range(1, 41) for track in (1, 2)]
    for module in modules[:-1]:
        assert [(each.values["spot"], each.values["track"]) for each in module] == places
        assert all(each.tags["program"] == str(each.values["track"]) for each in module)


def test_tracks_are_rejected_by_the_limits_of_the_profile(tracks: list[Part]) -> None:
    """A good track is within all limits, derived ones too, a reject outside one of them."""
    records = PROFILES["laser-welder-plc"].records
    assert records is not None
    limits = {each.name: each.spec for each in records.quantities if each.spec}
    assert "line_energy" in limits

    def is_within(track: Part) -> bool:
        return all(low <= number(track, name) <= high for name, (low, high) in limits.items())

    assert all(is_within(track) for track in tracks if track.result is Result.OK)
    assert not any(is_within(track) for track in tracks if track.result is Result.NG)
    assert 0.003 < share_of(Result.NG, tracks) < 0.02
    codes = {track.code for track in tracks}
    assert codes >= {"none", "no_beam", "low_power", "high_back_reflection", "out_of_focus"}


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
    """Two cycles, the second with a pulse; the next serial only after the last step or a fault.

    A step that is interrupted leaves a record, and one more when it has gone on.
    """
    second = [*FIRST_CYCLE[:3], "pulse", *FIRST_CYCLE[3:]]
    order = [*((1, step) for step in FIRST_CYCLE), *((2, step) for step in second)]
    for channel in {part.tags["channel"] for part in steps}:
        own = [part for part in steps if part.tags["channel"] == channel]
        for serial, run in groupby(own, lambda part: part.serial):
            done = list(run)
            for before, after in pairwise(done):
                is_cut = before.values["end_reason"] in {"power_loss", "pause"}
                same = before.values["step_no"] == after.values["step_no"]
                assert is_cut == same, serial
                assert after.values["part"] == (number(before, "part") + 1 if is_cut else 1)
            whole = [
                part for part in done if part.values["end_reason"] not in {"power_loss", "pause"}
            ]
            made = [(part.values["cycle"], part.tags["step"]) for part in whole]
            start = order.index(made[0]) if made else 0  # type: ignore[arg-type]
            if made and made[0][1] == "rest":  # of two in a cycle
                start = int(number(whole[0], "step_no")) - 1 + 5 * (made[0][0] == 2)
            assert made == order[start : start + len(made)], serial
            assert start == 0 or done[0] is own[0]
            is_over = done[-1].values["end_reason"] in {"protection", "operator"}
            assert is_over or done[-1] is own[-1] or made[-1] == (2, "rest")
    assert {part.values["end_reason"] for part in steps} >= {"power_loss", "pause"}


def test_charge_comes_back_as_discharge(steps: list[Part]) -> None:
    """A graded cell gives about 2.55 Ah at less voltage than it took: energy is lost on the way."""
    by_cycle: dict[tuple[str, object], list[Part]] = {}
    for part in steps:
        by_cycle.setdefault((part.serial, part.values["cycle"]), []).append(part)
    whole = [
        run
        for run in by_cycle.values()
        if [part.tags["step"] for part in run] == FIRST_CYCLE and run[3].code == "none"
    ]
    assert len(whole) > 250
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
    graded = [
        part
        for part in steps
        if part.tags["step"] == "cc_discharge"
        and part.code == "none"
        and (part.values["end_reason"], part.values["part"]) == ("voltage", 1)
    ]
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
    cell = cell_physics.Cell(capacity=2.6, resistance=0.06, ambient=25, warming=4, faradaic=0.99)
    charge = cell_physics.charge_current(cell, 0.3)
    hold = cell_physics.charge_voltage(charge)
    pause = cell_physics.rest(hold)
    discharge = cell_physics.discharge(pause)
    short = cell_physics.pulse(pause)
    for step in (charge, hold, pause, short, discharge, cell_physics.recharge(discharge)):
        pieces = 20_000
        width = step.duration / pieces
        middles = [(piece + 0.5) * width for piece in range(pieces)]
        amp_hours = sum(abs(step.current(at)) for at in middles) * width / 3600
        watt_hours = sum(abs(step.current(at)) * step.voltage(at) for at in middles) * width / 3600
        assert step.amp_hours(step.duration) == pytest.approx(amp_hours, rel=1e-4)
        assert step.watt_hours(step.duration) == pytest.approx(watt_hours, rel=1e-4)
    assert discharge.charge(discharge.duration) < 0.01
    assert math.isclose(pause.voltage(0), 4.2, abs_tol=0.02)
