"""When the spool will be full: told once at 12 and once at 4 hours."""

from agent.delivery.forecast import Forecast

MINUTE = 60
PER_MINUTE = 1_000


def _warnings(forecast: Forecast, rooms: list[int], start: int = 0) -> list[tuple[int, int]]:
    told = [(n, forecast.look((start + n) * MINUTE, room)) for n, room in enumerate(rooms)]
    return [(n, hours) for n, hours in told if hours is not None]


def test_both_warnings_come_once_and_in_time() -> None:
    """At a steady rate, to the minute; each once however often one looks."""
    forecast = Forecast()
    rooms = [PER_MINUTE * (20 * 60 - n) for n in range(20 * 60)]
    assert _warnings(forecast, rooms) == [(8 * 60, 12), (16 * 60, 4)]
    assert forecast.full_in_h is not None
    assert round(forecast.full_in_h * 60) == 1


def test_a_spool_that_fills_fast_is_told_of_the_nearest_only() -> None:
    """Not `12 h` when it is 2."""
    rooms = [PER_MINUTE * (2 * 60 - n) for n in range(60)]
    assert _warnings(Forecast(), rooms) == [(10, 4)]


def test_room_that_does_not_shrink_is_no_reason_to_warn() -> None:
    """Steady or draining, or a burst too short to tell."""
    forecast = Forecast()
    assert _warnings(forecast, [5_000] * 90) == []
    assert forecast.full_in_h is None
    assert _warnings(Forecast(), list(range(5_000, 6_000))) == []
    assert _warnings(Forecast(), [5_000, 10]) == []


def test_the_next_outage_is_told_again() -> None:
    """Once the room has grown again."""
    forecast = Forecast()
    filling = [PER_MINUTE * (5 * 60 - n) for n in range(120)]
    assert [hours for _, hours in _warnings(forecast, filling)] == [12, 4]
    draining = [PER_MINUTE * (3 * 60 + 9 * n) for n in range(120)]
    assert _warnings(forecast, draining, 120) == []
    again = [PER_MINUTE * (1000 - n) for n in range(1000)]
    assert [hours for _, hours in _warnings(forecast, again, 240)] == [12, 4]
