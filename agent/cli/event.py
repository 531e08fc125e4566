"""`lini event`: what people did to the process."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.run import Config
from collectors.errors import FixTheFileError


def event(
    kind: Annotated[str, typer.Argument(help="As electrode_dressed; a wrong one lists them all.")],
    *,
    station: Annotated[str, typer.Option(help="Where.")],
    value: Annotated[str, typer.Option(help="Of the lot, recipe or electrode now in use.")] = "",
    note: Annotated[str, typer.Option(help="What else is worth knowing.")] = "",
    by: Annotated[str, typer.Option(help="Who did it.", metavar="NAME")] = "",
    config: Config = Path("lini.toml"),
) -> None:
    """Enter that an electrode was dressed, a lot started, a gauge calibrated. The agent must run.

    It is stored and delivered like every record.
    """
    from agent.cli.desk import entered
    from agent.control.requests import EVENT_KINDS

    if kind not in EVENT_KINDS:
        raise FixTheFileError(f"there is no event `{kind}`", f"one of: {', '.join(EVENT_KINDS)}")
    about = {"kind": kind, "station": station, "value": value, "note": note}
    entered(config, {"do": "event", "by": by or getpass.getuser(), **about})
    print(f"{kind} at {station} is stored")
