"""What a trace tells: values only, as they go to people and over the socket. Times in ns (UTC)."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What held at a station when a record was made: the last event of its subject."""

    kind: str
    value: str
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """That people said whose record it is."""

    who: str
    reason: str
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One record of a part. `cells` are the serials that a weld joins, as far as is known."""

    station: str
    kind: str
    epoch: int
    seq: int
    time_ns: int
    result: str
    code: str
    tags: Mapping[str, str]
    position: int | None
    cells: tuple[str, ...] = ()
    in_force: Mapping[str, InForce] = field(default_factory=dict)  # by subject
    resolved: Resolved | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """That a part was put into another; `superseded` when something later took its place."""

    parent: str
    position: str
    child: str
    time_ns: int
    who: str
    reason: str
    superseded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part: its own records, and the parts in it. `position` is where it is in its parent."""

    kind: str
    serial: str
    position: str = ""
    records: tuple[Made, ...] = ()
    parts: tuple["Part", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Everything there is to tell of one part.

    `inside` leads from its parent outwards. `welds` are those of its parent that join it.
    `placements` are all there ever were of it, those in it that were corrected, and what by.
    """

    part: Part
    inside: tuple[Placed, ...] = ()
    placements: tuple[Placed, ...] = ()
    welds: tuple[Made, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Records of one station, first and last, that an inquiry is about."""

    station: str
    kind: str
    records: int
    from_ns: int
    to_ns: int
    is_sure: bool = True  # False: made while nobody saw when the change came, so counted to both


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """What was made under a suspicion, and what contains it now."""

    what: str
    intervals: tuple[Interval, ...]
    cells: tuple[str, ...]
    modules: tuple[str, ...]
    packs: tuple[str, ...]
    orphans: int  # records in question without a serial


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found under a serial or a suspicion. Nothing: `near` has similar serials."""

    lives: tuple[Life, ...] = ()
    affected: tuple[Affected, ...] = ()
    near: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not self.lives and not self.affected


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Records in a row at one station that have no serial, and those around them, "" if none."""

    station: str
    kind: str
    epoch: int
    first: int
    last: int
    from_ns: int
    to_ns: int
    results: Mapping[str, int]
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The records whose part nobody knows yet."""

    runs: tuple[Orphans, ...]
