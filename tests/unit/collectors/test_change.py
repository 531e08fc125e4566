"""What is stored tells of all that came: within the tolerance, without a hole, faults at once."""

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import change, toml_file
from collectors.change import ChangeFilter
from collectors.profile import Profile
from collectors.quality import Fault, Quality, Reason
from collectors.sample import Sample, StationId, Value

STATION = StationId(site="s", line="l", station="meter-1")
SECOND = 1_000_000_000
START = 1_778_742_312 * SECOND
RULES = ("deadband = 0.5", "deadband_percent = 2", "swinging_door = 0.5")
Came = tuple[int, Value | None, Fault | None]  # time, value, fault

each_rule = pytest.mark.parametrize("rule", RULES)


def profile(*rules: str, more: str = "") -> Profile:
    """Return a meter with the registers a, b, … each compressed by a rule; "" for none."""
    text = """
        title = { id = "Contoh", en = "Example" }
        family = "meter"
        maker = "Nobody"
        source = "this test"
        grade = "bronze"
        [groups]
        live = 1.0
    """
    for number, rule in enumerate(rules):
        text += (
            f'[[registers]]\nname = "{"abc"[number]}"\naddress = {4 * number}\ntype = "float64"\n'
        )
        text += f"compress = {{ {rule} }}\n" if rule else ""
    return toml_file.parse(text + more, Profile, name="example.toml")


def sample(
    time_ns: int, faults: dict[str, Fault] | None = None, channel: str = "", **values: Value
) -> Sample:
    return Sample(
        station=STATION,
        group="live",
        time_ns=time_ns,
        values=values,
        faults=faults or {},
        channel=channel,
    )


def stored(rule: str, came: Sequence[Came]) -> list[Came]:
    """Return what is stored of register `a`, as the database keeps it: one row a time."""
    changes = ChangeFilter(profile(rule))
    rows: dict[int, Came] = {}
    for time_ns, value, fault in came:
        faults = {"a": fault} if fault else None
        one = sample(time_ns, faults) if value is None else sample(time_ns, faults, a=value)
        rows |= {row.time_ns: _came(row) for row in changes.sampled(one)}
    rows |= {row.time_ns: _came(row) for row in changes.flush()}
    return [rows[time_ns] for time_ns in sorted(rows)]


def _came(row: Sample) -> Came:
    return row.time_ns, row.values.get("a"), row.faults.get("a")


def lies(rule: str, came: Sequence[Came]) -> list[str]:
    """Return what the stored rows say wrongly of what came; times may repeat, but not go back."""
    rows = stored(rule, came)
    truth = {each[0]: each for each in reversed(came)}  # of several at one time, the first
    return [
        *(f"{row} never came" for row in rows if not any(row[1] is each[1] for each in came)),
        *_holes(rule, [row[0] for row in rows], sorted(truth)),
        *_wrong(rule, rows, list(truth.values())),
    ]


def _holes(rule: str, rows: Sequence[int], times: Sequence[int]) -> Iterator[str]:
    most = 60 * SECOND
    for before, after in pairwise(rows):
        missed = bisect_right(times, after - 1) - bisect_right(times, before)
        if after - before > most and missed:
            yield f"{rule}: nothing stored from {before} to {after}, and {missed} came"


def _wrong(rule: str, rows: Sequence[Came], truth: Sequence[Came]) -> Iterator[str]:
    times = [row[0] for row in rows]
    for time_ns, value, fault in truth:
        index = bisect_right(times, time_ns) - 1
        at_ns, then, mark = rows[index]
        if mark != fault or (then is None) != (value is None):
            yield f"{rule}: {fault} at {time_ns} is shown as {mark}"
        if value is None or then is None:
            continue
        assert not isinstance(value, str)
        assert not isinstance(then, str)
        told, within = Fraction(then), _tolerance(rule, then)
        after = rows[index + 1] if index + 1 < len(rows) else (0, None, None)
        if "door" in rule and after[1] is not None and after[2] == mark:
            assert not isinstance(after[1], str)
            part = Fraction(time_ns - at_ns, after[0] - at_ns)
            told += part * (Fraction(after[1]) - told)
        if abs(told - Fraction(value)) > within:
            yield f"{rule}: {value} at {time_ns} is shown as {float(told)}"


def _tolerance(rule: str, value: float) -> Fraction:
    name, number = rule.split(" = ")
    tolerance = Fraction(float(number))  # as the profile has it, and a billionth for rounding
    if name == "deadband_percent":
        tolerance *= abs(Fraction(value)) / 100
    return tolerance * (1 + Fraction(2, 10**9))


GAPS = st.one_of(
    st.sampled_from([SECOND, 20 * SECOND, 60 * SECOND]),
    st.integers(1, 100 * SECOND),
    st.integers(0, 3),
)
STEPS = st.one_of(st.floats(-0.7, 0.7), st.floats(-9, 9), st.just(0.0))
ANY_NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**64 - 1)
)
FAULTS = st.sampled_from(
    [
        Fault(reason=Reason.COMM),
        Fault(reason=Reason.SENTINEL, raw=7),
        Fault(reason=Reason.SENTINEL, raw=7, quality=Quality.UNCERTAIN),
    ]
)


