"""`lini run`: the edge agent."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The site's configuration.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what developers read too.")]


def run(*, config: Config = Path("lini.toml"), verbose: Verbose = False) -> None:
    """Run the edge agent: read the machines, keep every part, deliver, show the page."""
    from agent.cli import process
    from agent.config import load_edge
    from agent.runtime import edge

    process.set_up_log(verbose=verbose)
    file = load_edge(config)

    async def work() -> None:
        import asyncio

        async with edge.running(config, file):
            await asyncio.Event().wait()

    process.run(work())
