"""One station from sample to rows: the page sees all, the database what moved, totals go on."""

from collections.abc import Mapping

import pytest

from agent.model import counters
from agent.model.counters import Facts
from agent.model.station import StationModel
from agent.wire.point import Point
from agent.wire.schema import Schema
from collectors import toml_file
from collectors.profile import Profile
from collectors.quality import Fault, Reason
from collectors.sample import Sample, StationId, Value

STATION = StationId(site="s", line="l", station="welder-1")
SECOND = 1_000_000_000
START = 1_778_742_312 * SECOND
PROFILE = toml_file.parse(
    """
    title = { id = "Contoh", en = "Example" }
    family = "welder"
    maker = "Nobody"
    source = "this test"
    grade = "bronze"
    [groups]
    live = 1.0
    [[registers]]
    name = "temperature"
    address = 0
    type = "float32"
    compress = { swinging_door = 1 }
    [[registers]]
    name = "pressure"
    address = 2
    type = "float32"
    compress = { deadband = 1 }
    [[registers]]
    name = "made"
    address = 4
    type = "uint16"
    rollover = { wrap = 65536, max_step = 100 }
    [[registers]]
    name = "rejected"
    address = 5
    type = "uint16"
    rollover = { wrap = 65536, max_step = 100 }
    """,
    Profile,
    name="example.toml",
)
SCHEMA = Schema.of([PROFILE])


class Kept:
    """What a station had remembered."""

    def __init__(self) -> None:
        self.facts: Facts = {}
        self.at_once = 0

    def __call__(self, facts: Facts, *, at_once: bool = False) -> None:
        self.facts = facts
        self.at_once += at_once


def station(kept: Kept | None = None, counted: Facts | None = None) -> StationModel:
    return StationModel(
        STATION,
        PROFILE.title,
        PROFILE,
        now_ns=START,
        counted=counted or {},
        remember=kept or Kept(),
    )


def take(
    model: StationModel, second: float, faults: Mapping[str, Fault] | None = None, **values: Value
) -> list[Point]:
    """Let a sample arrive; return the rows it makes, each of which fits the schema."""
    points = model.sampled(
        Sample(
            station=STATION,
            group="live",
            time_ns=START + int(second * SECOND),
            values=values,
            faults=faults or {},
        )
    )
    for point in points:
        SCHEMA.check(point)
    return points


def total(row: Point) -> int:
    value = row.fields["made_total"]
    assert isinstance(value, int)
    return value


def test_the_page_sees_every_value_the_database_what_moved() -> None:
    """A value within its deadband is shown, and not stored."""
    model = station()
    (first,) = take(model, 0, temperature=20.0, pressure=3.0)
    assert first.fields == {"temperature": 20.0, "pressure": 3.0, "bad": 0}
    version = model.version
    assert take(model, 1, temperature=20.1, pressure=3.1) == []
    assert model.registers()["pressure"].value == 3.1
    assert model.registers()["pressure"].time_ns == START + SECOND
    assert model.version > version


def test_a_row_that_leaves_values_out_says_how_many_are_good() -> None:
    """So nobody takes what did not move for what is missing."""
    model = station()
    take(model, 0, temperature=20.0, pressure=3.0)
    (row,) = take(model, 1, temperature=20.1, pressure=9.0)
    assert row.fields == {"pressure": 9.0, "bad": 0, "good": 2}


def test_a_row_never_calls_all_missing_what_only_did_not_move() -> None:
    """One value fails while the others stand still: the row names it, and not `*`."""
    model = station()
    take(model, 0, temperature=20.0, pressure=3.0)
    failed = {"pressure": Fault(reason=Reason.SENTINEL)}
    (row,) = take(model, 1, failed, temperature=20.0)
    assert row.fields == {"bad": 1, "quality": "pressure:sentinel", "good": 1}


def test_a_corner_carries_the_quality_of_its_own_time() -> None:
    """A corner is stored when the curve turns: its row must not say that all was well, or bad."""
    model = station()
    failed = {"pressure": Fault(reason=Reason.SENTINEL)}
    take(model, 0, failed, temperature=20.0)
    take(model, 1, failed, temperature=20.0)
    corner, now = take(model, 2, temperature=30.0, pressure=3.0)
    assert corner.time_ns == START + SECOND
    assert corner.fields == {"temperature": 20.0, "bad": 1, "quality": "pressure:sentinel"}
    assert now.fields == {"pressure": 3.0, "bad": 0, "good": 2}


