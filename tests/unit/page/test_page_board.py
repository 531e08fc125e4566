"""The agent's own board speaks as the page, and the line its pictures are made of, expect."""

import json
from collections.abc import Callable, Iterator, Mapping

import pytest

from agent.model.board import Board, Site, UplinkView
from agent.model.station import StationModel
from agent.page.events import encode
from collectors.profile import Profile, shipped
from collectors.quality import Fault, Reason
from collectors.record import Record, Result, TimeSource
from collectors.register import Register, Text, Type
from collectors.sample import Sample, StationId, Value
from tests.browser.fake_board import FakeBoard, trouble

NOW_NS = 1_778_742_312_000_000_000
PROFILES = shipped()
# profile → the station of the fake line that stands for its kind
KINDS = {
    "spot-welder-plc": "welder-1",
    "cell-sorter-plc": "sorter-1",
    "formation-cabinet-64": "formation-1",
    "smc-hrs-chiller": "chiller-1",
    "omron-e5cc": "oven-1",
    "eastron-sdm630": "meter-1",
}
Frame = dict[str, object]
each_kind = pytest.mark.parametrize("profile", KINDS)


def reading(register: Register) -> Value:
    """Return a value as this register would decode to: the first code, all bits, some number."""
    if register.type is Type.ENUM:
        return next(iter(register.values.values()))
    if register.type is Type.STRING:
        return "LG2550A0077319"
    if register.type is Type.BOOL:
        return True
    if register.type is Type.BITFIELD:
        return sum(1 << bit.bit for bit in register.bits)
    return 2 if register.is_whole else 1.5


def readings(registers: tuple[Register, ...]) -> dict[str, Value]:
    return {register.name: reading(register) for register in registers}


def fill(model: StationModel, *, faults: Mapping[str, Fault] | None = None) -> None:
    """Let one sample of everything and one part arrive."""
    profile, station = model.profile, model.station
    blocks = {"": profile.registers}
    if profile.channels:
        numbers = range(1, profile.channels.count + 1)
        blocks |= {str(number): profile.channels.registers for number in numbers}
    for channel, registers in blocks.items():
        values = readings(registers)
        sample = Sample(
            station=station,
            group="live",
            time_ns=NOW_NS,
            values={name: value for name, value in values.items() if name not in (faults or {})},
            faults=faults or {},
            channel=channel,
        )
        model.sampled(sample)
    if profile.records:
        model.recorded(part(station, profile))


def part(station: StationId, profile: Profile) -> Record:
    assert profile.records is not None
    return Record(
        station=station,
        kind=profile.records.kind,
        epoch=1,
        seq=1,
        time_ns=NOW_NS,
        time_source=TimeSource.MACHINE,
        result=Result.NG,
        code="none",
        serial="LG2550A0077319",
        tags={},
        values=readings(profile.records.measured),
    )


def model_of(profile: str) -> StationModel:
    place = StationId(site="bengkel", line="line1", station=KINDS[profile])
    title = Text(id="Mesin", en="Machine")
    return StationModel(place, title, PROFILES[profile], now_ns=NOW_NS)


def board_of(*models: StationModel) -> Board:
    site = Site(name="Bengkel", line="Lini 1", timezone="Asia/Jakarta", agent="pi", version="0.1.0")
    board = Board(site, models, clock=lambda: NOW_NS)
    board.uplinks = [UplinkView(name="server", connected=True, queue=3, oldest_s=1.5)]
    return board


def frame_of(source: Callable[[], Mapping[str, object]]) -> Frame:
    """Return a snapshot as it arrives at the page."""
    frame = json.loads(encode(source()))
    assert isinstance(frame, dict)
    return frame


def station_of(frame: Frame, name: str) -> Frame:
    stations = frame["stations"]
    assert isinstance(stations, list)
    return next(each for each in stations if each["name"] == name)


def expected() -> Frame:
    """Return the fake line on its bad day: alarms, faults and a queue are in it."""
    board = FakeBoard()
    trouble(board)
    return frame_of(board.snapshot)


def unlike(real: object, fake: object, path: str = "") -> Iterator[str]:
    """Say where `real` differs in keys or types from `fake`; None and empty lists say nothing."""
    if real is None or fake is None:
        return
    if isinstance(fake, dict) and isinstance(real, dict):
        yield from (f"{path}.{key} is in one only" for key in sorted(real.keys() ^ fake.keys()))
        for key in real.keys() & fake.keys():
            yield from unlike(real[key], fake[key], f"{path}.{key}")
    elif isinstance(fake, list) and isinstance(real, list):
        for item in real if fake else []:
            yield from unlike(item, fake[0], f"{path}[]")
    elif _kind(real) is not _kind(fake) and not path.endswith(".value"):
        yield f"{path} is {real!r}, not like {fake!r}"


