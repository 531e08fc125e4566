"""The ledger: which record numbers a station made in each hour, told to the database as well.

What the database should hold can so be known from the database alone. The hour is that of the
records' own stamps (UTC), so that their rows are found by the same hour.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from agent.model.points import place_tags
from agent.wire.point import Point
from agent.wire.ranges import Ranges, size
from collectors.sample import StationId

HOUR_NS = 3_600 * 10**9
_MOST_RANGES = 2_000  # of one hour: more gaps than that would fit no message
_RANGES = re.compile(r"\d{1,18}-\d{1,18}(?:,\d{1,18}-\d{1,18})*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """The numbers of the records of one kind and epoch that a station made in one hour."""

    station: StationId
    kind: str
    epoch: int
    start_ns: int
    numbers: Ranges


def hour_of(time_ns: int) -> int:
    """Return when the hour of `time_ns` began."""
    return time_ns - time_ns % HOUR_NS


def ledger_point(hour: Hour, book: str) -> Point:
    """Return the row of one hour: the same time and tags however often its numbers grow.

    The epoch is in the last digits of the time: two epochs in one hour are two rows. `book` names
    the memory that the numbers come from: one that was lost is not overwritten by its successor.
    """
    ranges = hour.numbers
    listed = (
        ",".join(f"{low}-{high}" for low, high in ranges) if len(ranges) <= _MOST_RANGES else ""
    )
    return Point(
        measurement="ledger",
        tags={**place_tags(hour.station), "kind": hour.kind, "book": book},
        fields={
            "epoch": hour.epoch,
            "count": size(ranges),
            "first_seq": ranges[0][0],
            "last_seq": ranges[-1][1],
            "numbers": listed,
        },
        time_ns=hour.start_ns + hour.epoch,
    )


def parse_ranges(text: str) -> Ranges:
    """Return the ranges of the field `numbers`; raises ValueError for anything else."""
    if not _RANGES.fullmatch(text):
        raise ValueError(f"{text!r} are no ranges of numbers")
    ends = [[int(end) for end in each.split("-")] for each in text.split(",")]
    ranges = tuple((low, high) for low, high in ends)
    if any(low > high for low, high in ranges) or any(a[1] >= b[0] for a, b in pairwise(ranges)):
        raise ValueError(f"the ranges {text!r} are not in order")
    return ranges
