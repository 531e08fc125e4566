"""The rules that every shipped profile keeps."""

import re
from collections.abc import Iterator
from importlib import resources

import pytest

from agent.wire.schema import TAGS, Schema
from collectors.errors import FixTheFileError
from collectors.profile import Profile, shipped
from collectors.register import Alarm, Register, Text, Type

PROFILES = shipped()
REFERENCE = ("spot-welder-plc", "laser-welder-plc", "cell-sorter-plc", "formation-cabinet-64")
# domain: offsets of the map that integrators are asked for
REFERENCE_MAP = {
    "map_id": (0, "uint16"),
    "heartbeat": (1, "uint16"),
    "state": (2, "uint16"),
    "mode": (3, "uint16"),
    "alarms_process": (4, "bitfield"),
    "alarms_machine": (5, "bitfield"),
    "count_total": (8, "uint32"),
    "count_good": (10, "uint32"),
    "count_reject": (12, "uint32"),
    "recipe": (14, "uint16"),
    "lot": (16, "string"),
    "clock_year": (24, "uint16"),
    "clock_month": (25, "uint16"),
    "clock_day": (26, "uint16"),
    "clock_hour": (27, "uint16"),
    "clock_minute": (28, "uint16"),
    "clock_second": (29, "uint16"),
    "rec_write_index": (40, "uint16"),
    "rec_seq": (42, "uint32"),
}

each_profile = pytest.mark.parametrize("name", PROFILES)
each_reference = pytest.mark.parametrize("name", REFERENCE)


def registers_of(profile: Profile) -> Iterator[Register]:
    """Yield every register: of the main map, a channel, a record slot."""
    yield from profile.registers
    if profile.channels:
        yield from profile.channels.registers
    if profile.records:
        yield from profile.records.registers


def alarms_of(profile: Profile) -> Iterator[tuple[str, Alarm]]:
    """Yield the alarms by their code."""
    for register in profile.registers:
        if register.alarm:
            yield register.name, register.alarm
        yield from ((bit.name, bit.alarm) for bit in register.bits if bit.alarm)


def source_of(name: str) -> str:
    """Return the text of a shipped profile."""
    return (resources.files("collectors") / "profiles" / f"{name}.toml").read_text("utf-8")


def test_the_registers_of_all_profiles_fit_one_database() -> None:
    """No two shipped profiles give one name to values of different type."""
    Schema.of(PROFILES.values())


def test_a_profile_that_does_not_fit_the_database_is_told() -> None:
    """The check above can fail: a `current` that is text collides with one that is a number."""
    welder = PROFILES["spot-welder-plc"]
    assert welder.records is not None
    wrong = next(each for each in welder.records.registers if each.name == "current")
    wrong = wrong.model_copy(update={"type": Type.STRING, "length": 4})
    records = welder.records.model_copy(update={"registers": (wrong,)})
    with pytest.raises(FixTheFileError, match="`current` of weld is str"):
        Schema.of([welder, welder.model_copy(update={"records": records})])


@each_profile
def test_every_value_has_a_label_in_both_languages(name: str) -> None:
    """Whatever can reach a screen has a name in Indonesian and in English."""
    structure = {"begin", "end", "time_s", "time_ms"}
    unnamed = [
        each.name
        for each in registers_of(PROFILES[name])
        if each.label is None and each.name not in structure
    ]
    assert unnamed == []


@each_profile
def test_alarms_are_told_in_both_languages_with_what_to_do(name: str) -> None:
    """An alarm says what is wrong in a few words, and one thing to do; never in one language."""
    for code, alarm in alarms_of(PROFILES[name]):
        for text in (alarm.text, alarm.response):
            assert text.id != text.en, code
        assert longest(alarm.text) <= 7, code
        assert longest(alarm.response) <= 14, code
        for sentence in (alarm.response.id, alarm.response.en):
            assert sentence.endswith("."), code


def longest(text: Text) -> int:
    """Return the number of words of the longer language."""
    return max(len(text.id.split()), len(text.en.split()))


@each_profile
def test_alarm_codes_are_unique(name: str) -> None:
    """An alarm is known by its bit's name alone, so no two bits of a machine share one."""
    codes = [code for code, _ in alarms_of(PROFILES[name])]
    assert len(codes) == len(set(codes))


@each_profile
def test_two_to_four_values_are_shown_each_with_its_rank(name: str) -> None:
    """A tile has room for two to four values, in an order that is not left to chance."""
    ranks = [each.show for each in registers_of(PROFILES[name]) if each.show is not None]
    assert 2 <= len(ranks) <= 4
    assert len(set(ranks)) == len(ranks)


@each_profile
def test_every_register_carries_the_name_its_manual_gives(name: str) -> None:
    """Beside each register's name stands a comment with the manual's own."""
    blocks = re.split(r"^\[", source_of(name), flags=re.MULTILINE)
    registers = [each for each in blocks if "registers]]" in each.partition("\n")[0]]
    lines = re.findall(r'^name = ".*', "\n".join(registers), flags=re.MULTILINE)
    assert len(lines) == len(list(registers_of(PROFILES[name])))
    assert [each for each in lines if " # " not in each] == []


@each_profile
def test_a_grade_has_its_evidence(name: str) -> None:
    """Bronze names a manual and a grade above says what it was read from."""
    profile = PROFILES[name]
    line = next(each for each in source_of(name).splitlines() if each.startswith("grade = "))
    if profile.grade == "bronze":
        assert "manual" in profile.source or "HRX-OM" in profile.source
    else:
        assert "# read from" in line


