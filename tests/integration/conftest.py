"""What holds for every test that lets agents and devices meet."""

from collections.abc import Iterator

import pytest

from tests.services import capture
from tests.services.capture import HARMLESS, Functions


@pytest.fixture(scope="module", autouse=True)
def asked_of_devices() -> Iterator[Functions]:
    """Whatever the module's agents ask its simulated devices is harmless, in any process."""
    with capture.received() as functions:
        yield functions
    assert {*functions} <= HARMLESS
