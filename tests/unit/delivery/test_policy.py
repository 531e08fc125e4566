"""A share policy with a mistake is refused as a whole, and every mistake is told."""

from collections.abc import Mapping, Sequence
from typing import get_args

import pytest

from agent.control.requests import EVENT_KINDS
from agent.delivery.share import EVENTS
from collectors.errors import FixTheFileError
from collectors.profile import EventRule
from tests.unit.delivery.share_policies import share


@pytest.mark.parametrize(
    ("named", "stations", "words"),
    [
        (
            {"weld": ["ok"]},
            ["welder-1", "weldr-*"],
            "`weldr-\\*` fits no station; there is: welder",
        ),
        ({"welds": ["ok"]}, ["welder-1"], "no measurement `welds`; there is: .*weld"),
        ({"weld": ["forse"]}, ["welder-1"], "`forse` of weld: it fits nothing .* force"),
        ({"weld": ["force"]}, ["sorter-1"], "`force` of weld: it fits nothing"),
        ({"state": ["na*"]}, ["welder-1"], "`na\\*` of state: .*a text needs its whole name"),
        ({"weld": ["serial"]}, ["welder-1"], "serials leave as the key `serial`"),
        ({"telemetry": ["good"]}, ["welder-1"], "counts hidden values"),
        ({"event": ["note"]}, ["welder-1"], "people may write a serial"),
        ({"agent": ["rss_mb"]}, ["welder-1"], "add `agent-1` to `stations`"),
    ],
)
def test_what_fits_nothing_or_would_tell_too_much_is_refused(
    named: Mapping[str, Sequence[str]], stations: Sequence[str], words: str
) -> None:
    with pytest.raises(FixTheFileError, match=words):
        share(named, stations=stations)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(FixTheFileError) as told:
        share({"weld": ["a", "b"]}, decimals={"ok": 1}, serial="hashed", key="short")
    assert all(each in str(told.value) for each in ("`a`", "`b`", "`ok`", "could be guessed"))


def test_a_register_that_carries_serials_needs_a_policy_for_them() -> None:
    """As the module that a cell is scanned into; hashed it may leave."""
    carriers = frozenset({"lot"})
    with pytest.raises(FixTheFileError, match="it is a serial"):
        share({"telemetry": ["lot"]}, serial="none", carriers=carriers)
    policy = share({"telemetry": ["lot"]}, serial="hashed", carriers=carriers)
    assert policy.fields["telemetry"]["lot"].is_serial


def test_a_number_that_is_a_serial_is_in_no_pattern() -> None:
    """It would be no text when hashed, so that it leaves only as it is, by its name."""
    carriers = frozenset({"position"})
    assert "position" in share({"cell": ["*"]}).fields["cell"]  # control
    assert "position" not in share({"cell": ["*"]}, carriers=carriers).fields["cell"]
    with pytest.raises(FixTheFileError, match="cannot be hashed"):
        share({"cell": ["position"]}, serial="hashed", carriers=carriers)


def test_every_event_that_people_or_registers_tell_may_leave() -> None:
    """A kind that is new, and of which the filter does not know what it tells, stays."""
    rules = get_args(EventRule.model_fields["kind"].annotation)
    seen = {f"{rule.partition('_')[0]}_seen" for rule in rules}
    assert seen > {"lot_seen", "recipe_seen"}
    assert {*EVENT_KINDS, *rules, *seen} - {"lot_changed"} <= EVENTS  # a lot is ended, and begun


def test_people_may_be_quoted_where_serials_leave_as_they_are() -> None:
    """Control."""
    policy = share({"event": ["note", "by"]}, serial="plain")
    assert policy.fields["event"].keys() == {"note", "by"}