@each_profile
def test_states_are_those_of_the_register(name: str) -> None:
    """Each number of the state map can be in the state's register."""
    profile = PROFILES[name]
    if profile.state is None:
        return
    register = profile.named(profile.state.name)
    highest = 1 if register.type is Type.BOOL else 65535
    assert all(0 <= int(number) <= highest for number in profile.state.values)


@each_profile
def test_reads_are_within_what_the_device_takes(name: str) -> None:
    """No value is longer than one read may be, and every poll group reads something."""
    profile = PROFILES[name]
    assert all(each.words <= profile.modbus.max_registers for each in registers_of(profile))
    used = {profile.group_of(each) for each in profile.registers}
    if profile.channels:
        used.add(profile.channels.group)
    assert used == set(profile.groups)


@each_reference
def test_the_reference_map_is_kept_to_the_word(name: str) -> None:
    """Offsets 0 to 43 are those that integrators were given, and nothing else stands there."""
    registers = {each.name: each for each in PROFILES[name].registers if each.address < 44}
    found = {key: (each.address, each.type.value) for key, each in registers.items()}
    assert found == REFERENCE_MAP
    assert registers["lot"].words == 8


@each_reference
def test_records_are_slots_with_their_sequence_at_both_ends(name: str) -> None:
    """The ring is where the reference map has it, and no two values of a slot overlap.

    A slot has 32 registers, that of the formation cabinet four more.
    """
    records = PROFILES[name].records
    assert records is not None
    is_cabinet = name == "formation-cabinet-64"
    assert (records.address, records.stride) == (100, 36 if is_cabinet else 32)
    assert records.slots == (512 if is_cabinet else 256)
    slot = {each.name: each for each in records.registers}
    assert (slot["begin"].address, slot["end"].address) == (0, records.stride - 2)
    assert (slot["serial"].address, slot["serial"].words) == (20, 10)
    places = [
        place for each in slot.values() for place in range(each.address, each.address + each.words)
    ]
    assert len(places) == len(set(places))


@each_reference
def test_record_tags_are_those_the_database_has(name: str) -> None:
    """The tags of a record kind are frozen: a profile brings exactly these."""
    records = PROFILES[name].records
    assert records is not None
    fixed = {"site", "line", "station", "result", "code"}
    assert set(records.tags) == set(TAGS[records.kind]) - fixed


@each_reference
def test_test_mode_and_every_state_are_known(name: str) -> None:
    """All nine states have a meaning, and parts of mode 2 do not count."""
    profile = PROFILES[name]
    assert profile.mode is not None
    assert profile.mode.test == (2,)
    assert profile.state is not None
    assert set(profile.state.values) == {str(number) for number in range(9)}


@each_reference
def test_what_is_done_to_the_process_is_watched(name: str) -> None:
    """Recipe and lot of every machine; the electrode too of one that has any, as each weld tells."""
    profile = PROFILES[name]
    found = {(each.name, each.kind, each.when) for each in profile.events}
    expected = {("recipe", "recipe_changed", "changes"), ("lot", "lot_changed", "changes")}
    if any(each.name == "electrode" for each in profile.registers):
        expected |= {
            ("electrode", "electrode_changed", "changes"),
            ("welds_since_dress", "electrode_dressed", "goes_back"),
        }
        assert profile.records is not None
        assert "electrode" in {each.name for each in profile.records.measured}
    assert found == expected


@each_reference
def test_quality_values_have_limits_inside_what_can_be_measured(name: str) -> None:
    """At least one value of a record is judged, and its limits are within the sensor's range."""
    records = PROFILES[name].records
    assert records is not None
    judged = [each for each in records.measured if each.spec is not None]
    assert judged
    for each in judged:
        assert each.spec is not None
        assert each.valid is not None, each.name
        assert each.valid[0] <= each.spec[0] < each.spec[1] <= each.valid[1], each.name


def test_each_law_is_about_its_own_units() -> None:
    """Each check of a shipped profile is its law of physics, whatever units its registers have."""
    si = {"kA": 1e3, "V": 1, "kW": 1e3, "J": 1, "ms": 1e-3, "mΩ": 1e-3, "mm": 1e-3, "mm/s": 1e-3}
    laws = {
        "power": lambda v: v["voltage"] * v["current"],
        "resistance": lambda v: v["voltage"] / v["current"],
        "energy": lambda v: v["power"] * v["weld_time"],
        "weld_time": lambda v: v["track_length"] / v["scan_speed"],
    }
    seen = set()
    for profile in PROFILES.values():
        for check in profile.records.checks if profile.records else ():
            assert profile.records is not None
            units = {
                each.name: si[each.unit] for each in profile.records.measured if each.unit in si
            }
            values = {name: 3.0 + 2 * number for number, name in enumerate(check.formula.names)}
            found = check.formula.evaluate(values, {})
            assert isinstance(found, float)
            in_si = {name: value * units[name] for name, value in values.items()}
            assert found * units[check.value] == pytest.approx(laws[check.value](in_si))
            seen.add(check.value)
    assert seen == laws.keys()


def test_channels_do_not_reach_into_the_ring() -> None:
    """The formation cabinet's channels begin behind its ring of records."""
    profile = PROFILES["formation-cabinet-64"]
    assert profile.channels is not None
    assert profile.records is not None
    end_of_ring = profile.records.address + profile.records.slots * profile.records.stride
    assert profile.channels.address >= end_of_ring
    last = max(each.address + each.words for each in profile.channels.registers)
    assert last <= profile.channels.stride
