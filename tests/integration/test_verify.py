"""`lini verify` against a real InfluxDB: what was taken out of it is named, and nothing else."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from agent.model.ledger import HOUR_NS, Hour, hour_of, ledger_point
from agent.wire import line
from agent.wire.point import Point
from agent.wire.ranges import ranges_of
from collectors.simulated.line import LineSpec, SimulatedLine
from tests.services.database import Database
from tests.services.influxdb import Influx
from tests.services.lini import run_once
from tests.services.mosquitto import Mosquitto
from tests.services.parts import SORTER, START_NS, WELDER, cell, event, weld
from tests.services.plant import plant_in
from tests.services.waiting import eventually

pytestmark = pytest.mark.influxdb

FIRST = hour_of(START_NS)  # 2026-09-21T14:00Z
STEP_NS = HOUR_NS // 50


def row(number: int) -> Point:
    """Return weld `number` of 150, fifty an hour."""
    return weld(number, "M1", time_ns=FIRST + (number - 1) * STEP_NS)


def ledger(hour: int, numbers: Iterable[int], *, epoch: int = 1) -> Point:
    start_ns = FIRST + hour * HOUR_NS
    told = Hour(
        station=WELDER, kind="weld", epoch=epoch, start_ns=start_ns, numbers=ranges_of(numbers)
    )
    return ledger_point(told, "b00c")


def write(database: Database, points: Iterable[Point]) -> None:
    database.write("\n".join(map(line.encode, points)))


@pytest.fixture
def workshop(influx: Database) -> Database:
    """Return a database with three hours of a welder, whole, and an hour of a sorter."""
    write(influx, [row(number) for number in range(1, 151)])
    write(influx, [ledger(hour, range(50 * hour + 1, 50 * hour + 51)) for hour in range(3)])
    sorted_cell = Hour(station=SORTER, kind="cell", epoch=1, start_ns=FIRST, numbers=ranges_of([7]))
    write(influx, [cell(7, "C7", time_ns=FIRST), ledger_point(sorted_cell, "b00c")])
    return influx


def delete(database: Database, measurement: str, first: Point, last: Point | None = None) -> None:
    """Take the rows from `first` to `last` out of the database, both included; or that one."""
    span = f"time >= {first.time_ns} AND time <= {(last or first).time_ns}"
    database.query(f'DELETE FROM "{measurement}" WHERE {span}')  # noqa: S608 - of this file


def verify(
    database: Database,
    folder: Path,
    *,
    since: str = "2026-09-21T14:00",
    until: str = "2026-09-21T17:00",
    token: str = "admin:admin",  # noqa: S107 - of a test
    bucket: str = "",
    url: str = "",
) -> "CompletedProcess[str]":
    (folder / "token").write_text(token)
    return run_once(
        *("verify", "--influx", url or database.server.url, "--bucket", bucket or database.bucket),
        *("--token-file", folder / "token", "--from", since, "--to", until),
    )


def told(done: "CompletedProcess[str]") -> list[str]:
    """Return what was found, without the line of the hours compared."""
    return done.stdout.splitlines()[1:]


def test_a_whole_database_is_complete(workshop: Database, tmp_path: Path) -> None:
    """The control of all others. Times may have an offset, and begin within an hour."""
    complete = ["complete: 151 records of the ledger, each is there once"]
    for since, until in (
        ("2026-09-21T14:00", "2026-09-21T17:00"),
        ("2026-09-21T21:10+07:00", "2026-09-21T16:59"),
        ("2026-09-21", "2026-09-22"),
    ):
        done = verify(workshop, tmp_path, since=since, until=until)
        assert told(done) == complete, done.stderr
        assert done.stdout.startswith("records from 2026-09-21T")
        assert done.returncode == 0


def test_one_row_that_is_missing_is_named(workshop: Database, tmp_path: Path) -> None:
    """With its hour; nothing else is, and the other hours alone are complete."""
    delete(workshop, "weld", row(60))
    done = verify(workshop, tmp_path)
    assert done.returncode == 1
    assert told(done) == [
        "missing: s/l/welder-1 weld epoch 1 hour 2026-09-21T15:00Z no. 60",
        "NOT complete: of 151 records 1 missing, 0 not in the ledger, 0 doubled",
    ]
    assert "NOT complete" in done.stderr
    assert verify(workshop, tmp_path, until="2026-09-21T15:00").returncode == 0


def test_a_range_that_is_missing_is_named_by_its_ends(workshop: Database, tmp_path: Path) -> None:
    """Over the hours that it reaches into, even if a whole hour is gone."""
    delete(workshop, "weld", row(41), row(103))
    done = verify(workshop, tmp_path)
    assert done.returncode == 1
    assert told(done) == [
        "missing: s/l/welder-1 weld epoch 1 hour 2026-09-21T14:00Z no. 41-50",
        "missing: s/l/welder-1 weld epoch 1 hour 2026-09-21T15:00Z no. 51-100",
        "missing: s/l/welder-1 weld epoch 1 hour 2026-09-21T16:00Z no. 101-103",
        "NOT complete: of 151 records 63 missing, 0 not in the ledger, 0 doubled",
    ]


@pytest.mark.parametrize("with_records", [False, True])
def test_a_row_of_the_ledger_that_is_missing_is_noticed(
    workshop: Database, tmp_path: Path, *, with_records: bool
) -> None:
    """By records that nobody issued; or, if those are gone too, by the gap it leaves."""
    delete(workshop, "ledger", ledger(1, [1]))
    expected = [
        "not in the ledger: s/l/welder-1 weld epoch 1 hour 2026-09-21T15:00Z no. 51-100",
        "NOT complete: of 101 records 0 missing, 50 not in the ledger, 0 doubled",
    ]
    if with_records:
        delete(workshop, "weld", row(51), row(100))
        expected = [
            "missing: s/l/welder-1 weld epoch 1 no. 51-100",
            "NOT complete: of 101 records 50 missing, 0 not in the ledger, 0 doubled",
        ]
    done = verify(workshop, tmp_path)
    assert told(done) == expected
    assert done.returncode == 1


def test_what_was_never_issued_and_what_is_there_twice_is_named(
    workshop: Database, tmp_path: Path
) -> None:
    """A forged record, and a copy of a true one at another time or with another result."""
    write(
        workshop,
        [
            weld(999, "M1", time_ns=FIRST + 1),
            weld(3, "M1", time_ns=FIRST + 2),
            weld(4, "M1", time_ns=row(4).time_ns, result="NG"),
        ],
    )
    done = verify(workshop, tmp_path)
    assert done.returncode == 1
    assert told(done) == [
        "not in the ledger: s/l/welder-1 weld epoch 1 hour 2026-09-21T14:00Z no. 999",
        "doubled: s/l/welder-1 weld epoch 1 hour 2026-09-21T14:00Z no. 3-4",
        "NOT complete: of 151 records 0 missing, 1 not in the ledger, 2 doubled",
    ]


def test_what_the_machine_lost_is_named_but_is_no_fault(workshop: Database, tmp_path: Path) -> None:
    """With the agent's reason; the control: without its event the same gap is missing."""
    numbers = [151, 152, 160, 161]
    write(workshop, [row(number) for number in numbers])
    write(workshop, [ledger(3, numbers)])
    silent = verify(workshop, tmp_path, until="2026-09-21T18:00")
    assert silent.returncode == 1
    assert told(silent)[0] == "missing: s/l/welder-1 weld epoch 1 no. 153-159"
    days = 2 * 24 * 3600  # until the agent saw the machine again
    lost = event(
        "records_lost", days, detail="weld", reason="overwritten", epoch=1, from_seq=153, to_seq=159
    )
    write(workshop, [lost])
    done = verify(workshop, tmp_path, until="2026-09-21T18:00")
    loss, outcome = told(done)
    assert loss == (
        "lost at the machine, as reported: s/l/welder-1 weld epoch 1 no. 153-159 (overwritten)"
    )
    assert outcome == (
        "complete: 155 records of the ledger, each is there once; "
        "7 lost at the machine, as reported"
    )
    assert done.returncode == 0


