"""Process events out of registers: each change seen once, none invented, across restarts."""

from collections.abc import Mapping

import pytest

from collectors.process import Happened, ProcessWatch, Seen
from collectors.profile import EventRule, Profile, shipped
from collectors.quality import Fault, Reason
from collectors.sample import Sample, Value
from tests.services.parts import START_NS, WELDER

WELDER_PROFILE = shipped()["spot-welder-plc"]


def sample(seconds: int, **values: Value) -> Sample:
    """Return a sample of the welder, so many seconds after the start."""
    time_ns = START_NS + seconds * 10**9
    return Sample(station=WELDER, group="live", time_ns=time_ns, values=values)


def watch_of(known: Mapping[str, Seen] | None = None, **rules: object) -> ProcessWatch:
    profile = WELDER_PROFILE
    if rules:
        rule = EventRule.model_validate(rules)
        profile = profile.model_copy(update={"events": (rule,)})
    return ProcessWatch(profile, WELDER, known or {})


def see(watch: ProcessWatch, seconds: int, **values: Value) -> list[tuple[str, str, str]]:
    """Return kind, before and after of what a sample tells, and store it."""
    happened = watch.sampled(sample(seconds, **values))
    if happened is None:
        return []
    watch.stored(happened)
    return told(happened)


def told(happened: Happened) -> list[tuple[str, str, str]]:
    return [
        (event.kind, str(event.values.get("value_before", "-")), str(event.values["value"]))
        for event in happened.events
    ]


def test_the_first_sight_tells_what_is_in_force_and_no_change() -> None:
    """A counter tells nothing yet, nor does a lot that is not entered."""
    watch = watch_of()
    first = see(watch, 0, electrode=1, recipe=3, lot="", welds_since_dress=40)
    assert first == [("electrode_seen", "-", "1"), ("recipe_seen", "-", "3")]
    assert see(watch, 1, electrode=1, recipe=3, lot="", welds_since_dress=41) == []
    assert see(watch, 2, lot="L1") == [("lot_started", "", "L1")]


def test_each_kind_of_change_is_an_event() -> None:
    """A lot that changes is one ended and one begun; what was before and since when is told."""
    watch = watch_of()
    see(watch, 0, electrode=1, recipe=3, lot="L1", welds_since_dress=40)
    assert see(watch, 5, recipe=4) == [("recipe_changed", "3", "4")]
    assert see(watch, 6, lot="L2 ") == [("lot_ended", "L1", "L2"), ("lot_started", "L1", "L2")]
    assert see(watch, 7, lot="") == [("lot_ended", "L2", "")]
    assert see(watch, 8, welds_since_dress=41) == []
    happened = watch.sampled(sample(9, welds_since_dress=2))
    assert happened is not None
    (event,) = happened.events
    assert event.kind == "electrode_dressed"
    assert event.values["since_ms"] == (START_NS + 8 * 10**9) // 1_000_000
    assert event.values["register"] == "welds_since_dress"


def test_a_new_electrode_is_not_called_dressed_as_well() -> None:
    """Its counter begins anew too, in the same sample."""
    watch = watch_of()
    see(watch, 0, electrode=1, welds_since_dress=40)
    assert see(watch, 1, electrode=2, welds_since_dress=0) == [("electrode_changed", "1", "2")]
    assert see(watch, 2, electrode=2, welds_since_dress=1) == []


def test_events_of_one_sample_have_times_of_their_own() -> None:
    """The database knows an event by station, kind and time."""
    happened = watch_of().sampled(sample(0, electrode=1, recipe=3, lot="L1"))
    assert happened is not None
    times = [event.time_ns for event in happened.events]
    assert times == [START_NS, START_NS + 1, START_NS + 2]


