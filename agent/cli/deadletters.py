"""`lini deadletters`: what the sink refused, for people. It may run meanwhile."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collectors.errors import FixTheFileError, LiniError

if TYPE_CHECKING:
    from agent.config import SinkFile
    from agent.server.dead_letters import DeadLetter, DeadLetters, Span

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look through what the sink refused; write it to the database after all, or drop it.",
)
Config = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The sink's configuration.")
]
Which = Annotated[
    list[str] | None, typer.Argument(metavar="[NUMBERS]", help="Of letters, as 17 or 17-96.")
]
All = Annotated[bool, typer.Option("--all", help="Take every letter.")]
_DEFAULT = Path("sink.toml")
_SHOWN = 120  # letters of a content


class StillRefusedError(LiniError):
    """Some letters are as wrong as before."""


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    after: Annotated[int, typer.Option(min=0, help="Begin behind this number.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print everything, for programs.")] = False,
    config: Config = _DEFAULT,
) -> None:
    """Show what was refused: number, time (UTC), sender, reason, and how it begins."""
    import asyncio

    async def work() -> "tuple[list[DeadLetter], int, int]":
        async with _opened(config)[1] as letters:
            found = await letters.letters(limit=limit, after_id=after)
            return found, await letters.count(), await letters.pushed_out()

    found, count, pushed_out = asyncio.run(work())
    if json:
        _print_json(found)
        return
    for each in found:
        print(f"{each.id:>6}  {_utc(each.time_ns)}  {_sender(each)}  {_printable(each.reason)}")
        print(f"        {_printable(_text(each.content))[:_SHOWN]}")
    print(f"{count} letters; {pushed_out} older ones made room")


@app.command()
def retry(which: Which = None, *, all_: All = False, config: Config = _DEFAULT) -> None:
    """Check letters anew and write what passes now. What the database has leaves the list."""
    import asyncio

    asyncio.run(_retry(config, _spans(which or [], all_=all_)))


@app.command()
def drop(which: Which = None, *, all_: All = False, config: Config = _DEFAULT) -> None:
    """Delete letters for good."""
    import asyncio

    spans = _spans(which or [], all_=all_)

    async def work() -> int:
        async with _opened(config)[1] as letters:
            return await letters.remove(spans)

    print(f"{asyncio.run(work())} letters dropped")


async def _retry(config: Path, spans: "list[Span]") -> None:
    import time
    from datetime import timedelta

    from agent.config import read_secret, site_profiles
    from agent.server.influx import InfluxStore
    from agent.server.lines import LineCheck
    from agent.server.retry import retry
    from agent.server.window import Window
    from agent.wire.schema import Schema

    file, dead_letters = _opened(config)
    influx, profiles = file.influx, file.sink.profiles
    token = read_secret(config.parent / influx.token_file)
    lines = LineCheck(Schema.of(site_profiles(config.parent / profiles if profiles else None)))
    retention = timedelta(days=file.sink.retention_days)
    window = Window.around(time.time_ns(), round(retention.total_seconds() * 1e9))
    stored = refused = 0
    async with (
        dead_letters as letters,
        InfluxStore(influx.url, org=influx.org, bucket=influx.bucket, token=token) as store,
    ):
        async for some in retry(letters, spans, store, lines=lines, window=window):
            stored += some.stored
            refused += len(some.refused)
            for number, reason in some.refused.items():
                print(f"{number:>6}  {_printable(reason)}")
    print(f"{stored} letters are in the database now")
    if refused:
        raise StillRefusedError(
            f"{refused} letters are still refused", "`lini deadletters drop` deletes them"
        )


def _opened(config: Path) -> "tuple[SinkFile, DeadLetters]":
    from agent.config import load_sink
    from agent.server.dead_letters import DeadLetters

    file = load_sink(config)
    path = config.parent / file.sink.data / "deadletters.db"
    if not path.exists():
        raise FixTheFileError(f"{path} does not exist", "no sink of this configuration ran here")
    return file, DeadLetters(path)


def _spans(which: list[str], *, all_: bool) -> "list[Span]":
    from agent.cli.arguments import span
    from agent.server.dead_letters import ALL

    if all_ == bool(which):
        raise FixTheFileError("which letters?", "their numbers, as 17 or 17-96; or --all")
    return [ALL] if all_ else [span(each, fault="is no number of a letter") for each in which]


def _print_json(letters: "list[DeadLetter]") -> None:
    from dataclasses import asdict

    from pydantic_core import to_json

    rows = [{**asdict(each), "content": _text(each.content)} for each in letters]
    print(to_json(rows, indent=1).decode())


def _utc(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def _sender(letter: "DeadLetter") -> str:
    return _printable("/".join(letter.topic.split("/")[-2:]))


def _text(content: bytes) -> str:
    return content.decode(errors="backslashreplace")


def _printable(text: str) -> str:
    """Spell out what could move the cursor or turn the writing: strangers wrote this."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
