"""A hundred thousand parts of a line around which everything fails: some half an hour."""

import pytest

from collectors.simulated.line import LineSpec
from tests.services.ordeal import ordeal
from tests.services.plant import Plant


@pytest.mark.mosquitto
@pytest.mark.influxdb
async def test_the_ledger_equals_the_database_after_100_000_parts(plant: Plant, seed: int) -> None:
    spec = LineSpec(seed=seed, speed=15, formation_speed=600, parts=20_000)
    await ordeal(plant, spec, seed=seed)