def test_a_change_while_the_agent_was_down_is_seen_once() -> None:
    """What was known outlives the restart; what did not change makes no event."""
    first = watch_of()
    see(first, 0, electrode=1, recipe=3, lot="0012", welds_since_dress=40)
    second = watch_of(dict(first.known))
    same = see(second, 60, electrode=1, recipe=3, lot="0012", welds_since_dress=44)
    assert same == []
    third = watch_of(dict(second.known))
    change = see(third, 120, electrode=1, recipe=4, lot="0012", welds_since_dress=3)
    assert sorted(kind for kind, *_ in change) == ["electrode_dressed", "recipe_changed"]
    fourth = watch_of(dict(third.known))
    assert see(fourth, 180, electrode=1, recipe=4, lot="0012", welds_since_dress=5) == []


def test_control_without_what_was_known_the_change_is_missed() -> None:
    """Shows that the restart above would lose it."""
    assert see(watch_of(), 120, recipe=4, welds_since_dress=3) == [("recipe_seen", "-", "4")]


def test_an_event_that_was_not_stored_is_seen_again() -> None:
    """The agent that was killed meanwhile knows the old value still."""
    watch = watch_of()
    see(watch, 0, recipe=3)
    assert watch.sampled(sample(1, recipe=4)) is not None
    assert watch.known["recipe"].text == "3"
    assert watch.sampled(sample(2, recipe=4)) is None, "it is on its way to the disk"
    again = watch_of(dict(watch.known))
    assert see(again, 3, recipe=4) == [("recipe_changed", "3", "4")]


def test_a_second_change_while_the_first_is_stored_is_not_missed() -> None:
    """A slow disk delays it."""
    watch = watch_of()
    see(watch, 0, recipe=3)
    first = watch.sampled(sample(1, recipe=4))
    assert first is not None
    assert watch.sampled(sample(2, recipe=5)) is None
    watch.stored(first)
    assert see(watch, 3, recipe=5) == [("recipe_changed", "4", "5")]


def test_a_value_that_is_missing_or_doubtful_tells_nothing() -> None:
    """A torn or refused register is no change, nor is a channel's register of the same name."""
    watch = watch_of()
    see(watch, 0, recipe=3)
    doubtful = Sample(
        station=WELDER,
        group="live",
        time_ns=START_NS + 1,
        values={"recipe": 9},
        faults={"recipe": Fault(reason=Reason.TORN)},
    )
    channel = Sample(
        station=WELDER, group="live", time_ns=START_NS + 2, values={"recipe": 9}, channel="7"
    )
    assert watch.sampled(doubtful) is None
    assert watch.sampled(channel) is None
    assert see(watch, 3, recipe=3) == []


@pytest.mark.parametrize(
    ("before", "after", "fires"),
    [(0, 4, True), (4, 4, False), (4, 0, False), (3, 7, True), (3, 8, False)],
)
def test_a_bit_that_rises_is_an_event(before: int, after: int, *, fires: bool) -> None:
    """Bit 2 here; when it falls, or another rises, nothing happened."""
    watch = watch_of(register="alarms_process", kind="maintenance", when="rises", bit=2)
    assert see(watch, 0, alarms_process=before) == []
    assert bool(see(watch, 1, alarms_process=after)) is fires


def test_a_bool_that_rises_is_an_event() -> None:
    """True and 1 are the same."""
    watch = watch_of(register="mode", kind="calibration", when="rises")
    assert see(watch, 0, mode=False) == []
    assert see(watch, 1, mode=True) == [("calibration", "0", "1")]


@pytest.mark.parametrize(
    ("rule", "told_"),
    [
        ({"register": "nothing", "kind": "recipe_changed", "when": "changes"}, "does not exist"),
        ({"register": "lot", "kind": "electrode_dressed", "when": "goes_back"}, "no counter"),
        ({"register": "air_pressure", "kind": "maintenance", "when": "rises"}, "no counter"),
    ],
)
def test_a_rule_that_cannot_work_is_a_fault_of_the_profile(
    rule: dict[str, str], told_: str
) -> None:
    """Found when the profile is read, not in the night when the lot changes."""
    raw = WELDER_PROFILE.model_dump(by_alias=True, exclude_defaults=True)
    with pytest.raises(ValueError, match=told_):
        Profile.model_validate({**raw, "events": [rule]})
