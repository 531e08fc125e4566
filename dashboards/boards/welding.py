"""02 Welding: whether the process is capable, and what happened to it."""

from collections.abc import Sequence

from grafanalib.core import Dashboard, Panel

from collectors.record_source import Quantity
from dashboards import colours, queries, variables
from dashboards.boards.frame import WELDING_UID, board
from dashboards.panels import (
    Json,
    at,
    column,
    fixed,
    histogram,
    matching,
    pareto,
    ranges,
    rows,
    scatter,
    series,
    steps,
    table,
    time_series,
)
from dashboards.texts import Texts

_CAPABLE = steps((1.33, colours.AMBER), (1.67, colours.DARK), base=colours.RED)
_ENOUGH, _FEW = 100, 30  # welds


def welding(text: Texts, registers: Sequence[Quantity]) -> Dashboard:
    """Return the dashboard of the welders; `registers` are the characteristics to choose from."""
    panels = [
        _capability(text),
        _individuals(text),
        histogram(
            text,
            "welding.histogram",
            at(0, 16, 12, 9),
            [series(queries.values())],
        ),
        pareto(
            text,
            "welding.rejects",
            at(12, 16, 12, 9),
            [rows(queries.rejects('"weld"'))],
            category="code",
            value="n",
            title=text["column.ng"],
        ),
        _rejected(text),
        scatter(
            text,
            "welding.wear",
            at(0, 34, 24, 9),
            [rows(queries.wear())],
            x=(queries.WEAR, text["column.wear"]),
            y=("value", "${char:text}"),
            repeat="station",
        ),
    ]
    choices = [
        variables.database(text),
        *variables.place(text, "weld"),
        variables.characteristic(text, text.language, registers),
    ]
    return board(text, "welding", WELDING_UID, choices, panels, refresh="1m")


def _capability(text: Texts) -> Panel:
    figure: Json = {"decimals": 4}
    index: Json = {
        "decimals": 2,
        "thresholds": _CAPABLE,
        "color": {"mode": "thresholds"},
        "custom_cellOptions": {"type": "color-text"},
    }
    basis = ranges(
        (None, _FEW - 1, text["basis.few"], colours.MAGENTA),
        (_FEW, _ENOUGH - 1, text["basis.preliminary"], colours.AMBER),
        (_ENOUGH, None, text["basis.enough"], colours.DARK),
    )
    return table(
        text,
        "welding.capability",
        at(0, 0, 24, 6),
        [rows(queries.capability(), "A"), rows(queries.capability_within(), "B")],
        columns=["station", "n", "basis", "ppk", "cpk", "mean", "sigma", "lsl", "usl"],
        overrides=[
            column("station", text["column.station"]),
            column("n", text["column.welds"]),
            column(
                "basis",
                text["column.basis"],
                mappings=basis,
                custom_cellOptions={"type": "color-text"},
            ),
            column("ppk", text["column.ppk"], **index),
            column("cpk", text["column.cpk"], **index),
            column("mean", text["column.mean"], **figure),
            column("sigma", text["column.sigma"], **figure),
            column("lsl", text["column.lsl"], **figure),
            column("usl", text["column.usl"], **figure),
        ],
    )


def _individuals(text: Texts) -> Panel:
    limit: Json = {
        "color": fixed(colours.DARK),
        "custom_drawStyle": "line",
        "custom_lineStyle": {"fill": "dash", "dash": [10, 10]},
        "custom_lineInterpolation": "stepAfter",
        "custom_showPoints": "never",
    }
    return time_series(
        text,
        "welding.individuals",
        at(0, 6, 24, 10),
        [
            series(queries.extremes(), "$tag_station $col", "A"),
            series(queries.rejected_extremes(), "$tag_station $col", "B"),
            series(queries.limits(), "$tag_station $col", "C"),
        ],
        unit="none",
        drawStyle="points",
        pointSize=3,
        overrides=[
            matching("/ NG (min|max)$/", color=fixed(colours.RED), custom_pointSize=6),
            matching("/ (LSL|USL)$/", **limit),
        ],
    )


def _rejected(text: Texts) -> Panel:
    return table(
        text,
        "welding.rejected",
        at(0, 25, 24, 9),
        [rows(queries.rejected_welds())],
        columns=["Time", "station", "program", "serial", "code", "value", "lsl", "usl"],
        overrides=[
            column("Time", text["column.time"], unit="dateTimeAsLocal"),
            column("station", text["column.station"]),
            column("program", text["column.program"]),
            column("serial", text["column.serial"]),
            column("code", text["column.code"]),
            column("value", "${char:text}"),
            column("lsl", text["column.lsl"]),
            column("usl", text["column.usl"]),
        ],
        sort=(text["column.time"], True),
    )
