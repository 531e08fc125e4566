"""Line protocol: what is encoded comes back, and nothing else is taken."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client.client.write.point import Point as ClientPoint

from agent.wire.line import encode, parse
from agent.wire.point import Field, Point

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def points(text: st.SearchStrategy[str]) -> st.SearchStrategy[Point]:
    tag_values = text.filter(lambda value: value != "-")  # an empty value's own spelling
    fields: st.SearchStrategy[Field] = st.one_of(INTEGERS, FLOATS, text)
    return st.builds(
        Point,
        measurement=NAMES,
        tags=st.dictionaries(NAMES, tag_values, max_size=4),
        fields=st.dictionaries(NAMES, fields, min_size=1, max_size=5),
        time_ns=INTEGERS,
    )


@given(points(PLAIN_TEXT))
def test_what_is_encoded_comes_back(point: Point) -> None:
    """Values, types, tags and time survive, whatever printable text they hold."""
    back = parse(encode(point))
    assert back == point
    assert [type(value) for value in back.fields.values()] == [
        type(value) for value in point.fields.values()
    ]


@given(points(ANY_TEXT))
def test_control_characters_and_backslashes_never_break_a_line(point: Point) -> None:
    """Any text makes one line without control characters, which parses to its own spelling."""
    line = encode(point)
    assert not any(ord(letter) < 32 or ord(letter) == 127 for letter in line)
    assert encode(parse(line)) == line


@given(points(PLAIN_TEXT.filter(bool)))
def test_the_encoder_agrees_with_influxdb_client(point: Point) -> None:
    """The database's own client makes the same line, but for the spelling of whole floats."""
    client_point: Any = ClientPoint  # the library has no types
    theirs = client_point(point.measurement).time(point.time_ns)
    for tag, text in point.tags.items():
        theirs = theirs.tag(tag, text)
    for key, value in sorted(point.fields.items()):
        theirs = theirs.field(key, value)
    ours = Point(
        measurement=point.measurement,
        tags=point.tags,
        fields=dict(sorted(point.fields.items())),
        time_ns=point.time_ns,
    )
    spelt_short = [
        f"{name}={repr(value)[:-2]}"
        for name, value in ours.fields.items()
        if isinstance(value, float) and repr(value).endswith(".0")
    ]
    line = encode(ours)
    for each in spelt_short:
        line = line.replace(f"{each}.0", each, 1)
    assert line == theirs.to_line_protocol()


@given(points(ANY_TEXT), st.data())
def test_a_changed_line_raises_or_is_a_line_of_ours(point: Point, data: st.DataObject) -> None:
    """There is one spelling of each point: whatever else comes is refused."""
    line = encode(point)
    start = data.draw(st.integers(0, len(line)))
    stop = data.draw(st.integers(start, min(start + 3, len(line))))
    inserted = data.draw(st.text(st.sampled_from('\\ ,="i0129.eE+-_\n\x00#٣Nna'), max_size=3))
    changed = line[:start] + inserted + line[stop:]
    try:
        back = parse(changed)
    except ValueError:
        return
    assert encode(back) == changed


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "# lini 1",
        "m",
        "m 1",
        "m f=1",
        "m f=1 ",
        "m f= 1",
        "m =1.0 1",
        "m f=1.0,f=2.0 1",  # a key twice
        "m,b=1,a=1 f=1.0 1",  # tags out of order
        "m,a= f=1.0 1",
        "m f=1 1",  # a float without its point
        "m f=1.50 1",
        "m f=1e400 1",
        "m f=NaN 1",
        "m f=inf 1",
        "m f=true 1",
        "m f=01i 1",
        "m f=+1i 1",
        "m f=1_0i 1",
        "m f=٣i 1",  # digits of another script
        "m f=9223372036854775808i 1",
        'm f="a 1',
        'm f="a\\b" 1',
        'm f="a"b" 1',
        "m f=1i 1 2",
        "m f=1i +1",
        "m f=1i 1.0",
        "m f=1i 1\nn f=1i 1",
        "m,a=\\b f=1i 1",
        "m  f=1i 1",
    ],
)
def test_other_spellings_are_refused(line: str) -> None:
    """What InfluxDB might read in its own way, or not at all, does not get through."""
    with pytest.raises(ValueError, match=r"."):
        parse(line)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**63])
def test_numbers_the_database_cannot_hold_are_not_encoded(value: Field) -> None:
    """NaN, infinity and integers beyond 64 bits raise."""
    with pytest.raises(ValueError, match=r"not a number|does not fit"):
        encode(Point(measurement="m", tags={}, fields={"f": value}, time_ns=1))


def test_a_point_without_fields_is_not_encoded() -> None:
    """InfluxDB has no such row."""
    with pytest.raises(ValueError, match="no fields"):
        encode(Point(measurement="m", tags={}, fields={}, time_ns=1))