def test_a_row_of_the_ledger_that_contradicts_itself_proves_nothing(
    workshop: Database, tmp_path: Path
) -> None:
    """Half of it changed, as by hand."""
    entry = ledger(1, range(51, 101))
    write(
        workshop,
        [Point(measurement="ledger", tags=entry.tags, fields={"count": 49}, time_ns=entry.time_ns)],
    )
    done = verify(workshop, tmp_path)
    assert done.returncode == 1
    assert told(done)[0] == "ledger unreadable: s/l/welder-1 weld epoch 1 hour 2026-09-21T15:00Z"


def test_nothing_to_compare_with_is_not_complete(workshop: Database, tmp_path: Path) -> None:
    """A time without a ledger, a bucket that is not there, no database at all."""
    for done, words in (
        (verify(workshop, tmp_path, since="2026-09-20", until="2026-09-21"), "has no ledger"),
        (verify(workshop, tmp_path, bucket="none"), "database not found"),
        (verify(workshop, tmp_path, url="http://127.0.0.1:9"), "127.0.0.1:9"),
    ):
        assert done.returncode == 1
        assert words in done.stderr
        assert "complete" not in done.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "yesterday"},
        {"since": "2026-09-22"},
        {"url": "influx.example.com"},
        {"token": ""},
    ],
    ids=str,
)
def test_wrong_options_are_told_from_faults(
    workshop: Database, tmp_path: Path, wrong: dict[str, str]
) -> None:
    """Exit code 2, and nothing is printed that could be taken for a result."""
    done = verify(workshop, tmp_path, **wrong)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "lini: " in done.stderr


