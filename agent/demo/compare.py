"""The proof: what the simulated machines made against what the database holds, part by part."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.wire.point import Point
from collectors.record import Result
from collectors.simulated.ledger import Part

Identity = tuple[str, str, int, int]  # station, kind, epoch, seq

_KINDS = ("weld", "cell", "formation_step")
_RESOLUTION = 1e-9  # relative: both sides round to the register's own resolution


@dataclass(slots=True)
class Comparison:
    """What differs. All empty: every part is there, once, as it was made."""

    made: int = 0
    rejects: int = 0
    missing: list[Identity] = field(default_factory=list)
    doubled: list[Identity] = field(default_factory=list)
    foreign: list[Identity] = field(default_factory=list)  # stored, but never made
    different: list[str] = field(default_factory=list)

    @property
    def is_proof(self) -> bool:
        """Whether parts were made, and each is in the store exactly once and unchanged."""
        return self.made > 0 and not (
            self.missing or self.doubled or self.foreign or self.different
        )


def compare(parts: Iterable[Part], stored: Iterable[Point]) -> Comparison:
    """Compare the truth ledger with the rows of a store; rows of other measurements are ignored."""
    rows: dict[Identity, list[Point]] = defaultdict(list)
    for point in stored:
        if point.measurement in _KINDS:
            rows[_identity(point)].append(point)
    found = Comparison()
    for part in parts:
        identity = (part.station, part.kind, part.epoch, part.seq)
        found.made += 1
        found.rejects += part.result is Result.NG
        match rows.pop(identity, []):
            case []:
                found.missing.append(identity)
            case [point]:
                found.different += (f"{identity}: {each}" for each in _differences(part, point))
            case _:
                found.doubled.append(identity)
    found.foreign = list(rows)
    return found


def _identity(point: Point) -> Identity:
    epoch, seq = int(point.fields["epoch"]), int(point.fields["seq"])
    return point.tags["station"], point.measurement, epoch, seq


def _differences(part: Part, point: Point) -> Iterable[str]:
    expected = {
        "time in ms": (part.time_ms, point.time_ns // 1_000_000),
        "result": (part.result.value, point.tags["result"]),
        "code": (part.code, point.tags["code"]),
        "serial": (part.serial, point.fields["serial"]),
        **{name: (value, point.tags.get(name)) for name, value in part.tags.items()},
        **{name: (value, point.fields.get(name)) for name, value in part.values.items()},
    }
    for name, (made, stored) in expected.items():
        if not _same(made, stored):
            yield f"{name} was {made!r} and is {stored!r}"


def _same(made: object, stored: object) -> bool:
    if isinstance(made, bool) or not isinstance(made, int | float):
        return made == stored
    if not isinstance(stored, int | float):
        return False
    return math.isclose(made, stored, rel_tol=_RESOLUTION, abs_tol=_RESOLUTION)
