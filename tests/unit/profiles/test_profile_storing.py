"""What shipped profiles leave out of the database, and which counters they follow."""

from collections.abc import Iterator

import pytest

from collectors.profile import Profile, shipped
from collectors.register import Register
from dashboards import queries

PROFILES = shipped()
FRESH_S = 60  # the dashboard of data ages says: older than a minute, go and look
each_profile = pytest.mark.parametrize("name", PROFILES)


def telemetry(profile: Profile) -> Iterator[tuple[Register, float]]:
    """Yield the registers that become telemetry, with their poll period in s."""
    for register in profile.registers:
        yield register, profile.groups[profile.group_of(register)]
    if profile.channels:
        for register in profile.channels.registers:
            yield register, profile.groups[profile.channels.group]


@each_profile
def test_what_stands_still_is_stored_before_it_looks_stale(name: str) -> None:
    """At the latest two polls before a dashboard would call it old."""
    for register, period_s in telemetry(PROFILES[name]):
        if register.compress is not None:
            assert register.compress.max_interval_s + 2 * period_s <= FRESH_S, register.name


@each_profile
def test_what_a_dashboard_averages_is_stored_whole(name: str) -> None:
    """mean() of InfluxQL weighs rows, not time: left-out rows would shift it."""
    averaged = {queries.LINE_POWER, queries.COOLANT_TEMPERATURE}
    for register, _ in telemetry(PROFILES[name]):
        assert register.compress is None or register.name not in averaged, register.name


@each_profile
def test_a_tolerance_is_a_small_part_of_what_can_be_measured(name: str) -> None:
    """Nothing that a person would call a change is left out."""
    for register, _ in telemetry(PROFILES[name]):
        if register.compress is not None and not register.compress.deadband_percent:
            assert register.valid is not None, register.name
            low, high = register.valid
            width = register.compress.deadband or register.compress.swinging_door or 0
            assert width <= (high - low) / 100, register.name


@each_profile
def test_the_machines_own_counters_have_totals(name: str) -> None:
    """A PLC that is reset at the shift's end does not take the dashboards' figures with it."""
    profile = PROFILES[name]
    counters = profile.counters
    for counter in (counters.total, counters.good, counters.reject) if counters else ():
        if counter is not None:
            assert profile.named(counter).rollover is not None, counter


@each_profile
def test_a_counter_wraps_where_its_registers_end(name: str) -> None:
    """None of the shipped machines is known to count in decimals: the width is the manual's."""
    for register, _ in telemetry(PROFILES[name]):
        if register.rollover is not None:
            assert register.rollover.wrap == 2 ** (16 * register.words), register.name
