"""Every query of the dashboards, on a real InfluxDB, against figures computed from the same data."""

import itertools
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from agent.wire import line as line_protocol
from agent.wire.schema import Schema
from collectors import profile
from dashboards import queries
from dashboards.build import dashboards
from tests.services.grafana import (
    Json,
    Row,
    choose,
    find_panel,
    interval_s,
    run_annotations,
    run_panel,
    run_variable,
)
from tests.services.influxdb import Influx
from tests.services.line_data import HOURS, LIMITS, LINE, SITE, LineData, Part

pytestmark = pytest.mark.influxdb

WELDERS = ("weld-1", "weld-2")
HERE = {"site": SITE, "line": LINE}


@dataclass(frozen=True, slots=True)
class Seeded:
    """A database that holds the line's data, and what is known of them."""

    server: Influx
    bucket: str
    data: LineData

    def query(self, q: str) -> list[Row]:
        """Return the rows of an InfluxQL query."""
        return self.server.query(q, db=self.bucket)

    def panel(self, dashboard: Json, panel: str | int, **variables: Any) -> list[Row]:
        """Return the rows of a panel, of our line and the whole window unless told otherwise."""
        data = self.data
        return run_panel(self, dashboard, panel, HERE | variables, data.since_ms, data.until_ms)


@pytest.fixture(scope="module")
def seeded(influx_server: Influx) -> Iterator[Seeded]:
    bucket = "test_dashboards"
    influx_server.query(f'CREATE DATABASE "{bucket}"')
    data = LineData(until_ms=int(time.time()) // 30 * 30_000 - 5_000)
    schema = Schema.of(profile.shipped().values())
    for point in data.points:
        schema.check(point)  # or the figures would be of data that no agent sends
    for batch in (
        itertools.batched(data.points, 5000) if hasattr(itertools, "batched") else [data.points]
    ):
        influx_server.write("\n".join(map(line_protocol.encode, batch)), db=bucket)
    yield Seeded(influx_server, bucket, data)
    influx_server.query(f'DROP DATABASE "{bucket}"')


@pytest.fixture(scope="module")
def boards() -> dict[str, Json]:
    return dict(dashboards("en"))


@pytest.fixture
def line(boards: dict[str, Json]) -> Json:
    return boards["01-line-status"]


@pytest.fixture
def welding(boards: dict[str, Json]) -> Json:
    return boards["02-welding"]


def by_station(rows: list[Row], ref: str = "A") -> dict[str, Row]:
    return {row["station"]: row for row in rows if row["ref"] == ref}


@pytest.mark.parametrize("language", ["id", "en"])
def test_every_panel_variable_and_annotation_returns_rows(seeded: Seeded, language: str) -> None:
    """No query of either dashboard fails or comes back empty, in either language."""
    for dashboard in dashboards(language).values():
        for panel in dashboard["panels"]:
            rows = seeded.panel(dashboard, panel["id"])
            for target in panel["targets"]:
                assert any(row["ref"] == target["refId"] for row in rows), panel["title"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] != "datasource":
                assert run_variable(seeded, dashboard, variable["name"], HERE), variable["name"]
        data = seeded.data
        assert run_annotations(seeded, dashboard, HERE, data.since_ms, data.until_ms)


def test_stations_are_those_of_the_chosen_line(seeded: Seeded, line: Json, welding: Json) -> None:
    """The choice of stations follows site and line; a line of another name offers its own."""
    assert run_variable(seeded, line, "station", HERE) == [
        "chiller-1",
        "form-1",
        "meter-1",
        "sort-1",
        "weld-1",
        "weld-2",
    ]
    other = HERE | {"line": "line-2"}
    assert run_variable(seeded, welding, "line", HERE) == ["line-2", LINE]
    assert run_variable(seeded, welding, "station", other) == ["weld-1"]


def test_a_dashboard_opens_without_a_choice(seeded: Seeded, line: Json) -> None:
    """Site and line take the first value there is, the stations all of them."""
    assert choose(seeded, line, {}) == {**HERE, "station": ".*"}


def test_several_stations_can_be_chosen(seeded: Seeded, line: Json) -> None:
    """A choice of two stations leaves the others out."""
    rows = seeded.panel(line, "First-pass yield and PPM", station=["weld-1", "sort-1"])
    assert {row["station"] for row in rows} == {"weld-1", "sort-1"}


def test_the_timeline_shows_the_highest_state_and_the_gap(seeded: Seeded, line: Json) -> None:
    """The highest code of each interval is shown, a fault of seconds too; silence stays empty."""
    rows = seeded.panel(line, "What each station is doing")
    interval_ns = interval_s(seeded.data.since_ms, seeded.data.until_ms) * 10**9
    expected: dict[tuple[str, int], int] = {}
    for point in seeded.data.states:
        at = point.tags["station"], point.time_ns // interval_ns * interval_ns
        expected[at] = max(expected.get(at, 0), int(point.fields["code"]))
    shown = {(row["station"], row["time"]): row["code"] for row in rows}
    assert {at: code for at, code in shown.items() if code is not None} == expected
    assert len(expected) < len(seeded.data.states)  # else no interval would have to choose
    silent = [station for (station, _), code in shown.items() if code is None]
    assert silent.count("weld-2") >= 15 * 60 * 10**9 // interval_ns - 1


def test_parts_per_hour_count_good_and_rejected(seeded: Seeded, line: Json) -> None:
    """Each hour's bars are the parts that finished in it; test parts are in neither."""
    expected: Counter[tuple[str, int, int | None]] = Counter()
    for station in (*WELDERS, "sort-1", "form-1"):
        for part in seeded.data.of(station):
            expected[station, part.time_ns // 3_600_000_000_000, part.ok] += 1
    shown: Counter[tuple[str, int, int | None]] = Counter()
    for row in seeded.panel(line, "Parts per hour"):
        hour = row["time"] // 3_600_000_000_000
        shown[row["station"], hour, 1] += row["OK"]
        shown[row["station"], hour, 0] += row["NG"]
    assert +shown == +expected
    assert len({hour for _, hour, _ in shown}) in {HOURS, HOURS + 1}


def test_yield_and_ppm(seeded: Seeded, line: Json) -> None:
    """Yield, counts, PPM and its bound agree with the records; with no reject the bound is 3/n."""
    rows = by_station(seeded.panel(line, "First-pass yield and PPM"))
    assert rows.keys() == {*WELDERS, "sort-1", "form-1"}
    for station, row in rows.items():
        parts = seeded.data.of(station)
        n, ng = len(parts), sum(part.ok == 0 for part in parts)
        assert (row["n"], row["ng"]) == (n, ng)
        assert row["fpy"] == pytest.approx(1 - ng / n)
        assert row["ppm"] == pytest.approx(1e6 * ng / n)
        assert row["ppm_upper"] == pytest.approx(1e6 * poisson_upper(ng) / n, rel=0.02)
    assert rows["weld-2"]["ng"] == 0
    assert rows["weld-2"]["ppm_upper"] == pytest.approx(3e6 / rows["weld-2"]["n"], rel=0.02)


def poisson_upper(count: int) -> float:
    """Return the mean for which `count` or fewer have a probability of 5 %, by bisection."""
    low, high = 0.0, 10.0 + 3 * count
    for _ in range(60):
        middle = (low + high) / 2
        terms = (
            math.exp(k * math.log(middle) - middle - math.lgamma(k + 1)) for k in range(count + 1)
        )
        low, high = (middle, high) if sum(terms) > 0.05 else (low, middle)
    return low


@pytest.mark.parametrize(
    ("board", "panel", "kinds"),
    [
        ("01-line-status", "Rejects by reason", {"weld", "cell", "formation_step"}),
        ("02-welding", "Rejected welds by reason", {"weld"}),
    ],
)
def test_rejects_by_reason(
    seeded: Seeded, boards: dict[str, Json], board: str, panel: str, kinds: set[str]
) -> None:
    """The Pareto counts every rejected part once, and none of another line or time."""
    expected = Counter(
        part.code for part in seeded.data.parts if part.ok == 0 and part.kind in kinds
    )
    rows = seeded.panel(boards[board], panel)
    assert {row["code"]: row["n"] for row in rows} == expected
    assert len(rows) == len(expected)


def test_freshness_ignores_samples_without_a_value(seeded: Seeded, line: Json) -> None:
    """A machine that does not answer is as old as its last value, though rows keep coming."""
    rows = by_station(seeded.panel(line, "Age of the data"))
    times: dict[str, list[int]] = {}
    for point in seeded.data.telemetry:
        if point.fields.get("quality") != "*:comm":
            times.setdefault(point.tags["station"], []).append(point.time_ns)
    assert {station: row["time"] for station, row in rows.items()} == {
        station: max(each) for station, each in times.items()
    }
    assert rows["chiller-1"]["bad"] == 1
    newest = max(point.time_ns for point in seeded.data.telemetry)
    assert rows["chiller-1"]["time"] < newest - 240 * 10**9


@pytest.mark.parametrize("language", ["id", "en"])
def test_open_alarms(seeded: Seeded, language: str) -> None:
    """What was raised and not cleared is listed, since when, however long ago."""
    board = dashboards(language)["01-line-status"]
    rows = seeded.panel(board, 5)
    until = seeded.data.until_ms
    assert {(row["code"], row["priority"], row["text"], row["time"]) for row in rows} == {
        ("door_open", "critical", f"{language} door_open", (until - 3_600_000) * 10**6),
        ("electrode_life", "low", f"{language} electrode_life", (until - 172_800_000) * 10**6),
    }


def test_missing_records(seeded: Seeded, line: Json) -> None:
    """Losses are summed per station, beside the number of stored records, test parts included."""
    rows = seeded.panel(line, "Missing records")
    stored = Counter(part.station for part in seeded.data.parts)
    assert {station: row["stored"] for station, row in by_station(rows).items()} == stored
    assert {s: row["lost"] for s, row in by_station(rows, "B").items()} == seeded.data.lost


def test_agents(seeded: Seeded, line: Json) -> None:
    """Each agent has one row: its last word, with its time."""
    (row,) = seeded.panel(line, "Agents")
    assert (row["agent"], row["uptime_s"], row["queue_messages"]) == ("pi-1", 90_000.0, 0)
    assert row["time"] == seeded.data.until_ms * 10**6


@pytest.mark.parametrize(
    ("panel", "station", "field"),
    [
        ("Chiller, outlet temperature", "chiller-1", "outlet_temperature"),
        ("Electrical power", "meter-1", "power_total"),
    ],
)
def test_trends(seeded: Seeded, line: Json, panel: str, station: str, field: str) -> None:
    """A trend holds the values of its station and no interval without one."""
    rows = seeded.panel(line, panel)
    sent = [
        point.fields[field]
        for point in seeded.data.telemetry
        if point.tags["station"] == station and field in point.fields
    ]
    assert [row[field] for row in rows] == pytest.approx(sent)


def values_of(parts: list[Part], name: str) -> list[float]:
    """Return what may enter a statistic."""
    return [part.values[name] for part in parts if name not in part.doubts]


@pytest.mark.parametrize("char", LIMITS)
def test_capability(seeded: Seeded, welding: Json, char: str) -> None:
    """N, mean, both sigmas, Ppk and Cpk agree with Python's own for every characteristic."""
    panel = welding["panels"][0]["id"]
    rows = seeded.panel(welding, panel, char=char)
    overall, within = by_station(rows), by_station(rows, "B")
    assert overall.keys() == within.keys() == set(WELDERS)
    lsl, usl = LIMITS[char]
    for station in WELDERS:
        values = values_of(seeded.data.of(station), char)
        mean, sigma = statistics.mean(values), statistics.stdev(values)
        ranges = [abs(b - a) for a, b in itertools.pairwise(values)]
        margin = min(usl - mean, mean - lsl)
        row = overall[station]
        assert (row["n"], row["basis"], row["lsl"], row["usl"]) == (
            len(values),
            len(values),
            lsl,
            usl,
        )
        assert row["mean"] == pytest.approx(mean)
        assert row["sigma"] == pytest.approx(sigma)
        assert row["ppk"] == pytest.approx(margin / (3 * sigma))
        cpk = margin / (3 * statistics.mean(ranges) / 1.128)
        assert within[station]["cpk"] == pytest.approx(cpk)


def test_control_a_doubtful_value_would_shift_the_mean(
    seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the figures above are without doubtful values: let in, they are all there."""
    monkeypatch.setattr(queries, "_JUDGED", f"{queries._WINDOW} AND {queries.COUNTED}")
    board = dashboards("en")["02-welding"]
    rows = by_station(seeded.panel(board, board["panels"][0]["id"], char="current"))
    for station in WELDERS:
        parts = seeded.data.of(station)
        assert any(part.doubts for part in parts)
        assert rows[station]["n"] == len(parts)
        assert rows[station]["mean"] > statistics.mean(values_of(parts, "current")) + 0.01


def test_individuals_hide_no_extreme(seeded: Seeded, welding: Json) -> None:
    """Zoomed out, the chart's extremes are those of all welds; rejects are drawn again in red."""
    panel = welding["panels"][1]["id"]
    rows = seeded.panel(welding, panel)
    for station in WELDERS:
        parts = seeded.data.of(station, "weld")
        mine = [row for row in rows if row["station"] == station]
        values = values_of(parts, "current")
        assert min(row["min"] for row in mine if row["ref"] == "A") == min(values)
        assert max(row["max"] for row in mine if row["ref"] == "A") == max(values)
        rejected = [row for row in mine if row["ref"] == "B"]
        assert len(rejected) == sum(part.ok == 0 for part in parts)
        assert {(row["LSL"], row["USL"]) for row in mine if row["ref"] == "C"} == {
            LIMITS["current"]
        }


def test_individuals_zoomed_in_are_the_welds(seeded: Seeded, welding: Json) -> None:
    """In a short window each interval holds one weld at most, so min, max and weld are one."""
    panel, data = welding["panels"][1]["id"], seeded.data
    until = data.until_ms - 1_800_000
    since = until - 600_000
    rows = run_panel(seeded, welding, panel, HERE | {"station": "weld-1"}, since, until)
    welds = [p for p in data.of("weld-1") if since * 10**6 <= p.time_ns <= until * 10**6]
    shown = [(row["min"], row["max"]) for row in rows if row["ref"] == "A"]
    assert shown == [(value, value) for value in values_of(welds, "current")]
    assert len(welds) > 20


def test_histogram_gets_every_counting_weld(seeded: Seeded, welding: Json) -> None:
    """The histogram's raw values are those of the welds that count."""
    rows = seeded.panel(welding, "Distribution: ${char:text}", char="force")
    for station in WELDERS:
        shown = sorted(row["force"] for row in rows if row["station"] == station)
        assert shown == sorted(values_of(seeded.data.of(station), "force"))


def test_wear_pairs_value_and_count(seeded: Seeded, welding: Json) -> None:
    """Of one station, each point is a weld: how many since the last dressing, and its value."""
    panel = "Electrode wear: ${char:text}, ${station}"
    rows = seeded.panel(welding, panel, station="weld-2")
    welds = seeded.data.of("weld-2")
    expected = [
        (part.values["welds_since_dress"], part.values["current"])
        for part in welds
        if "current" not in part.doubts
    ]
    assert [(row["welds_since_dress"], row["value"]) for row in reversed(rows)] == expected


def test_rejected_welds_newest_first(seeded: Seeded, welding: Json) -> None:
    """The table names the serial, reason and value of the rejected welds, the newest on top."""
    rows = seeded.panel(welding, "The last 50 rejected welds")
    rejected = [part for part in seeded.data.of("weld-1") if part.ok == 0][::-1]
    assert [(row["serial"], row["code"], row["value"]) for row in rows] == [
        (part.serial, part.code, part.values["current"]) for part in rejected[:50]
    ]
    assert {(row["station"], row["program"]) for row in rows} == {("weld-1", "1")}


def test_events_of_the_window_are_drawn(seeded: Seeded, welding: Json) -> None:
    """The annotations are the events of the window, with kind, station and reason."""
    data = seeded.data
    rows = run_annotations(seeded, welding, HERE, data.since_ms, data.until_ms)
    kinds = [row["kind"] for row in sorted(rows, key=lambda row: row["time"])]
    assert kinds == ["records_lost", "records_lost", "epoch_started"]
    assert {(row["station"], row["reason"]) for row in rows} == {("weld-2", "overwritten")}


def test_panels_are_found_by_title_or_id(line: Json) -> None:
    """A title and the id beside it name one panel."""
    assert find_panel(line, "Agents") is find_panel(line, find_panel(line, "Agents")["id"])
