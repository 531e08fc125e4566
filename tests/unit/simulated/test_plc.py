"""The common PLC: ring of records, torn slots, counters, heartbeat, restart."""

import struct
from pathlib import Path

import pytest

from collectors.record import Result
from collectors.simulated import ledger
from collectors.simulated.plc import Plc
from collectors.simulated.sorter import Sorter
from collectors.simulated.welder import Welder
from tests.unit.simulated.conftest import START_S, Hand, MakePlc

PROFILE = "spot-welder-plc"
SLOTS, STRIDE, RING = 256, 32, 100


def words(plc: Plc, address: int, count: int) -> list[int]:
    """Return registers as they are read."""
    data = plc.memory.read(3, address, count)
    assert isinstance(data, bytes)
    return [*struct.unpack(f">{count}H", data)]


def u32(plc: Plc, address: int) -> int:
    """Return 32 bits of the welder, low word first."""
    low, high = words(plc, address, 2)
    return high << 16 | low


def head(plc: Plc) -> tuple[int, int]:
    """Return (rec_seq, rec_write_idx)."""
    return u32(plc, 42), words(plc, 40, 1)[0]


def ends(plc: Plc, slot: int) -> tuple[int, int]:
    """Return (seq_begin, seq_end) of a slot."""
    base = RING + slot * STRIDE
    return u32(plc, base), u32(plc, base + 30)


def is_torn(plc: Plc, slot: int) -> bool:
    """Return whether a slot is half-written."""
    begin, end = ends(plc, slot)
    return begin != end


@pytest.fixture
def welder(make_plc: MakePlc) -> Plc:
    """Return a welder that is about to make its first part."""
    return make_plc(Welder, PROFILE)


def test_a_record_is_written_begin_body_end_and_then_the_head(welder: Plc, hand: Hand) -> None:
    """Between its first and its last word a slot is torn, and the head does not tell of it."""
    hand.run(welder, lambda: is_torn(welder, 0), step=0.01)
    assert ends(welder, 0) == (1, 0)
    assert words(welder, RING + 5, 1) != [0]  # the body is there
    assert head(welder) == (0, 0)
    assert u32(welder, 8) == 0
    hand.run(welder, lambda: not is_torn(welder, 0), step=0.01)
    assert ends(welder, 0) == (1, 1)
    assert head(welder) == (1, 1)
    assert u32(welder, 8) == 1


def test_a_part_is_in_the_ledger_before_it_can_be_seen(
    welder: Plc, hand: Hand, tmp_path: Path
) -> None:
    """While its slot is still torn and the head silent, the truth is already written down."""
    hand.run(welder, lambda: is_torn(welder, 0), step=0.01)
    parts = list(ledger.read(tmp_path / "ledger"))
    assert [part.seq for part in parts] == [1]
    assert parts[0].time_ms == pytest.approx(1000 * (START_S + hand.seconds), abs=11)


def test_what_is_done_to_the_process_is_in_the_ledger_before_it_can_be_seen(
    welder: Plc, hand: Hand, tmp_path: Path
) -> None:
    """Dressings, new electrodes, lots and recipes: as the registers show them, none at the start."""

    def deeds() -> list[tuple[str, str]]:
        return [(each.deed, each.after) for each in ledger.read_deeds(tmp_path / "ledger")]

    def recipe() -> int:
        assert ("recipe_changed", str(words(welder, 14, 1)[0])) in [
            ("recipe_changed", "1"),
            *deeds(),
        ]
        return words(welder, 14, 1)[0]

    assert deeds() == []
    hand.run(welder, lambda: recipe() == 2, step=5)
    kinds = [kind for kind, _ in deeds()]
    assert {*kinds} >= {"electrode_dressed", "lot_changed", "recipe_changed"}
    assert kinds.count("lot_changed") == 2
    assert ("lot_changed", "M0003-1") in deeds()
    assert len(list(ledger.read(tmp_path / "ledger"))) == welder.made


def test_settling_completes_the_slot_that_is_being_written(welder: Plc, hand: Hand) -> None:
    """A paused machine has no torn slot: what was made can be read."""
    hand.run(welder, lambda: is_torn(welder, 0), step=0.01)
    welder.pace.pause()
    welder.settle()
    assert ends(welder, 0) == (1, 1)
    assert head(welder) == (1, 1)
    welder.settle()
    assert welder.made == 1


def test_the_ring_wraps_and_the_torn_slot_then_holds_two_sequences(welder: Plc, hand: Hand) -> None:
    """Part 257 overwrites part 1: caught half-written, its slot begins new and ends old."""
    hand.run(welder, lambda: welder.made == SLOTS and not is_torn(welder, SLOTS - 1), step=0.01)
    assert head(welder) == (SLOTS, 0)
    assert ends(welder, 0) == (1, 1)
    hand.run(welder, lambda: is_torn(welder, 0), step=0.01)
    assert ends(welder, 0) == (SLOTS + 1, 1)
    assert ends(welder, SLOTS - 1) == (SLOTS, SLOTS)


