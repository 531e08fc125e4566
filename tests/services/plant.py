"""Everything between the machines and the database, with real parts: agent, broker, sink, InfluxDB."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.demo.compare import Comparison, compare
from agent.demo.site_file import site_file
from agent.wire.point import Point
from agent.wire.schema import TAGS
from collectors.simulated import ledger
from collectors.simulated.line import Endpoint, SimulatedLine
from tests.services.database import Database
from tests.services.lini import Role
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

KINDS = ("weld", "cell", "formation_step")


@dataclass(frozen=True)
class Plant:
    """Everything between the machines and the database."""

    folder: Path
    broker: Mosquitto
    database: Database
    agent: Role
    sink: Role

    @property
    def truth(self) -> Path:
        return self.folder / "ledger.jsonl"

    def stored(self) -> Iterator[Point]:
        """Yield every part in the database."""
        for kind in KINDS:
            for row in self.database.query(f'SELECT * FROM "{kind}"'):  # noqa: S608 - fixed names
                tags = {tag: row.pop(tag) for tag in TAGS[kind]}
                time_ns = row.pop("time")
                del row["name"]
                fields = {name: value for name, value in row.items() if value is not None}
                yield Point(measurement=kind, tags=tags, fields=fields, time_ns=time_ns)

    def parts(self) -> int:
        """Return how many parts are in the database."""
        return sum(self.database.count(kind, "seq") for kind in KINDS)

    def comparison(self) -> Comparison:
        return compare(ledger.read(self.truth), self.stored())

    def configure(self, equipment: Sequence[Endpoint]) -> None:
        """Write the agent's configuration."""
        text = site_file(equipment, broker_port=self.broker.port, flush_s=0.2)
        text = text.replace("[page]", "[page]\nenabled = false")
        (self.folder / "lini.toml").write_text(text)

    async def proof(self, made: int) -> None:
        """Wait until the database holds all parts, and show that it holds nothing else."""
        await eventually(
            lambda: self.parts() >= made, timeout_s=60, what=f"{made} parts in the database"
        )
        found = self.comparison()
        assert found.made == made
        assert found.is_proof, found


@contextmanager
def plant_in(folder: Path, broker: Mosquitto, database: Database) -> Iterator[Plant]:
    """Configure the sink in `folder`; agent and sink are started by whoever wants them."""
    (folder / "token").write_text(database.token)
    (folder / "sink.toml").write_text(
        f"""
[broker]
host = "127.0.0.1"
port = {broker.port}

[influx]
url = "{database.url}"
org = "{database.org}"
bucket = "{database.bucket}"
token_file = "token"
"""
    )
    with ExitStack() as stack:
        agent = Role("run", folder / "lini.toml")
        sink = Role("sink", folder / "sink.toml")
        stack.callback(agent.kill)
        stack.callback(sink.kill)
        yield Plant(folder=folder, broker=broker, database=database, agent=agent, sink=sink)


async def made_more(line: SimulatedLine, parts: int) -> None:
    """Wait until the machines have made so many more parts, or all."""
    goal = sum(line.counts().values()) + parts
    await eventually(
        lambda: sum(line.counts().values()) >= goal or line.finished.is_set(), timeout_s=120
    )
