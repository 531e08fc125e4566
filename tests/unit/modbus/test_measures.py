"""Percentiles from few buckets, near enough to the exact ones."""

import random

import pytest

from collectors.modbus.scheduling.measures import Histogram


@pytest.mark.parametrize("percent", [50, 95, 99, 100])
def test_percentiles_are_right_within_a_twentieth(percent: float) -> None:
    generator = random.Random(3)
    durations = [generator.lognormvariate(-4, 1.5) for _ in range(10_000)]
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    exact = sorted(durations)[round(len(durations) * percent / 100) - 1]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.05)


def test_extremes_have_a_place_and_nothing_is_nothing() -> None:
    histogram = Histogram()
    assert histogram.percentile(99) == 0.0
    histogram.add(0.0)
    assert histogram.percentile(50) == 0.0
    histogram.add(1e9)
    assert histogram.percentile(100) > 3600
    histogram.clear()
    assert (histogram.count, histogram.percentile(99)) == (0, 0.0)
