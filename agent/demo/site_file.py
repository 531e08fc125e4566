"""A `lini.toml` for a simulated line, as a technician would have written it."""

from collections.abc import Iterable, Sequence

from agent.wire.broker import MqttVersion
from collectors.simulated.line import Endpoint
from collectors.simulated.welder import WELDS_A_MODULE

_KINDS = {
    "welder": {"id": "Las titik", "en": "Spot welder"},
    "laser": {"id": "Las laser", "en": "Laser welder"},
    "sorter": {"id": "Sortir sel", "en": "Cell sorter"},
    "formation": {"id": "Formasi", "en": "Formation"},
    "chiller": {"id": "Pendingin", "en": "Chiller"},
    "meter": {"id": "Meter energi", "en": "Energy meter"},
}


def site_file(
    equipment: Sequence[Endpoint],
    *,
    broker_port: int = 1883,
    mqtt: MqttVersion = "5",
    page_port: int = 8080,
    page_host: str = "127.0.0.1",
    flush_s: float = 1.0,
) -> str:
    """Return the text of a configuration that watches `equipment`."""
    return "\n\n".join(
        [
            "# Lini's configuration for the simulated line.",
            _table(
                "[agent]",
                name="demo",
                site="bengkel-demo",
                line="line-1",
                title="Bengkel Demo",
                timezone="Asia/Jakarta",
                data="lini-data",
                flush_s=flush_s,
            ),
            _table("[page]", host=page_host, port=page_port),
            _table(
                "[[uplink]]",
                name="workshop",
                host="127.0.0.1",
                port=broker_port,
                mqtt=mqtt,
            ),
            *_buses(equipment),
            *_stations(equipment),
            *_maps(equipment),
            "",
        ]
    )


def bus_of(endpoint: Endpoint) -> str:
    """Return the name of the bus an endpoint is on: one for each port."""
    return f"tcp-{endpoint.port}" if endpoint.transport == "tcp" else f"rtu-{endpoint.station}"


def _buses(equipment: Iterable[Endpoint]) -> list[str]:
    buses = {bus_of(endpoint): endpoint for endpoint in equipment}
    return [
        _table("[[bus]]", name=name, host=endpoint.host, port=endpoint.port)
        if endpoint.transport == "tcp"
        else _table("[[bus]]", name=name, transport="rtu", device=endpoint.path, baud=9600)
        for name, endpoint in buses.items()
    ]


def _stations(equipment: Iterable[Endpoint]) -> list[str]:
    return [
        _table(
            "[[station]]",
            name=endpoint.station,
            bus=bus_of(endpoint),
            device_id=endpoint.device_id,
            profile=endpoint.profile_name,
            title=_title(endpoint.station),
        )
        for endpoint in equipment
    ]


def _maps(equipment: Iterable[Endpoint]) -> list[str]:
    """Return which cells the welds join: two welds a cell, on one side of the module and then the other."""
    welds = [weld // 2 + 1 for _ in range(2) for weld in range(WELDS_A_MODULE // 2)]
    return [
        _table("[[genealogy.map]]", station=endpoint.station, cells=[[cell] for cell in welds])
        for endpoint in equipment
        if endpoint.station.startswith("welder")
    ]


def _title(station: str) -> dict[str, str]:
    """Return what people call a machine: its kind, and its number on the line."""
    kind, _, number = station.partition("-")
    return {language: f"{name} {number}" for language, name in _KINDS[kind].items()}


Toml = str | float | dict[str, str] | list[list[int]]


def _table(head: str, **values: Toml) -> str:
    return "\n".join([head, *(f"{key} = {_toml(value)}" for key, value in values.items())])


def _toml(value: Toml) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {_toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}"
    return f'"{value}"' if isinstance(value, str) else str(value)
