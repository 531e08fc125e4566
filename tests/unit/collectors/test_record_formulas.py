"""Checks and derived values of a part: doubt is told, and no number is made from missing data."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import toml_file
from collectors.errors import FixTheFileError
from collectors.profile import Profile, shipped
from collectors.quality import Fault, Quality, Reason
from collectors.record import Cursor, Record
from collectors.record_source import RecordSource
from collectors.records.batch import Journal, Slot
from collectors.records.complete import completed
from collectors.sample import StationId, Value

REGISTERS = st.integers(0, 20_000).map(lambda raw: raw / 1000)
STATION = StationId(site="s", line="l", station="welder-1")
DOUBT = Fault(reason=Reason.IMPLAUSIBLE, quality=Quality.UNCERTAIN)
SENTINEL = Fault(reason=Reason.SENTINEL, raw=65535)
GOOD: Mapping[str, Value] = {
    "current": 1.525,
    "voltage": 1.22,
    "power": 1.861,
    "energy": 7.44,
    "weld_time": 4.0,
    "resistance": 0.8,
}


def source_of(name: str) -> RecordSource:
    """Return the record source of a shipped profile."""
    source = shipped()[name].records
    assert source is not None
    return source


WELDER, LASER = source_of("spot-welder-plc"), source_of("laser-welder-plc")


def doubts(values: Mapping[str, Value], faults: Mapping[str, Fault] | None = None) -> set[str]:
    """Return the values of a weld that are doubted; they must all still be there."""
    given_faults = faults or {}
    kept, told = completed(WELDER, values, given_faults)
    assert kept == values
    found = {name for name, fault in told.items() if fault == DOUBT}
    assert found | given_faults.keys() == told.keys()
    return found


def test_a_weld_that_obeys_the_laws_is_not_doubted() -> None:
    """P = V·I, R = V/I and E = P·t hold within 5 %: nothing is added to the record."""
    assert completed(WELDER, GOOD, {}) == (GOOD, {})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"power": 2.1}, {"power", "voltage", "current", "energy", "weld_time"}),
        ({"energy": 9.0}, {"energy", "power", "weld_time"}),
        ({"resistance": 0.9}, {"resistance", "voltage", "current"}),
        ({"current": 1.7}, {"power", "voltage", "current", "resistance"}),
        ({"weld_time": 5.0}, {"energy", "power", "weld_time"}),
    ],
)
def test_a_value_that_breaks_a_law_is_doubted_with_those_it_is_compared_with(
    changed: dict[str, Value], expected: set[str]
) -> None:
    """The values stay as they were measured; which of them is wrong nobody knows."""
    assert doubts({**GOOD, **changed}) == expected


def test_the_tolerance_is_five_percent_and_a_digit() -> None:
    """A published controller's averages pass; its peaks, multiplied, are no power."""
    averages = {"current": 4.5, "voltage": 4.0, "power": 18.0, "resistance": 0.89}
    assert not doubts({**averages, "energy": 36.0, "weld_time": 2.0})
    assert doubts({"current": 5.0, "voltage": 4.5, "power": 18.0}) == {
        "current",
        "voltage",
        "power",
    }
    assert not doubts({"current": 1.0, "voltage": 1.0, "power": 1.05})
    assert doubts({"current": 1.0, "voltage": 1.0, "power": 1.052})
    tiny = {"current": 0.020, "voltage": 0.040, "power": 0.001}  # 0.0008, as its register has it
    assert not doubts(tiny)


def test_what_cannot_be_checked_is_not_doubted() -> None:
    """Without current the resistance is not measured, and power and energy are rightly 0."""
    no_current = {**GOOD, "current": 0.0, "power": 0.0, "energy": 0.0}
    del no_current["resistance"]
    assert not doubts(no_current, {"resistance": SENTINEL})
    without_voltage = {name: value for name, value in GOOD.items() if name != "voltage"}
    assert not doubts(without_voltage, {"voltage": SENTINEL})


