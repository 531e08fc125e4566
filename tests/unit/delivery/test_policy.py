"""A share policy with a mistake is refused as a whole, and every mistake is told."""

from collections.abc import Mapping, Sequence

import pytest

from collectors.errors import FixTheFileError
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


def test_people_may_be_quoted_where_serials_leave_as_they_are() -> None:
    """Control."""
    policy = share({"event": ["note", "by"]}, serial="plain")
    assert policy.fields["event"].keys() == {"note", "by"}