def _kind(value: object) -> type:
    return float if type(value) is int else type(value)


def test_the_head_of_a_frame_is_as_the_page_expects() -> None:
    """Site, clock and uplinks have the keys and types of the fake line."""
    real, fake = frame_of(board_of().snapshot), expected()
    assert not list(unlike(real, {**fake, "stations": []}))


@each_kind
def test_a_station_is_as_the_page_expects(profile: str) -> None:
    """Every key of a full station, its values, alarms and channels, with the same types."""
    model = model_of(profile)
    fill(model)
    real = station_of(frame_of(board_of(model).snapshot), KINDS[profile])
    fake = station_of(expected(), KINDS[profile])
    alarms = station_of(expected(), "welder-1")["alarms"]  # stands for the alarms of all
    assert not list(unlike(real, {**fake, "alarms": alarms}))
    for name in ("counts", "parts", "last"):
        assert (real[name] is None) == (fake[name] is None), name
    assert bool(real["channels"]) == bool(fake["channels"])
    assert real["values"]


@each_kind
def test_a_station_that_never_answered_is_as_the_page_expects(profile: str) -> None:
    """Before the first answer nothing is missing but values."""
    real = station_of(frame_of(board_of(model_of(profile)).snapshot), KINDS[profile])
    assert not list(unlike(real, station_of(expected(), KINDS[profile])))
    assert real["seen_ms"] is None
    assert real["state"] == "unknown"


def test_the_comparison_sees_a_missing_key_and_another_type() -> None:
    """Control: a renamed channel register and a number as text are told."""
    fake = station_of(expected(), "formation-1")
    renamed = json.loads(json.dumps(fake).replace('"capacity_ah"', '"capacity"'))
    told = {*unlike(renamed, fake)}
    assert told == {".channels[].capacity is in one only", ".channels[].capacity_ah is in one only"}
    told = {*unlike({**fake, "since_ms": "1"}, fake)}
    assert told == {f".since_ms is '1', not like {fake['since_ms']}"}


def test_channels_carry_their_registers_by_name() -> None:
    """Each of the 64 has the profile's registers, in the order of their numbers."""
    model = model_of("formation-cabinet-64")
    fill(model)
    channels = station_of(frame_of(board_of(model).snapshot), "formation-1")["channels"]
    assert isinstance(channels, list)
    assert [each["channel"] for each in channels] == [str(n) for n in range(1, 65)]
    block = model.profile.channels
    assert block is not None
    names = {register.name for register in block.registers}
    assert channels[0].keys() == {*names, "channel", "quality"}
    assert {each["quality"] for each in channels} == {"good"}


def test_a_channel_that_did_not_answer_is_bad_and_keeps_its_keys() -> None:
    """The page finds null, not a missing key."""
    model = model_of("formation-cabinet-64")
    block = model.profile.channels
    assert block is not None
    silent = {register.name: Fault(reason=Reason.COMM) for register in block.registers}
    fill(model, faults=silent)
    channels = station_of(frame_of(board_of(model).snapshot), "formation-1")["channels"]
    assert isinstance(channels, list)
    assert channels[0]["quality"] == "bad"
    assert {channels[0][name] for name in silent} == {None}


@each_kind
def test_values_have_unique_names_and_some_are_for_the_tile(profile: str) -> None:
    """The page keeps a part for each name, and shows those with a rank on the tile."""
    model = model_of(profile)
    fill(model)
    values = station_of(frame_of(board_of(model).snapshot), KINDS[profile])["values"]
    assert isinstance(values, list)
    names = [each["name"] for each in values]
    assert len(names) == len({*names})
    ranks = [each["show"] for each in values if each["show"] is not None]
    assert len(ranks) >= 1
    assert len(ranks) == len({*ranks}), "two values want the same place on the tile"


def test_only_what_changed_is_in_a_delta() -> None:
    """A delta names the station that changed; without a change there is none."""
    welder, meter = model_of("spot-welder-plc"), model_of("eastron-sdm630")
    board = board_of(welder, meter)
    version, first = board.changes(0)
    assert first is not None
    assert board.changes(version) == (version, None)
    fill(meter)
    later, delta = board.changes(version)
    assert later > version
    assert delta is not None
    assert [each["name"] for each in delta["stations"]] == ["meter-1"]  # type: ignore[attr-defined]