def test_a_resistance_without_current_is_doubted() -> None:
    """A PLC that writes 0 where nothing can be measured would pull down every mean."""
    zero = {**GOOD, "current": 0.0, "power": 0.0, "energy": 0.0, "resistance": 0.0}
    assert doubts(zero) == {"resistance", "voltage", "current"}


@st.composite
def welds(draw: st.DrawFn) -> dict[str, Value]:
    """Return a weld that obeys the laws, or breaks some of them by a little or by much."""
    slip = st.just(1.0) | st.sampled_from([0.0, 0.9, 0.96, 1.04, 1.06, 1.5])
    current, voltage = draw(REGISTERS), draw(REGISTERS)
    time = round(draw(REGISTERS), 2)
    power = round(voltage * current * draw(slip), 3)
    resistance = voltage / current if current else draw(REGISTERS)
    return {
        "current": current,
        "voltage": voltage,
        "weld_time": time,
        "power": power,
        "energy": round(power * time * draw(slip), 2),
        "resistance": round(resistance * draw(slip), 3),
    }


@given(values=welds())
def test_doubt_is_told_exactly_when_a_law_is_broken(values: dict[str, Value]) -> None:
    """An oracle that is written out agrees, and never is a value changed or taken away."""
    v = {name: float(value) for name, value in values.items()}

    def off(value: float, expected: float, step: float) -> bool:
        return abs(value - expected) > abs(expected) * 5 / 100 + step

    expected: set[str] = set()
    if off(v["power"], v["voltage"] * v["current"], 0.001):
        expected |= {"power", "voltage", "current"}
    if v["current"] == 0 or off(v["resistance"], v["voltage"] / v["current"], 0.001):
        expected |= {"resistance", "voltage", "current"}
    if off(v["energy"], v["power"] * v["weld_time"], 0.01):
        expected |= {"energy", "power", "weld_time"}
    assert doubts(values) == expected


TRACK: Mapping[str, Value] = {
    "power": 1.6,
    "energy": 64.0,
    "weld_time": 40.0,
    "scan_speed": 300.0,
    "track_length": 12.0,
}


def derived(
    values: Mapping[str, Value], faults: Mapping[str, Fault] | None = None
) -> Value | Fault:
    """Return what becomes of a track's energy per length."""
    kept, told = completed(LASER, values, faults or {})
    assert ("line_energy" in kept) != ("line_energy" in told)
    return kept["line_energy"] if "line_energy" in kept else told["line_energy"]


def test_a_derived_value_is_rounded_and_stands_beside_the_measured_ones() -> None:
    """1.6 kW at 300 mm/s is 5.333 J/mm."""
    assert derived(TRACK) == 5.333


def test_nothing_is_derived_from_what_is_missing_doubtful_or_zero() -> None:
    """There is a fault instead, that says which input it lacks."""
    still = {name: value for name, value in TRACK.items() if name != "scan_speed"}
    told = Fault(reason=Reason.INPUT, raw="scan_speed")
    assert derived(still, {"scan_speed": SENTINEL}) == told
    assert derived(still) == told
    assert derived({**TRACK, "scan_speed": 0.0}) == Fault(reason=Reason.INPUT, raw="scan_speed")
    lies = {**TRACK, "energy": 90.0}  # so the power is in doubt
    assert derived(lies) == Fault(reason=Reason.INPUT, raw="power")
    unchecked = {"power": 1.6, "scan_speed": 0.0}
    assert derived(unchecked) == Fault(reason=Reason.UNDEFINED, raw="scan_speed")


def test_a_derived_value_beyond_its_range_is_none() -> None:
    """Of 0.001 mm/s no heat input follows that anybody could believe."""
    crawling = {"power": 1.6, "scan_speed": 0.1}
    assert derived(crawling) == Fault(reason=Reason.OUT_OF_RANGE, raw=16000.0)


