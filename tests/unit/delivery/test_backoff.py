"""Pauses between tries to connect."""

import random

from agent.delivery.publisher import Pauses


def _pauses(lasted_s: float, *, slow: bool = False, count: int = 400) -> list[float]:
    pauses = Pauses(random.Random(1))
    return [pauses.pause(lasted_s, slow=slow) for _ in range(count)]


def test_pauses_grow_to_half_a_minute_and_are_spread() -> None:
    """The first try comes at once, later ones anywhere up to 30 s, so that no fleet stampedes."""
    pauses = _pauses(1)
    for tries, pause in enumerate(pauses):
        assert 0 <= pause <= min(0.5 * 2**tries, 30)
    late = pauses[10:]
    assert min(late) < 1
    assert 29 < max(late) <= 30
    assert 14 < sum(late) / len(late) < 16


def test_a_flapping_connection_does_not_reset_them_a_stable_one_does() -> None:
    """Two seconds of connection are no sign of health, thirty are."""
    assert max(_pauses(2)) > 25
    assert max(_pauses(30)) <= 0.5


def test_what_only_a_person_can_mend_is_tried_slowly() -> None:
    """A wrong password is neither hammered at nor given up."""
    assert all(15 <= pause <= 30 for pause in _pauses(1, slow=True))
