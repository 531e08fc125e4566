"""Two ways to judge a line: the quick one takes only what the exact one takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.server import lines as lines_module
from agent.server.lines import LineCheck
from agent.server.window import Window
from agent.wire import line
from agent.wire.point import Point
from agent.wire.schema import Schema

SCHEMA = Schema(
    {
        **Schema.of([]).fields,
        "telemetry": {"volt": "float", "count": "int", "name": "str", "amp": "float"},
    }
)
WINDOW = Window(first_ns=1_000, last_ns=2_000)
TAGS = {"site": "s", "line": "l", "station": "w1"}
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "volt": st.floats(allow_nan=False, allow_infinity=False)
        | st.decimals(-(10**6), 10**6, places=3).map(float),
        "count": st.integers(-(2**63), 2**63 - 1),
        "name": st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        "amp": st.floats(-1, 1, allow_nan=False),
    },
).filter(bool)


def exact(text: str) -> str:
    """Judge a line with a check that knows no head yet."""
    return LineCheck(SCHEMA).fault(text, WINDOW)


def taught() -> LineCheck:
    """Return a check that has seen the head of the lines here."""
    check = LineCheck(SCHEMA)
    point = Point(measurement="telemetry", tags=TAGS, fields={"volt": 1.5}, time_ns=1_500)
    assert check.fault(line.encode(point), WINDOW) == ""
    return check


@given(FIELDS, st.integers(900, 2_100), st.data())
def test_both_ways_judge_alike(
    fields: dict[str, float | str], time: int, data: st.DataObject
) -> None:
    """Whatever is done to a line of ours, both ways let the same through, for the same reason."""
    text = line.encode(Point(measurement="telemetry", tags=TAGS, fields=fields, time_ns=time))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(start + 3, len(text))))
    letters = st.sampled_from('\\ ,="i0129.eE+-_\n\x00#٣Nnavoltcount')
    changed = text[:start] + data.draw(st.text(letters, max_size=4)) + text[stop:]
    for each in (text, changed):
        assert taught().fault(each, WINDOW) == exact(each)


@given(st.from_regex(re.compile(lines_module._FLOAT + "(?= )", re.ASCII)))
def test_floats_of_the_quick_way_are_spelt_back(text: str) -> None:
    """Up to 15 digits survive the way through a float, so both ways take the spelling."""
    found = re.search(lines_module._FLOAT, f"{text} ")
    assert found is not None
    assert repr(float(found[0])) == found[0]


@pytest.mark.parametrize(
    "fields",
    [
        "volt=1.5,volt=1.5",
        "volt=1.5,volt=2.5",
        "count=1.0",
        "volt=1i",
        'volt="1.5"',
        "name=1i",
        "watt=1.5",
        "volt=1.50",
        "volt=01.5",
        "volt=0.00001",
        "volt=1e5",
        "count=01i",
        "count=-0i",
        "count=9223372036854775808i",
        'name="a\\"',
        'name="a"b"',
        "volt=1.5 1500\ntelemetry volt=1.5",
    ],
)
def test_what_is_wrong_is_wrong_under_a_known_head_too(fields: str) -> None:
    """A head that was right once is no letter of safe conduct for what follows it."""
    text = f"telemetry,line=l,site=s,station=w1 {fields} 1500"
    assert exact(text)
    assert taught().fault(text, WINDOW) == exact(text)


def test_plain_lines_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers and texts without escapes are not parsed once their head is known."""
    check = taught()
    monkeypatch.setattr(line, "parse", None)
    for fields in ("volt=-0.0001,count=-7i", 'name="a b, c=1",amp=0.0', "volt=999999999999.25"):
        assert check.fault(f"telemetry,line=l,site=s,station=w1 {fields} 1500", WINDOW) == ""
    with pytest.raises(TypeError):
        check.fault("telemetry,line=l,site=s,station=w2 volt=1.5 1500", WINDOW)


def test_remembered_heads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends ever new tags costs time, not memory."""
    monkeypatch.setattr(lines_module, "_MOST_HEADS", 10)
    check = LineCheck(SCHEMA)
    for number in range(25):
        text = f"telemetry,line=l,site=s,station=w{number} volt=1.5 1500"
        assert check.fault(text, WINDOW) == ""
        assert len(check._heads) <= 10
