"""A batch knows when it is full, and whose each line is."""

import dataclasses
from typing import cast

from agent.server.batch import Batch
from agent.server.checks import Accepted, Refused, RefusedMessageError
from agent.server.connection import Arrival, Connection
from agent.server.writer import MAX_LINES
from agent.wire.message import Header

NOBODY = cast("Connection", None)


def arrival(seq: int, payload: bytes = b"") -> Arrival:
    return Arrival(connection=NOBODY, mid=seq, topic=f"lini/v1/data/pi{seq}/home", payload=payload)


def accepted(seq: int, *lines: str, refused: tuple[Refused, ...] = ()) -> Accepted:
    header = Header(
        agent=f"pi{seq}",
        uplink="home",
        epoch="00000000000000aa",
        seq=seq,
        first=1,
        config="0badcafe",
    )
    return Accepted(header=header, lines=lines, refused=refused)


def test_a_refused_line_is_traced_to_its_message() -> None:
    """The dead letter names topic, sender and number of the message that brought it."""
    batch = Batch()
    batch.accept(arrival(1), accepted(1, "a", "b"), now_ns=1)
    batch.accept(arrival(2), accepted(2, "c", refused=(Refused(line="x", reason="bad"),)), 2)
    batch.refuse(arrival(3, b"junk"), RefusedMessageError("no message"), 3)
    batch.bury({1: "by the store", 2: "by the store"}, 4)
    assert batch.lines == ["a", "b", "c"]
    assert [(each.content, each.topic[-7:], each.reason) for each in batch.letters] == [
        (b"x", "i2/home", "bad"),
        (b"junk", "i3/home", "no message"),
        (b"b", "i1/home", "by the store"),
        (b"c", "i2/home", "by the store"),
    ]
    assert [each.header.split()[0] for each in batch.letters if each.header] == [
        *("agent=pi2", "agent=pi1", "agent=pi2")
    ]
    assert [each.mid for each, _ in batch.arrivals] == [1, 2, 3]


def test_a_batch_is_full_by_lines_or_by_bytes() -> None:
    """Few long lines fill the memory as well as many short ones."""
    batch = Batch()
    batch.accept(arrival(1), accepted(1, *["a"] * (MAX_LINES - 1)), now_ns=1)
    assert not batch.is_full
    batch.accept(arrival(2), accepted(2, "a"), now_ns=1)
    assert batch.is_full
    batch = Batch()
    for seq in range(7):
        batch.accept(arrival(seq), accepted(seq, "a" * 2**20), now_ns=1)
        assert not batch.is_full
    batch.accept(arrival(7), accepted(7, "a" * 2**20), now_ns=1)
    assert batch.is_full


def test_a_message_of_too_many_bad_lines_is_kept_itself() -> None:
    """Lines that have no letter of their own are in the message's."""
    batch = Batch()
    found = dataclasses.replace(accepted(1, refused=(Refused(line="x", reason="bad"),)), more=7)
    batch.accept(arrival(1, b"all of it"), found, now_ns=1)
    assert [(each.content, each.reason) for each in batch.letters] == [
        (b"x", "bad"),
        (b"all of it", "7 more of its lines are refused"),
    ]


def test_refused_lines_fill_a_batch_too() -> None:
    """Rubbish is held in memory like anything else."""
    rubbish = tuple(Refused(line="x", reason="bad") for _ in range(100))
    batch = Batch()
    for seq in range(MAX_LINES // 100):
        assert not batch.is_full
        batch.accept(arrival(seq), accepted(seq, refused=rubbish), now_ns=1)
    assert batch.is_full
    long = Batch()
    for seq in range(9):
        long.accept(arrival(seq), accepted(seq, refused=(Refused(line="x" * 10**6, reason=""),)), 1)
    assert long.is_full
