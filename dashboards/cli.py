"""`lini dashboards`: Grafana dashboards as files.

The command `lini` finds this by its entry point: agent and dashboards do not import each other.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Grafana dashboards for OEM partners and the shop.")


@app.callback()
def _group() -> None:
    pass


@app.command("build")
def build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")],
) -> None:
    """Write the dashboards, in Indonesian and English, and Grafana's provisioning files."""
    from rich.progress import Progress

    from dashboards.build import build as build_all

    with Progress(transient=True) as progress:
        task = progress.add_task("dashboards")
        written = build_all(
            folder,
            on_progress=lambda done, total, _: progress.update(task, completed=done, total=total),
        )
    print(f"{len(written)} files below {folder}; next: point Grafana's provisioning at it")
