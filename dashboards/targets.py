"""What grafanalib lacks: an InfluxQL target that is a `Target`, and a panel of any type."""

from typing import Any

import attr
from grafanalib.core import Panel, Target

DATASOURCE = {"type": "influxdb", "uid": "${ds}"}


@attr.s(auto_attribs=True, kw_only=True)
class InfluxTarget(Target):  # type: ignore[misc]  # grafanalib has no types
    """One raw InfluxQL query. As `table`, all its series become one frame of rows."""

    query: str
    refId: str  # noqa: N815 - grafanalib's own name
    alias: str = ""  # of a series: $tag_station, $col
    table: bool = False

    def to_json_data(self) -> dict[str, Any]:
        """Return the query as Grafana's InfluxDB data source reads it."""
        return {
            "refId": self.refId,
            "datasource": DATASOURCE,
            "rawQuery": True,
            "query": self.query,
            "resultFormat": "table" if self.table else "time_series",
            "alias": self.alias or None,
        }


@attr.s(auto_attribs=True, kw_only=True)
class RawPanel(Panel):  # type: ignore[misc]  # grafanalib has no types
    """A core panel that grafanalib does not know, by Grafana's own names."""

    type: str
    options: dict[str, Any]
    defaults: dict[str, Any]
    overrides: list[dict[str, Any]] = attr.Factory(list)

    def to_json_data(self) -> dict[str, Any]:
        """Return the panel with the attributes that all panels share."""
        field_config = {"defaults": self.defaults, "overrides": self.overrides}
        panel: dict[str, Any] = self.panel_json(
            {"type": self.type, "options": self.options, "fieldConfig": field_config}
        )
        return panel
