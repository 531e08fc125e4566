"""Samples, records and events as rows of the database."""

from collections.abc import Mapping

from agent.wire.point import Field, Point
from agent.wire.schema import TAGS
from collectors.profile import Profile
from collectors.quality import Fault, Reason
from collectors.record import Event, Record, Result
from collectors.sample import Sample, StationId


def place_tags(station: StationId) -> dict[str, str]:
    """Return the tags that say where a point comes from."""
    return {"site": station.site, "line": station.line, "station": station.station}


def sample_point(sample: Sample) -> Point:
    """Return a row of telemetry: its values, and how many are missing and why.

    Where good values are left out, as they have not moved, `good` says how many there were.
    """
    tags = place_tags(sample.station)
    measurement = "telemetry"
    if sample.channel:
        measurement = "formation_curve"
        tags["channel"] = sample.channel
    good = len(sample.values) + sample.left_out
    fields = {**sample.values, **quality_fields(sample.faults, good)}
    if sample.left_out:
        fields["good"] = good
    return Point(
        measurement=measurement,
        tags=tags,
        fields=fields,
        time_ns=sample.time_ns,
    )


def record_point(record: Record, profile: Profile) -> Point:
    """Return the row of one part, with the limits it was judged by beside its values."""
    fields: dict[str, Field] = {
        "epoch": record.epoch,
        "seq": record.seq,
        "serial": record.serial or "",
        "time_source": record.time_source.value,
        **record.values,
        **quality_fields(record.faults, len(record.values)),
    }
    if record.result in {Result.OK, Result.NG}:
        fields["ok"] = int(record.result is Result.OK)
    for name, limits in profile.records.limits_of(record) if profile.records else ():
        fields[f"{name}_lsl"], fields[f"{name}_usl"] = limits
    return Point(
        measurement=record.kind,
        tags={
            **dict.fromkeys(TAGS[record.kind], ""),  # a machine may have no programs
            **place_tags(record.station),
            **record.tags,
            "result": record.result.value,
            "code": record.code,
        },
        fields=fields,
        time_ns=record.time_ns,
    )


def event_point(event: Event) -> Point:
    """Return the row of one event."""
    return Point(
        measurement="event",
        tags={**place_tags(event.station), "kind": event.kind},
        fields=event.values,
        time_ns=event.time_ns,
    )


def quality_fields(faults: Mapping[str, Fault], good: int) -> dict[str, Field]:
    """Return `bad` and, when a value is missing or doubtful, `quality`: which ones and why.

    What a part's first measurement cannot have yet is told, but is not `bad`.
    """
    if not faults:
        return {"bad": 0}
    reasons = {fault.reason for fault in faults.values()}
    if not good and len(reasons) == 1:
        return {"bad": len(faults), "quality": f"*:{reasons.pop()}"}
    told = " ".join(f"{name}:{fault.reason}" for name, fault in faults.items())
    bad = sum(fault.reason is not Reason.NO_EARLIER for fault in faults.values())
    return {"bad": bad, "quality": told}
