"""Turn what grafanalib 0.7.1 writes (schema 12, with faults) into schema 39.

39 is what Grafana 10.3 to 11.2 write themselves: older ones ignore what they do not know, later
ones have only trivial migrations left. Each repair here has a test that shows the fault.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from grafanalib._gen import DashboardEncoder
from grafanalib.core import Dashboard

from dashboards import colours

SCHEMA_VERSION = 39

Json = dict[str, Any]

_LEGACY_OF_DASHBOARD = {
    "__inputs",
    "gnetId",
    "hideControls",
    "id",
    "rows",
    "sharedCrosshair",
    "style",
    "version",
}
_LEGACY_OF_PANEL = {
    "cacheTimeout",
    "color",
    "columns",
    "editable",
    "error",
    "fontSize",
    "height",
    "hideTimeOverride",
    "mappings",
    "maxDataPoints",  # 100 would make $__interval five minutes in an eight-hour window
    "minSpan",
    "span",
}
_LEGACY_OF_VARIABLE = {"auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags"}
_GAUGE_CELLS = {"gradient-gauge": "gradient", "lcd-gauge": "lcd", "basic": "basic"}
_BACKGROUND_CELLS = {"color-background": "gradient", "color-background-solid": "basic"}
_BASE_STEP = {"color": colours.DARK, "value": None}


def finalise(dashboard: Dashboard) -> Json:
    """Return the dashboard as JSON that Grafana 10 to 13 load without a migration of note."""
    raw = _without_nulls(json.loads(json.dumps(dashboard.to_json_data(), cls=DashboardEncoder)))
    final: Json = {key: value for key, value in raw.items() if key not in _LEGACY_OF_DASHBOARD}
    final["schemaVersion"] = SCHEMA_VERSION
    final["editable"] = False
    final["timepicker"].pop("time_options", None)
    final["panels"] = [_panel(panel) for panel in raw["panels"]]
    final["templating"] = {"list": [_variable(each) for each in raw["templating"]["list"]]}
    return final


def _panel(raw: Mapping[str, Any]) -> Json:
    panel: Json = {key: value for key, value in raw.items() if key not in _LEGACY_OF_PANEL}
    if "panels" in panel:  # a collapsed row
        panel["panels"] = [_panel(each) for each in panel["panels"]]
    defaults = panel["fieldConfig"]["defaults"]
    panel["fieldConfig"].setdefault("overrides", [])
    match panel["type"]:
        case "gauge":
            _repair_gauge(panel, defaults)
        case "bargauge":
            _repair_bar_gauge(panel, defaults)
        case "table":
            _repair_table(raw, panel, defaults)
        case "timeseries":
            _drop_empty(defaults["custom"], "stacking")
    if legend := panel.get("options", {}).get("legend"):
        _repair_legend(legend)
    for thresholds in _thresholds(panel):
        thresholds["steps"] = _steps(thresholds.get("steps"))
    _drop_empty(panel, "links", "transformations")
    return panel


def _repair_gauge(panel: Json, defaults: Json) -> None:
    """Move the reducer to the options: where grafanalib puts it, Grafana takes the last value."""
    field_config = panel["fieldConfig"]
    panel["options"] = {
        "reduceOptions": _reduce_options(defaults),
        "showThresholdLabels": field_config.pop("showThresholdLabels"),
        "showThresholdMarkers": field_config.pop("showThresholdMarkers"),
    }
    _modernise(defaults)


def _repair_bar_gauge(panel: Json, defaults: Json) -> None:
    """Unfold the options of Grafana 6."""
    options = panel["options"]
    old = options.pop("fieldOptions")
    options["reduceOptions"] = _reduce_options(old)
    del options["showThresholdLabels"], options["showThresholdMarkers"]
    defaults.update(old["defaults"], mappings=old["mappings"])
    _modernise(defaults)


def _reduce_options(old: Json) -> Json:
    reduced: Json = {"calcs": old.pop("calcs"), "fields": "", "values": old.pop("values")}
    if (limit := old.pop("limit", None)) is not None:
        reduced["limit"] = limit
    return reduced


def _modernise(defaults: Json) -> None:
    defaults.pop("override", None)
    if (title := defaults.pop("title", None)) is not None:
        defaults["displayName"] = title


def _repair_table(raw: Mapping[str, Any], panel: Json, defaults: Json) -> None:
    """Put colour and mappings where a table reads them, and `displayMode` into `cellOptions`."""
    defaults.setdefault("color", raw["color"])
    defaults.setdefault("mappings", raw["mappings"])
    custom = defaults["custom"]
    custom["cellOptions"] = _cell_options(custom.pop("displayMode"))
    for override in panel["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            if each["id"] == "custom.displayMode":
                each["id"], each["value"] = "custom.cellOptions", _cell_options(each["value"])


def _repair_legend(legend: Json) -> None:
    """Say whether there is one: a migration that schema 39 skips would have done so."""
    is_shown = legend["displayMode"] != "hidden"
    legend.setdefault("showLegend", is_shown)
    if not is_shown:
        legend["displayMode"] = "list"


def _cell_options(mode: str) -> Json:
    if mode in _GAUGE_CELLS:
        return {"type": "gauge", "mode": _GAUGE_CELLS[mode]}
    if mode in _BACKGROUND_CELLS:
        return {"type": "color-background", "mode": _BACKGROUND_CELLS[mode]}
    return {"type": mode}


def _thresholds(panel: Json) -> Iterator[Json]:
    yield panel["fieldConfig"]["defaults"].setdefault("thresholds", {"mode": "absolute"})
    for override in panel["fieldConfig"]["overrides"]:
        yield from (each["value"] for each in override["properties"] if each["id"] == "thresholds")


def _steps(raw: Any) -> list[Json]:  # noqa: ANN401 - a list, "" or absent
    """Return whole steps: the first one has no value, which was lost with the other nulls."""
    steps = [{"color": each["color"], "value": each.get("value")} for each in raw or ()]
    if not steps:
        return [dict(_BASE_STEP)]
    steps[0]["value"] = None
    return steps


def _variable(raw: Mapping[str, Any]) -> Json:
    variable: Json = {key: value for key, value in raw.items() if key not in _LEGACY_OF_VARIABLE}
    current = variable.get("current", {})
    current.pop("tags", None)
    if variable["type"] == "datasource":
        _drop_empty(variable, "options")
        current["text"] = current["value"]
    if variable.get("includeAll") and current.get("value") == "$__all":
        variable["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
    elif "value" not in current:
        variable["current"] = {}
    return variable


def _drop_empty(table: Json, *keys: str) -> None:
    for key in keys:
        if key in table and not table[key]:
            del table[key]


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
