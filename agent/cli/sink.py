"""`lini sink`: the server role, from the broker into InfluxDB."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.run import Verbose


def sink(
    *,
    config: Annotated[
        Path, typer.Option("--config", "-c", metavar="FILE", help="The sink's configuration.")
    ] = Path("sink.toml"),
    verbose: Verbose = False,
) -> None:
    """Run the sink: take agents' messages from the broker, check them, write them to InfluxDB.

    A message is acknowledged only after the database has it.
    """
    from datetime import timedelta

    from agent.cli import process
    from agent.config import load_sink, read_secret, site_profiles
    from agent.server.dead_letters import DeadLetters
    from agent.server.influx import InfluxStore
    from agent.server.sink import Sink
    from agent.wire.schema import Schema

    process.set_up_log(verbose=verbose)
    file = load_sink(config)
    folder = config.parent
    own = folder / file.sink.profiles if file.sink.profiles else None
    schema = Schema.of(site_profiles(own))
    broker = file.broker.broker(folder)
    token = read_secret(folder / file.influx.token_file)

    async def work() -> None:
        influx = file.influx
        async with (
            DeadLetters(folder / file.sink.data / "deadletters.db") as dead_letters,
            InfluxStore(influx.url, org=influx.org, bucket=influx.bucket, token=token) as store,
        ):
            await Sink(
                broker,
                store,
                schema,
                dead_letters,
                client_id=f"lini-{file.sink.name}",
                retention=timedelta(days=file.sink.retention_days),
            ).run()

    process.run(work())