def test_counters_leave_test_parts_out(welder: Plc, hand: Hand, tmp_path: Path) -> None:
    """Total, good and reject are those of the ledger without its test parts."""
    hand.run(welder, lambda: welder.made >= 2500)
    welder.settle()
    parts = list(ledger.read(tmp_path / "ledger"))
    counted = [part for part in parts if part.result is not Result.TEST]
    assert len(counted) < len(parts) == u32(welder, 42)
    assert u32(welder, 8) == len(counted)
    assert u32(welder, 10) == sum(part.result is Result.OK for part in counted)
    assert u32(welder, 12) == sum(part.result is Result.NG for part in counted) > 0


def test_mode_and_state_say_when_test_parts_are_made(welder: Plc, hand: Hand) -> None:
    """After dressing the mode is 2 while two test welds are made, and then 1 again."""
    modes: list[int] = []
    made: list[int] = []

    def seen() -> bool:
        mode = words(welder, 3, 1)[0]
        if not modes or modes[-1] != mode:
            modes.append(mode)
            made.append(welder.made)
        return len(modes) >= 3

    hand.run(welder, seen)
    assert modes == [1, 2, 1]
    assert made[2] - made[1] == 2


def test_all_kinds_of_standstill_happen(make_plc: MakePlc, hand: Hand) -> None:
    """A day of the sorter knows running, starved, blocked, fault and setup, with its alarms."""
    sorter = make_plc(Sorter, "cell-sorter-plc")
    states: set[int] = set()
    alarms: set[tuple[int, int]] = set()

    def looked() -> bool:
        states.add(words(sorter, 2, 1)[0])
        alarms.update([tuple(words(sorter, 4, 2))])  # type: ignore[list-item]
        return states >= {2, 3, 4, 5, 6}

    hand.run(sorter, looked, step=1.0)
    assert (0, 0) in alarms
    assert len(alarms) > 2


def test_the_heartbeat_counts_seconds_and_wraps(welder: Plc, hand: Hand) -> None:
    """Register 1 goes up by one each second, and from 65535 to 0."""
    before = words(welder, 1, 1)[0]
    hand.seconds += 3
    assert words(welder, 1, 1)[0] == before + 3
    hand.seconds = 65_535
    assert words(welder, 1, 1) == [65_535]
    hand.seconds = 65_536
    assert words(welder, 1, 1) == [0]


def test_a_frozen_plc_answers_but_stands_still(welder: Plc, hand: Hand) -> None:
    """In STOP heartbeat, clock and parts stand still; in RUN they go on where they were."""
    hand.run(welder, lambda: welder.made == 3)
    hand.seconds += 1
    beat = words(welder, 1, 1)
    welder.freeze()
    frozen = words(welder, 0, 44)
    hand.seconds += 60
    assert welder.advance(1000) == float("inf")
    assert words(welder, 0, 44) == frozen
    welder.thaw()
    hand.seconds += 1
    assert words(welder, 1, 1) == [beat[0] + 1]
    hand.run(welder, lambda: welder.made == 4)


def test_a_restart_begins_all_numbers_anew(welder: Plc, hand: Hand, tmp_path: Path) -> None:
    """Counters, sequence and ring are empty; the next part is 1 of epoch 2, with a new serial."""
    hand.run(welder, lambda: welder.made == 100)
    welder.restart()
    assert head(welder) == (0, 0)
    assert u32(welder, 8) == 0
    assert ends(welder, 5) == (0, 0)
    hand.run(welder, lambda: welder.made == 101)
    *_, last, first = ledger.read(tmp_path / "ledger")
    assert (last.epoch, last.seq) == (1, 100)
    assert (first.epoch, first.seq) == (2, 1)
    assert first.serial == last.serial == "MOD-1000002"  # the module that was being welded


def test_the_clock_of_the_plc_is_ours(welder: Plc, hand: Hand) -> None:
    """Registers 24 to 29 tell the local time to the second."""
    before = words(welder, 24, 6)
    hand.seconds += 61
    after = words(welder, 24, 6)
    assert before[0] == 2025
    seconds = [60 * clock[4] + clock[5] for clock in (before, after)]
    assert (seconds[1] - seconds[0]) % 3600 == 61


def test_work_that_is_late_is_caught_up(make_plc: MakePlc, hand: Hand, tmp_path: Path) -> None:
    """Woken once after an hour, a machine has made the very parts of a punctual one, stamps too."""
    late = make_plc(Welder, PROFILE, ledger="late")
    punctual = make_plc(Welder, PROFILE, ledger="punctual")
    hand.run(punctual, lambda: hand.seconds >= 3600, step=1.0)
    assert late.made == 0
    late.advance(1_000_000)
    parts = list(ledger.read(tmp_path / "late"))
    assert len(parts) == late.made > 1000
    assert parts == list(ledger.read(tmp_path / "punctual"))


def test_parts_depend_on_the_seed(make_plc: MakePlc, hand: Hand, tmp_path: Path) -> None:
    """Another seed is another run: the equality above is not that of parts that are all alike."""
    for seed in (1, 2):
        plc = make_plc(Welder, PROFILE, seed=seed, ledger=str(seed))
        hand.run(plc, lambda plc=plc: plc.made >= 5)  # type: ignore[misc]
    one, two = (list(ledger.read(tmp_path / name)) for name in "12")
    assert [part.values for part in one] != [part.values for part in two]
