"""`[genealogy]` of lini.toml: what the site says of what is in what."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from agent.genealogy.links import Links, PositionMap, Scan
from collectors.register import Name
from collectors.toml_file import Strict

Position = Annotated[  # of a part in another: a number or a name
    str,
    BeforeValidator(lambda each: str(each) if isinstance(each, int) else each),
    Field(max_length=64),
]


class MapTable(Strict):
    """Which cells of a module each weld of a station joins.

    `cells` has a list of cell positions for each weld position. `position` names the register of
    the record that holds the weld's position, from 1; without it the welds of a module are counted.
    """

    station: str
    position: Name | None = None
    cells: Annotated[tuple[tuple[Position, ...], ...], Field(min_length=1, max_length=2000)]


class ScanTable(Strict):
    """A station that scans parts into parts: registers of its record that say where each goes."""

    station: str
    parent: Name
    position: Name


class GenealogyTable(Strict):
    """What is in what. `parts` says what the serials of a station's records are."""

    map: tuple[MapTable, ...] = ()
    scan: tuple[ScanTable, ...] = ()
    parts: Mapping[str, Literal["cell", "module", "pack"]] = {}

    def links(self) -> Links:
        """Return the same without tables."""
        return Links(
            maps={
                each.station: PositionMap(register=each.position, cells=each.cells)
                for each in self.map
            },
            scans={
                each.station: Scan(parent=each.parent, position=each.position) for each in self.scan
            },
            parts=self.parts,
        )

    def fault(self, stations: Collection[str]) -> str:
        """Return what names no station, or one twice; "" if nothing does."""
        for key, tables in (("map", self.map), ("scan", self.scan)):
            names = [each.station for each in tables]
            if unknown := sorted({*names} - {*stations}):
                return f"[[genealogy.{key}]]: there is no station {', '.join(unknown)}"
            if len({*names}) < len(names):
                return f"[[genealogy.{key}]]: a station stands twice"
        if unknown := sorted(self.parts.keys() - {*stations}):
            return f"[genealogy] parts: there is no station {', '.join(unknown)}"
        return ""

    def faults_of_registers(self, measured: Mapping[str, Sequence[str] | None]) -> Iterator[str]:
        """Yield a fault for each register that the records of its station do not have.

        `measured`: their registers, by station; None where a station makes no records.
        """
        wanted = [
            *(("map", each.station, each.position) for each in self.map),
            *(("scan", each.station, each.parent) for each in self.scan),
            *(("scan", each.station, each.position) for each in self.scan),
        ]
        for key, station, register in wanted:
            names = measured[station]
            if names is None:
                yield f"[[genealogy.{key}]]: the station {station} makes no records"
            elif register is not None and register not in names:
                yield (
                    f"[[genealogy.{key}]]: the records of {station} have no `{register}`; "
                    f"there is: {', '.join(names)}"
                )
