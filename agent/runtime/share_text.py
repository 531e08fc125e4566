"""What leaves the workshop for one uplink, as text: stations, rows, fields, and a line of each."""

from collections.abc import Iterator, Mapping

from agent.delivery.share import EVENTS, Share, SharedField
from agent.wire import line
from agent.wire.point import Field, Point
from agent.wire.schema import TAGS, FieldType, Schema

_TIME_NS = 1_700_000_000_000_000_000
_EXAMPLES: Mapping[FieldType, Field] = {"int": 1, "float": 3.141592653589793, "str": "text"}
_RECORDS = ("weld", "cell", "formation_step")  # what a ledger counts
_SERIALS = {
    "plain": "as they are",
    "hashed": "hashed with the secret: the same part is the same, and nothing tells which",
    "none": "none",
}


def share_text(uplink: str, stations: list[str], schema: Schema, share: Share | None) -> str:
    """Return it in lines; `stations` and `schema` are the site's, `share` None without a policy."""
    everything = {
        measurement: {name: SharedField(type=each) for name, each in types.items()}
        for measurement, types in schema.fields.items()
    }
    return "\n".join(_lines(uplink, stations, share, everything if share is None else share.fields))


def _lines(
    uplink: str,
    stations: list[str],
    share: Share | None,
    fields: Mapping[str, Mapping[str, SharedField]],
) -> Iterator[str]:
    kept = [name for name in stations if share is not None and name not in share.stations]
    told = "everything leaves, there is no share policy" if share is None else "this leaves"
    yield f"{uplink}: {told}"
    yield f"  stations  {', '.join(name for name in stations if name not in kept)}"
    if kept:
        yield f"  not of    {', '.join(kept)}"
    yield f"  serials   {_SERIALS['plain' if share is None else share.serial]}"
    for measurement, shared in fields.items():
        if shared:
            yield from _measurement(measurement, shared, share, stations)


def _measurement(
    measurement: str, shared: Mapping[str, SharedField], share: Share | None, stations: list[str]
) -> Iterator[str]:
    yield ""
    yield f"{measurement}, with the tags {', '.join(TAGS[measurement])}"
    if measurement == "event" and share is not None:
        yield f"  only the kinds {', '.join(sorted(EVENTS))}"
        yield "  and only if what the event tells of leaves as well"
    width = max(map(len, shared))
    for name, field in sorted(shared.items()):
        yield f"  {name:<{width}}  {field.type:<5}  {_how(name, field, share)}".rstrip()
    if example := _example(measurement, shared, share, stations):
        yield f"  > {line.encode(example)}"


def _how(name: str, field: SharedField, share: Share | None) -> str:
    if share is None:
        return ""
    if field.is_serial:
        return "hashed" if share.serial == "hashed" else "as it is"
    if name in {"bad", "quality"}:
        return "of the fields here only"
    if field.decimals is not None:
        return f"rounded to {10**-field.decimals:g}"
    return ""


def _example(
    measurement: str, shared: Mapping[str, SharedField], share: Share | None, stations: list[str]
) -> Point | None:
    """Return a row as it would leave, None if none would; it goes through the filter like any other."""
    place = stations[0] if share is None else min(share.stations, key=stations.index)
    kinds = [name for name in _RECORDS if share is None or name in share.fields]
    kind = "maintenance" if measurement == "event" else "".join(kinds[:1])
    names = {"station": place, "agent": stations[-1], "kind": kind}
    numbers = [name for name in shared if shared[name].type == "float"]
    quality = f"{numbers[0]}:out_of_range" if numbers else ""
    values: dict[str, Field] = {"quality": quality or "*:comm", "k_from_station": place}
    point = Point(
        measurement=measurement,
        tags={tag: names.get(tag, tag.upper()) for tag in TAGS[measurement]},
        fields={
            name: values.get(name, _EXAMPLES[each.type])
            for name, each in shared.items()
            if name != "register"  # maintenance is told by people
        },
        time_ns=_TIME_NS,
    )
    return point if share is None else share.leaving(point)