def test_control_without_the_checks_a_lie_is_derived_from() -> None:
    """Shows that it is the check that keeps the heat input out."""
    lies = {**TRACK, "energy": 90.0}
    unchecked = LASER.model_copy(update={"checks": ()})
    assert completed(unchecked, lies, {})[0]["line_energy"] == 5.333


def record_of(source: RecordSource, slot: Slot) -> Record:
    """Return the record that the engine makes of a slot."""
    return Journal(source, STATION).record(slot, Cursor(epoch=1, seq=7), at_ns=10**18)


def test_a_record_has_its_doubts_and_derived_values() -> None:
    """What the engine hands on is complete, before anybody stores it."""
    record = record_of(LASER, Slot({**TRACK, "program": 1, "result": "OK", "code": "none"}))
    assert record.values["line_energy"] == 5.333
    assert not record.faults
    record = record_of(WELDER, Slot({**GOOD, "power": 2.1, "program": 1}))
    assert record.faults["power"] == DOUBT
    assert record.values["power"] == 2.1


def laser_text(**changes: str) -> str:
    """Return the text of a small profile with one formula of each kind."""
    lines = {
        "derived": "1000 * power / scan_speed",
        "check": "power * weld_time",
        "name": "line_energy",
        "doubts": "",
        **changes,
    }
    registers = "\n".join(
        f'[[records.registers]]\nname = "{name}"\naddress = {number}\ntype = "{kind}"\n{more}'
        for number, (name, kind, more) in enumerate(
            [
                ("power", "uint16", ""),
                ("scan_speed", "uint16", ""),
                ("weld_time", "uint16", ""),
                ("energy", "uint16", ""),
                ("result", "enum", 'values = { 1 = "OK" }'),
            ]
        )
    )
    return f"""
title = {{ id = "x", en = "x" }}
family = "welder"
maker = "x"
source = "x"
grade = "bronze"
groups = {{ live = 1 }}
registers = [{{ name = "count", address = 50, type = "uint16" }}]

[records]
kind = "weld"
shape = "block"
period_s = 1
sequence = "count"
address = 0

{registers}

[[records.derived]]
name = "{lines["name"]}"
formula = "{lines["derived"]}"
decimals = 2
label = {{ id = "x", en = "x" }}

[[records.checks]]
value = "energy"
formula = "{lines["check"]}"
tolerance_percent = 5
{lines["doubts"]}
"""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"derived": "power / scan_sped"},
            "column 9: there is no number `scan_sped`; did you mean",
        ),
        ({"derived": "power / result"}, "column 9: there is no number `result`"),
        ({"derived": "7 * line_energy"}, "column 5: there is no number `line_energy`"),
        ({"derived": "power /"}, "records.derived.0.formula: column 8: a number, a name"),
        ({"name": "power"}, "there is a `power` already"),
        ({"name": "result"}, "there is a `result` already"),
        ({"name": "time"}, "`time` is a name that the database keeps for itself"),
        (
            {"check": "power * tim"},
            "check of `energy`: formula, column 9: there is no number `tim`",
        ),
        ({"doubts": 'doubts = ["result"]'}, "`result` cannot be doubted"),
    ],
)
def test_a_wrong_formula_is_told_when_the_profile_is_loaded(
    changes: dict[str, str], told: str
) -> None:
    """With its column and what was meant; a formula's own fault also with the line of the file."""
    toml_file.parse(laser_text(), Profile, name="laser.toml")
    with pytest.raises(FixTheFileError) as caught:
        toml_file.parse(laser_text(**changes), Profile, name="laser.toml")
    assert told in caught.value.what


def test_a_check_may_say_what_it_puts_in_doubt() -> None:
    """Where one of the values is surely the weak one, the others stay good."""
    text = laser_text(doubts='doubts = ["energy"]')
    source = toml_file.parse(text, Profile, name="laser.toml").records
    assert source is not None
    values: Mapping[str, Value] = {"power": 2, "scan_speed": 4, "weld_time": 5, "energy": 99}
    kept, told = completed(source, values, {})
    assert told == {"energy": DOUBT}
    assert kept["line_energy"] == 500.0
