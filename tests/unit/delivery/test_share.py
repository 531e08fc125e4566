"""What leaves for an uplink with a share policy."""

import re

import pytest

from agent.delivery.share import SerialMode
from agent.wire import line
from agent.wire.point import Field, Point
from tests.unit.delivery.share_policies import AGENT, RIVAL, SECRET, UPLINK, left, point, share


def event(kind: str, station: str = "welder-1", **fields: Field) -> Point:
    return point("event", fields, station=station, kind=kind)


# -- rows, fields, numbers ---------------------------------------------------------------------


def test_only_named_stations_measurements_and_fields_leave() -> None:
    """Tags and time stay as they are: they are the row's identity."""
    policy = share(weld=["force", "ok"])
    sent = point("weld", {"force": 31.25, "energy": 7.0, "ok": 1, "serial": "M1"})
    (text,) = policy.select([line.encode(sent)])
    assert text == line.encode(point("weld", {"force": 31.25, "ok": 1}))
    assert left(policy, point("weld", {"force": 1.0}, station="welder-2")) is None
    assert left(policy, point("telemetry", {"force": 1.0})) is None
    assert left(policy, point("weld", {"energy": 7.0})) is None


def test_a_pattern_takes_numbers_and_a_text_needs_its_name() -> None:
    everything = share(weld=["*"], telemetry=["lot"])
    assert "quality" not in everything.fields["weld"]
    assert {each.type for each in everything.fields["weld"].values()} == {"int", "float"}
    assert everything.fields["telemetry"].keys() == {"lot"}


def test_numbers_are_rounded_by_the_first_pattern_that_fits() -> None:
    policy = share(cell=["*"], decimals={"ocv*": 3, "*": 1})
    sent = point("cell", {"ocv": 3.61237, "acir": 17.5678, "seq": 12345}, station="sorter-1")
    assert left(policy, sent) == {"ocv": 3.612, "acir": 17.6, "seq": 12345}


# -- serials -----------------------------------------------------------------------------------


def test_a_hashed_serial_stays_the_same_and_needs_the_secret() -> None:
    """Another secret or another uplink makes another: customers cannot compare theirs."""

    def told(serial: str, uplink: str = UPLINK, key: str = SECRET) -> Field:
        policy = share(serial="hashed", weld=["ok"], uplink=uplink, key=key)
        return (left(policy, point("weld", {"ok": 1, "serial": serial})) or {})["serial"]

    assert told("M1") == told("M1") != told("M2")
    assert len({told("M1"), told("M1", "b"), told("M1", key=SECRET[::-1])}) == 3
    assert re.fullmatch("[0-9a-f]{32}", str(told("M1")))
    assert told("") == ""  # none was scanned: not a part of its own


def test_serials_leave_as_the_policy_says() -> None:
    sent = point("weld", {"ok": 1, "serial": "M1"})
    assert left(share(serial="plain", weld=["ok"]), sent) == {"ok": 1, "serial": "M1"}
    assert left(share(serial="none", weld=["ok"]), sent) == {"ok": 1}


def test_registers_that_carry_serials_are_hashed_as_well() -> None:
    """As the module that a cell is scanned into."""
    sent = point("telemetry", {"lot": "M1"})
    hashed = left(share(serial="hashed", telemetry=["lot"], carriers=frozenset({"lot"})), sent)
    assert hashed
    assert hashed != left(share(serial="hashed", telemetry=["lot"]), sent) == {"lot": "M1"}


# -- what tells of what is hidden --------------------------------------------------------------


def test_quality_names_shared_fields_only() -> None:
    """And `bad` counts them."""
    policy = share(weld=["force", "energy", "bad", "quality"])
    told = "force:sentinel current:comm energy:no_earlier"
    sent = point("weld", {"bad": 2, "quality": told})
    assert left(policy, sent) == {"bad": 1, "quality": "force:sentinel energy:no_earlier"}
    assert left(policy, point("weld", {"bad": 1, "quality": "current:comm"})) == {"bad": 0}
    assert left(policy, point("weld", {"bad": 9, "quality": "*:comm"})) == {
        "bad": 4,
        "quality": "*:comm",
    }


def test_values_from_a_hidden_station_stay() -> None:
    policy = share(cell=["k_from_*", "k_from_station", "k_rest_h", "ocv"])
    fields: dict[str, Field] = {"ocv": 3.6, "k_from_ocv": 3.7, "k_rest_h": 24.0}
    for station, more in (("sorter-1", fields), ("former-1", {"ocv": 3.6})):
        sent = point("cell", fields | {"k_from_station": station}, station="sorter-1")
        came = left(policy, sent)
        assert came == more | ({"k_from_station": station} if station in policy.stations else {})


EVENT_FIELDS = ["count", "reason", "detail", "register", "value", "value_before", "from_seq"]


@pytest.mark.parametrize(
    ("sent", "leaves"),
    [
        (event("records_lost", detail="weld", count=3), True),
        (event("records_lost", detail="cell", count=3), False),
        (event("epoch_started", detail="cell", count=3), False),
        (event("counter_reset", detail="cells_per_hour", before=7), True),
        (event("counter_reset", detail="7.cells_per_hour", before=7), True),
        (event("counter_reset", detail="lot", before=7), False),
        (event("recipe_changed", register="cells_per_hour", value="7"), True),
        (event("recipe_changed", register="lot", value="7"), False),
        (event("duplicate_serial", detail="weld", value="M1", value_before="sorter-1"), True),
        (event("duplicate_serial", detail="weld", value="M1", value_before="former-1"), False),
        (event("gap", AGENT, detail=UPLINK, count=3), True),
        (event("gap", AGENT, detail=RIVAL, count=3), False),
        (event("gap", AGENT, count=3), True),
        (event("of_tomorrow", count=3), False),
        (point("ledger", {"count": 3}, kind="weld"), True),
        (point("ledger", {"count": 3}, kind="cell"), False),
    ],
)
def test_what_tells_of_hidden_things_is_hidden(sent: Point, leaves: bool) -> None:  # noqa: FBT001 - a parameter of the table
    policy = share(
        stations=["welder-1", "sorter-1", AGENT],
        weld=["force"],
        telemetry=["cells_per_hour"],
        event=[*EVENT_FIELDS, "before"],
        ledger=["count"],
    )
    assert (left(policy, sent) is not None) == leaves


@pytest.mark.parametrize(
    ("serial", "value"), [("plain", "M1"), ("none", None), ("hashed", "0123456789")]
)
def test_no_event_tells_a_serial_that_is_hidden(serial: SerialMode, value: str | None) -> None:
    """Neither where the machine tells it, nor where people may have written it."""
    policy = share(serial=serial, weld=["ok"], event=EVENT_FIELDS)
    twice = left(
        policy, event("duplicate_serial", detail="weld", value="M1", value_before="welder-1")
    )
    lot = left(policy, event("lot_started", value="M1", count=1))
    assert twice
    assert lot
    assert (twice.get("value") == "M1", lot.get("value") == "M1") == (value == "M1",) * 2
    assert ("value" in twice) == (value is not None)
