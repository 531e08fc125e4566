"""Rows of parts and events, as the agent stores them: for tests of the genealogy."""

from agent.wire.point import Field, Point
from collectors.sample import StationId

WELDER = StationId(site="s", line="l", station="welder-1")
SORTER = StationId(site="s", line="l", station="sorter-1")
START_NS = 1_790_000_000_000_000_000


def weld(
    seq: int,
    serial: str,
    *,
    station: StationId = WELDER,
    epoch: int = 1,
    result: str = "OK",
    time_ns: int | None = None,
    **fields: Field,
) -> Point:
    """Return the row of a weld; without a time, one a second."""
    tags = {**_place(station), "program": "1", "result": result, "code": "none"}
    about = {"epoch": epoch, "seq": seq, "serial": serial, **fields}
    return Point(measurement="weld", tags=tags, fields=about, time_ns=time_ns or _time_ns(seq))


def cell(
    seq: int,
    serial: str,
    *,
    station: StationId = SORTER,
    epoch: int = 1,
    result: str = "OK",
    time_ns: int | None = None,
    **fields: Field,
) -> Point:
    """Return the row of a sorted cell."""
    tags = {**_place(station), "bin": "A", "result": result, "code": "none"}
    about = {"epoch": epoch, "seq": seq, "serial": serial, **fields}
    return Point(measurement="cell", tags=tags, fields=about, time_ns=time_ns or _time_ns(seq))


def event(kind: str, seconds: float, *, station: StationId = WELDER, **facts: Field) -> Point:
    """Return the row of an event, so many seconds after the start."""
    tags = {**_place(station), "kind": kind}
    time_ns = START_NS + int(seconds * 1e9)
    return Point(measurement="event", tags=tags, fields=facts or {"count": 1}, time_ns=time_ns)


def _place(station: StationId) -> dict[str, str]:
    return {"site": station.site, "line": station.line, "station": station.station}


def _time_ns(seq: int) -> int:
    return START_NS + seq * 1_000_000_000
