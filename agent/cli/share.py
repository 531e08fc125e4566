"""`lini share`: what leaves the workshop."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.run import Config

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See what leaves the workshop.")


@app.callback()
def _group() -> None:
    """Keep `explain` a command of its own, as there is but one."""


@app.command()
def explain(
    uplink: Annotated[str, typer.Argument(metavar="NAME", help="As in [[uplink]].")],
    *,
    config: Config = Path("lini.toml"),
) -> None:
    """Show exactly what an uplink gets: stations, rows, fields, rounding, serials, an example.

    Reads the configuration alone; neither the agent nor a broker nor the secret is needed.
    """
    from agent.config import load_edge, station_profiles
    from agent.runtime.share_text import share_text
    from agent.runtime.sharing import EXAMPLE_KEY, share_of
    from agent.wire.schema import Schema
    from collectors.errors import FixTheFileError

    file = load_edge(config)
    profiles = station_profiles(file, config.parent)
    tables = {each.name: each.share for each in file.uplink}
    if uplink not in tables:
        raise FixTheFileError(
            f"there is no uplink `{uplink}`", f"choose one of: {', '.join(tables)}"
        )
    table = tables[uplink]
    share = None if table is None else share_of(file, uplink, table, profiles, key=EXAMPLE_KEY)
    stations = [*profiles, file.agent.name]
    print(share_text(uplink, stations, Schema.of(profiles.values()), share))
