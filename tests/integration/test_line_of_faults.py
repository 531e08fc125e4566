"""Five thousand parts of a line around which everything fails."""

import pytest

from collectors.simulated.line import LineSpec
from tests.services.fault_proxy import NETWORK_ANSWERS
from tests.services.ordeal import ordeal
from tests.services.plant import Plant


@pytest.mark.mosquitto
@pytest.mark.influxdb
@pytest.mark.timeout(300)
async def test_the_ledger_equals_the_database_whatever_fails(plant: Plant) -> None:
    """Field by field, each part once; the control is that of the main job."""
    spec = LineSpec(seed=21, speed=18, formation_speed=1500, parts=1000)
    done = await ordeal(plant, spec, seed=4)
    assert {"kill agent", "kill sink", "kill broker", "unplug", "restart PLC"} <= done.keys()
    assert done.keys() >= {*NETWORK_ANSWERS}
