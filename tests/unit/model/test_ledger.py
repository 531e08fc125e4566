"""The row that tells which records were made in an hour."""

import pytest

from agent.model.ledger import HOUR_NS, Hour, hour_of, ledger_point, parse_ranges
from agent.wire import line
from agent.wire.ranges import ranges_of
from agent.wire.schema import Schema
from tests.services.parts import START_NS, WELDER


def hour(numbers: list[int], *, epoch: int = 1) -> Hour:
    return Hour(
        station=WELDER,
        kind="weld",
        epoch=epoch,
        start_ns=hour_of(START_NS),
        numbers=ranges_of(numbers),
    )


def test_the_row_tells_count_ends_and_numbers() -> None:
    """And it fits the schema that the sink holds every line to."""
    point = ledger_point(hour([3, 4, 5, 9], epoch=2), "book1")
    assert point.fields == {
        "epoch": 2,
        "count": 4,
        "first_seq": 3,
        "last_seq": 9,
        "numbers": "3-5,9-9",
    }
    Schema.of([]).check(line.parse(line.encode(point)))


def test_an_hour_that_grows_overwrites_its_row_and_an_epoch_has_its_own() -> None:
    """Time and tags are what the database knows a row by."""
    first, grown = (ledger_point(hour(numbers), "b") for numbers in ([1], [1, 2]))
    assert (first.time_ns, first.tags) == (grown.time_ns, grown.tags)
    other = ledger_point(hour([1], epoch=2), "b")
    assert other.time_ns != first.time_ns
    assert hour_of(other.time_ns) == hour_of(first.time_ns)
    assert ledger_point(hour([1]), "c").tags != first.tags


def test_hours_begin_with_the_hour() -> None:
    """In UTC, whose hours are those of the count since 1970."""
    assert hour_of(HOUR_NS) == hour_of(2 * HOUR_NS - 1) == HOUR_NS


def test_too_many_gaps_are_counted_but_not_listed() -> None:
    """A line must fit a message; the reader is told by the empty list."""
    point = ledger_point(hour(list(range(0, 4_002, 2))), "b")
    assert point.fields["numbers"] == ""
    assert point.fields["count"] == 2_001
    numbers = ledger_point(hour(list(range(0, 4_000, 2))), "b").fields["numbers"]
    assert len(parse_ranges(str(numbers))) == 2_000


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "2-1", "1-3,3-4", "5-6,1-2", "1-2,", "\u0661-\u0662", "-1-2"]
)
def test_what_are_no_ranges_is_refused(text: str) -> None:
    """A row of the ledger may be anybody's."""
    with pytest.raises(ValueError, match="ranges"):
        parse_ranges(text)
