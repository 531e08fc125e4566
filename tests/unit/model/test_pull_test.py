"""Pull tests as people enter them: one row, or all that is wrong with it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.pull_test import FailureMode, PullTestError, PullType, pull_test_point
from agent.wire import line
from agent.wire.schema import Schema
from collectors.profile import shipped
from collectors.sample import StationId

STATION = StationId(site="bdg-1", line="line-1", station="welder-1")
NOW_NS = 1_790_000_000_123_456_789
SCHEMA = Schema.of(shipped().values())
FACTS: dict[str, Any] = {
    "time_ns": NOW_NS,
    "program": "1",
    "pull_type": "peel",
    "force_n": 45.2,
    "failure_mode": "button",
    "result": "OK",
    "by": "op-07",
}


def test_a_pull_test_is_one_row_with_its_type() -> None:
    """Type, program and result can be grouped by; force, mode and person stand beside them."""
    point = pull_test_point(
        STATION, **FACTS, minimum_n=30, serial="MOD-1000001", position=17, note="after dressing"
    )
    SCHEMA.check(point)
    assert point.measurement == "pull_test"
    assert point.tags == {
        "site": "bdg-1",
        "line": "line-1",
        "station": "welder-1",
        "program": "1",
        "type": "peel",
        "result": "OK",
    }
    assert point.fields == {
        "force": 45.2,
        "force_lsl": 30.0,
        "failure_mode": "button",
        "ok": 1,
        "serial": "MOD-1000001",
        "position": 17,
        "by": "op-07",
        "note": "after dressing",
    }
    assert point.time_ns == NOW_NS


def test_a_test_strip_has_neither_serial_nor_position_nor_limit() -> None:
    """What is not known is not made up; a weld that fell off by itself bore 0 N."""
    point = pull_test_point(STATION, **{**FACTS, "force_n": 0, "result": "NG"})
    SCHEMA.check(point)
    assert point.fields == {
        "force": 0.0,
        "failure_mode": "button",
        "ok": 0,
        "serial": "",
        "by": "op-07",
        "note": "",
    }


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"pull_type": "shear"}, "no type `shear`: choose one of peel, t_peel, lap_shear, cross"),
        ({"pull_type": ""}, "there is no type ``"),
        ({"failure_mode": "broken"}, "no failure mode `broken`: choose one of button, interfacial"),
        ({"result": "TEST"}, "there is no result `TEST`: choose one of OK, NG"),
        ({"program": ""}, "`` is no weld program"),
        ({"program": "las 1; drop"}, "`las 1; drop` is no weld program"),
        ({"force_n": -1.0}, "a force of -1 N cannot be"),
        ({"force_n": float("nan")}, "a force of nan N cannot be"),
        ({"force_n": 1e9}, "a force of 1e+09 N cannot be: from 0 to 20000 N"),
        ({"minimum_n": float("inf")}, "a minimum of inf N cannot be"),
        ({"minimum_n": 50.0}, "45.2 N is below the minimum of 50 N: that is not OK"),
        ({"position": -1}, "there is no position -1"),
        ({"by": "  "}, "`by` is missing"),
        ({"by": "x" * 65}, "`by` is longer than 64 characters"),
        ({"serial": "x" * 65}, "`serial` is longer than 64 characters"),
        ({"note": "x" * 501}, "`note` is longer than 500 characters"),
        ({"time_ns": 86_400 * 10**9}, "is the clock set?"),
    ],
)
def test_what_cannot_be_is_told(facts: dict[str, Any], told: str) -> None:
    """In words that say what is known, and nothing is stored."""
    with pytest.raises(PullTestError) as caught:
        pull_test_point(STATION, **{**FACTS, **facts})
    assert told in caught.value.what
    assert caught.value.hint


def test_every_fault_is_told_at_once() -> None:
    """Nobody has to enter a test five times to learn five things."""
    with pytest.raises(PullTestError) as caught:
        pull_test_point(STATION, **{**FACTS, "pull_type": "x", "force_n": -1, "by": ""})
    assert caught.value.what.count(";") == 2


def test_a_reject_may_lie_above_the_minimum() -> None:
    """An interfacial failure can be a reject whatever the force: people judge that."""
    facts = {**FACTS, "result": "NG", "failure_mode": "interfacial"}
    assert pull_test_point(STATION, **facts, minimum_n=30).fields["ok"] == 0


words = st.sampled_from(["op-07", "sobek, bagus"]) | st.text(max_size=70)


@given(
    facts=st.fixed_dictionaries(
        {
            "time_ns": st.just(NOW_NS) | st.integers(1_600_000_000 * 10**9, 2**64),
            "program": st.sampled_from(["1", "las-2"]) | st.from_regex("[A-z0-9_.-]{1,21}"),
            "pull_type": st.sampled_from([*PullType, "t-peel"]),
            "force_n": st.floats(0, 20_001) | st.floats() | st.integers(0, 99),
            "failure_mode": st.sampled_from([*FailureMode, ""]),
            "result": st.sampled_from(["OK", "NG", "NG", "ok"]),
            "by": words,
            "minimum_n": st.none() | st.floats(0, 100),
            "serial": words,
            "position": st.none() | st.integers(-1, 2**31),
            "note": words,
        }
    )
)
def test_whatever_is_entered_is_a_row_of_the_schema_or_an_error(facts: dict[str, Any]) -> None:
    """No entry makes a row that the sink or the database would refuse later."""
    try:
        point = pull_test_point(STATION, **facts)
    except PullTestError:
        return
    SCHEMA.check(point)
    sent = line.parse(line.encode(point))
    assert sent.tags == point.tags
    assert sent.time_ns == point.time_ns
    assert sent.fields["force"] == point.fields["force"]


@given(
    force=st.floats(0, 20_000),
    minimum=st.none() | st.floats(0, 20_000),
    pull_type=st.sampled_from([*PullType]),
    mode=st.sampled_from([*FailureMode]),
    result=st.sampled_from(["OK", "NG"]),
)
def test_every_plausible_entry_is_taken(
    force: float, minimum: float | None, pull_type: str, mode: str, result: str
) -> None:
    """Only an OK below its minimum is refused: the rule above does not refuse everything."""
    facts = {"force_n": force, "pull_type": pull_type, "failure_mode": mode, "result": result}
    if minimum is not None and force < minimum and result == "OK":
        with pytest.raises(PullTestError):
            pull_test_point(STATION, **{**FACTS, **facts}, minimum_n=minimum)
    else:
        point = pull_test_point(STATION, **{**FACTS, **facts}, minimum_n=minimum)
        assert point.fields["force"] == force