def test_a_token_is_needed_where_the_database_asks_for_one(tmp_path: Path) -> None:
    """The right one reads; a wrong one is a fault, and is not shown."""
    with Influx(tmp_path / "influxdb", auth=True) as server:
        server.query("CREATE DATABASE b")
        server.write(line.encode(ledger(0, [1])), db="b")
        server.write(line.encode(row(1)), db="b")
        asked = {"url": server.url, "bucket": "b"}
        unused = Database(server=server, gateway=None, bucket="b")  # type: ignore[arg-type]
        assert verify(unused, tmp_path, **asked).returncode == 0
        wrong = verify(unused, tmp_path, **asked, token="admin:secret-word")
    assert wrong.returncode == 1
    assert "401" in wrong.stderr
    assert "secret-word" not in wrong.stderr


@pytest.mark.mosquitto
async def test_a_real_line_is_complete_until_a_record_is_taken_out(
    influx: Database, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """From simulated machines through agent, broker and sink; the agent is killed on the way."""
    spec = LineSpec(seed=4, speed=40, formation_speed=4000, parts=60)
    with plant_in(tmp_path, mosquitto, influx) as plant:
        async with SimulatedLine(spec, ledger_path=plant.truth) as machines:
            plant.configure(machines.equipment)
            with plant.sink, plant.agent:
                await eventually(lambda: plant.parts() > 50, timeout_s=60)
                plant.agent.kill()
                plant.agent.start()
                await eventually(machines.finished.is_set, timeout_s=60)
                made = sum(machines.counts().values())
                await plant.proof(made=made)
                assert plant.agent.stop() == 0  # the ledger is told by then, but not delivered
                plant.agent.start()
                await eventually(lambda: ledgered(influx) == made, timeout_s=60)
        (newest,) = influx.query('SELECT "seq" FROM "weld" ORDER BY time DESC LIMIT 1')
        since, until = stamp(newest["time"] - 2 * HOUR_NS), stamp(newest["time"] + HOUR_NS)
        done = verify(influx, tmp_path, since=since, until=until)
        assert told(done) == [f"complete: {made} records of the ledger, each is there once"]
        assert done.returncode == 0
        taken = weld(newest["seq"], "", time_ns=newest["time"])
        delete(influx, "weld", taken)
        done = verify(influx, tmp_path, since=since, until=until)
        assert done.returncode == 1
        assert told(done)[0].endswith(f" no. {newest['seq']}")


def ledgered(database: Database) -> int:
    return sum(each["count"] for each in database.query('SELECT "count" FROM "ledger"'))


def stamp(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).isoformat()
