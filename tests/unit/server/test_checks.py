"""The sink's checks: the sender, every name, every type, every time."""

import dataclasses
from typing import Any

import pytest

from agent.server.checks import MOST_REFUSED, Accepted, RefusedMessageError, check
from agent.server.lines import LineCheck
from agent.server.window import FUTURE_NS, Window
from agent.wire import message
from agent.wire.message import Header, Message
from agent.wire.schema import Schema

DAY_NS = 86_400_000_000_000
NOW_NS = 1_800_000_000_000_000_000
WINDOW = Window.around(NOW_NS, 30 * DAY_NS)
LINES = LineCheck(Schema.of([]))
TOPIC = "lini/v1/data/pi1/home"
HEADER = Header(
    agent="pi1", uplink="home", epoch="00000000000000aa", seq=7, first=5, config="0badcafe"
)


def event(field: str = "count=1i", time_ns: int = NOW_NS, tags: str = "station=w1") -> str:
    return f"event,kind=k,line=l,site=s,{tags} {field} {time_ns}"


def body(*lines: str, pack: bool = False, **changes: Any) -> bytes:
    header = dataclasses.replace(HEADER, **changes)
    return message.encode(Message(header=header, lines=lines), pack=pack)


def checked(payload: bytes, topic: str = TOPIC) -> Accepted:
    return check(topic, payload, lines=LINES, window=WINDOW)


def refusal(payload: bytes, topic: str = TOPIC) -> RefusedMessageError:
    with pytest.raises(RefusedMessageError) as refused:
        checked(payload, topic)
    return refused.value


@pytest.mark.parametrize("pack", [False, True])
def test_a_good_message_passes_unchanged(*, pack: bool) -> None:
    """The lines come out byte for byte, with the header."""
    lines = tuple(event(f"count={each}i") for each in range(50))
    assert checked(body(*lines, pack=pack)) == Accepted(header=HEADER, lines=lines, refused=())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("rubbish", "a line is"),
        ("", "a line is"),
        ("hacked,site=s f=1i 1", "no measurement"),
        (event("count=1.0"), "must be int"),
        (event("news=1i"), "no field news"),
        (event(tags="station=w1,tag=x"), "the tags of event"),
        (event(time_ns=NOW_NS - 31 * DAY_NS), "older than"),
        (event(time_ns=NOW_NS + FUTURE_NS + 1), "future"),
    ],
)
def test_a_bad_line_is_set_apart_from_its_neighbours(bad: str, reason: str) -> None:
    """The good lines before and after it stay, the bad one is named with its reason."""
    good = event()
    found = checked(body(good, bad, good))
    assert found.lines == (good, good)
    (refused,) = found.refused
    assert refused.line == bad
    assert reason in refused.reason


@pytest.mark.parametrize("time_ns", [NOW_NS - 30 * DAY_NS, NOW_NS + FUTURE_NS])
def test_the_window_includes_its_ends(time_ns: int) -> None:
    """The oldest kept and the newest tolerated time pass."""
    assert checked(body(event(time_ns=time_ns))).refused == ()


@pytest.mark.parametrize(
    "topic", ["lini/v1/data/pi2/home", "lini/v1/data/pi1/oem", "lini/v1/data/pi1", ""]
)
def test_a_name_that_is_not_the_topics_is_refused(topic: str) -> None:
    """The broker's access list guards topics, so only the topic says who speaks."""
    error = refusal(body(event()), topic)
    assert "not theirs" in error.what
    assert error.header is None


def test_only_those_on_the_list_may_deliver() -> None:
    """`allow` sees agent and uplink; who is not on the list is not settled either."""

    def allow(agent: str, uplink: str) -> bool:
        return (agent, uplink) == ("pi1", "home")

    check(TOPIC, body(event()), lines=LINES, window=WINDOW, allow=allow)
    with pytest.raises(RefusedMessageError, match="not on the list") as refused:
        check(
            "lini/v1/data/pi2/home",
            body(event(), agent="pi2"),
            lines=LINES,
            window=WINDOW,
            allow=allow,
        )
    assert refused.value.header is None


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xfe", b"hello", b"x\x9cgarbage", b"#" * (message.MAX_BYTES + 1)]
)
def test_what_is_no_message_is_refused_whole(payload: bytes) -> None:
    """Nothing can be said about its sender."""
    assert refusal(payload).header is None


def test_a_broken_message_with_a_true_header_can_be_settled() -> None:
    """The same bytes would come for ever, so its number is told; a forged one's is not."""
    broken = body(event()) + b"\xff\n"
    assert refusal(broken).header == HEADER
    assert refusal(broken, "lini/v1/data/pi2/home").header is None


def test_only_so_many_bad_lines_are_set_apart() -> None:
    """The rest are counted; no good line pays for them."""
    found = checked(body(*["rubbish"] * (MOST_REFUSED + 5), event(), pack=True))
    assert (len(found.refused), found.more, found.lines) == (MOST_REFUSED, 5, (event(),))
