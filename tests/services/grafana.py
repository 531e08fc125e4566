"""What Grafana makes of a dashboard's queries, without Grafana.

Fills in time filter, interval and variables as the InfluxDB data source of Grafana 10 to 13
does, and sends the query. Transformations and display are Grafana's own and not played here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Json = Mapping[str, Any]
Row = dict[str, Any]
Choice = str | Sequence[str]

_WIDTH_PX = 1000  # of a panel: Grafana asks for about one value a pixel
_ROUND_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600)


class Database(Protocol):
    """Whatever answers an InfluxQL query with rows, times in ns."""

    def query(self, q: str) -> list[Row]:
        """Return the rows of a query."""
        ...


def run_panel(  # noqa: PLR0917 - what, where, when: the order a reader expects
    database: Database,
    dashboard: Json,
    panel: str | int,
    variables: Mapping[str, Choice],
    since_ms: int,
    until_ms: int,
) -> list[Row]:
    """Return the rows of every target of a panel (by title or id), the target's name as `ref`.

    Variables that are not given take what they take when the dashboard opens first.
    """
    chosen = choose(database, dashboard, variables)
    return [
        {"ref": target["refId"], **row}
        for target in find_panel(dashboard, panel)["targets"]
        for row in database.query(fill_in(target["query"], dashboard, chosen, since_ms, until_ms))
    ]


def run_annotations(
    database: Database,
    dashboard: Json,
    variables: Mapping[str, Choice],
    since_ms: int,
    until_ms: int,
) -> list[Row]:
    """Return the rows of every annotation query."""
    chosen = choose(database, dashboard, variables)
    return [
        row
        for layer in dashboard["annotations"]["list"]
        for row in database.query(
            fill_in(layer["target"]["query"], dashboard, chosen, since_ms, until_ms)
        )
    ]


def run_variable(
    database: Database, dashboard: Json, name: str, variables: Mapping[str, Choice]
) -> list[str]:
    """Return the values a variable offers."""
    variable = next(each for each in dashboard["templating"]["list"] if each["name"] == name)
    if variable["type"] == "custom":
        return [option["value"] for option in variable["options"]]
    rows = database.query(_interpolate(variable["query"], dashboard, variables))
    return sorted({row["value"] for row in rows})


def choose(database: Database, dashboard: Json, given: Mapping[str, Choice]) -> dict[str, Choice]:
    """Return a choice for every variable: the given one, else the first or "All"."""
    chosen: dict[str, Choice] = dict(given)
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if name in chosen or variable["type"] == "datasource":
            continue
        if variable.get("includeAll"):
            chosen[name] = variable["allValue"]
        else:
            chosen[name] = run_variable(database, dashboard, name, chosen)[0]
    return chosen


def find_panel(dashboard: Json, panel: str | int) -> Json:
    """Return a panel by title or id; raises AssertionError when there is not exactly one."""
    found = [each for each in dashboard["panels"] if panel in (each["title"], each["id"])]
    assert len(found) == 1, f"{len(found)} panels are called {panel!r}"
    panel_json: Json = found[0]
    return panel_json


def fill_in(
    query: str, dashboard: Json, variables: Mapping[str, Choice], since_ms: int, until_ms: int
) -> str:
    """Return the query as it reaches the database; raises AssertionError if a `$…` is left."""
    filled = _interpolate(query, dashboard, variables)
    filled = filled.replace("$timeFilter", f"time >= {since_ms}ms and time <= {until_ms}ms")
    filled = filled.replace("$__interval", f"{interval_s(since_ms, until_ms)}s")
    assert not re.search(r"\$\{?\w", filled), f"a variable is left in {filled}"
    return filled


def interval_s(since_ms: int, until_ms: int) -> int:
    """Return `$__interval` in s: the range over the panel's width, rounded, at least a second."""
    wanted = (until_ms - since_ms) / 1000 / _WIDTH_PX
    return min(_ROUND_S, key=lambda each: abs(each - wanted))


def _interpolate(query: str, dashboard: Json, variables: Mapping[str, Choice]) -> str:
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if name in variables:
            text = _text(variable, variables[name], inside_regex=f"${name}$/" in query)
            query = query.replace(f"${{{name}}}", text).replace(f"${name}", text)
    return query


def _text(variable: Json, choice: Choice, *, inside_regex: bool) -> str:
    if choice == variable.get("allValue"):
        return str(choice)
    if not isinstance(choice, str):
        return f"({'|'.join(_escape(each) for each in choice)})"
    return _escape(choice) if variable.get("multi") or inside_regex else choice


def _escape(text: str) -> str:
    return re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", text)
