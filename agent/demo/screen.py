"""The one terminal screen of the demo: what runs, where the page is, and the counts."""

from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agent.demo.compare import Comparison
from agent.model.station import StationModel
from agent.runtime.edge import Edge
from agent.server.sink import Stats

_PLAIN_EVERY_S = 5.0
_STATES = {
    "unknown": "bold magenta",
    "aborted": "bold red",
    "held": "yellow",
    "suspended": "yellow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the parts of the demo are to be found."""

    page: str
    broker: str
    store: str
    ledger: str


class Screen:
    """Shows the demo: redrawn on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, places: Places) -> None:
        self._console = console
        self._places = places
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._next_line_s = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        else:
            self._console.print(self._head())
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, edge: Edge, made: dict[str, int], stats: Stats, elapsed_s: float) -> None:
        """Show the counts as they are now."""
        if self._live:
            table = Group(self._head(), _stations(edge, made), _counts(edge, stats, elapsed_s))
            self._live.update(table, refresh=True)
        elif elapsed_s >= self._next_line_s:
            self._next_line_s = elapsed_s + _PLAIN_EVERY_S
            self._console.print(_counts(edge, stats, elapsed_s))

    def _head(self) -> Text:
        places = self._places
        head = Text()
        head.append("Lini demo\n", style="bold")
        head.append("  Page      ")
        head.append(f"{places.page}\n", style="bold underline")
        head.append(f"  Broker    {places.broker} (embedded)\n")
        head.append(f"  Store     {places.store}\n")
        head.append(f"  Truth     {places.ledger}\n")
        head.append("  Ctrl-C ends it.\n", style="dim")
        return head


def summary(found: Comparison, samples: int, dead: int) -> Text:
    """Return the last words: whether every part of the truth is in the store, once."""
    text = Text()
    if found.is_proof:
        text.append("✓ ", style="bold green")
        text.append(f"0 of {found.made:,} records missing, 0 twice, all values as made")
    else:
        text.append("✗ ", style="bold red")
        text.append(
            f"of {found.made:,} records {len(found.missing)} missing, {len(found.doubled)} twice, "
            f"{len(found.foreign)} never made, {len(found.different)} different values"
        )
        for example in [*found.missing[:3], *found.doubled[:3], *found.different[:3]]:
            text.append(f"\n    {example}")
    text.append(f"\n  {found.rejects:,} rejects, {samples:,} samples, {dead} dead letters")
    return text


def _stations(edge: Edge, made: dict[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("  Station", "State", "Made", "Recorded", "Rejects"):
        table.add_column(name, justify="left" if name in {"  Station", "State"} else "right")
    for model in edge.models:
        table.add_row(*_row(model, made.get(model.station.station)))
    return table


def _row(model: StationModel, made: int | None) -> tuple[str | Text, ...]:
    span = model.states.span
    word = {"none": "online"}.get(span.state, span.state.value)
    state = Text(f"{word} {span.reason}".strip(), style=_STATES.get(span.state, ""))
    name = f"  {model.station.station}"
    if made is None:
        return name, state, "", "", ""
    return name, state, f"{made:,}", f"{model.parts.stored:,}", f"{model.parts.ng:,}"


def _counts(edge: Edge, stats: Stats, elapsed_s: float) -> Text:
    rejects = sum(model.parts.ng for model in edge.models)
    minutes, seconds = divmod(int(elapsed_s), 60)
    text = Text(f"\n  {minutes:02d}:{seconds:02d}  ", style="dim")
    text.append(
        f"{edge.line.samples:,} samples   {edge.line.records:,} records   {rejects:,} rejects   "
        f"{stats.lines:,} lines stored",
        style="bold",
    )
    return text
