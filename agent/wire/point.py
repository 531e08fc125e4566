"""One row of the database, before it becomes text."""

from collections.abc import Mapping
from dataclasses import dataclass

Field = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A measurement's fields at one time. The same tags and time again overwrite themselves.

    `time_ns` is in nanoseconds since 1970 (UTC). `fields` is never empty and holds no NaN.
    """

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, Field]
    time_ns: int
