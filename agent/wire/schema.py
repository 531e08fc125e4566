"""Which measurements, tags and fields exist, and of which type: one table, frozen for ever.

A tag added later would make a second series and so a duplicate of every replayed point; a field
whose type changes is refused by the database. Both sides check against this table: the edge
coerces before it encodes, the sink lets nothing through that is not in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agent.wire.point import Field, Point
from collectors.counter import total_name
from collectors.errors import FixTheFileError
from collectors.profile import Profile
from collectors.record_source import Quantity
from collectors.register import Register, Type

FieldType = Literal["int", "float", "str"]

_PLACE = ("site", "line", "station")

TAGS: Mapping[str, tuple[str, ...]] = {
    "telemetry": _PLACE,
    "formation_curve": (*_PLACE, "channel"),
    "state": _PLACE,
    "weld": (*_PLACE, "program", "result", "code"),
    "pull_test": (*_PLACE, "program", "type", "result"),
    "cell": (*_PLACE, "bin", "result", "code"),
    "formation_step": (*_PLACE, "channel", "step", "result", "code"),
    "formation_cycle": (*_PLACE, "channel", "result", "code"),
    "alarm": (*_PLACE, "code", "priority"),
    "event": (*_PLACE, "kind"),
    "ledger": (*_PLACE, "kind", "book"),
    "agent": ("site", "agent"),
    "bus": ("site", "agent", "bus"),
    "device": _PLACE,
}

_QUALITY: Mapping[str, FieldType] = {
    "bad": "int",  # how many values of the row are not good
    "quality": "str",  # which, and why: "ocv:sentinel acir:out_of_range"
}
_POLL: Mapping[str, FieldType] = {
    **_QUALITY,
    "good": "int",  # how many are good, where the row leaves out those that have not moved
}
_PART: Mapping[str, FieldType] = {
    **_QUALITY,
    "epoch": "int",
    "seq": "int",
    "ok": "int",  # 1 good, 0 reject; absent where the part does not count
    "serial": "str",
    "time_source": "str",
}

_K: Mapping[str, FieldType] = {  # the earlier measurement that a K value comes from
    "k_from_station": "str",
    "k_from_ms": "int",
    "k_from_ocv": "float",
    "k_from_temperature": "float",
    "k_rest_h": "float",
}
_CYCLE: Mapping[str, FieldType] = {
    "cycle": "int",
    "complete": "int",  # 0: records are missing or it was cut short, and there are no sums
    "lack": "str",  # why not complete
    "end_reason": "str",
    "steps": "int",
    "interruptions": "int",
    "charge_ah": "float",
    "discharge_ah": "float",
    "charge_wh": "float",
    "discharge_wh": "float",
    "capacity_ah": "float",  # of the last whole discharge
    "capacity_ah_lsl": "float",
    "capacity_ah_usl": "float",
    "coulombic_percent": "float",
    "energy_percent": "float",
    "cv_percent": "float",  # of the charge, at constant voltage
    "duration_s": "float",
    "t_max": "float",
    "dcir_mohm": "float",
    "dcir_pulse_s": "float",
    "dcir_v_before": "float",
    "dcir_v_after": "float",
    "dcir_i_before": "float",
    "dcir_i_after": "float",
}

_FIXED: Mapping[str, Mapping[str, FieldType]] = {
    "telemetry": _POLL,
    "formation_curve": _POLL,
    "state": {"code": "int", "name": "str", "reason": "str", "since_ms": "int"},
    "weld": _PART,
    "pull_test": {  # entered by people
        "force": "float",  # N
        "force_lsl": "float",
        "failure_mode": "str",
        "ok": "int",
        "serial": "str",
        "position": "int",
        "by": "str",
        "note": "str",
    },
    "cell": {**_PART, **_K},
    "formation_step": _PART,
    "formation_cycle": {**_PART, **_CYCLE},
    "alarm": {
        "active": "int",
        "text_id": "str",
        "text_en": "str",
        "since_ms": "int",
        "dur_s": "float",
    },
    "event": {
        "from_seq": "int",
        "to_seq": "int",
        "count": "int",
        "epoch": "int",
        "reason": "str",
        "detail": "str",
        "before": "int",  # a counter's count at the last look before its reset
        "after": "int",  # and at the first after it
        "register": "str",  # that told of the event
        "value": "str",  # what the event is about: a serial, or the recipe, lot or electrode now in use
        "value_before": "str",
        "since_ms": "int",  # when `value_before` was seen last
        "note": "str",
        "by": "str",
    },
    "ledger": {  # the records of one kind and epoch that a station made in the hour of the row
        "epoch": "int",
        "count": "int",
        "first_seq": "int",
        "last_seq": "int",
        "numbers": "str",  # as 1-57,60-100; "" if these are too many ranges
    },
    "agent": {
        "version": "str",
        "uptime_s": "float",
        "samples": "int",
        "records": "int",
        "records_lost": "int",
        "queue_messages": "int",
        "queue_bytes": "int",
        "queue_age_s": "float",
        "rss_mb": "float",
    },
    "bus": {  # counts since the start; load, percentiles since the row before
        "load_percent": "float",
        "planned_percent": "float",
        "requests": "int",
        "refusals": "int",
        "timeouts": "int",
        "discarded": "int",  # frames that answered nothing that was asked
        "connects": "int",
        "losses": "int",
    },
    "device": {
        "up": "int",
        "polls": "int",
        "missed": "int",  # polls left out, because the bus was busy
        "timeouts": "int",
        "refusals": "int",
        "latency_p50_ms": "float",
        "latency_p95_ms": "float",
        "latency_p99_ms": "float",
        "interval_error_p99_ms": "float",
    },
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The measurements that may be written. `fields` maps measurement → field → type."""

    fields: Mapping[str, Mapping[str, FieldType]]

    @classmethod
    def of(cls, profiles: Iterable[Profile]) -> "Schema":
        """Return the fixed measurements, with the registers of `profiles` as fields.

        Raises FixTheFileError when two profiles give one name to values of different type.
        """
        fields = {measurement: dict(types) for measurement, types in _FIXED.items()}
        for profile in profiles:
            own: set[tuple[str, str]] = set()
            for measurement, name, wanted in _fields(profile):
                if (measurement, name) in own or name in _FIXED[measurement]:
                    raise FixTheFileError(
                        f"{profile.title.en}: {measurement} has a `{name}` already",
                        "rename the register",
                    )
                own.add((measurement, name))
                known = fields[measurement].setdefault(name, wanted)
                if known != wanted:
                    raise FixTheFileError(
                        f"{profile.title.en}: `{name}` of {measurement} is {wanted}, "
                        f"but another profile already made it {known}",
                        "rename the register, or give it the same type and unit",
                    )
        return cls(fields)

    def coerce(self, point: Point) -> Point:
        """Return `point` with every field in its fixed type.

        Raises ValueError for a measurement, tag set or field that is not in the table.
        """
        self.check_names(point)
        types = self.fields[point.measurement]
        return Point(
            measurement=point.measurement,
            tags=point.tags,
            fields={name: _as(types[name], value) for name, value in point.fields.items()},
            time_ns=point.time_ns,
        )

    def check(self, point: Point) -> None:
        """Raise ValueError unless `point` fits the table, types included."""
        self.check_names(point)
        types = self.fields[point.measurement]
        for name, value in point.fields.items():
            if type(value).__name__ != types[name]:
                raise ValueError(
                    f"field {name} of {point.measurement} must be {types[name]}, "
                    f"not {type(value).__name__}"
                )

    def check_names(self, point: Point) -> None:
        """Raise ValueError unless measurement, tags and fields are all in the table."""
        tags = TAGS.get(point.measurement)
        if tags is None:
            raise ValueError(f"there is no measurement {point.measurement!r}")
        if set(point.tags) != set(tags):
            raise ValueError(
                f"the tags of {point.measurement} are {', '.join(tags)}, "
                f"not {', '.join(sorted(point.tags)) or 'none'}"
            )
        if unknown := point.fields.keys() - self.fields[point.measurement].keys():
            raise ValueError(f"{point.measurement} has no field {', '.join(sorted(unknown))}")
        if not point.fields:
            raise ValueError(f"a point of {point.measurement} has no fields")


