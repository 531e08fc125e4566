"""Cycles out of step records, against an oracle that knows what happened on the channel."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import cycle_summary
from collectors.cycle_summary import Summary, summary
from collectors.formation import Cycles, StepRecord, ended
from collectors.profile import find
from collectors.quality import Reason
from collectors.record import Result, TimeSource
from collectors.record_source import RecordSource

SOURCE = find("formation-cabinet-64").records
assert SOURCE is not None
assert SOURCE.cycles is not None
RULE = SOURCE.cycles
UNNUMBERED = RULE.model_copy(update={"part": None})
PLAIN, PULSED = RULE.programs
ENDS = {"cc_charge": "voltage", "cv_charge": "current", "cc_discharge": "voltage"}
SUMS = {"charge_ah", "discharge_ah", "capacity_ah", "coulombic_percent", "energy_percent"}


@dataclass(frozen=True)
class Step:
    """A step as it truly was: how much in each of its parts, in Ah."""

    kind: str
    parts: tuple[float, ...]


def records_of(
    program: Sequence[Step], *, serial: str = "C1", cycle: int = 1, first_seq: int = 1
) -> list[StepRecord]:
    """Return what a machine leaves of a cycle that begins with an empty cell."""
    found: list[StepRecord] = []
    for number, step in enumerate(program, 1):
        for part, ah in enumerate(step.parts, 1):
            is_cut = part < len(step.parts)
            seq = first_seq + len(found)
            found.append(
                StepRecord(
                    epoch=1,
                    seq=seq,
                    time_ns=seq,
                    time_source=TimeSource.MACHINE,
                    serial=serial,
                    result=Result.OK,
                    code="none",
                    cycle=cycle,
                    step=step.kind,
                    step_no=number,
                    part=part,
                    end_reason="pause" if is_cut else ENDS.get(step.kind, "time"),
                    capacity_ah=ah,
                    energy_wh=4 * ah if "dis" not in step.kind else 3.5 * ah,
                    duration_s=10.0 if step.kind == "pulse" else 3600 * ah,
                    v_start=2.8 if number == 1 else 4.1,
                    v_end=4.18 if step.kind == "rest" else 4.03,
                    i_end={"rest": 0.0, "pulse": -2.5}.get(step.kind, 1.0),
                    t_max=25.0 + number,
                )
            )
    return found


def run(
    records: Sequence[StepRecord], *, rule: Cycles = RULE, gapless: bool = True
) -> list[Summary]:
    """Feed records one by one, as they come; return the summaries in the order they came."""
    told: list[Summary] = []
    for upto in range(1, len(records) + 1):
        cycles_ended = ended(rule, reversed(records[:upto]))
        told += [summary(rule, each, is_gapless=gapless) for each in cycles_ended]
    return told


amounts = st.lists(st.integers(1, 20_000), min_size=1, max_size=3).map(
    lambda parts: tuple(each / 10_000 for each in parts)
)


@st.composite
def cycles(draw: st.DrawFn) -> list[Step]:
    """Draw a cycle of one of the programs, some of its steps interrupted."""
    program = draw(st.sampled_from([PLAIN, PULSED]))
    return [Step(kind, (0.0,) if kind == "rest" else draw(amounts)) for kind in program]


def truth(program: Sequence[Step]) -> dict[str, float]:
    """Return the sums of a whole cycle."""
    charge = sum(sum(step.parts) for step in program if step.kind in RULE.charge)
    discharge = sum(sum(step.parts) for step in program if step.kind in RULE.discharge)
    (graded,) = (step for step in program if step.kind == "cc_discharge")
    held = sum(sum(step.parts) for step in program if step.kind == "cv_charge")
    out = 3.5 * sum(graded.parts) + 4 * (discharge - sum(graded.parts))
    return {
        "charge_ah": charge,
        "discharge_ah": discharge,
        "capacity_ah": sum(graded.parts),
        "coulombic_percent": 100 * discharge / charge,
        "energy_percent": 100 * out / (4 * charge),
        "cv_percent": 100 * held / charge,
    }


@given(st.lists(cycles(), min_size=1, max_size=4))
def test_interrupted_steps_are_joined_and_each_cycle_is_told_once(many: list[list[Step]]) -> None:
    """Ah, Wh and efficiency are those of the whole steps, however often they were interrupted."""
    records: list[StepRecord] = []
    for number, program in enumerate(many, 1):
        records += records_of(program, cycle=number, first_seq=len(records) + 1)
    told = run(records)
    assert [each.values["cycle"] for each in told] == list(range(1, len(many) + 1))
    for program, each in zip(many, told, strict=True):
        assert each.lack == ""
        assert each.result is Result.OK
        assert each.values["interruptions"] == sum(len(step.parts) - 1 for step in program)
        for name, value in truth(program).items():
            assert each.values[name] == pytest.approx(value, abs=6e-4), name


@given(cycles(), cycles(), st.data())
def test_a_cycle_that_misses_any_record_gives_no_sums(
    first: list[Step], second: list[Step], data: st.DataObject
) -> None:
    """Whichever record is lost, the cycle is incomplete; its neighbour is not touched."""
    one = records_of(first, cycle=1)
    two = records_of(second, cycle=2, first_seq=len(one) + 1)
    lost = data.draw(st.integers(0, len(one) - 1))
    told = run([*one[:lost], *one[lost + 1 :], *two])
    assert [(each.values["cycle"], each.values["complete"]) for each in told] == [(1, 0), (2, 1)]
    assert told[0].lack
    assert not SUMS & told[0].values.keys()
    assert {told[0].faults[name].reason for name in SUMS} == {Reason.INCOMPLETE}
    assert told[0].result is Result.UNKNOWN


def test_control_without_the_check_of_parts_a_lost_part_makes_a_wrong_capacity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shows that the test above would see it: half of the capacity would be told as all."""
    monkeypatch.setattr(cycle_summary, "_is_whole", lambda *_: True)
    program = [Step(kind, (1.0, 1.0)) for kind in PLAIN]
    records = records_of(program)
    del records[6]  # the first part of the discharge
    (told,) = run(records)
    assert told.values["capacity_ah"] == 1.0


