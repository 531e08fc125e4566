"""The schema lets nothing through that is not in the table, and fixes every type."""

from collections.abc import Mapping

import pytest

from agent.wire.point import Field, Point
from agent.wire.schema import TAGS, Schema
from collectors import toml_file
from collectors.errors import FixTheFileError
from collectors.profile import Profile, shipped

SCHEMA = Schema.of([])


def event(fields: Mapping[str, Field], **tags: str) -> Point:
    return Point(
        measurement="event",
        tags=dict.fromkeys(TAGS["event"], "x") | tags,
        fields=fields,
        time_ns=1,
    )


def profile_with(register: str) -> Profile:
    text = f"""
        title = {{ id = "Contoh", en = "Example" }}
        family = "meter"
        maker = "Nobody"
        source = "this test"
        grade = "bronze"
        [groups]
        live = 1.0
        [[registers]]
        name = "speed"
        address = 1
        type = "uint16"
        {register}
    """
    return toml_file.parse(text, Profile, name="example.toml")


def test_a_right_point_passes() -> None:
    """All tags, known fields, right types."""
    SCHEMA.check(event({"from_seq": 1, "reason": "gap"}))


@pytest.mark.parametrize(
    "point",
    [
        event({}),
        event({"from_seq": 1.0}),
        event({"from_seq": "1"}),
        event({"from_seq": True}),
        event({"reason": 1}),
        event({"from_seq": 1, "news": 1}),
        event({"from_seq": 1}, extra="x"),
        Point(measurement="event", tags={}, fields={"from_seq": 1}, time_ns=1),
        Point(measurement="hacked", tags={}, fields={"f": 1}, time_ns=1),
    ],
)
def test_nothing_else_passes(point: Point) -> None:
    """A wrong measurement, tag, field or type raises."""
    with pytest.raises(ValueError, match=r"."):
        SCHEMA.check(point)


def test_coercion_fixes_types_and_only_types() -> None:
    """A whole number read from a float register stays a float for ever."""
    coerced = SCHEMA.coerce(event({"from_seq": 3.0, "reason": 5}))
    assert coerced.fields == {"from_seq": 3, "reason": "5"}
    SCHEMA.check(coerced)
    with pytest.raises(ValueError, match="no field news"):
        SCHEMA.coerce(event({"news": 1}))


def test_all_shipped_profiles_fit_together() -> None:
    """One bucket can take every machine that we know: no name has two types."""
    schema = Schema.of(shipped().values())
    assert set(schema.fields) == set(TAGS)
    assert len(schema.fields["telemetry"]) > len(SCHEMA.fields["telemetry"])


def test_profiles_that_disagree_about_a_type_are_refused() -> None:
    """The second of two meanings of one name is named, with its profile."""
    whole, broken = profile_with("scale = 1"), profile_with("scale = 0.1")
    Schema.of([whole, whole])
    with pytest.raises(FixTheFileError, match=r"Example: `speed` of telemetry is float"):
        Schema.of([whole, broken])


def test_a_total_stands_beside_each_counter() -> None:
    """It is an int, and it is no register's: two that share a field would mix."""
    counter = "rollover = { wrap = 65536 }"
    assert Schema.of([profile_with(counter)]).fields["telemetry"]["speed_total"] == "int"
    taken = counter + '\n[[registers]]\nname = "speed_total"\naddress = 2\ntype = "uint16"'
    with pytest.raises(FixTheFileError, match="telemetry has a `speed_total` already"):
        Schema.of([profile_with(taken)])


def test_a_register_cannot_be_called_as_a_field_that_every_row_has() -> None:
    """`bad` counts missing values; a machine's own `bad` would be taken for that."""
    more = '[[registers]]\nname = "bad"\naddress = 2\ntype = "uint16"'
    with pytest.raises(FixTheFileError, match="telemetry has a `bad` already"):
        Schema.of([profile_with(more)])
