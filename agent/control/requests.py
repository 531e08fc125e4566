"""What can be asked of a running agent: one JSON object a line."""

from typing import Annotated, Literal, get_args

from pydantic import Field, TypeAdapter

from agent.genealogy.entries import PlacementEntry
from collectors.toml_file import Strict

EventKind = Literal[
    "electrode_dressed",
    "electrode_changed",
    "recipe_changed",
    "lot_started",
    "lot_ended",
    "calibration",
    "maintenance",
]
EVENT_KINDS: tuple[str, ...] = get_args(EventKind)

_Serial = Annotated[str, Field(min_length=1, max_length=64)]
_Who = Annotated[str, Field(min_length=1, max_length=64)]
_Text = Annotated[str, Field(max_length=500)]
_Reason = Annotated[str, Field(min_length=1, max_length=500)]
_Time = Annotated[int, Field(ge=0, lt=2**63)]
_Number = Annotated[int, Field(ge=0, lt=2**53)]


class Trace(Strict):
    """The life of a part; what a lot or an electrode of this name went into."""

    do: Literal["trace"] = "trace"
    serial: _Serial


class TraceLot(Strict):
    """What a lot went into."""

    do: Literal["trace_lot"] = "trace_lot"
    lot: _Serial


class TraceInterval(Strict):
    """What a station made in a time (ns since 1970, the end excluded) went into."""

    do: Literal["trace_interval"] = "trace_interval"
    station: _Serial
    from_ns: _Time
    to_ns: _Time


class ListOrphans(Strict):
    """The records without a serial."""

    do: Literal["orphans"] = "orphans"


class Resolve(Strict):
    """Records `first` to `last` of a station are of `serial`."""

    do: Literal["resolve"] = "resolve"
    station: _Serial
    kind: Annotated[str, Field(max_length=40)] | None = None
    epoch: _Number
    first: _Number
    last: _Number
    serial: _Serial
    position: _Number | None = None
    by: _Who
    reason: _Reason


class Place(Strict):
    """Parts are in parts."""

    do: Literal["place"] = "place"
    rows: Annotated[tuple[PlacementEntry, ...], Field(min_length=1, max_length=10_000)]
    by: _Who


class Enter(Strict):
    """Something was done to the process at a station; `value` is the recipe, lot or electrode."""

    do: Literal["event"] = "event"
    kind: EventKind
    station: _Serial
    value: Annotated[str, Field(max_length=64)] = ""
    note: _Text = ""
    by: _Who


class EnterPullTest(Strict):
    """A weld was pulled; what the facts mean and which there are, `agent.model.pull_test` says."""

    do: Literal["pull_test"] = "pull_test"
    station: _Serial
    program: _Text
    pull_type: _Text
    force_n: float
    failure_mode: _Text
    result: _Text
    minimum_n: float | None = None
    serial: _Text = ""
    position: int | None = None
    note: _Text = ""
    by: _Text


class SpoolOverview(Strict):
    """The spool at a glance."""

    do: Literal["spool_overview"] = "spool_overview"


class SpoolPage(Strict):
    """Messages that wait for `uplink`, with numbers behind `after`."""

    do: Literal["spool_page"] = "spool_page"
    uplink: Annotated[str, Field(max_length=65)]
    after: _Number = 0
    limit: Annotated[int, Field(ge=1, le=20)] = 20


Entry = Enter | EnterPullTest
OfSpool = SpoolOverview | SpoolPage
Request = Trace | TraceLot | TraceInterval | ListOrphans | Resolve | Place | Entry | OfSpool
REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="do")])
