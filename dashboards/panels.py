"""Panels in the house style: calm greys, limits as dashed lines, every panel explained."""

from collections.abc import Mapping, Sequence
from typing import Any

from grafanalib.core import (
    BarChart,
    GridPos,
    Histogram,
    Panel,
    Repeat,
    StateTimeline,
    Table,
    TableSortByField,
    TimeSeries,
)

from dashboards import colours
from dashboards.targets import DATASOURCE, InfluxTarget, RawPanel

Json = dict[str, Any]


def at(x: int, y: int, w: int, h: int) -> GridPos:
    """Return a place on the grid, 24 wide; a row of it is 30 pixels high."""
    return GridPos(h=h, w=w, x=x, y=y)


def series(query: str, alias: str = "$tag_station", ref: str = "A") -> InfluxTarget:
    """Return a query whose columns each become a series."""
    return InfluxTarget(query=query, alias=alias, refId=ref)


def rows(query: str, ref: str = "A") -> InfluxTarget:
    """Return a query whose result is one table."""
    return InfluxTarget(query=query, table=True, refId=ref)


def column(name: str, title: str = "", **properties: Any) -> Json:  # noqa: ANN401 - Grafana's own
    """Return an override for the field `name`; `custom_width` stands for `custom.width`."""
    if title:
        properties = {"displayName": title, **properties}
    return _override("byName", name, properties)


def matching(pattern: str, **properties: Any) -> Json:  # noqa: ANN401 - Grafana's own
    """Return an override for all series whose name matches a regular expression."""
    return _override("byRegexp", pattern, properties)


def fixed(colour: str) -> Json:
    """Return one colour for all values of a field."""
    return {"mode": "fixed", "fixedColor": colour}


def steps(*above: tuple[float, str], base: str = colours.DARK) -> Json:
    """Return thresholds: `base`, and a colour from each value on."""
    listed: list[Json] = [{"color": base, "value": None}]
    listed += [{"color": colour, "value": value} for value, colour in above]
    return {"mode": "absolute", "steps": listed}


def words(meanings: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Return a value mapping: value → its text and colour."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(meanings.items())
    }
    return [{"type": "value", "options": options}]


def ranges(*meanings: tuple[float | None, float | None, str, str]) -> list[Json]:
    """Return a value mapping of ranges: from, to (both included), text, colour."""
    return [
        {
            "type": "range",
            "options": {
                "from": low,
                "to": high,
                "result": {"text": text, "color": colour, "index": index},
            },
        }
        for index, (low, high, text, colour) in enumerate(meanings)
    ]


def nothing(text: str) -> list[Json]:
    """Return a value mapping that spells out an absent value."""
    result = {"text": text, "color": colours.DARK, "index": 0}
    return [{"type": "special", "options": {"match": "null+nan", "result": result}}]


def state_timeline(
    text: Mapping[str, str],
    key: str,
    place: GridPos,
    targets: Sequence[InfluxTarget],
    *,
    mappings: list[Json],
    gap_ms: int,
    links: list[Json],
) -> Panel:
    """Return a row of states for each series; longer than `gap_ms` without one stays empty."""
    return StateTimeline(
        **_common(
            text, key, place, targets, links=links, unit="none", custom={"spanNulls": gap_ms}
        ),
        mappings=mappings,
        colorMode="fixed",
        fillOpacity=100,
        rowHeight=0.8,
        showValue="never",
    )


def time_series(
    text: Mapping[str, str],
    key: str,
    place: GridPos,
    targets: Sequence[InfluxTarget],
    *,
    unit: str,
    overrides: Sequence[Json] = (),
    **style: Any,  # noqa: ANN401 - options of grafanalib's TimeSeries
) -> Panel:
    """Return a chart over time, in shades of grey unless an override says otherwise."""
    return TimeSeries(
        **_common(text, key, place, targets, color=_SHADES),
        unit=unit,
        overrides=list(overrides),
        tooltipMode="multi",
        **style,
    )


