"""How records tell what is in what: which cells a weld joins, and where a scanned part goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionMap:
    """Which cells of a module each of its welds joins.

    `register` of the record holds the weld's position, counted from 1; None: the position is the
    number of the weld since the first one of the module. `cells[n - 1]` are the positions, in the
    module, of the cells that weld `n` joins.
    """

    register: str | None = None
    cells: tuple[tuple[str, ...], ...] = ()

    def joined(self, position: int | None) -> tuple[str, ...]:
        """Return the cell positions of the weld at `position`; none when it is not known."""
        if position is None or not 1 <= position <= len(self.cells):
            return ()
        return self.cells[position - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A record whose serial is placed: these of its registers name the parent and the position."""

    parent: str
    position: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What the site says of its stations, by their name."""

    maps: Mapping[str, PositionMap] = field(default_factory=dict)
    scans: Mapping[str, Scan] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)  # what a serial is, where not the usual
    # Registers of a record that tell what was in use, by the subject: `electrode` of each weld.
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
