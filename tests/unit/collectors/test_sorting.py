"""K values and duplicates: what two measurements of a cell may be taken for, and what not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.profile import find
from collectors.quality import Fault, Reason
from collectors.record import Result, TimeSource
from collectors.record_source import RecordSource
from collectors.sorting import KValue, Measured, Repeats, duplicate, k_value

HOUR_NS = 3_600_000_000_000
START_NS = 1_760_000_000_000_000_000
RULE = KValue.model_validate(
    {
        "name": "k",
        "ocv": "ocv",
        "temperature": "temperature",
        "unit": "mV/d",
        "sign": "loss_is_positive",
        "min_rest_h": 24,
        "max_temperature_difference": 2,
        "label": {"id": "K", "en": "K"},
    }
)
REPEATS = Repeats(apart_h=1, again_after=("probe_contact",))


def measured(hours: float, ocv: float | None, celsius: float | None = 25.0) -> Measured:
    """Return a measurement, heard of as it was made."""
    values = {"ocv": ocv, "temperature": celsius}
    return Measured(
        station="s/l/sorter-1",
        epoch=1,
        seq=round(100 * hours) + 1,
        time_ns=START_NS + round(hours * HOUR_NS),
        time_source=TimeSource.MACHINE,
        heard_ns=START_NS + round(hours * HOUR_NS) + 3_000_000_000,
        result=Result.OK,
        code="none",
        values={name: value for name, value in values.items() if value is not None},
    )


def k(earlier: Measured, now: Measured, *, rule: KValue = RULE, unit: str = "mV") -> float | Fault:
    return k_value(rule, unit, [earlier], now).value


def reason(found: float | Fault) -> Reason:
    assert isinstance(found, Fault), found
    return found.reason


def test_thirty_millivolts_in_two_weeks_are_two_a_day() -> None:
    """A page of the trade makes 3 mV and 0.21 mV/d of 3.66 V and 3.63 V: it is ten times that."""
    now = measured(14 * 24, 3.63)
    found = k(measured(0, 3.66), now, unit="V")
    assert found == pytest.approx(2.142857, abs=1e-4)
    assert found != pytest.approx(0.21, abs=0.01)
    hourly = RULE.model_copy(update={"unit": "mV/h"})
    assert k(measured(0, 3660.0), measured(14 * 24, 3630.0), rule=hourly) == 0.0893


@given(
    before=st.floats(3500, 3700),
    loss=st.floats(-5, 50),
    hours=st.floats(24, 2000),
)
def test_k_is_the_loss_over_the_time_in_each_unit_and_sign(
    before: float, loss: float, hours: float
) -> None:
    """Sign and unit are the profile's; the four ways to say it agree with each other."""
    pair = measured(0, before), measured(hours, before - loss)
    daily = k(*pair)
    assert daily == pytest.approx(24 * loss / hours, abs=1e-3)
    reverse = RULE.model_copy(update={"sign": "loss_is_negative"})
    assert k(*pair, rule=reverse) == -daily  # type: ignore[operator]
    hourly = RULE.model_copy(update={"unit": "mV/h", "decimals": 6})
    assert k(*pair, rule=hourly) == pytest.approx(loss / hours, abs=1e-5)
    volts = measured(0, before / 1000), measured(hours, (before - loss) / 1000)
    assert k(*volts, unit="V") == pytest.approx(daily, abs=2e-4)


def test_without_rest_or_at_another_temperature_there_is_no_k() -> None:
    """The reason is told, with how far off the condition is."""
    soon = k(measured(0, 3660), measured(23.9, 3630))
    assert soon == Fault(reason=Reason.REST, raw=23.9)
    warm = k(measured(0, 3660, 22.0), measured(48, 3659, 24.5))
    assert warm == Fault(reason=Reason.TEMPERATURE, raw=2.5)
    assert isinstance(k(measured(0, 3660, 22.0), measured(48, 3659, 24.0)), float)


