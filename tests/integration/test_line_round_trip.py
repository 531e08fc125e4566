"""The one escaper against a real InfluxDB: what is encoded is what a query gives back."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire.line import encode, parse
from agent.wire.point import Point
from tests.services.database import Database

pytestmark = pytest.mark.influxdb

NAME = "round trip,of=it"
NASTY = "\\\\,= \"'\n\r\t\x00{}%#-/é電\u202e\U0001f50b"
TEXT = st.text(st.sampled_from(NASTY), max_size=12) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
)
TAGS = st.fixed_dictionaries({"site": TEXT, "station": TEXT})
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "whole": st.integers(-(2**63), 2**63 - 1),
        "real": st.floats(allow_nan=False, allow_infinity=False),
        "text": TEXT,
        "na me,of=it": TEXT,
    },
).filter(bool)

_STARTS_NS = itertools.count(1_000, 1_000)  # of each example: the rows of those before are older


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(TAGS, FIELDS), min_size=1, max_size=20))
def test_what_is_encoded_is_what_a_query_gives_back(
    influx: Database, rows: Sequence[tuple[dict[str, str], dict[str, Any]]]
) -> None:
    """Tags, types and values of each row, whatever their text; and there is nothing else."""
    start_ns = next(_STARTS_NS)
    points = [
        Point(measurement=NAME, tags=tags, fields=fields, time_ns=start_ns + number)
        for number, (tags, fields) in enumerate(rows)
    ]
    lines = [encode(point) for point in points]
    influx.write("\n".join(lines))
    found = sorted(
        influx.query(f"SELECT * FROM /.*/ WHERE time >= {start_ns}"),  # noqa: S608 - a number of ours
        key=lambda row: int(row["time"]),
    )
    assert len(found) == len(lines)
    for line, row in zip(lines, found, strict=True):
        wanted = parse(line)  # control characters are replaced, and told nowhere else
        assert row["name"] == NAME
        assert row["time"] == wanted.time_ns
        for name, value in wanted.fields.items():
            # JSON has one kind of number, and spells a large float as a whole one.
            back = float(row[name]) if isinstance(value, float) else row[name]
            assert (back, type(back)) == (value, type(value)), (name, line)
        for name, text in wanted.tags.items():
            assert row[name] == (text or "-")
        for name in row.keys() - wanted.fields.keys() - {"name", "time", "site", "station"}:
            assert row[name] is None


def test_without_the_escaper_a_text_breaks_out(influx: Database) -> None:
    """Control: the same text, written as it is, makes a row of its own."""
    text = 'a" 1\nhacked f="'
    influx.write(f'm f="{text}" 2')
    assert [row["name"] for row in influx.query("SHOW MEASUREMENTS")] == ["hacked", "m"]
