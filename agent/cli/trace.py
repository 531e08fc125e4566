"""`lini trace`: the life of a part, both ways; and what people add to it."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from agent.cli.run import Config
from collectors.errors import FixTheFileError, LiniError

if TYPE_CHECKING:
    from agent.genealogy.entries import PlacementEntry


class _SerialOrCommand(TyperGroup):
    """A group whose first word is a serial unless it is a command."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # typer's context is click's
        """Let `show` take what no command does."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SerialOrCommand,
    no_args_is_help=True,
    rich_markup_mode=None,
    help=(
        "Trace a part: `lini trace SERIAL` tells what it is made of, what was done to it and what "
        "it went into; --lot and --electrode tell what a suspicion reaches."
    ),
)

By = Annotated[str, typer.Option(help="Who says so.", metavar="NAME")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, with times in ns since 1970.")]
_DEFAULT = Path("lini.toml")
_TIME = "2026-03-01 or 2026-03-01T08:00"


class UnknownSerialError(LiniError):
    """There is nothing of this name: look at the label again."""


@app.command()
def show(
    *,
    serial: Annotated[str | None, typer.Argument(help="Of a cell, module, pack or lot.")] = None,
    lot: Annotated[str | None, typer.Option(help="What this lot went into.")] = None,
    electrode: Annotated[
        tuple[str, str, str] | None,
        typer.Option(metavar="STATION FROM TO", help="What was made there in this time."),
    ] = None,
    json: Json = False,
    config: Config = _DEFAULT,
) -> None:
    """Tell the life of a part, or what a lot or an electrode interval went into.

    Times are local, as 2026-03-01T08:00; the end is excluded.
    """
    from zoneinfo import ZoneInfo

    from pydantic_core import to_json
    from rich.console import Console

    from agent.cli.arguments import time_ns
    from agent.cli.desk import asked
    from agent.cli.trace_text import Words, unknown
    from agent.config import load_edge
    from agent.control.requests import Request, Trace, TraceInterval, TraceLot
    from agent.genealogy.life import Answer

    if [serial, lot, electrode].count(None) != 2:
        raise FixTheFileError("give one of: a serial, --lot, --electrode")
    request: Request
    if electrode is not None:
        station, *times = electrode
        zone = ZoneInfo(load_edge(config).agent.timezone)
        from_ns, to_ns = (time_ns(each, zone, form=_TIME) for each in times)
        request = TraceInterval(station=station, from_ns=from_ns, to_ns=to_ns)
    else:
        request = TraceLot(lot=_cut(lot)) if lot is not None else Trace(serial=_cut(serial or ""))
    file, answer = asked(config, request, Answer)
    if json:
        print(to_json(answer, indent=1).decode())
    elif not answer.is_empty:
        Console(soft_wrap=True).print(Words(file.agent.timezone).answer(answer))
    if answer.is_empty:
        raise UnknownSerialError(unknown(serial or lot or "", answer.near))


@app.command("import")
def import_(
    sheet: Annotated[Path, typer.Argument(help="CSV with parent, position, child[, reason].")],
    *,
    reason: Annotated[str, typer.Option(help="Of rows that correct, and give none.")] = "",
    by: By = "",
    config: Config = _DEFAULT,
) -> None:
    """Enter what is in what from a spreadsheet: all rows, or none and every fault by its line."""
    from agent.genealogy import sheet as sheets

    _place(config, sheets.read(sheet, reason=reason), by)


@app.command()
def place(
    parent: Annotated[str, typer.Argument(help="Serial of the module or pack.")],
    position: Annotated[str, typer.Argument(help="Where in it.")],
    child: Annotated[str, typer.Argument(help="Serial of the cell or module.")],
    *,
    reason: Annotated[str, typer.Option(help="Needed to correct what is known.")] = "",
    by: By = "",
    config: Config = _DEFAULT,
) -> None:
    """Enter that a part is in another. What it corrects is kept, and shown as superseded."""
    from agent.genealogy.entries import PlacementEntry

    entry = PlacementEntry(parent=parent, position=position, child=child, reason=reason)
    _place(config, (entry,), by)


@app.command()
def orphans(*, json: Json = False, config: Config = _DEFAULT) -> None:
    """List the records that have no serial, with those made before and after them."""
    from pydantic_core import to_json
    from rich.console import Console

    from agent.cli.desk import asked
    from agent.cli.trace_text import Words
    from agent.control.requests import ListOrphans
    from agent.genealogy.life import Queue

    file, queue = asked(config, ListOrphans(), Queue)
    if json:
        print(to_json(queue.runs, indent=1).decode())
    elif queue.runs:
        Console(soft_wrap=True).print(Words(file.agent.timezone).orphans(queue.runs))
    else:
        print("every record has its serial")


@app.command()
def resolve(
    station: Annotated[str, typer.Argument(help="Where the records were made.")],
    records: Annotated[str, typer.Argument(help="Their numbers, as 17 or 17-96.")],
    serial: Annotated[str, typer.Argument(help="Whose they are.")],
    *,
    reason: Annotated[str, typer.Option(help="How you know.")],
    epoch: Annotated[int, typer.Option(min=1, help="Of the numbers.")] = 1,
    position: Annotated[
        int | None, typer.Option(min=0, help="Of the first weld in the module; others follow.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Of record, if the station has several.")] = None,
    by: By = "",
    config: Config = _DEFAULT,
) -> None:
    """Say whose records without a serial are; a wrong serial is corrected in the same way."""
    from agent.cli.arguments import span
    from agent.cli.desk import asked
    from agent.control.desk import Done
    from agent.control.requests import Resolve

    first, last = span(records, fault="are no numbers of records")
    request = Resolve(
        station=station,
        kind=kind,
        epoch=epoch,
        first=first,
        last=last,
        serial=_cut(serial),
        position=position,
        by=by or getpass.getuser(),
        reason=reason,
    )
    _, done = asked(config, request, Done)
    print(f"{done.count} records are of {serial}")


def _place(config: Path, rows: "tuple[PlacementEntry, ...]", by: str) -> None:
    from agent.cli.desk import asked
    from agent.control.requests import Place
    from agent.genealogy.entries import Placements

    request = Place(rows=rows, by=by or getpass.getuser())
    _, placed = asked(config, request, Placements)
    print(f"{placed.added} entered, {placed.known} known already")


def _cut(serial: str) -> str:
    """Return a serial as a scanner would give it."""
    serial = serial.strip()
    if not 0 < len(serial) <= 64:
        raise FixTheFileError("a serial has 1 to 64 characters")
    return serial
