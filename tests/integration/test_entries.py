"""What people enter while the agent runs: a row in the database like those of the machines."""

import pytest

from collectors.simulated.line import LineSpec, SimulatedLine
from tests.services.lini import run_once
from tests.services.plant import Plant
from tests.services.waiting import eventually


@pytest.mark.mosquitto
@pytest.mark.influxdb
async def test_a_pull_test_and_an_event_reach_the_database(plant: Plant) -> None:
    """And one that cannot be is refused, with all that is wrong with it, and not stored."""
    config = plant.folder / "lini.toml"
    pulled = ["--station", "welder-1", "--program", "1", "--type", "peel", "--mode", "button"]
    async with SimulatedLine(LineSpec(parts=2), ledger_path=plant.truth) as line:
        plant.configure(line.equipment)
        with plant.sink, plant.agent:
            await eventually((plant.folder / "lini-data" / "lini.sock").exists)
            good = [
                *pulled,
                "--result",
                "OK",
                "--minimum",
                "35",
                "--serial",
                "MOD-1",
                "--by",
                "ani",
            ]
            done = run_once("pull-test", "42.5", *good, "-c", config)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout == "the pull test of 42.5 N at welder-1 is stored\n"
            weak = [*pulled, "--result", "OK", "--minimum", "35"]
            done = run_once("pull-test", "20", *weak, "-c", config)
            assert done.returncode == 1
            assert "20 N is below the minimum of 35 N: that is not OK" in done.stderr
            done = run_once("event", "calibration", "--station", "welder-1", "-c", config)
            assert done.returncode == 0
            await eventually(lambda: plant.database.count("pull_test", "force"))
            await eventually(
                lambda: plant.database.query("SELECT * FROM event WHERE kind = 'calibration'")
            )
    (row,) = plant.database.query("SELECT * FROM pull_test")
    assert (row["station"], row["program"], row["type"]) == ("welder-1", "1", "peel")
    assert (row["force"], row["force_lsl"], row["ok"]) == (42.5, 35.0, 1)
    assert (row["failure_mode"], row["serial"], row["by"]) == ("button", "MOD-1", "ani")
