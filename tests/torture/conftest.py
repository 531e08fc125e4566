"""Long runs: how long and from which seed, as `make torture SECONDS=… SEED=…` says."""

import os

import pytest


@pytest.fixture(scope="session")
def seconds() -> float:
    """How long the whole of `make torture` is to take; each test takes its share."""
    return float(os.environ.get("LINI_TORTURE_SECONDS", "600"))


@pytest.fixture(scope="session")
def seed() -> int:
    """Where all random numbers begin: the same seed draws the same faults."""
    return int(os.environ.get("LINI_TORTURE_SEED", "1"))
