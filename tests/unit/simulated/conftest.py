"""Machines driven by hand: time passes when the test says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.profile import shipped
from collectors.simulated.ledger import Ledger
from collectors.simulated.pace import Pace
from collectors.simulated.plc import Plc

PROFILES = shipped()
START_S = 1_760_000_000.0


class Hand:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Return s since the test began."""
        return self.seconds

    def wall(self) -> float:
        """Return s since 1970."""
        return START_S + self.seconds


MakePlc = Callable[..., Plc]


@pytest.fixture
def hand() -> Hand:
    """Return the clock of the machines of this test."""
    return Hand()


@pytest.fixture
def make_plc(hand: Hand, tmp_path: Path) -> MakePlc:
    """Return what makes a running machine; its ledger is `tmp_path / station`."""

    def make(machine: type[Plc], profile: str, *, station: str = "plc-1", seed: int = 1) -> Plc:
        plc = machine(
            station=station,
            profile=PROFILES[profile],
            seed=seed,
            pace=Pace(speed=1.0, clock=hand.wall, monotonic=hand.monotonic),
            ledger=Ledger(tmp_path / station),
            monotonic=hand.monotonic,
        )
        plc.pace.resume()
        return plc

    return make
