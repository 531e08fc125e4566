"""What a profile may say of records, and what Lini then writes: one register, allowed twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.config import load_edge, station_profiles
from collectors.errors import FixTheFileError
from collectors.profile import Profile
from collectors.record import Event, Result
from collectors.record_source import RecordSource, Shape
from tests.unit.collectors.record_agent import Act, Agent
from tests.unit.collectors.record_machine import CYCLE_S, Clock, Machine, Variant

WAITING = [
    Variant(shape=Shape.RING, waits=True),
    Variant(shape=Shape.BLOCK, is_guarded=False, waits=True),
    Variant(shape=Shape.SIGNAL, edge="rising", has_total=False, waits=True),
    Variant(shape=Shape.SIGNAL, edge="toggle", has_total=False, waits=True),
    Variant(shape=Shape.FIFO, wrap=60_000, wrap_to=1, waits=True),
]
WATCHED = [replace(variant, waits=False) for variant in WAITING]
NOISE: list[Act] = ["lost", "answer lost"]
by_name = pytest.mark.parametrize("variant", WAITING, ids=lambda v: f"{v.shape}-{v.edge}")


class Bench:
    """A machine and an agent that looks at it each half cycle."""

    def __init__(self, variant: Variant) -> None:
        self.clock = Clock()
        self.clock.now = 10.0
        self.machine = Machine(variant, self.clock)
        self.agent = Agent(self.machine, self.clock)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.now += CYCLE_S / 2
            self.machine.catch_up()
            self.agent.poll()

    def run(self, parts: int) -> list[int]:
        """Make parts at the pace of the agent; return the ids that are stored."""
        self.look(3)
        for _ in range(parts):
            self.machine.make(1)
            self.look(4)
        self.agent.close()
        return [int(record.values["a"]) for record in self.agent.disk.records]

    @property
    def events(self) -> list[str]:
        return [each.kind for each in self.agent.disk.log if isinstance(each, Event)]


@pytest.mark.parametrize("variant", WATCHED, ids=lambda v: f"{v.shape}-{v.edge}")
def test_a_machine_that_is_watched_gives_every_part_and_no_alarm(variant: Variant) -> None:
    """Nothing is called lost, or maybe lost, where nothing can be."""
    bench = Bench(variant)
    assert bench.run(5) == [part.id for part in bench.machine.made]
    assert bench.events == []


@by_name
def test_a_machine_that_waits_is_told_and_goes_on(variant: Variant) -> None:
    """Each part is acknowledged, whatever the agent does in between: none is lost."""
    bench = Bench(variant)
    bench.look(3)
    for number in range(6):
        bench.machine.make(2)  # of a ring or block, the second must wait
        bench.agent.poll(NOISE[: number % 3])
        if number == 3:
            bench.agent.start()
        bench.look(4)
    bench.agent.close()
    assert len(bench.machine.made) >= 6
    stored = [int(record.values["a"]) for record in bench.agent.disk.records]
    assert stored == [part.id for part in bench.machine.made]
    assert bench.events == []


@by_name
def test_nothing_is_acknowledged_before_it_is_stored(variant: Variant) -> None:
    """A disk that fails keeps the machine waiting, and the part in it."""
    bench = Bench(variant)
    bench.look(3)
    before = bench.machine.memory.acknowledged()
    bench.machine.make(1)
    for _ in range(5):
        bench.clock.now += CYCLE_S / 2
        bench.agent.poll(fate="not stored")
        assert bench.machine.memory.acknowledged() == before
    bench.look(3)
    bench.agent.close()
    assert [int(each.values["a"]) for each in bench.agent.disk.records] == [1_000_001]


def test_the_site_must_allow_it_as_well() -> None:
    """A profile alone does not make Lini write: the machine waits for ever, and nothing is sent."""
    bench = Bench(Variant(shape=Shape.RING, waits=True))
    bench.agent.may_acknowledge = False
    bench.agent.start()
    bench.look(2)
    bench.machine.make(3)
    bench.look(3)
    bench.agent.close()
    assert len(bench.agent.disk.records) == 1
    assert bench.machine.memory.acknowledged() == 0


def test_a_station_that_may_acknowledge_needs_a_register_for_it(tmp_path: Path) -> None:
    """The configuration is told before anything is read."""
    (tmp_path / "lini.toml").write_text(
        """
[agent]
name = "a"
site = "s"
line = "l"

[[bus]]
name = "welder"
host = "127.0.0.1"

[[station]]
name = "welder-1"
bus = "welder"
profile = "spot-welder-plc"
acknowledge = true

