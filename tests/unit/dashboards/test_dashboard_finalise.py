"""Each fault of grafanalib 0.7.1: shown in its raw output, gone from ours."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from grafanalib import core
from grafanalib._gen import DashboardEncoder
from grafanalib.influxdb import InfluxDBTarget

from dashboards.finalise import Json, finalise
from dashboards.targets import DATASOURCE, InfluxTarget, RawPanel


def board(*panels: core.Panel, **attributes: Any) -> core.Dashboard:
    for panel in panels:
        panel.gridPos = core.GridPos(h=8, w=12, x=0, y=0)
    return core.Dashboard(title="t", uid="u", panels=list(panels), **attributes)


def raw(dashboard: core.Dashboard) -> Json:
    """Return what grafanalib itself would write."""
    plain: Json = json.loads(json.dumps(dashboard.to_json_data(), cls=DashboardEncoder))
    return plain


def nulls(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from nulls(each, f"{path}.{key}")
    elif isinstance(value, list):
        for each in value:
            yield from nulls(each, f"{path}[]")
    elif value is None:
        yield path


def defaults(dashboard: Json) -> Any:
    return dashboard["panels"][0]["fieldConfig"]["defaults"]


def options(dashboard: Json) -> Any:
    return dashboard["panels"][0].get("options")


STAT, GAUGE, BARS, TABLE = core.Stat, core.GaugePanel, core.BarGauge, core.Table

FAULTS: dict[str, tuple[core.Dashboard, Callable[[Json], Any], Any, Any]] = {
    # fault: (dashboard, where to look, what grafanalib writes, what we write)
    "schema 12": (board(), lambda d: d["schemaVersion"], 12, 39),
    "rows": (board(), lambda d: "rows" in d, True, False),
    "style": (board(), lambda d: "style" in d, True, False),
    "sharedCrosshair": (board(), lambda d: "sharedCrosshair" in d, True, False),
    "hideControls": (board(), lambda d: "hideControls" in d, True, False),
    "__inputs": (board(), lambda d: "__inputs" in d, True, False),
    "editable": (board(), lambda d: d["editable"], True, False),
    "time_options": (board(), lambda d: "time_options" in d["timepicker"], True, False),
    "100 points": (board(STAT()), lambda d: d["panels"][0].get("maxDataPoints"), 100, None),
    "stat without steps": (
        board(STAT()),
        lambda d: defaults(d)["thresholds"]["steps"],
        "",
        [{"color": "#5f6b7a", "value": None}],
    ),
    "base step 'null'": (
        board(STAT(thresholds=[core.Threshold("grey", 0, 0.0), core.Threshold("red", 1, 80.0)])),
        lambda d: [step["value"] for step in defaults(d)["thresholds"]["steps"]],
        ["null", 80.0],
        [None, 80.0],
    ),
    "old keys of a step": (
        board(STAT(thresholds=[core.Threshold("grey", 0, 0.0)])),
        lambda d: sorted(defaults(d)["thresholds"]["steps"][0]),
        ["color", "index", "line", "op", "value", "yaxis"],
        ["color", "value"],
    ),
    "gauge's reducer": (
        board(GAUGE(calc="max")),
        lambda d: (defaults(d).get("calcs"), (options(d) or {}).get("reduceOptions")),
        (["max"], None),
        (None, {"calcs": ["max"], "fields": "", "values": False}),
    ),
    "gauge's markers": (
        board(GAUGE()),
        lambda d: (options(d) or {}).get("showThresholdMarkers"),
        None,
        True,
    ),
    "gauge's title": (
        board(GAUGE(label="x")),
        lambda d: (defaults(d).get("title"), defaults(d).get("displayName")),
        ("x", None),
        (None, "x"),
    ),
    "bar gauge's reducer": (
        board(BARS(calc="max", limit=7, allValues=True)),
        lambda d: ("fieldOptions" in options(d), options(d).get("reduceOptions")),
        (True, None),
        (False, {"calcs": ["max"], "fields": "", "values": True, "limit": 7}),
    ),
    "bar gauge's unit": (
        board(BARS(format="celsius", max=40)),
        lambda d: (defaults(d).get("unit"), defaults(d).get("max")),
        (None, None),
        ("celsius", 40),
    ),
    "bar gauge's steps": (
        board(BARS()),
        lambda d: [step["value"] for step in defaults(d)["thresholds"]["steps"]],
        ["null", 80.0],
        [None, 80.0],
    ),
    "table's cells": (
        board(TABLE(displayMode="color-background-solid")),
        lambda d: defaults(d)["custom"].get("cellOptions"),
        None,
        {"type": "color-background", "mode": "basic"},
    ),
    "table's gauge cells": (
        board(TABLE(displayMode="lcd-gauge")),
        lambda d: defaults(d)["custom"].get("cellOptions"),
        None,
        {"type": "gauge", "mode": "lcd"},
    ),
    "cells of one column": (
        board(
            TABLE(
                overrides=[
                    {
                        "matcher": {"id": "byName", "options": "x"},
                        "properties": [{"id": "custom.displayMode", "value": "color-text"}],
                    }
                ]
            )
        ),
        lambda d: d["panels"][0]["fieldConfig"]["overrides"][0]["properties"][0],
        {"id": "custom.displayMode", "value": "color-text"},
        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
    ),
    "table's mappings": (
        board(TABLE(mappings=[{"type": "value", "options": {}}])),
        lambda d: (len(d["panels"][0].get("mappings", [])), len(defaults(d).get("mappings", []))),
        (1, 0),
        (0, 1),
    ),
    "table's colour": (
        board(TABLE(colorMode="fixed")),
        lambda d: ("color" in d["panels"][0], defaults(d).get("color")),
        (True, None),
        (False, {"mode": "fixed"}),
    ),
    "empty stacking": (
        board(core.TimeSeries()),
        lambda d: defaults(d)["custom"].get("stacking"),
        {},
        None,
    ),
    "hidden legend": (
        board(core.TimeSeries(legendDisplayMode="hidden")),
        lambda d: (options(d)["legend"]["displayMode"], options(d)["legend"].get("showLegend")),
        ("hidden", None),
        ("list", False),
    ),
    "shown legend": (
        board(core.StateTimeline()),
        lambda d: options(d)["legend"].get("showLegend"),
        None,
        True,
    ),
    "panels of a row": (
        board(core.RowPanel(collapsed=True, panels=[STAT()])),
        lambda d: d["panels"][0]["panels"][0].get("maxDataPoints"),
        100,
        None,
    ),
    "variable's tags": (
        board(templating=core.Templating(list=[core.Template(name="x", query="q")])),
        lambda d: sorted({"useTags", "auto", "auto_min"} & d["templating"]["list"][0].keys()),
        ["auto", "auto_min", "useTags"],
        [],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_repaired(fault: str) -> None:
    """What grafanalib gets wrong is right in the finished dashboard."""
    dashboard, look, before, after = FAULTS[fault]
    assert look(raw(dashboard)) == before, "grafanalib no longer has this fault: drop the repair"
    assert look(finalise(dashboard)) == after


def test_nulls_are_dropped_but_for_the_base_step() -> None:
    """No key holds null, except where Grafana wants it: below the first threshold."""
    dashboard = board(STAT(), TABLE(), GAUGE(), BARS(), core.TimeSeries(), core.BarChart())
    assert len(list(nulls(raw(dashboard)))) > 50
    assert {path.rpartition(".")[2] for path in nulls(finalise(dashboard))} == {"value"}
    steps = {path for path in nulls(finalise(dashboard)) if "thresholds.steps[]" not in path}
    assert not steps


def test_all_stations_is_a_choice_that_grafana_knows() -> None:
    """A variable that starts with "All" does so by Grafana's own value for it."""
    template = core.Template(name="x", query="q", includeAll=True, default="$__all")
    finished = finalise(board(templating=core.Templating(list=[template])))
    current = finished["templating"]["list"][0]["current"]
    assert current == {"selected": True, "text": ["All"], "value": ["$__all"]}


