"""What the agent tells of itself."""

from typing import cast
from unittest.mock import Mock

from agent.delivery.publisher import Publisher
from agent.delivery.session import PublisherStatus
from agent.runtime.health import Health
from collectors.record import Event
from collectors.sample import StationId


def test_a_second_agent_of_the_same_name_is_an_event_once_a_dispute() -> None:
    """And again when a new dispute begins after the first was over."""
    told: list[Event] = []
    status = PublisherStatus()
    health = Health(
        Mock(happened=told.append),
        Mock(),
        Mock(),
        {"home": cast("Publisher", Mock(status=status))},
        Mock(),
        gauges=Mock(),
        station=StationId(site="s", line="l", station="pi1"),
        clock=lambda: 7,
        watch=Mock(),
    )
    counts = []
    for status.disputed in (False, True, True, False, True):
        health._tell_disputes()
        counts.append(len(told))
    assert counts == [0, 1, 1, 1, 2]
    assert {(each.kind, each.values["detail"]) for each in told} == {("name_disputed", "home")}
