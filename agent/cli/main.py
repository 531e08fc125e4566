"""`lini`: one command, several roles."""

import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from agent.cli import (
    deadletters,
    demo,
    event,
    plan,
    pull_test,
    run,
    share,
    simulate,
    sink,
    spool,
    trace,
    verify,
)
from collectors.errors import FixTheFileError, LiniError

_EXIT_FAULT = 1
_EXIT_FIX_THE_FILE = 2  # as for a wrong option

app = typer.Typer(
    name="lini",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=(
        "Lini watches battery assembly lines: every weld, cell and formation step exactly once, "
        "from Modbus to the operator's page and your customer's dashboard.\n\n"
        "Start with `lini demo`: it needs nothing but this machine.\n\n"
        "Exit codes: 0 done, 1 a fault, 2 a file or an option to correct."
    ),
)
app.command("demo")(demo.demo)
app.command("plan")(plan.plan)
app.command("run")(run.run)
app.command("sink")(sink.sink)
app.command("simulate")(simulate.simulate)
app.command("event")(event.event)
app.command("pull-test")(pull_test.pull_test)
app.command("verify")(verify.verify)
app.add_typer(deadletters.app, name="deadletters")
app.add_typer(trace.app, name="trace")
app.add_typer(spool.app, name="spool")
app.add_typer(share.app, name="share")
for command in entry_points(group="lini.commands"):  # rooms that `agent` may not import
    app.add_typer(command.load(), name=command.name)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        print(f"lini {version('lini')}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an error for people is one message on stderr and an exit code."""
    try:
        app()
    except FixTheFileError as error:
        print(f"lini: {error}", file=sys.stderr)
        sys.exit(_EXIT_FIX_THE_FILE)
    except LiniError as error:
        print(f"lini: {error}", file=sys.stderr)
        sys.exit(_EXIT_FAULT)