def table(
    text: Mapping[str, str],
    key: str,
    place: GridPos,
    targets: Sequence[InfluxTarget],
    *,
    columns: Sequence[str],
    overrides: Sequence[Json],
    sort: tuple[str, bool] | None = None,
) -> Panel:
    """Return a table of `columns`, in that order; of several queries, joined by what they share.

    `sort` names the shown title of a column, and whether the highest stand on top.
    """
    keep = {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}}
    order = {name: index for index, name in enumerate(columns)}
    arrange = {"id": "organize", "options": {"indexByName": order}}
    merge = [{"id": "merge", "options": {}}] if len(targets) > 1 else []
    return Table(
        **_common(text, key, place, targets, transformations=[keep, *merge, arrange]),
        unit="none",
        overrides=list(overrides),
        sortBy=[TableSortByField(*sort)] if sort else [],
    )


def pareto(
    text: Mapping[str, str],
    key: str,
    place: GridPos,
    targets: Sequence[InfluxTarget],
    *,
    category: str,
    value: str,
    title: str,
) -> Panel:
    """Return bars by category, the highest first, twelve at most."""
    transformations = [
        {"id": "filterFieldsByName", "options": {"include": {"names": [category, value]}}},
        {"id": "sortBy", "options": {"sort": [{"field": value, "desc": True}]}},
        {"id": "limit", "options": {"limitField": 12}},
    ]
    common = _common(text, key, place, targets, transformations=transformations, unit="none")
    common["extraJson"]["options"] = {"xField": category}
    return BarChart(
        **common,
        orientation="horizontal",
        showValue="always",
        showLegend=False,
        colorMode="fixed",
        fixedColor=colours.MID,
        thresholdSteps=[{"color": colours.MID, "value": None}],
        overrides=[column(value, title)],
    )


def histogram(
    text: Mapping[str, str], key: str, place: GridPos, targets: Sequence[InfluxTarget]
) -> Panel:
    """Return the distribution of each series."""
    return Histogram(
        **_common(text, key, place, targets, color=_SHADES, unit="none"), fillOpacity=60
    )


def scatter(
    text: Mapping[str, str],
    key: str,
    place: GridPos,
    targets: Sequence[InfluxTarget],
    *,
    x: tuple[str, str],
    y: tuple[str, str],
    repeat: str,
) -> Panel:
    """Return the points (x, y) of a table, x and y by name and title; one panel a `repeat`."""
    # The options of Grafana 10: later ones read them, and 10 does not read the later shape.
    options = {
        "seriesMapping": "manual",
        "series": [{"frame": 0, "x": x[0], "y": y[0]}],
        "dims": {"frame": 0},
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    shared = _common(text, key, place, targets)
    shared["repeat"] = Repeat(direction="h", variable=repeat, maxPerRow=2)
    return RawPanel(
        type="xychart",
        **shared,
        options=options,
        defaults={
            "unit": "none",
            "color": fixed(colours.DARK),
            "custom": {"show": "points", "pointSize": {"fixed": 3}},
        },
        overrides=[column(*x), column(*y)],
    )


_SHADES = {"mode": "shades", "fixedColor": colours.MID}


def _common(
    text: Mapping[str, str],
    key: str,
    place: GridPos,
    targets: Sequence[InfluxTarget],
    *,
    transformations: Sequence[Json] = (),
    **defaults: Any,  # noqa: ANN401 - Grafana's own
) -> Json:
    """Return what all panels share, and the field `defaults` that grafanalib cannot say."""
    return {
        "title": text[f"{key}.title"],
        "description": text[f"{key}.description"].strip(),
        "dataSource": DATASOURCE,
        "gridPos": place,
        "targets": list(targets),
        "transformations": list(transformations),
        "extraJson": {"fieldConfig": {"defaults": defaults}},
    }


def _override(matcher: str, options: str, properties: Mapping[str, Any]) -> Json:
    listed = [
        {"id": key.replace("custom_", "custom."), "value": value}
        for key, value in properties.items()
    ]
    return {"matcher": {"id": matcher, "options": options}, "properties": listed}