@st.composite
def walks(draw: st.DrawFn) -> list[Came]:
    """Draw a measurement that moves by a little, sometimes by a lot, at times that vary."""
    time_ns, value = START, draw(st.floats(-100, 100))
    came: list[Came] = []
    for gap, step in draw(st.lists(st.tuples(GAPS, STEPS), min_size=1, max_size=60)):
        time_ns, value = time_ns + gap, round(value + step, 1)
        came.append((time_ns, value, None))
    return came


@st.composite
def whole_walks(draw: st.DrawFn) -> list[Came]:
    """Draw the same as ints."""
    return [(time_ns, round(10 * float(value or 0)), None) for time_ns, value, _ in draw(walks())]


@st.composite
def faulty_walks(draw: st.DrawFn) -> list[Came]:
    """Draw a measurement that is bad or doubtful at times."""
    came: list[Came] = []
    for time_ns, value, _ in draw(walks()):
        if came and came[-1][0] == time_ns:
            continue
        fault = draw(st.one_of(st.none(), st.none(), FAULTS))
        is_bad = fault is not None and fault.quality is Quality.BAD
        came.append((time_ns, None if is_bad else value, fault))
    return came


@each_rule
@given(walks())
def test_what_was_not_stored_can_be_told_within_the_tolerance(rule: str, came: list[Came]) -> None:
    """Deadbands read as steps, doors as straight lines; no hole is longer than max_interval."""
    assert lies(rule, came) == []


@each_rule
@given(whole_walks())
def test_ints_stay_ints(rule: str, came: list[Came]) -> None:
    """What is stored is what came, of the same type."""
    assert lies(rule, came) == []
    assert {type(value) for _, value, _ in stored(rule, came)} == {int}


@each_rule
@given(faulty_walks())
def test_faults_are_told_from_the_poll_they_came_to_the_poll_they_left(
    rule: str, came: list[Came]
) -> None:
    """At any time the last stored row has the fault of that time, and good values stay true."""
    assert lies(rule, came) == []


@pytest.mark.parametrize("tolerance", [1e-250, 1e-9, 1.0, 1e15, 1e300])
@pytest.mark.parametrize("kind", ["deadband", "deadband_percent", "swinging_door"])
@given(st.lists(st.tuples(GAPS, ANY_NUMBERS), min_size=1, max_size=12))
def test_no_number_is_too_large_or_too_small(
    kind: str, tolerance: float, moves: list[tuple[int, float]]
) -> None:
    """Where a float cannot tell whether a curve passes a value, the value is stored."""
    time_ns, came = START, list[Came]()
    for gap, value in moves:
        time_ns += gap
        came.append((time_ns, value, None))
    assert lies(f"{kind} = {tolerance!r}", came) == []


def noisy(seed: int) -> list[Came]:
    """Return an hour of a slow curve with noise."""
    chance, value, came = random.Random(seed), 20.0, list[Came]()
    for second in range(3600):
        value += chance.gauss(0, 0.05)
        came.append((START + second * SECOND, round(value + chance.gauss(0, 0.1), 2), None))
    return came


def textbook_door(door: change._Door, time_ns: int, value: float) -> bool:
    """Ask only whether some line passes all values, not whether the one that is stored does."""
    past_ns, rise = time_ns - door._time_ns, value - door._value
    door._low = max(door._low, (rise - door._width) / past_ns)
    door._high = min(door._high, (rise + door._width) / past_ns)
    return door._low <= door._high


def creeping_band(band: change._Deadband, time_ns: int, value: float) -> bool:
    """Compare with the last value instead of the last stored one."""
    fits = abs(value - band._value) <= band._width
    band.start(time_ns, value)
    return fits


@each_rule
def test_control_a_doubled_tolerance_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The curve above would fail the property if the filter were twice as generous."""
    assert lies(rule, noisy(1)) == []
    monkeypatch.setattr(change, "_SLACK", 2.0)
    assert lies(rule, noisy(1)) != []


def test_control_the_textbooks_door_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual swinging door is off by up to twice its width: it does not pass."""
    monkeypatch.setattr(change._Door, "fits", textbook_door)
    assert lies("swinging_door = 0.5", noisy(1)) != []


def test_control_a_band_that_creeps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow drift, no step of which is large, must be stored."""
    drift: list[Came] = [(START + n * SECOND, n / 10, None) for n in range(50)]
    assert lies("deadband = 0.5", drift) == []
    monkeypatch.setattr(change._Deadband, "fits", creeping_band)
    assert lies("deadband = 0.5", drift) != []


def test_control_a_forgotten_interval_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that stands still must be stored all the same."""
    still: list[Came] = [(START + n * 7 * SECOND, 20.0, None) for n in range(40)]
    real = change._Curve.__init__

    def never(curve: change._Curve, *about: object) -> None:
        real(curve, *about)  # type: ignore[arg-type]
        curve._max_ns = 10**18

    for rule in RULES:
        assert lies(rule, still) == []
    monkeypatch.setattr(change._Curve, "__init__", never)
    for rule in RULES:
        assert lies(rule, still) != []


