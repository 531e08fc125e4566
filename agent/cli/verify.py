"""`lini verify`: whether the database holds every record."""

from pathlib import Path
from typing import Annotated

import typer

_TIME = "YYYY-MM-DD[THH:MM]"


def verify(
    *,
    influx: Annotated[str, typer.Option(metavar="URL", help="The InfluxDB.")],
    bucket: Annotated[str, typer.Option(help="In InfluxDB 1: database/policy.")],
    token_file: Annotated[
        Path, typer.Option(metavar="FILE", help="Its token; in InfluxDB 1: user:password.")
    ],
    from_: Annotated[str, typer.Option("--from", metavar=_TIME, help="UTC, or with an offset.")],
    to: Annotated[str, typer.Option(metavar=_TIME, help="The end, which is excluded.")],
) -> None:
    """Compare the records in a database with the ledger beside them, by whole hours.

    Prints what is missing, doubled or not in the ledger, range by range, and what was lost at
    the machines and reported. The exit code is 0 only if all is there.
    """
    import asyncio
    import time
    from datetime import UTC
    from functools import partial

    from agent.cli.arguments import time_ns
    from agent.config import read_secret
    from agent.model.ledger import HOUR_NS, hour_of
    from agent.verify.check import Findings
    from agent.verify.database import connected
    from agent.verify.report import outcome, report, time_text
    from agent.verify.run import NotCompleteError
    from agent.verify.run import verify as compare
    from collectors.errors import FixTheFileError

    at = partial(time_ns, zone=UTC, form=_TIME)
    from_ns, to_ns = hour_of(at(from_)), hour_of(at(to) + HOUR_NS - 1)
    if from_ns >= to_ns:
        raise FixTheFileError("`--from` is not before `--to`")
    token = read_secret(token_file)

    async def work() -> Findings:
        async with connected(influx, bucket, token) as database:
            return await compare(database, from_ns, to_ns, now_ns=time.time_ns())

    findings = asyncio.run(work())
    print(f"records from {time_text(from_ns)} until before {time_text(to_ns)}")
    for line in report(findings):
        print(line)
    if not findings.is_complete:
        raise NotCompleteError(outcome(findings))