def field_type(register: Quantity) -> FieldType:
    """Return the type a register's value is stored as. Bits are 0 or 1, so that they sum."""
    if not isinstance(register, Register):
        return "float"
    if register.type in {Type.STRING, Type.ENUM}:
        return "str"
    if register.type in {Type.BOOL, Type.BITFIELD} or register.is_whole:
        return "int"
    return "float"


def _fields(profile: Profile) -> Iterator[tuple[str, str, FieldType]]:
    """Yield measurement, name and type of each field that a profile brings."""
    yield from _telemetry("telemetry", profile.registers)
    if profile.channels:
        yield from _telemetry("formation_curve", profile.channels.registers)
    if profile.records:
        for quantity in profile.records.quantities:
            yield profile.records.kind, quantity.name, field_type(quantity)
            if quantity.spec is not None:
                yield profile.records.kind, f"{quantity.name}_lsl", "float"
                yield profile.records.kind, f"{quantity.name}_usl", "float"


def _telemetry(
    measurement: str, registers: Iterable[Register]
) -> Iterator[tuple[str, str, FieldType]]:
    for register in registers:
        yield measurement, register.name, field_type(register)
        if register.rollover is not None:
            yield measurement, total_name(register.name), "int"


def _as(wanted: FieldType, value: Field) -> Field:
    match wanted:
        case "int":
            return int(value)
        case "float":
            return float(value)
        case "str":
            return str(value)