[[uplink]]
name = "main"
host = "127.0.0.1"
"""
    )
    with pytest.raises(FixTheFileError, match="names no register for it"):
        station_profiles(load_edge(tmp_path / "lini.toml"), tmp_path)


def test_parts_of_the_test_mode_are_kept_and_marked() -> None:
    """The mode in the slot overrules the result."""
    profile = Variant(shape=Shape.BLOCK, has_total=False).profile()
    assert profile.records is not None
    words = {"name": "mode", "address": 8, "type": "uint16"}
    bench = Bench(Variant(shape=Shape.BLOCK))
    bench.agent.close()
    records = profile.records.model_dump(exclude_none=True, by_alias=True, exclude_unset=True)
    registers = [*records["registers"], words]
    source = RecordSource.model_validate(
        records | {"registers": registers, "mode": "mode", "test": [2]}
    )
    bench.machine.source = source
    bench.machine.profile = profile.model_copy(update={"records": source})
    bench.machine.memory = type(bench.machine.memory)(bench.machine.profile)
    bench.machine.memory.set("map_id", 7)
    bench.agent = Agent(bench.machine, bench.clock)
    bench.look(2)
    for mode in (1, 2):
        bench.machine.memory.write_slot(0, {"mode": mode})
        bench.machine.make(1)
        bench.look(2)
    bench.agent.close()
    assert [each.result for each in bench.agent.disk.records] == [Result.UNKNOWN, Result.TEST]
    assert "mode" not in bench.agent.disk.records[0].values


def test_a_part_is_known_again_by_its_stamp_not_by_what_is_edited_later() -> None:
    """An inspection that changes a stored slot makes no second record, nor a new epoch."""
    records = Variant(shape=Shape.RING).profile().records
    assert records is not None
    assert records.identity == {"begin", "end", "a", "b"}
    assert records.model_copy(update={"time_s": "a"}).identity == {"begin", "end", "a", "serial"}


def faulty(**changes: Any) -> dict[str, Any]:
    """Return a ring with some keys changed; None takes a key out."""
    register = {"name": "a", "address": 2, "type": "uint32"}
    ends = [{"name": n, "address": 4 * i, "type": "uint32"} for i, n in enumerate(("b", "e"))]
    ring: dict[str, Any] = {
        "kind": "weld",
        "period_s": 1,
        "address": 0,
        "sequence": "seq",
        "write_index": "index",
        "slots": 8,
        "stride": 6,
        "begin": "b",
        "end": "e",
        "registers": [register, *ends],
    } | changes
    return {key: value for key, value in ring.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"write_index": None}, "a ring needs `write_index`"),
        ({"signal": "s"}, "`signal` is not for a ring"),
        ({"begin": None}, "a ring needs `begin`"),
        ({"stride": 5}, "reaches beyond the slot's 5 registers"),
        ({"address": 65489}, "the records reach beyond address 65535"),
        (
            {
                "registers": [
                    {"name": n, "address": 0, "type": "uint32", "rollover": {"wrap": 2**32}}
                    for n in "be"
                ]
            },
            "a record is stored whole",
        ),
        ({"wrap": 20}, "too short to tell 8 parts from a reset"),
        ({"wrap_to": 1}, "a number of 33 bits"),
        ({"time_s": "clock"}, "the slot has no register `clock`"),
        ({"shape": "block", "write_index": None, "slots": None, "stride": None}, ""),
        (
            {
                "shape": "signal",
                "signal": "s",
                "edge": "rising",
                "cycle_s": 0.5,
                **dict.fromkeys(("sequence", "write_index", "slots", "stride", "begin", "end")),
            },
            "`period_s` is longer than `cycle_s`",
        ),
        (
            {
                "shape": "fifo",
                "acknowledge": "ack",
                **dict.fromkeys(("sequence", "write_index", "slots", "begin", "end")),
            },
            "a fifo is acknowledged by sequence",
        ),
    ],
)
def test_a_source_that_cannot_work_is_told(changes: dict[str, Any], told: str) -> None:
    """Each shape has what it needs, and nothing that it would not heed."""
    if not told:
        RecordSource.model_validate(faulty(**changes))
        return
    with pytest.raises(ValidationError, match=told):
        RecordSource.model_validate(faulty(**changes))


def test_only_a_holding_register_of_one_word_can_be_written() -> None:
    """What is written is looked at closely."""
    good = (
        Variant(shape=Shape.RING, waits=True)
        .profile()
        .model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
    )
    Profile.model_validate(good)
    good["records"] |= {"acknowledge": "seq"}
    with pytest.raises(ValidationError, match="must be a uint16 holding register"):
        Profile.model_validate(good)


def test_sequence_and_index_of_a_ring_are_of_one_moment() -> None:
    """So one read must reach both; here one has at most 24 registers."""
    wide = Variant(shape=Shape.RING).profile().model_dump(by_alias=True, exclude_unset=True)
    (index,) = (each for each in wide["registers"] if each["name"] == "index")
    index["address"] = 23
    Profile.model_validate(wide)
    index["address"] = 24
    with pytest.raises(ValidationError, match="`seq` and `index` cannot be read at once"):
        Profile.model_validate(wide)
