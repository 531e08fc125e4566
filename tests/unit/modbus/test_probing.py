"""When a silent device is asked again: pauses, gaps, and the rare whole probe."""

from collections.abc import Iterator

import pytest

from collectors.modbus.scheduling.probing import Probing

ALWAYS = float("inf")


@pytest.fixture
def probing() -> Probing:
    """Return the probing of a device with a time-out of 1 s, which has failed at time 0."""
    made = Probing(timeout_s=1.0, least_s=0.1)
    made.failed(0.0, waited_s=1.0)
    return made


def times_of_whole_probes(probing: Probing, *, gap_s: float, until_s: int) -> Iterator[float]:
    """Yield when a whole time-out is waited, on a bus that never has a longer gap."""
    for tenth in range(10 * until_s):
        now = tenth / 10
        if listen_s := probing.listen_s(now, gap_s):
            probing.failed(now + listen_s, waited_s=listen_s)
            if listen_s == 1.0:
                yield now


def test_a_probe_listens_no_longer_than_the_gap(probing: Probing) -> None:
    assert probing.listen_s(1.0, 0.5) == pytest.approx(0.45)
    assert probing.listen_s(1.0, ALWAYS) == 1.0


def test_a_gap_in_which_nobody_could_answer_is_not_used(probing: Probing) -> None:
    assert probing.listen_s(1.0, 0.1) == 0.0


def test_pauses_grow_to_half_a_minute_and_are_never_the_same(probing: Probing) -> None:
    pauses, now = [], 0.0
    for _ in range(200):
        probe_at = probing.next_at(now)
        assert probing.listen_s(probe_at - 1e-6, 0.5) == 0.0
        pauses.append(probe_at - now)
        now = probe_at
        probing.failed(now, waited_s=0.45)
    assert pauses[0] <= 1.0
    assert 20 < max(pauses) <= 30
    assert len(set(pauses)) == len(pauses)
    assert 10 < sum(pauses[10:]) / len(pauses[10:]) < 20  # full jitter: half of it on average


def test_on_a_bus_without_gaps_whole_probes_come_ever_more_rarely(probing: Probing) -> None:
    whole = [*times_of_whole_probes(probing, gap_s=0.0, until_s=4000)]
    assert 10 <= len(whole) <= 18
    assert whole[0] < 5
    assert all(after - before > 450 for before, after in zip(whole[-4:], whole[-3:], strict=False))


def test_whole_probes_are_rare_from_the_start_where_gaps_are_used(probing: Probing) -> None:
    whole = [*times_of_whole_probes(probing, gap_s=0.5, until_s=2000)]
    assert 2 <= len(whole) <= 4


def test_after_an_answer_all_begins_anew(probing: Probing) -> None:
    for _ in range(20):
        probing.failed(0.0, waited_s=1.0)
    probing.answered()
    probing.failed(1000.0, waited_s=1.0)
    assert probing.failures == 1
    assert probing.next_at(1000.0) <= 1001.0


def test_a_bus_that_is_down_makes_no_pause_grow(probing: Probing) -> None:
    for now in range(100):
        probing.unreachable(now)
        assert probing.next_at(now) <= now + 1.0
        assert probing.listen_s(now + 1.0, 0.0) == 1.0
