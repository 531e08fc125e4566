"""`lini demo`: everything on one machine."""

from typing import Annotated

import typer


def demo(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, help="End after so long, with a proof and an exit code.", metavar="N"),
    ] = None,
    host: Annotated[str, typer.Option(help="Address of the page.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the page; the next free one if taken.")
    ] = 8080,
    seed: Annotated[int, typer.Option(help="The same seed makes the same parts.")] = 1,
    speed: Annotated[
        float, typer.Option(min=0.1, max=100, help="How many times faster than real welders.")
    ] = 1.0,
    influx: Annotated[
        str | None, typer.Option(metavar="URL", help="Write to this InfluxDB as well.")
    ] = None,
    org: Annotated[str, typer.Option(help="Organisation in that InfluxDB.")] = "lini",
    bucket: Annotated[str, typer.Option(help="Bucket in that InfluxDB.")] = "lini",
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="File with the token for that InfluxDB.")
    ] = None,
) -> None:
    """Run a simulated line with broker, agent, sink, database and page, all in one.

    Needs nothing and leaves nothing behind. Two welders, a cell sorter, a formation cabinet, a
    chiller and a meter work; open the page to watch them.
    """
    from pathlib import Path

    from rich.console import Console

    from agent.cli import process
    from agent.config import read_secret
    from agent.demo.play import InfluxTarget, Options, play
    from collectors.simulated.line import LineSpec

    process.set_up_log(quiet=True)
    token = read_secret(Path(token_file)) if token_file else "none"
    target = InfluxTarget(url=influx, org=org, bucket=bucket, token=token) if influx else None
    options = Options(
        seconds=seconds,
        spec=LineSpec(seed=seed, speed=speed),
        page_host=host,
        page_port=port,
        influx=target,
    )
    process.run(play(options, Console()))
