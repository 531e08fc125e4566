"""Step codes are a table of the profile: two firmwares that count differently are two tables."""

import struct

import pytest

from collectors.modbus.decoding.decode import Decoder
from collectors.modbus.planning.plan import items_of, plan
from collectors.quality import Reason
from tests.services.profiles import small_profile

# Of one maker's cyclers: a newer export counts its kinds of steps from 1, an older one from 0.
FROM_ONE = {"1": "cc_charge", "2": "cc_discharge", "3": "cv_charge", "13": "pause", "16": "pulse"}
FROM_ZERO = {str(int(code) - 1): name for code, name in FROM_ONE.items()}


def step_of(table: dict[str, str], code: int) -> object:
    """Return what a register that holds `code` is read as."""
    register = {"name": "step", "address": 0, "type": "enum", "values": table}
    profile = small_profile([register])
    (read,) = plan(items_of(profile, "live"), profile.modbus)
    (decoded,) = Decoder(read).decode(struct.pack(">H", code))
    fault = decoded.faults.get("step")
    return fault.reason if fault else decoded.values["step"]


@pytest.mark.parametrize("code", [int(code) for code in FROM_ONE])
def test_the_same_step_has_another_number_in_each_table(code: int) -> None:
    """Nothing but the profile knows the numbers."""
    assert step_of(FROM_ONE, code) == FROM_ONE[str(code)]
    assert step_of(FROM_ZERO, code - 1) == FROM_ONE[str(code)]


def test_a_number_that_the_table_does_not_name_is_no_step() -> None:
    """With the wrong table a pause is not taken for the step beside it, where it can be seen."""
    assert step_of(FROM_ONE, 12) is Reason.UNKNOWN_CODE
    assert step_of(FROM_ZERO, 13) is Reason.UNKNOWN_CODE
