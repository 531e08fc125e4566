"""Rows of one shape are spelt quickly, and to the letter as the exact way spells them."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire import encoder, line
from agent.wire.encoder import Encoder
from agent.wire.point import Field, Point
from agent.wire.schema import TAGS, Schema
from collectors.quality import Reason

SCHEMA = Schema(
    {
        "telemetry": {
            "whole": "int",
            "more": "int",
            "real": "float",
            "text": "str",
            "odd %s,= name": "float",
            "bad": "int",
        }
    }
)
ENCODER = Encoder(SCHEMA)  # one for all examples: shapes are learnt once and used ever after
INTEGERS = st.one_of(st.integers(-9, 9), st.integers(-(2**63) - 2, 2**63 + 1), st.booleans())
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(['a=nan,"', "=inf", "\\", '"', "a\nb", "%d", "", Reason.COMM, "12"]),
)
FLOATS = st.floats()
SEVERAL = st.one_of(INTEGERS, FLOATS, TEXTS)
FIELDS = st.one_of(
    st.fixed_dictionaries({"whole": INTEGERS, "real": FLOATS}),
    st.fixed_dictionaries({"whole": INTEGERS, "more": INTEGERS, "text": TEXTS}),
    st.fixed_dictionaries({"odd %s,= name": FLOATS, "text": TEXTS, "bad": INTEGERS}),
    st.dictionaries(st.sampled_from([*SCHEMA.fields["telemetry"], "unknown"]), SEVERAL),
)
STATIONS = st.sampled_from(["welder-1", "100 %", "a,b=c", "", "back\\slash"])


def outcome(encode: Callable[[Point], str], point: Point) -> str | type[Exception]:
    """Return the line, or what is raised instead."""
    try:
        return encode(point)
    except (ValueError, TypeError, OverflowError) as error:
        return type(error)


def exact(point: Point) -> str:
    return line.encode(SCHEMA.coerce(point))


def row(fields: dict[str, Field], station: str = "welder-1", time_ns: int = 1) -> Point:
    tags = dict.fromkeys(TAGS["telemetry"], "x") | {"station": station}
    return Point(measurement="telemetry", tags=tags, fields=fields, time_ns=time_ns)


@given(FIELDS, STATIONS, st.integers(-(2**63), 2**63 - 1))
def test_every_row_is_spelt_as_the_exact_way_spells_it(
    fields: dict[str, Field], station: str, time_ns: int
) -> None:
    """Twice in a row, so that the second goes the short way wherever there is one."""
    point = row(fields, station, time_ns)
    assert outcome(ENCODER.encode, point) == outcome(exact, point)
    assert outcome(ENCODER.encode, point) == outcome(exact, point)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_known_shape_does_not_let_a_bad_number_through(bad: float) -> None:
    """The first row teaches the shape, the second holds what no database takes."""
    fresh = Encoder(SCHEMA)
    fresh.encode(row({"real": 1.0, "whole": 1}))
    with pytest.raises(ValueError, match="is not a number"):
        fresh.encode(row({"real": bad, "whole": 1}))
    with pytest.raises(ValueError, match="does not fit"):
        fresh.encode(row({"real": 1.0, "whole": 2**63}))


def test_control_without_the_checks_a_bad_number_gets_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the property above runs the short way, and sees what it lets through."""
    monkeypatch.setattr(encoder, "_NOT_FINITE", ())
    fresh = Encoder(SCHEMA)
    fresh.encode(row({"real": 1.0}))
    assert "real=nan" in fresh.encode(row({"real": math.nan}))


def test_a_shape_is_known_by_its_types_too() -> None:
    """An int in a float field stays a float, after a float as well."""
    fresh = Encoder(SCHEMA)
    spelt = [fresh.encode(row({"real": value})).split()[1] for value in (1.5, 2, 2.5)]
    assert spelt == ["real=1.5", "real=2.0", "real=2.5"]


def test_what_is_kept_of_shapes_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter leaves ever other parts of a row; they must not fill the memory."""
    monkeypatch.setattr(encoder, "_MOST_SHAPES", 3)
    fresh = Encoder(SCHEMA)
    for number in range(10):
        fresh.encode(row({"real": 1.0}, station=f"station-{number}"))
        assert len(fresh._shapes) <= 3
