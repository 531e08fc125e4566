"""`lini spool`: what the agent still has to deliver. It only looks; nothing is changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.run import Config
from collectors.errors import FixTheFileError

if TYPE_CHECKING:
    from agent.config import AgentTable
    from agent.delivery.view import Overview, Shown

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at what still waits for delivery, while the agent runs or when it is stopped.",
)
Uplink = Annotated[str, typer.Argument(help="As in `lini spool status`.")]
After = Annotated[int, typer.Option(min=0, help="Begin behind this number.")]
_DEFAULT = Path("lini.toml")
_MB = 1_000_000
_AT_ONCE = 20
_NS = 1_000_000_000


@app.command()
def status(
    *,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with times in ns since 1970.")
    ] = False,
    config: Config = _DEFAULT,
) -> None:
    """Tell how much waits for each uplink, since when, and when the spool will be full."""
    from pydantic_core import to_json

    overview = _overview(*_agent(config))
    if json:
        print(to_json(overview, indent=1).decode())
        return
    for queue in overview.queues:
        oldest_ns = queue.stats.oldest_at_ns
        since = f", the oldest of {_utc(oldest_ns)}" if oldest_ns is not None else ""
        print(
            f"{queue.uplink}: {queue.stats.messages} messages,"
            f" {queue.stats.bytes / _MB:.1f} MB{since}"
        )
    print(_room(overview))
    if overview.disk_error:
        print(f"the disk fails, all waits in memory: {overview.disk_error}")


@app.command("list")
def list_(
    uplink: Uplink,
    *,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    config: Config = _DEFAULT,
) -> None:
    """List the messages that wait for an uplink: number, kind, size, rows and their times."""
    from itertools import islice

    print("    number  kind        bytes   rows  from .. to")
    for each in islice(_messages(config, uplink, after), limit):
        times = [int(line.rpartition(" ")[2]) for line in each.lines]
        print(
            f"{each.seq:10}  {each.kind:9} {each.bytes:7} {len(each.lines):6}"
            f"  {_utc(min(times))} .. {_utc(max(times))}"
        )


@app.command()
def export(
    uplink: Uplink,
    target: Annotated[Path, typer.Argument(help="A new file.", metavar="FILE")],
    *,
    after: After = 0,
    config: Config = _DEFAULT,
) -> None:
    """Write all rows that wait for an uplink to a file of line protocol.

    They stay in the spool, and are delivered as if nothing had been written.
    """
    rows = 0
    try:
        with target.open("x", encoding="utf-8") as file:
            for each in _messages(config, uplink, after):
                file.writelines(f"{line}\n" for line in each.lines)
                rows += len(each.lines)
    except FileExistsError as error:
        raise FixTheFileError(f"{target} is there already", "name a new file") from error
    print(f"{rows} rows are in {target}")


def _agent(config: Path) -> "tuple[AgentTable, Path]":
    """Return who the agent is, and its folder."""
    from agent.config import load_edge

    agent = load_edge(config).agent
    return agent, config.parent / agent.data


def _overview(agent: "AgentTable", data: Path) -> "Overview":
    """Return the running agent's overview, or that of the file it left."""
    from agent.cli.desk import answered
    from agent.control.client import NoAgentError
    from agent.control.requests import SpoolOverview
    from agent.delivery.view import Overview, looking_at
    from agent.runtime.spool_watch import limits_of

    def from_file(_: NoAgentError) -> Overview:
        with looking_at(data / "spool.db") as spool:
            return spool.overview(limits_of(agent))

    return answered(data, SpoolOverview(), Overview, from_file)


def _messages(config: Path, uplink: str, after: int) -> "Iterator[Shown]":
    """Yield what waits, a few messages at a time, from the running agent or its file."""
    from agent.cli.desk import answered
    from agent.control.client import NoAgentError
    from agent.control.requests import SpoolPage
    from agent.delivery.view import Page, looking_at

    agent, data = _agent(config)
    known = [each.uplink for each in _overview(agent, data).queues]
    if uplink not in known:
        raise FixTheFileError(
            f"nothing was ever stored for `{uplink}`", f"one of: {', '.join(known)}"
        )

    def from_file(_: NoAgentError) -> Page:
        with looking_at(data / "spool.db") as spool:
            return spool.page(uplink, after, _AT_ONCE)

    def page() -> Page:
        request = SpoolPage(uplink=uplink, after=after, limit=_AT_ONCE)
        return answered(data, request, Page, from_file)

    while found := page().messages:
        yield from found
        after = found[-1].seq


def _room(overview: "Overview") -> str:
    if overview.room < 0:
        return "full: old telemetry is given up, and told as events `gap`"
    room = f"room for {overview.room / _MB:.0f} MB more"
    if overview.full_in_h is None:
        return room
    return f"{room}, full in {overview.full_in_h:.0f} h"


def _utc(time_ns: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(time_ns // _NS, UTC):%Y-%m-%dT%H:%M:%SZ}"
