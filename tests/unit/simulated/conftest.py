"""Machines driven by hand: time passes when the test says so."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
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

    def run(self, plc: Plc, until: Callable[[], bool], *, step: float = 0.25) -> None:
        """Let time pass until `until()`, in steps of `step` s; a week is the most."""
        for _ in range(int(7 * 86_400 / step)):
            if until():
                return
            self.seconds += step
            plc.advance(1_000_000)
        raise AssertionError("it did not come about in a week")


MakePlc = Callable[..., Plc]


def build(machine: type[Plc], profile: str, hand: Hand, ledger: Ledger, *, seed: int = 1) -> Plc:
    """Return a running machine, driven by `hand`."""
    plc = machine(
        station="plc-1",
        profile=PROFILES[profile],
        seed=seed,
        pace=Pace(speed=1.0, clock=hand.wall, monotonic=hand.monotonic),
        ledger=ledger,
        monotonic=hand.monotonic,
    )
    plc.pace.resume()
    return plc


@pytest.fixture
def hand() -> Hand:
    """Return the clock of the machines of this test."""
    return Hand()


@pytest.fixture
def make_plc(hand: Hand, tmp_path: Path) -> Iterator[MakePlc]:
    """Return what makes a running machine; its ledger is a file of `tmp_path`."""
    with ExitStack() as stack:

        def make(machine: type[Plc], profile: str, *, seed: int = 1, ledger: str = "ledger") -> Plc:
            file = stack.enter_context(Ledger(tmp_path / ledger))
            return build(machine, profile, hand, file, seed=seed)

        yield make
