"""The truth: every part that was made, written down before anyone can read it from a register."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from collectors.record import Result
from collectors.sample import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part as it truly is. Its identity is (station, kind, epoch, seq).

    `values` are in the unit of the profile, rounded as the registers are; None: not measured.
    """

    station: str
    kind: str
    epoch: int
    seq: int
    time_ms: int  # the PLC's clock, ms since 1970
    serial: str
    result: Result
    code: str
    tags: Mapping[str, str]
    values: Mapping[str, Value | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One cycle of a cell as it truly was, beyond the resolution of any register.

    It is known by its last step, part (`epoch`, `seq`) of the station. Not `complete`: it was
    cut short, or had begun before the simulation.
    """

    station: str
    channel: int
    epoch: int
    seq: int
    serial: str
    cycle: int
    complete: bool
    interruptions: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something done to the process at a station: an electrode dressed, a lot changed."""

    station: str
    deed: str  # the kind of event it is
    time_ms: int
    before: str
    after: str


class Ledger:
    """A file of JSON lines, one a part, cycle or deed. Without a path the parts are only made, not written.

    A new ledger replaces the file: it tells of one run.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, part: Part | Cycle | Deed) -> None:
        """Write `part` down; once this returns, a killed simulator cannot take it back."""
        if self._file is not None:
            self._file.write(json.dumps(asdict(part), separators=(",", ":")) + "\n")
            self._file.flush()


def read(path: Path) -> Iterator[Part]:
    """Yield the parts of a ledger in the order they were made; a last line cut off is not one."""
    for entry in _entries(path):
        if not {"deed", "interruptions"} & entry.keys():
            yield Part(**{**entry, "result": Result(entry["result"])})


def read_deeds(path: Path) -> Iterator[Deed]:
    """Yield what was done to the process, in its order."""
    for entry in _entries(path):
        if "deed" in entry:
            yield Deed(**entry)


def read_cycles(path: Path) -> Iterator[Cycle]:
    """Yield the cycles of cells, in the order they ended."""
    for entry in _entries(path):
        if "interruptions" in entry:
            yield Cycle(**entry)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
