"""01 Line status: whether the line runs, the parts are good and the data whole."""

from grafanalib.core import Dashboard, Panel

from dashboards import colours, queries, variables
from dashboards.boards.frame import board, open_welding
from dashboards.panels import (
    Json,
    at,
    column,
    fixed,
    matching,
    nothing,
    pareto,
    rows,
    series,
    state_timeline,
    steps,
    table,
    time_series,
    words,
)
from dashboards.texts import Texts

UID = "lini-line"
_HEARTBEAT_GAP_MS = 90_000  # the agent repeats each state every 30 s; three missed are a gap


def line_status(text: Texts) -> Dashboard:
    """Return the dashboard of one line."""
    panels = [
        _states(text),
        _parts(text),
        _yield(text),
        pareto(
            text,
            "line.rejects",
            at(0, 16, 8, 8),
            [rows(queries.rejects(queries.PARTS))],
            category="code",
            value="n",
            title=text["column.ng"],
        ),
        _alarms(text),
        _freshness(text),
        _records(text),
        _agents(text),
        time_series(
            text,
            "line.coolant",
            at(0, 31, 12, 7),
            [series(queries.trend(queries.COOLANT_TEMPERATURE))],
            unit="celsius",
        ),
        time_series(
            text,
            "line.power",
            at(12, 31, 12, 7),
            [series(queries.trend(queries.LINE_POWER))],
            unit="watt",
        ),
    ]
    choices = [variables.database(text), *variables.place(text, "telemetry")]
    return board(text, "line", UID, choices, panels, refresh="10s")


def _states(text: Texts) -> Panel:
    named = {
        str(code): (text[f"state.{name}"], colour)
        for code, (name, colour) in colours.STATES.items()
    }
    return state_timeline(
        text,
        "line.states",
        at(0, 0, 24, 8),
        [series(queries.states())],
        mappings=words(named),
        gap_ms=_HEARTBEAT_GAP_MS,
        links=[open_welding(text, "${__field.labels.station}")],
    )


def _parts(text: Texts) -> Panel:
    return time_series(
        text,
        "line.parts",
        at(0, 8, 12, 8),
        [series(queries.parts_per_hour(), alias="$tag_station $col")],
        unit="none",
        drawStyle="bars",
        barAlignment=1,  # a bar begins with its hour
        fillOpacity=80,
        stacking={"mode": "normal", "group": "A"},
        overrides=[matching("/ NG$/", color=fixed(colours.RED))],
    )


def _yield(text: Texts) -> Panel:
    link = open_welding(text, "${__data.fields.station}")
    return table(
        text,
        "line.yield",
        at(12, 8, 12, 8),
        [rows(queries.yields())],
        columns=["station", "n", "ng", "fpy", "ppm", "ppm_upper"],
        overrides=[
            column("station", text["column.station"], links=[link]),
            column("n", text["column.n"]),
            column("ng", text["column.ng"], **_coloured((1, colours.RED))),
            column("fpy", text["column.fpy"], unit="percentunit", decimals=2),
            column("ppm", text["column.ppm"], decimals=0),
            column("ppm_upper", text["column.ppm_upper"], decimals=0),
        ],
        sort=(text["column.fpy"], False),
    )


def _alarms(text: Texts) -> Panel:
    priorities = {
        name: (text[f"priority.{name}"], colour) for name, colour in colours.PRIORITIES.items()
    }
    return table(
        text,
        "line.alarms",
        at(8, 16, 16, 8),
        [rows(queries.open_alarms(text.language))],
        columns=["Time", "priority", "station", "text", "code"],
        overrides=[
            column("Time", text["column.raised"], unit="dateTimeFromNow"),
            column("priority", text["column.priority"], mappings=words(priorities), **_COLOURED),
            column("station", text["column.station"]),
            column("text", text["column.alarm"]),
            column("code", text["column.alarm_code"]),
        ],
        sort=(text["column.raised"], True),
    )


def _freshness(text: Texts) -> Panel:
    return table(
        text,
        "line.freshness",
        at(0, 24, 7, 7),
        [rows(queries.freshness())],
        columns=["station", "Time", "bad"],
        overrides=[
            column("station", text["column.station"]),
            column("Time", text["column.last_sample"], unit="dateTimeFromNow"),
            column("bad", text["column.bad"], **_coloured((1, colours.AMBER))),
        ],
        sort=(text["column.last_sample"], False),
    )


def _records(text: Texts) -> Panel:
    return table(
        text,
        "line.records",
        at(7, 24, 7, 7),
        [rows(queries.stored(), "A"), rows(queries.lost(), "B")],
        columns=["station", "lost", "stored"],
        overrides=[
            column("station", text["column.station"]),
            column(
                "lost", text["column.lost"], mappings=nothing("0"), **_coloured((1, colours.RED))
            ),
            column("stored", text["column.stored"]),
        ],
    )


def _agents(text: Texts) -> Panel:
    waits = _coloured((300, colours.AMBER))
    return table(
        text,
        "line.agents",
        at(14, 24, 10, 7),
        [rows(queries.agents())],
        columns=[
            "agent",
            "Time",
            "uptime_s",
            "queue_messages",
            "queue_age_s",
            "rss_mb",
            "version",
        ],
        overrides=[
            column("agent", text["column.agent"]),
            column("Time", text["column.last_report"], unit="dateTimeFromNow"),
            column("uptime_s", text["column.uptime"], unit="dtdurations"),
            column("queue_messages", text["column.queue"]),
            column("queue_age_s", text["column.queue_age"], unit="s", **waits),
            column("rss_mb", text["column.memory"], unit="decmbytes"),
            column("version", text["column.version"]),
        ],
    )


_COLOURED: Json = {"custom_cellOptions": {"type": "color-text"}}


def _coloured(*above: tuple[float, str]) -> Json:
    return {"thresholds": steps(*above), "color": {"mode": "thresholds"}, **_COLOURED}