def test_a_door_stores_corners_with_their_own_time() -> None:
    """Up for ten polls, down for ten: the first value, the top, and the last at the end."""
    came: list[Came] = [(START + n * SECOND, float(10 - abs(10 - n)), None) for n in range(21)]
    found = [
        (time_ns // SECOND - START // SECOND, value)
        for time_ns, value, _ in stored("swinging_door = 0.25", came)
    ]
    assert found == [(0, 0.0), (10, 10.0), (20, 0.0)]


def test_a_step_of_exactly_the_deadband_is_no_movement() -> None:
    """20.1 is 0.1 away from 20.0, though not for a computer."""
    came: list[Came] = [(START, 20.0, None), (START + SECOND, 20.1, None)]
    changes = ChangeFilter(profile("deadband = 0.1"))
    rows = [list(changes.sampled(sample(t, a=v or 0))) for t, v, _ in came]
    assert [len(each) for each in rows] == [1, 0]


def test_a_clock_that_is_put_back_begins_a_new_curve() -> None:
    """What was held back is stored with its time, the new value with its own, an hour earlier."""
    changes = ChangeFilter(profile("swinging_door = 0.5"))
    for second in range(3):
        changes.sampled(sample(START + second * SECOND, a=20.0))
    early = sample(START - 3600 * SECOND, a=20.0)
    rows = changes.sampled(early)
    assert [row.time_ns for row in rows] == [early.time_ns, START + 2 * SECOND]


def test_what_is_not_compressed_passes_untouched() -> None:
    """A station without compression, or a sample of which all is stored, is not even copied."""
    plain = ChangeFilter(profile("", ""))
    one = sample(START, a=1.0, b=2.0)
    assert plain.sampled(one) == (one,)
    assert plain.sampled(one)[0] is one
    assert plain.flush() == []
    first = ChangeFilter(profile("deadband = 1", "")).sampled(one)
    assert len(first) == 1
    assert first[0] is one


def test_a_row_says_how_many_good_values_it_leaves_out() -> None:
    """`a` stands still, `b` is not compressed, `c` is bad: the row tells of all three."""
    changes = ChangeFilter(profile("deadband = 1", "", "deadband = 1"))
    fault = Fault(reason=Reason.COMM)
    changes.sampled(sample(START, {"c": fault}, a=1.0, b=2.0))
    (row,) = changes.sampled(sample(START + SECOND, {"c": fault}, a=1.1, b=2.0))
    assert row.values == {"b": 2.0}
    assert row.faults == {"c": fault}
    assert row.left_out == 1


def test_a_sample_of_which_nothing_moved_makes_no_row() -> None:
    """That is what saves the disk."""
    changes = ChangeFilter(profile("deadband = 1", "swinging_door = 1"))
    assert len(changes.sampled(sample(START, a=1.0, b=2.0))) == 1
    assert changes.sampled(sample(START + SECOND, a=1.1, b=2.1)) == []
    (held,) = changes.flush()
    assert held.time_ns == START + SECOND
    assert held.values == {"a": 1.1, "b": 2.1}
    assert changes.flush() == []


def test_two_corners_of_one_poll_share_a_row() -> None:
    """A row is a time: what was held back at the same time is stored together."""
    changes = ChangeFilter(profile("swinging_door = 0.1", "swinging_door = 0.1"))
    for second in range(4):
        changes.sampled(sample(START + second * SECOND, a=0.0, b=0.0))
    (corner,) = changes.sampled(sample(START + 4 * SECOND, a=5.0, b=-5.0))
    assert corner.time_ns == START + 3 * SECOND
    assert corner.values == {"a": 0.0, "b": 0.0}


def test_channels_have_curves_of_their_own() -> None:
    """Two channels of one cabinet, and the main map, do not mix although names repeat."""
    more = """
        [channels]
        count = 2
        address = 100
        stride = 4
        group = "live"
        [[channels.registers]]
        name = "a"
        address = 0
        type = "float64"
        compress = { deadband = 1 }
    """
    changes = ChangeFilter(profile("", more=more))
    for channel, value in (("1", 3.0), ("2", 4.0)):
        assert len(changes.sampled(sample(START, channel=channel, a=value))) == 1
    for channel, value in (("1", 3.5), ("2", 4.5)):
        assert changes.sampled(sample(START + SECOND, channel=channel, a=value)) == []
    assert len(changes.sampled(sample(START + SECOND, a=3.0))) == 1
    assert len(changes.sampled(sample(START + 2 * SECOND, a=3.0))) == 1
