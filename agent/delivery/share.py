"""What may leave for an uplink with a share policy: what the policy does not name stays.

Not only rows and fields are held back, but also what tells of them: an event about a hidden
register, machine, measurement or uplink, the names of hidden values in `quality`, their number in
`bad`, and the earlier measurement that a value was computed from when a hidden station made it.
"""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent.wire import line
from agent.wire.point import Field, Point
from agent.wire.schema import FieldType

SerialMode = Literal["plain", "hashed", "none"]
FREE_TEXTS = frozenset({"note", "by"})  # people may write anything into them, a serial as well

# Which events may leave at all: those of which is known what they tell of.
_TWICE = "duplicate_serial"
_ABOUT_RECORDS = {"records_lost", "records_maybe_lost", "epoch_started"}
_ABOUT_THE_PROCESS = {
    "electrode_dressed",
    "electrode_changed",
    "electrode_seen",
    "recipe_changed",
    "recipe_seen",
    "lot_started",
    "lot_ended",
    "lot_seen",
    "calibration",
    "calibration_seen",
    "maintenance",
    "maintenance_seen",
}
EVENTS = frozenset({*_ABOUT_RECORDS, *_ABOUT_THE_PROCESS, "counter_reset", _TWICE, "gap"})
_TELEMETRY = ("telemetry", "formation_curve")
_VALUES = {"value", "value_before"}
_EVENT_TEXTS = {*_VALUES, "detail", "register"}  # what they mean depends on the kind
_EARLIER = ("k_from_", "k_rest_h")  # fields of a cell that stem from an earlier measurement of it
_HASH_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedField:
    """A field that leaves; a number with so many `decimals` (None: all of them)."""

    type: FieldType
    decimals: int | None = None
    is_serial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What leaves for `uplink`: of these stations, measurement → fields.

    `key` is the secret that serials are hashed with. The agent's own rows are of the station that
    has its name. Tags leave with their row: they are its identity.
    """

    uplink: str
    stations: frozenset[str]
    fields: Mapping[str, Mapping[str, SharedField]]
    serial: SerialMode
    key: bytes = b""

    def select(self, lines: Sequence[str]) -> Sequence[str]:
        """Return the lines that leave, with nothing in them that does not."""
        named = (line.read(each) for each in lines if each.partition(",")[0] in self.fields)
        return [line.encode(left) for point in named if (left := self.leaving(point))]

    def leaving(self, point: Point) -> Point | None:
        """Return what leaves of `point`, None if nothing does."""
        shared = self.fields.get(point.measurement)
        place = point.tags.get("station", point.tags.get("agent"))
        if shared is None or place not in self.stations or not self._is_told(point):
            return None
        fields = dict(self._leaving_fields(point, shared))
        return replace(point, fields=fields) if fields else None

    def _leaving_fields(
        self, point: Point, shared: Mapping[str, SharedField]
    ) -> Iterator[tuple[str, Field]]:
        quality, bad = _visible(point.fields, shared)
        for name, value in point.fields.items():
            if name not in shared or self._is_held_back(name, point):
                continue
            if name == "bad":
                yield name, bad
            elif name == "quality":
                if quality:
                    yield name, quality
            elif shared[name].is_serial or (name, point.tags.get("kind")) == ("value", _TWICE):
                yield name, self._serial(str(value))
            elif isinstance(value, float) and shared[name].decimals is not None:
                yield name, round(value, shared[name].decimals)
            else:
                yield name, value

    def _is_held_back(self, name: str, point: Point) -> bool:
        """Whether a shared field is not for others in this row: what it says is hidden."""
        if name.startswith(_EARLIER):
            return point.fields.get("k_from_station") not in self.stations
        if point.measurement != "event" or name not in _EVENT_TEXTS:
            return False
        kind = point.tags["kind"]
        if kind == _TWICE:
            return name == "register" or (name == "value" and self.serial == "none")
        if kind in _ABOUT_THE_PROCESS:
            by_people = "register" not in point.fields  # what they write may be a serial
            return name == "detail" or (name in _VALUES and by_people and self.serial != "plain")
        return name != "detail"

    def _serial(self, serial: str) -> str:
        """Return the serial as it may leave; hashed, no two uplinks can compare theirs."""
        if self.serial == "plain" or not serial:
            return serial
        told = f"{self.uplink}\0{serial}".encode()
        return hmac.digest(self.key, told, "sha256").hex()[:_HASH_DIGITS]

    def _is_told(self, point: Point) -> bool:
        """Whether all that a row tells of, beside its own place, is shared as well."""
        if point.measurement == "ledger":
            return point.tags["kind"] in self.fields
        return point.measurement != "event" or self._is_told_of(point.tags["kind"], point.fields)

    def _is_told_of(self, kind: str, fields: Mapping[str, Field]) -> bool:
        detail = str(fields.get("detail", ""))
        if kind in _ABOUT_RECORDS:
            return detail in self.fields
        if kind in _ABOUT_THE_PROCESS:
            register = fields.get("register")
            return register is None or self._is_register(str(register))
        if kind == _TWICE:  # `value_before`: the station that had the part before
            return detail in self.fields and fields.get("value_before") in self.stations
        if kind == "counter_reset":  # of a register, or of one of a channel: "7.charge"
            return self._is_register(detail.rpartition(".")[2])
        return kind == "gap" and detail in {"", self.uplink}  # "": it struck all of them

    def _is_register(self, name: str) -> bool:
        return any(name in self.fields.get(each, {}) for each in _TELEMETRY)


def _visible(fields: Mapping[str, Field], shared: Mapping[str, SharedField]) -> tuple[str, int]:
    """Return `quality` and `bad` of a row, of its shared fields alone."""
    text = str(fields.get("quality", ""))
    if text.startswith("*:"):  # nothing of the row could be read
        return text, min(int(fields.get("bad", 0)), len(shared))
    faults = [each for each in text.split(" ") if each.partition(":")[0] in shared]
    return " ".join(faults), sum(not each.endswith(":no_earlier") for each in faults)
