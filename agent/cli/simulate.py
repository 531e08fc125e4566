"""`lini simulate`: the equipment alone."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    *,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65530, help="First of six TCP ports; 0 takes free ones.")
    ] = 1502,
    seed: Annotated[int, typer.Option(help="The same seed makes the same parts.")] = 1,
    speed: Annotated[
        float, typer.Option(min=0.1, max=200, help="How many times faster than real welders.")
    ] = 1.0,
    formation_speed: Annotated[
        float, typer.Option(min=1, help="How many times faster than a real cabinet.")
    ] = 60.0,
    parts: Annotated[
        int | None, typer.Option(min=1, help="Each machine stops after so many parts.")
    ] = None,
    rtu: Annotated[
        bool, typer.Option("--rtu", help="Put the meter on a serial line (a pseudo terminal).")
    ] = False,
    ledger: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write down every part made (JSON lines).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a lini.toml that reads this line.")
    ] = None,
) -> None:
    """Serve a simulated line by Modbus: two welders, sorter, formation cabinet, chiller, meter."""
    import asyncio

    from agent.cli import process
    from agent.demo.site_file import site_file
    from collectors.simulated.line import LineSpec, SimulatedLine

    process.set_up_log()
    spec = LineSpec(
        seed=seed, speed=speed, formation_speed=formation_speed, parts=parts, meter_on_rtu=rtu
    )

    async def work() -> None:
        async with SimulatedLine(spec, ledger_path=ledger, host=host, ports=port) as line:
            for each in line.equipment:
                where = f"{each.host}:{each.port}" if each.transport == "tcp" else each.path
                print(f"{each.station:<12} {where:<22} id {each.device_id:<3} {each.profile_name}")
            if config is not None:
                config.write_text(site_file(line.equipment), encoding="utf-8")
                print(f"next: lini run --config {config}")
            await (asyncio.Event() if parts is None else line.finished).wait()
            print("all parts made; still serving, Ctrl-C ends it")
            await asyncio.Event().wait()

    process.run(work())