def test_a_value_that_is_missing_makes_no_k() -> None:
    """An open probe, or an unknown temperature, is not zero volts or degrees."""
    whole = measured(48, 3650)
    assert reason(k(measured(0, None), whole)) is Reason.INPUT
    assert reason(k(measured(0, 3660, None), whole)) is Reason.INPUT
    assert reason(k(measured(0, 3660), measured(48, None))) is Reason.INPUT


def test_a_clock_that_was_set_makes_no_k() -> None:
    """The machine's time between two parts must be the agent's; two machines are two clocks."""
    first, second = measured(0, 3660), measured(48, 3650)
    jumped = replace(second, heard_ns=first.heard_ns + 24 * HOUR_NS)
    assert reason(k(first, jumped)) is Reason.CLOCK
    assert reason(k(first, replace(second, time_ns=first.time_ns - 1))) is Reason.CLOCK
    elsewhere = replace(second, station="s/l/sorter-2")
    assert reason(k(first, elsewhere)) is Reason.CLOCK
    trusting = RULE.model_copy(update={"across_stations": True})
    assert isinstance(k(first, elsewhere, rule=trusting), float)
    ours = [replace(each, time_source=TimeSource.AGENT) for each in (first, second)]
    assert reason(k(ours[0], ours[1])) is Reason.CLOCK
    kept = RULE.model_copy(update={"agent_clock": True})
    assert isinstance(k(ours[0], ours[1], rule=kept), float)
    assert reason(k(ours[0], second, rule=kept)) is Reason.CLOCK
    late = replace(second, heard_ns=second.heard_ns + HOUR_NS)  # read after an outage of the agent
    assert isinstance(k(first, late), float)


def test_the_newest_measurement_that_meets_the_conditions_counts() -> None:
    """A second touch minutes ago does not hide the measurement of two weeks ago."""
    old, again, now = measured(0, 3660), measured(335.9, 3641), measured(336, 3640)
    found = k_value(RULE, "mV", [again, old], now)
    assert found.earlier is old
    assert found.value == pytest.approx(20 / 14, abs=1e-4)
    assert found.rest_h == 336
    alone = k_value(RULE, "mV", [again], now)
    assert (reason(alone.value), alone.earlier) == (Reason.REST, again)
    golden = replace(old, result=Result.TEST)
    assert reason(k_value(RULE, "mV", [golden], now).value) is Reason.NO_EARLIER


def test_a_serial_that_comes_again_at_once_is_a_duplicate() -> None:
    """A cell put in again after a bad contact, after its rest, or as a test, is the same cell."""
    first, soon = measured(0, 3660), measured(0.5, 3660)
    assert duplicate(REPEATS, [first], soon) is first
    assert duplicate(REPEATS, [first], measured(1, 3660)) is None
    assert duplicate(REPEATS, [replace(first, code="probe_contact")], soon) is None
    assert duplicate(REPEATS, [replace(first, result=Result.TEST)], soon) is None
    assert duplicate(REPEATS, [first], replace(soon, result=Result.TEST)) is None
    assert duplicate(REPEATS, [], soon) is None


def test_a_code_that_the_machine_never_tells_is_refused() -> None:
    """A cell that is put in again would be a duplicate for ever, for a slip of the pen."""
    source = find("cell-sorter-plc").records
    assert source is not None
    table = source.model_dump(by_alias=True, exclude_unset=True)
    repeats = {"apart_h": 1, "again_after": ["probe_contakt"]}
    with pytest.raises(ValueError, match="`code` never is `probe_contakt`"):
        RecordSource.model_validate({**table, "repeats": repeats})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ocv": "voltage"}, "no number `voltage`"),
        ({"ocv": "acir"}, "must be in mV or V"),
        ({"ocv": "serial"}, "no number `serial`"),
        ({"name": "acir"}, "call the K value otherwise"),
        ({"spec": [1, 0]}, "low first"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(change: dict[str, object], told: str) -> None:
    """Names, units and limits are checked when the profile is loaded."""
    source = find("cell-sorter-plc").records
    assert source is not None
    table = source.model_dump(by_alias=True, exclude_unset=True)
    with pytest.raises(ValueError, match=told):
        RecordSource.model_validate({**table, "k_value": {**table["k_value"], **change}})
