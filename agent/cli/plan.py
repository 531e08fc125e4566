"""`lini plan`: what the agent would ask of each machine, and the time it takes."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.run import Config


def plan(
    *,
    config: Config = Path("lini.toml"),
    forget: Annotated[
        str | None,
        typer.Option(
            metavar="STATION",
            help="Forget what was learned of this station; stop the agent before.",
        ),
    ] = None,
) -> None:
    """Show every read of every bus, its time, and what machines were found to refuse.

    Asks no machine anything. The exit code is 2 if a bus cannot do what is asked of it.
    """
    import time

    from agent.config import load_edge, station_profiles
    from agent.runtime.memory import Memory
    from agent.runtime.plan_text import plan_text
    from agent.runtime.plant import HOLES, plan_buses
    from collectors.errors import FixTheFileError
    from collectors.modbus.scheduling.budget import refuse_overload

    file, folder = load_edge(config), config.parent
    memory = Memory(folder / file.agent.data / "learned.json")
    if forget is not None:
        names = [station.name for station in file.station]
        if forget not in names:
            raise FixTheFileError(
                f"there is no station `{forget}`", f"choose one of: {', '.join(names)}"
            )
        memory.remember(HOLES, forget, {})
        memory.save()
    profiles = station_profiles(file, folder)
    buses = plan_buses(file, folder, profiles, memory, clock=time.time_ns)
    print("\n\n".join(plan_text(planned) for planned in buses))
    refuse_overload([planned.budget for planned in buses])
