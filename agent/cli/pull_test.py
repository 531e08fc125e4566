"""`lini pull-test`: a weld torn apart to learn its strength."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.run import Config


def pull_test(
    force: Annotated[float, typer.Argument(help="The highest force, in N.", metavar="NEWTON")],
    *,
    station: Annotated[str, typer.Option(help="The welder that made the weld.")],
    program: Annotated[str, typer.Option(help="Its program, as the welder calls it.")],
    pull_type: Annotated[
        str, typer.Option("--type", help="peel, t_peel, lap_shear or cross_tension.")
    ],
    mode: Annotated[str, typer.Option(help="Where it failed: button, interfacial or tab.")],
    result: Annotated[str, typer.Option(help="OK or NG.")],
    minimum: Annotated[float | None, typer.Option(help="What it had to bear, in N.")] = None,
    serial: Annotated[str, typer.Option(help="Of the module; a test strip has none.")] = "",
    position: Annotated[int | None, typer.Option(help="Of the weld in the module.")] = None,
    note: Annotated[str, typer.Option(help="What else is worth knowing.")] = "",
    by: Annotated[str, typer.Option(help="The code of who pulled.", metavar="CODE")] = "",
    config: Config = Path("lini.toml"),
) -> None:
    """Enter a pull test. The agent must run; it is stored and delivered like every record."""
    from agent.cli.desk import entered

    facts = {
        "station": station,
        "program": program,
        "pull_type": pull_type,
        "force_n": force,
        "failure_mode": mode,
        "result": result,
        "minimum_n": minimum,
        "serial": serial,
        "position": position,
        "note": note,
        "by": by or getpass.getuser(),
    }
    entered(config, {"do": "pull_test", **facts})
    print(f"the pull test of {force:g} N at {station} is stored")