def test_lost_communication_is_stored_at_once_and_again_each_interval() -> None:
    """All values stand still; the silence is told when it begins, and does not fade out."""
    model = station()
    silent = {name: Fault(reason=Reason.COMM) for name in ("temperature", "pressure")}
    take(model, 0, temperature=20.0, pressure=3.0)
    told = [second for second in range(1, 131) if take(model, second, silent)]
    assert told == [1, 61, 121]


def test_what_is_held_back_is_stored_at_the_end() -> None:
    """A proper stop loses nothing."""
    model = station()
    take(model, 0, temperature=20.0, pressure=3.0)
    take(model, 1, temperature=20.5, pressure=3.0)
    (row,) = model.close()
    assert row.time_ns == START + SECOND
    assert row.fields == {"temperature": 20.5, "pressure": 3.0, "bad": 0}


def test_totals_stand_beside_their_counters() -> None:
    """Over the end of 16 bits too, and that is no event."""
    model = station()
    take(model, 0, made=65_530)
    (row,) = take(model, 1, made=4)
    assert row.fields == {"made": 4, "made_total": 65_540, "bad": 0}
    assert model.registers().keys() == {"made"}


def test_each_reset_is_an_event_of_its_own() -> None:
    """Two counters are reset together: two rows, which do not overwrite each other."""
    model = station()
    take(model, 0, made=5000, rejected=70)
    row, *events = take(model, 1, made=2, rejected=0)
    assert row.fields == {
        "made": 2,
        "made_total": 5002,
        "rejected": 0,
        "rejected_total": 70,
        "bad": 0,
    }
    assert [event.tags["kind"] for event in events] == ["counter_reset"] * 2
    assert [event.fields for event in events] == [
        {"detail": "made", "before": 5000, "after": 2},
        {"detail": "rejected", "before": 70, "after": 0},
    ]
    assert len({event.time_ns for event in events}) == 2


def test_a_counter_that_was_not_read_has_no_total() -> None:
    """And when it is back, what was made meanwhile counts."""
    model = station()
    take(model, 0, made=10)
    (silent,) = take(model, 1, {"made": Fault(reason=Reason.COMM)})
    (back,) = take(model, 600, made=900)
    assert silent.fields == {"bad": 1, "quality": "*:comm"}
    assert back.fields["made_total"] == 900


def test_totals_survive_a_restart() -> None:
    """The next model goes on where this one stood, wrap and reset meanwhile included."""
    kept = Kept()
    model = station(kept)
    take(model, 0, made=65_530, rejected=8000)
    model.close()
    after = station(counted=kept.facts)
    row, event = take(after, 60, made=20, rejected=1)
    assert row.fields["made_total"] == 65_556
    assert row.fields["rejected_total"] == 8001
    assert event.fields == {"detail": "rejected", "before": 8000, "after": 1}


def test_a_reset_is_remembered_at_once_and_counts_every_ten_seconds() -> None:
    """A power cut after a reset must not lead to a total without it."""
    kept = Kept()
    model = station(kept)
    take(model, 0, made=700)
    assert (kept.facts, kept.at_once) == ({"made": [700, 700]}, 0)
    take(model, 9, made=701)
    assert kept.facts == {"made": [700, 700]}
    take(model, 9.5, made=1)
    assert (kept.facts, kept.at_once) == ({"made": [1, 702]}, 1)
    take(model, 20, made=5)
    assert (kept.facts, kept.at_once) == ({"made": [5, 706]}, 1)


def test_control_a_reset_that_is_not_remembered_at_once_takes_the_total_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same power cut, with a memory that is only saved now and then."""
    for saves_at_once, is_back in ((True, False), (False, True)):
        kept = Kept()
        model = station(kept)
        take(model, 0, made=3)
        if not saves_at_once:
            monkeypatch.setattr(counters.CounterTracker, "remember", lambda *_, **__: None)
        take(model, 1, made=1)
        (row,) = take(model, 2, made=6)
        after = station(counted=kept.facts)
        rows = take(after, 60, made=7)
        assert (total(rows[0]) < total(row)) == is_back


def test_facts_of_a_counter_that_is_silent_since_the_start_are_kept() -> None:
    """The machine is off while the agent is restarted twice."""
    kept = Kept()
    station(kept, counted={"made": [10, 65_546]}).close()
    assert kept.facts == {"made": [10, 65_546]}


@pytest.mark.parametrize("facts", [{"made": [1]}, {"made": "nonsense"}, {"made": [1.5, 2]}])
def test_facts_that_are_none_are_not_believed(facts: Facts) -> None:
    """A counter of which nothing sure is known begins with what it shows."""
    model = station(counted=facts)
    (row,) = take(model, 0, made=10)
    assert row.fields["made_total"] == 10