def test_the_input_stays_as_it_was() -> None:
    """Finishing a dashboard twice gives the same twice."""
    dashboard = board(GAUGE(), BARS(), TABLE(), STAT())
    assert finalise(dashboard) == finalise(dashboard)


def test_influx_target_is_a_target() -> None:
    """An alert rule takes our target; grafanalib's own for InfluxDB it refuses."""
    good = InfluxTarget(query="SELECT 1", refId="A")
    core.AlertRulev9(title="t", triggers=[good], condition="A")
    with pytest.raises(ValueError, match="Target"):
        core.AlertRulev9(title="t", triggers=[InfluxDBTarget(refId="A")], condition="A")


@pytest.mark.parametrize(("table", "shape"), [(True, "table"), (False, "time_series")])
def test_influx_target_says_what_the_data_source_reads(table: bool, shape: str) -> None:  # noqa: FBT001 - a case
    """A target is one raw query, in one of the two shapes, from the chosen data source."""
    target = InfluxTarget(query="SELECT 1", refId="B", alias="$col", table=table)
    assert target.to_json_data() == {
        "refId": "B",
        "datasource": DATASOURCE,
        "rawQuery": True,
        "query": "SELECT 1",
        "resultFormat": shape,
        "alias": "$col",
    }


def test_raw_panel_is_a_panel() -> None:
    """A panel that grafanalib does not know keeps its options and gets an id and a place."""
    panel = RawPanel(type="xychart", options={"a": 1}, defaults={"unit": "none"})
    finished = finalise(board(panel).auto_panel_ids())["panels"][0]
    assert (finished["type"], finished["options"], finished["id"]) == ("xychart", {"a": 1}, 1)
    assert finished["fieldConfig"]["defaults"]["unit"] == "none"
