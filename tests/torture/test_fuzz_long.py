"""Millions of damaged answers, a new seed for each ten thousand."""

import itertools
import resource
import time

import pytest

from tests.fuzz import campaign, grammar
from tests.fuzz.campaign import Tally

_SHARE = 0.1  # of the time, for each kind: some million streams in ten minutes
_BATCH = 10_000


@pytest.mark.parametrize("kind", grammar.KINDS)
def test_no_damaged_answer_is_ever_accepted(kind: str, seconds: float, seed: int) -> None:
    tally = Tally()
    end = time.monotonic() + _SHARE * seconds
    for batch in itertools.count(1000 * seed):
        campaign.run(kind, seed=batch, streams=_BATCH, tally=tally)
        if batch == 1000 * seed:
            begun_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if time.monotonic() > end:
            break
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun_kib
    assert grown_kib < 4096, f"{tally.streams} streams left {grown_kib} KiB behind"
    assert tally.answers > tally.streams / 10
