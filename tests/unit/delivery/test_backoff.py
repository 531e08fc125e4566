"""Pauses between tries to connect."""

import random

from agent.delivery.pauses import Disputes, Pauses
from agent.delivery.trouble import Cause


def _pauses(lasted_s: float, cause: Cause = Cause.LINK, count: int = 400) -> list[float]:
    pauses = Pauses(random.Random(1))
    return [pauses.pause(lasted_s, cause) for _ in range(count)]


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
    assert all(15 <= pause <= 30 for pause in _pauses(1, Cause.SETTINGS))


def test_whoever_is_thrown_out_by_its_namesake_waits_longer_each_time() -> None:
    """Half a minute at least, ten at most, and what was stable for less does not shorten it."""
    for lasted_s in (1, 599):
        for turn, pause in enumerate(_pauses(lasted_s, Cause.TAKEN_OVER)):
            longest = min(60 * 2**turn, 600)
            assert longest / 2 <= pause <= longest
    assert max(_pauses(600, Cause.TAKEN_OVER)) <= 60


def test_two_namesakes_are_no_ping_pong() -> None:
    """Two agents that throw each other out for a day do so less than 400 times, in turns."""
    agents = [Pauses(random.Random(seed)) for seed in (1, 2)]
    now, turns = 0.0, 0
    since, back = [0.0, 0.0], [0.0, 1.0]  # connected since, will connect at
    while now < 86_400:
        winner = back.index(min(back))
        loser = 1 - winner
        now, turns = back[winner], turns + 1
        lasted_s = now - since[loser]
        since[winner] = now
        back = [0.0, 0.0]
        back[winner] = float("inf")
        back[loser] = now + agents[loser].pause(lasted_s, Cause.TAKEN_OVER)
    assert 100 < turns < 400


def test_a_dispute_is_believed_at_once_when_told_and_suspected_after_three_short_connections() -> (
    None
):
    """A link that was gone for a while, or a connection that lasted, clears the suspicion."""
    assert Disputes().ended(1, Cause.TAKEN_OVER)
    disputes = Disputes()
    assert [disputes.ended(1, Cause.HUNG_UP) for _ in range(3)] == [False, False, True]
    assert not disputes.ended(40, Cause.HUNG_UP)
    assert [disputes.ended(1, Cause.HUNG_UP) for _ in range(2)] == [False, False]
    assert not disputes.ended(1, Cause.LINK)
    assert not disputes.ended(1, Cause.HUNG_UP)
