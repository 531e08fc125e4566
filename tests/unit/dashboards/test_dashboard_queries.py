"""The queries run on InfluxDB 1.x, 2.x and 3.x, and name only what the wire schema knows."""

import re
from collections.abc import Iterator

import pytest

from agent.wire.schema import TAGS, Schema
from collectors import profile
from dashboards import queries
from dashboards.build import dashboards
from dashboards.texts import LANGUAGES

# What InfluxQL shares between 1.6 and 3 (of the functions, those we use).
SHARED = {
    "abs",
    "count",
    "difference",
    "last",
    "max",
    "mean",
    "min",
    "pow",
    "sqrt",
    "stddev",
    "sum",
}
KEYWORDS = {"fill", "now", "time"}
NOT_EVERYWHERE = re.compile(
    r"(?i)\b(INTEGRAL|SAMPLE|HOLT_WINTERS\w*|\w+_MOVING_AVERAGE|CHANDE_\w+|KAUFMAN_\w+|"
    r"SHOW\s+SERIES|SHOW\s+DATABASES|SHOW\s+\w*\s*\w*\s*CARDINALITY|SLIMIT|SOFFSET|INTO|"
    r"HISTOGRAM|DROP|DELETE|JOIN|CASE)\b|\|>"
)


def all_queries() -> Iterator[tuple[str, str]]:
    """Return every query that ships, under a name."""
    for language in LANGUAGES:
        for name, board in dashboards(language).items():
            for panel in board["panels"]:
                for target in panel["targets"]:
                    yield f"{language}-{name}-{panel['id']}{target['refId']}", target["query"]
            for variable in board["templating"]["list"]:
                if variable["type"] == "query":
                    yield f"{language}-{name}-{variable['name']}", variable["query"]
            for layer in board["annotations"]["list"]:
                assert layer["query"] == layer["target"]["query"]  # both shapes say the same
                yield f"{language}-{name}-events", layer["query"]


QUERIES = [pytest.param(query, id=name) for name, query in all_queries()]


def strange_functions(query: str) -> set[str]:
    return {name.lower() for name in re.findall(r"\b([A-Za-z_]+)\(", query)} - SHARED - KEYWORDS


def unknown_names(query: str, schema: Schema) -> set[str]:
    """Return the quoted names that are neither of the query's measurements nor its own aliases."""
    query = query.replace("${char}", "current")
    names = set(re.findall(r'"([^"]+)"', query))
    aliases = set(re.findall(r'AS "([^"]+)"', query))
    measurements = names & TAGS.keys()
    known = {tag for each in measurements for tag in TAGS[each]}
    known |= {field for each in measurements for field in schema.fields[each]}
    return names - aliases - measurements - known if measurements else names


@pytest.mark.parametrize("query", QUERIES)
def test_query_runs_on_every_influxdb(query: str) -> None:
    """No statement or function that one of the versions lacks, and nothing that writes."""
    assert query.startswith(("SELECT ", "SHOW TAG VALUES FROM "))
    assert not NOT_EVERYWHERE.search(query)
    assert not strange_functions(query)


@pytest.mark.parametrize("query", QUERIES)
def test_query_is_bound_by_time_and_place(query: str) -> None:
    """Each SELECT on a measurement ends at a time and stays within the chosen site."""
    on_measurements = re.findall(r'FROM "(.*?)(?=SELECT|$)', query)
    if query.startswith("SELECT"):
        assert on_measurements
        for each in on_measurements:
            assert re.search(r"WHERE (\$timeFilter|time > now)", each), each
            assert '"site" =~ /^$site$/' in each


@pytest.mark.parametrize("query", QUERIES)
def test_query_names_what_the_schema_knows(query: str) -> None:
    """Every measurement, tag and field of a query exists with the shipped profiles."""
    assert not unknown_names(query, Schema.of(profile.shipped().values()))


@pytest.mark.parametrize(
    "query",
    [
        'SELECT integral("x") FROM "weld"',
        'SELECT "x" FROM "weld" SLIMIT 1',
        "SHOW SERIES",
        "SHOW TAG VALUES CARDINALITY WITH KEY = k",
        'SELECT mean("x") INTO "y" FROM "weld"',
        "DROP MEASUREMENT weld",
        'from(bucket: "x") |> range(start: -1h)',
    ],
)
def test_what_is_not_shared_is_seen(query: str) -> None:
    """The control: queries that a version refuses, or that write, are refused here."""
    assert NOT_EVERYWHERE.search(query)


def test_a_strange_function_or_name_is_seen() -> None:
    """The control: a function outside the list and a misspelt field are told."""
    assert strange_functions('SELECT holt_winters(mean("x"), 1, 2)') == {"holt_winters"}
    schema = Schema.of(profile.shipped().values())
    assert unknown_names('SELECT "curent" AS "x", "x" FROM "weld"', schema) == {"curent"}
    assert unknown_names('SELECT "ok" FROM "wleds"', schema) == {"ok", "wleds"}


def test_a_select_leaves_out_empty_clauses() -> None:
    """A query is written clause by clause."""
    assert queries.select("a", "m") == "SELECT a FROM m"
    assert queries.select("a", "m", "b", "c", "LIMIT 1") == (
        "SELECT a FROM m WHERE b GROUP BY c LIMIT 1"
    )