def test_where_parts_are_not_numbered_a_gap_in_the_records_is_enough() -> None:
    """Such a machine cannot say that a step went on: any lost record may have been a part."""
    records = records_of([Step(kind, (1.0,)) for kind in PLAIN])
    assert [each.lack for each in run(records, rule=UNNUMBERED, gapless=False)] == ["records_lost"]
    assert [each.lack for each in run(records, rule=UNNUMBERED)] == [""]


@settings(max_examples=50)
@given(cycles(), st.integers(1, 5))
def test_a_cycle_that_is_left_is_told_with_the_next_cell(program: list[Step], done: int) -> None:
    """An unfinished cycle is summed up, as unfinished, when the channel goes on with another."""
    records = records_of(program[: min(done, len(program) - 1)])
    other = records_of(program, serial="C2", first_seq=len(records) + 1)
    assert run(records) == []
    told = run([*records, *other])
    assert [(each.last.serial, each.lack) for each in told] == [("C1", "unfinished"), ("C2", "")]


def test_a_stopped_cell_is_summed_up_at_once_and_can_begin_again() -> None:
    """Protection ends a cycle; the same cell in the same cycle is a new try."""
    program = [Step(kind, (1.0,)) for kind in PLAIN]
    tried = records_of(program[:2])
    stopped = replace(tried[1], end_reason="protection", result=Result.NG, code="over_temperature")
    told = run([tried[0], stopped])
    assert [(each.lack, each.result, each.code) for each in told] == [
        ("stopped", Result.NG, "over_temperature")
    ]
    again = run([tried[0], stopped, *records_of(program, first_seq=3)])
    assert [each.lack for each in again] == ["stopped", ""]


