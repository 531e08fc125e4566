"""A site of four stations, policies for it, and rows of its schema."""

from collections.abc import Mapping, Sequence

from agent.delivery.policy import Policy
from agent.delivery.share import SerialMode, Share
from agent.wire import line
from agent.wire.point import Field, Point
from agent.wire.schema import TAGS, Schema
from collectors.profile import shipped

SECRET = "0123456789abcdef0123456789abcdef"
PROFILES = {
    "welder-1": shipped()["spot-welder-plc"],
    "welder-2": shipped()["spot-welder-plc"],
    "sorter-1": shipped()["cell-sorter-plc"],
    "former-1": shipped()["formation-cabinet-64"],
}
AGENT, UPLINK, RIVAL = "agent-1", "oem", "rival"
SCHEMA = Schema.of(PROFILES.values())


def share(
    named: Mapping[str, Sequence[str]] | None = None,
    *,
    stations: Sequence[str] = ("welder-1", "sorter-1"),
    serial: SerialMode = "none",
    decimals: Mapping[str, int] | None = None,
    uplink: str = UPLINK,
    key: str = SECRET,
    carriers: frozenset[str] = frozenset(),
    **fields: Sequence[str],
) -> Share:
    """Return a policy that names `named`, or the fields given by keyword."""
    policy = Policy(
        stations=stations,
        fields=named or fields,
        decimals=decimals or {},
        serial=serial,
        carriers=carriers,
    )
    return policy.share(uplink, agent=AGENT, profiles=PROFILES, key=key)


def point(
    measurement: str, fields: Mapping[str, Field], *, station: str = "welder-1", **tags: str
) -> Point:
    """Return a row; tags that are not given are x."""
    own = dict.fromkeys(TAGS[measurement], "x") | tags
    for tag in own.keys() & {"station", "agent"}:
        own[tag] = station
    return Point(measurement=measurement, tags=own, fields=fields, time_ns=17)


def left(policy: Share, sent: Point) -> Mapping[str, Field] | None:
    """Return the fields that leave, by the way that lines take."""
    found = [line.parse(each) for each in policy.select([line.encode(sent)])]
    return found[0].fields if found else None
