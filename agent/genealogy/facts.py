"""What the genealogy keeps of the rows that go to the database."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.genealogy.links import Links
from agent.wire.point import Field, Point
from collectors.sample import StationId

PART_OF = {"weld": "module", "cell": "cell", "formation_step": "cell"}  # kind of record → of part
MEASUREMENTS = frozenset({*PART_OF, "event"})
_PLACE = {"site", "line", "station"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFact:
    """One record, known by (station, kind, epoch, seq). `serial` is "" where none was scanned."""

    station: StationId
    kind: str
    epoch: int
    seq: int
    time_ns: int
    serial: str
    part_kind: str
    result: str
    code: str
    tags: str  # JSON
    position: int | None = None  # of the weld, as a register tells it
    parent: str = ""  # what the part was scanned into, and where
    slot: str = ""
    own: tuple[tuple[str, str], ...] = ()  # subject and value: what the record itself says of it


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFact:
    """Something that happened at a station, known by (station, kind, time)."""

    station: StationId
    kind: str
    time_ns: int
    facts: Mapping[str, Field]


def facts_of(points: Iterable[Point], links: Links) -> Iterator[RecordFact | EventFact]:
    """Yield the records and events among `points`, in their order."""
    for point in points:
        if point.measurement in PART_OF:
            yield _record(point, links)
        elif point.measurement == "event":
            yield EventFact(
                station=_station(point),
                kind=point.tags["kind"],
                time_ns=point.time_ns,
                facts=point.fields,
            )


def _record(point: Point, links: Links) -> RecordFact:
    station, fields = _station(point), point.fields
    tags = {key: value for key, value in point.tags.items() if key not in _PLACE}
    result, code = tags.pop("result"), tags.pop("code")
    found = links.maps.get(station.station)
    position = fields.get(found.register) if found and found.register else None
    scan = links.scans.get(station.station)
    return RecordFact(
        station=station,
        kind=point.measurement,
        epoch=int(fields["epoch"]),
        seq=int(fields["seq"]),
        time_ns=point.time_ns,
        serial=str(fields["serial"]).strip(),
        part_kind=links.parts.get(station.station, PART_OF[point.measurement]),
        result=result,
        code=code,
        tags=json.dumps(tags, sort_keys=True, separators=(",", ":")),
        position=int(position) if isinstance(position, int | float) else None,
        parent=str(fields.get(scan.parent, "")).strip() if scan else "",
        slot=str(fields.get(scan.position, "")).strip() if scan else "",
        own=tuple(
            (subject, str(fields[register]))
            for register, subject in links.own.get(station.station, {}).items()
            if register in fields
        ),
    )


def _station(point: Point) -> StationId:
    tags = point.tags
    return StationId(site=tags["site"], line=tags["line"], station=tags["station"])
