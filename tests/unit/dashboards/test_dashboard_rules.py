"""House rules of every dashboard in every language, each with a board that breaks it."""

import copy
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from grafanalib import formatunits

from agent.model.states import STATE_CODES
from collectors import profile
from collectors.register import Priority
from dashboards import colours
from dashboards.build import dashboards
from dashboards.finalise import Json
from dashboards.targets import DATASOURCE
from dashboards.texts import LANGUAGES

# Core panels of Grafana 10 to 13 that need no plugin.
CORE_PANELS = {"state-timeline", "timeseries", "table", "barchart", "histogram", "xychart", "stat"}
UNITS = {value for value in vars(formatunits).values() if isinstance(value, str)} | {"dtdurations"}

BOARDS = [
    pytest.param(board, id=f"{language}-{name}")
    for language in LANGUAGES
    for name, board in dashboards(language).items()
]


def units(panel: Json) -> list[str]:
    """Return the units of a panel: the default first, then those of its columns."""
    overrides = panel["fieldConfig"]["overrides"]
    return [
        panel["fieldConfig"]["defaults"].get("unit", ""),
        *(
            each["value"]
            for override in overrides
            for each in override["properties"]
            if each["id"] == "unit"
        ),
    ]


def cells(panel: Json) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    across, down = (
        range(place["x"], place["x"] + place["w"]),
        range(place["y"], place["y"] + place["h"]),
    )
    return set(itertools.product(across, down))


def is_framed(board: Json) -> bool:
    fixed = (board["schemaVersion"], board["editable"], board["graphTooltip"], bool(board["uid"]))
    return fixed == (39, False, 1, True) and board["time"] == {"from": "now-8h", "to": "now"}


def has_ids(board: Json) -> bool:
    return len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def fits_the_grid(board: Json) -> bool:
    panels = board["panels"]
    pairs = itertools.combinations(map(cells, panels), 2)
    return all(not one & other for one, other in pairs) and all(
        panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels
    )


def uses_the_variable(board: Json) -> bool:
    sources = [
        each["datasource"] for panel in board["panels"] for each in (panel, *panel["targets"])
    ]
    layers = [each["datasource"] for each in board["annotations"]["list"]]
    first = board["templating"]["list"][0]["name"]
    return first == "ds" and all(each == DATASOURCE for each in sources + layers)


def asks_something(panel: Json) -> bool:
    refs = [target["refId"] for target in panel["targets"]]
    queries = [target["query"] for target in panel["targets"]]
    return bool(refs) and all(queries) and len(set(refs)) == len(refs)


def is_explained(panel: Json) -> bool:
    return bool(panel["title"]) and panel["description"].count("**") == 6


RULES: dict[str, Callable[[Json], bool]] = {
    "frame": is_framed,
    "ids": has_ids,
    "overlap": fits_the_grid,
    "data source": uses_the_variable,
    "core panels": lambda board: {panel["type"] for panel in board["panels"]} <= CORE_PANELS,
    "explained": lambda board: all(map(is_explained, board["panels"])),
    "unit": lambda board: all(set(units(panel)) <= UNITS for panel in board["panels"]),
    "targets": lambda board: all(map(asks_something, board["panels"])),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("board", BOARDS)
def test_board_keeps_the_rule(board: Json, rule: str) -> None:
    """A dashboard that ships breaks no rule of the house."""
    assert RULES[rule](board)


def _break(path: str, value: Any) -> Callable[[Json], None]:
    def change(board: Any) -> None:
        *way, last = path.split(".")
        for key in way:
            board = board[int(key) if key.isdigit() else key]
        board[last] = value

    return change


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("frame", _break("editable", value=True)),
        ("frame", _break("schemaVersion", 12)),
        ("frame", _break("time", {"from": "now-1h", "to": "now"})),
        ("ids", _break("panels.0.id", 2)),
        ("overlap", _break("panels.0.gridPos.h", 9)),
        ("overlap", _break("panels.0.gridPos.w", 25)),
        ("core panels", _break("panels.0.type", "graph")),
        ("explained", _break("panels.0.title", "")),
        ("explained", _break("panels.0.description", "**What:** x")),
        ("unit", _break("panels.0.fieldConfig.defaults.unit", "")),
        ("unit", _break("panels.0.fieldConfig.defaults.unit", "degrees")),
        ("targets", _break("panels.0.targets", [])),
        ("data source", _break("panels.0.datasource", None)),
        ("data source", _break("panels.0.targets.0.datasource", {"type": "influxdb", "uid": "x"})),
        ("data source", _break("templating.list.0.name", "site")),
    ],
)
def test_a_broken_rule_is_seen(rule: str, change: Callable[[Json], None]) -> None:
    """The control of the test above: a board that breaks a rule is told so."""
    board = copy.deepcopy(dashboards("en")["01-line-status"])
    assert RULES[rule](board)
    change(board)
    assert not RULES[rule](board)


@pytest.mark.parametrize("language", LANGUAGES)
def test_links_go_down_and_keep_place_and_time(language: str) -> None:
    """A click on a station opens the welding dashboard for it, at the same place and time."""
    boards = dashboards(language)
    uids = {board["uid"] for board in boards.values()}
    assert uids == {"lini-line", "lini-welding"}
    urls = set(re.findall(r'"url": "(/d/[^"]+)"', json.dumps(boards["01-line-status"])))
    stations = {"${__field.labels.station}", "${__data.fields.station}"}
    assert urls == {
        "/d/lini-welding?${ds:queryparam}&${site:queryparam}&${line:queryparam}"
        f"&var-station={station}&${{__url_time_range}}"
        for station in stations
    }


def test_both_languages_have_the_same_boards() -> None:
    """But for words, the languages differ in nothing: same queries, places, ids."""
    indonesian, english = dashboards("id"), dashboards("en")
    assert indonesian.keys() == english.keys()
    for name, board in indonesian.items():
        for one, other in zip(board["panels"], english[name]["panels"], strict=True):
            assert one["gridPos"] == other["gridPos"]
            assert (one["id"], one["type"]) == (other["id"], other["type"])
            for a, b in zip(one["targets"], other["targets"], strict=True):
                assert a["query"].replace("text_id", "text_en") == b["query"]


def test_states_and_priorities_are_those_of_the_agent() -> None:
    """Every state code and alarm priority that can be stored has a word and a colour."""
    codes = {code: state.value for state, code in STATE_CODES.items()}
    assert {code: name for code, (name, _) in colours.STATES.items()} == codes
    assert set(colours.PRIORITIES) == set(Priority)


def test_characteristics_are_the_welds_values_with_limits() -> None:
    """The choice of what to judge comes from the profiles, in their words and units."""
    variables = dashboards("id")["02-welding"]["templating"]["list"]
    options = next(each for each in variables if each["name"] == "char")["options"]
    welders = [
        register
        for each in profile.shipped().values()
        if each.records and each.records.kind == "weld"
        for register in each.records.quantities
        if register.spec
    ]
    assert {option["value"] for option in options} == {register.name for register in welders}
    assert {"value": "current", "text": "Arus las (kA)", "selected": True} in options