def test_a_cell_that_was_not_empty_has_a_capacity_but_no_efficiency() -> None:
    """What a delivered cell gives is more than it was charged with: no efficiency of 140 %."""
    records = records_of([Step(kind, (1.0,)) for kind in PLAIN])
    records[0] = replace(records[0], v_start=3.6)
    (told,) = run(records)
    assert told.values["capacity_ah"] == 1.0
    assert told.faults["coulombic_percent"].reason is Reason.NOT_EMPTY
    assert told.faults["energy_percent"].reason is Reason.NOT_EMPTY
    records[3] = replace(records[3], end_reason="time")  # and not emptied either
    (told,) = run(records)
    assert told.faults["capacity_ah"].reason is Reason.NOT_EMPTY


def test_a_faulty_input_takes_away_what_depends_on_it_and_no_more() -> None:
    """No zero is put in the place of a missing value."""
    records = records_of([Step(kind, (1.0,)) for kind in PLAIN])
    records[0] = replace(records[0], energy_wh=None, t_max=None)
    (told,) = run(records)
    assert told.lack == ""
    missing = {name for name, fault in told.faults.items() if fault.reason is Reason.INPUT}
    assert missing == {"charge_wh", "energy_percent", "t_max"}
    assert told.values["coulombic_percent"] == 50.0


def test_resistance_has_its_pulse_beside_it() -> None:
    """0.15 V at 2.5 A are 60 mΩ; not with a pulse in pieces, nor with unsigned currents."""
    program = [Step(kind, (0.5,)) for kind in PULSED]
    records = records_of(program)
    (told,) = run(records)
    assert told.values["dcir_mohm"] == pytest.approx(60)
    named = ("dcir_pulse_s", "dcir_i_before", "dcir_i_after", "dcir_v_before", "dcir_v_after")
    assert [told.values[name] for name in named] == [10.0, 0.0, -2.5, 4.18, 4.03]
    unsigned = [replace(each, i_end=abs(each.i_end or 0)) for each in records]
    assert run(unsigned)[0].faults["dcir_mohm"].reason is Reason.IMPLAUSIBLE
    program[3] = Step("pulse", (0.2, 0.3))
    assert run(records_of(program))[0].faults["dcir_mohm"].reason is Reason.INTERRUPTED
    none = run(records_of([Step(kind, (1.0,)) for kind in PLAIN]))[0]
    assert not {name for name in (*none.values, *none.faults) if name.startswith("dcir")}


def test_the_sign_of_a_discharge_changes_nothing() -> None:
    """Some machines count a discharge down: an efficiency is positive all the same."""
    records = records_of([Step(kind, (1.0, 1.0)) for kind in PLAIN])
    signed = [
        replace(each, capacity_ah=-1.0, energy_wh=-(each.energy_wh or 0))
        if each.step == "cc_discharge"
        else each
        for each in records
    ]
    (told,), (plain,) = run(signed), run(records)
    assert (told.values, told.faults) == (plain.values, plain.faults)


def test_history_is_read_no_further_than_it_must() -> None:
    """Of a channel's year only the cycle and the one before are looked at."""
    program = [Step(kind, (1.0,)) for kind in PLAIN]
    records = list(
        itertools.chain.from_iterable(
            records_of(program, cycle=n, first_seq=5 * n) for n in range(50)
        )
    )
    newest = iter(reversed(records))
    assert len(list(ended(RULE, newest))) == 1
    assert len(list(newest)) == 250 - 11


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"programs": [["cc_charge"], ["cc_charge", "rest"]]}, "one program begins as another"),
        ({"constant_voltage": ["rest"]}, "holds the voltage, but is no `charge`"),
        ({"pulse": ["rest"]}, "neither `charge` nor `discharge`"),
        ({"energy_wh": "kwh"}, "the record has no `kwh`"),
        ({"interrupted": ["powerloss"]}, "`end_reason` never is `powerloss`"),
        ({"discharge": ["cc_discharge", "pulse", "dch"]}, "`step` never is `dch`"),
    ],
)
def test_rules_that_cannot_work_are_refused(change: dict[str, object], told: str) -> None:
    """The profile is checked whole when it is loaded."""
    assert SOURCE is not None
    table = SOURCE.model_dump(by_alias=True, exclude_unset=True)
    with pytest.raises(ValueError, match=told):
        RecordSource.model_validate({**table, "cycles": {**table["cycles"], **change}})
