"""Finding the message that breaks every connection."""

from agent.delivery.suspects import Suspects


def test_messages_in_flight_at_a_death_are_sent_alone() -> None:
    """Until the broker has answered them; the others keep their company."""
    suspects = Suspects()
    suspects.died({4, 5}, 0)
    assert suspects.alone(4)
    assert not suspects.alone(6)
    assert not suspects.guilty(4, 0)
    suspects.answered(4)
    assert not suspects.alone(4)
    assert suspects.alone(5)


def test_three_deaths_alone_are_the_proof() -> None:
    """Deaths in company prove nothing, however many."""
    suspects = Suspects()
    for _ in range(9):
        suspects.died({4, 5}, 0)
    for _ in range(2):
        suspects.died({4}, 0)
    assert not suspects.guilty(4, 0)
    suspects.died({4}, 0)
    assert suspects.guilty(4, 599)
    assert not suspects.guilty(5, 0)


def test_the_guilty_are_tried_again_after_ten_minutes() -> None:
    """The broker may have been mended; if not, one more death is proof enough."""
    suspects = Suspects()
    for _ in range(3):
        suspects.died({4}, 0)
    assert not suspects.guilty(4, 600)
    assert suspects.alone(4)
    suspects.died({4}, 601)
    assert suspects.guilty(4, 1_200)
    suspects.answered(4)
    assert not suspects.guilty(4, 1_200)
    assert not suspects.alone(4)


def test_an_idle_connection_may_die() -> None:
    """Nobody is suspected then."""
    suspects = Suspects()
    suspects.died(set(), 0)
    assert not suspects.alone(1)
