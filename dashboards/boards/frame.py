"""What every dashboard of Lini shares: its frame, its links and the events drawn on it."""

from collections.abc import Sequence
from typing import Any

from grafanalib.core import Annotations, Dashboard, DashboardLink, Panel, Template, Templating, Time

from dashboards import colours, queries
from dashboards.targets import DATASOURCE
from dashboards.texts import Texts

TAG = "lini"
WELDING_UID = "lini-welding"


def board(
    text: Texts,
    key: str,
    uid: str,
    choices: Sequence[Template],
    panels: Sequence[Panel],
    *,
    refresh: str,
) -> Dashboard:
    """Return a dashboard: the last shift, shared crosshair, choices kept from board to board."""
    links = DashboardLink(
        title=text["common.boards"], tags=[TAG], includeVars=True, keepTime=True, asDropdown=True
    )
    return Dashboard(
        title=text[f"{key}.title"],
        description=text[f"{key}.description"],
        uid=uid,
        tags=[TAG, text.language],
        editable=False,
        graphTooltip=1,
        refresh=refresh,
        time=Time("now-8h", "now"),
        timezone="browser",
        links=[links],
        templating=Templating(list=list(choices)),
        annotations=Annotations(list=[_events(text)]),
        panels=list(panels),
    ).auto_panel_ids()


def open_welding(text: Texts, station: str) -> dict[str, Any]:
    """Return the link down to the welding of one station, at the same time and place.

    `station` is Grafana's expression for the station of what was clicked.
    """
    kept = "${ds:queryparam}&${site:queryparam}&${line:queryparam}"
    url = f"/d/{WELDING_UID}?{kept}&var-station={station}&${{__url_time_range}}"
    return {"title": text["common.open_welding"], "url": url, "targetBlank": False}


def _events(text: Texts) -> dict[str, Any]:
    columns = {"textColumn": "kind", "tagsColumn": "station,reason"}
    query = queries.process_events()
    return {
        "name": text["common.events"],
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colours.BLUE,
        "query": query,  # where Grafana 9 and 10 look for it
        **columns,
        "target": {  # and where later ones do
            "refId": "Anno",
            "query": query,
            "rawQuery": True,
            "fromAnnotations": True,
            "textEditor": True,
            **columns,
        },
    }
