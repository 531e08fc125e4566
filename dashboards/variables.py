"""The choices at the top of a dashboard: database, site, line, station, characteristic."""

from collections.abc import Iterable, Mapping
from typing import Any

from grafanalib.core import Template

from collectors.profile import Profile
from collectors.record_source import Quantity
from dashboards.queries import tag_values
from dashboards.targets import DATASOURCE

_FIRST = "current"  # what the board opens with: most workshops weld by resistance


def characteristics(profiles: Iterable[Profile]) -> list[Quantity]:
    """Return the values of weld records that have specification limits, each once."""
    found: dict[str, Quantity] = {}
    for profile in profiles:
        if profile.records and profile.records.kind == "weld":
            for register in profile.records.quantities:
                if register.spec is not None:
                    found.setdefault(register.name, register)
    return sorted(found.values(), key=lambda each: each.name != _FIRST)


def database(text: Mapping[str, str]) -> Template:
    """Return the variable that all panels take their data source from."""
    return Template(
        name="ds",
        label=text["common.database"],
        type="datasource",
        query="influxdb",
        default="lini",
    )


def place(text: Mapping[str, str], source: str) -> list[Template]:
    """Return site, line and station, as found in the measurement `source`.

    A line is one at a time: two lines may each have a station of the same name.
    """
    stations = _tag(
        text, "station", source, multi=True, includeAll=True, allValue=".*", default="$__all"
    )
    return [_tag(text, "site", source), _tag(text, "line", source), stations]


def characteristic(
    text: Mapping[str, str], language: str, registers: Iterable[Quantity]
) -> Template:
    """Return the choice of what to judge; its value is the field's name."""
    options = [
        {"selected": False, "text": _titled(each, language), "value": each.name}
        for each in registers
    ]
    options[0]["selected"] = True
    query = ",".join(f"{each['text']} : {each['value']}" for each in options)
    return Template(
        name="char",
        label=text["common.characteristic"],
        type="custom",
        query=query,
        options=options,
    )


def _titled(register: Quantity, language: str) -> str:
    title = getattr(register.label, language) if register.label else register.name
    return f"{title} ({register.unit})" if register.unit else title


def _tag(text: Mapping[str, str], tag: str, source: str, **choice: Any) -> Template:  # noqa: ANN401 - options of grafanalib's Template
    return Template(
        name=tag,
        label=text[f"common.{tag}"],
        dataSource=DATASOURCE,
        query=tag_values(tag, source),
        **choice,
    )
