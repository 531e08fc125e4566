"""Messages: numbered, unbroken, and nothing else is taken for one."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.message import MAX_BYTES, Commit, Header, Message, decode, encode

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
NUMBERS = st.integers(0, 10**18 - 1)
HEADERS = st.builds(
    Header,
    agent=NAMES,
    uplink=NAMES,
    epoch=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    seq=NUMBERS,
    first=NUMBERS,
    config=st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
)
LINES = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
HEADER = Header(
    agent="pi1", uplink="home", epoch="00000000000000aa", seq=7, first=5, config="0badcafe"
)


@given(st.builds(Message, header=HEADERS, lines=LINES), st.booleans())
def test_what_is_encoded_comes_back(message: Message, pack: bool) -> None:  # noqa: FBT001 - drawn
    """Header and lines survive, packed or not."""
    assert decode(encode(message, pack=pack)) == message


def test_an_unpacked_message_is_line_protocol_with_a_comment() -> None:
    """Telegraf and InfluxDB read it as it is."""
    body = encode(Message(header=HEADER, lines=["m f=1i 1"]), pack=False)
    assert body == (
        b"# lini 1 agent=pi1 uplink=home epoch=00000000000000aa seq=7 first=5 config=0badcafe\n"
        b"m f=1i 1\n"
    )


def test_packing_is_done_where_it_pays() -> None:
    """A long message shrinks; a short one stays readable."""
    long = Message(header=HEADER, lines=["weld,site=s f=1i 1"] * 500)
    assert len(encode(long, pack=True)) < len(encode(long, pack=False)) / 10
    short = Message(header=HEADER, lines=["m f=1i 1"])
    assert encode(short, pack=True) == encode(short, pack=False)


GOOD = encode(Message(header=HEADER, lines=["m f=1i 1"]), pack=False)
PACKED = encode(Message(header=HEADER, lines=["m f=1i 1"] * 200), pack=True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"m f=1i 1\n",
        GOOD[:-1],  # cut off
        GOOD.replace(b"lini 1", b"lini 2"),
        GOOD.replace(b"seq=7", "seq=٣".encode()),  # a digit of another script
        GOOD.replace(b"seq=7", b"seq=-7"),
        GOOD.replace(b"pi1", b"p/1"),
        GOOD + b"\xff\n",
        PACKED[:-1],
        PACKED[:50],
        PACKED + b"more",
        PACKED[:20] + bytes([PACKED[20] ^ 1]) + PACKED[21:],
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    """Cut, damaged, foreign or dressed up: ValueError, never another exception."""
    with pytest.raises(ValueError, match=r"."):
        decode(body)


def test_a_packed_bomb_is_not_unpacked() -> None:
    """60 kB that would become 60 MB are refused before they do."""
    bomb = zlib.compress(b"\n" * 60_000_000, 9)
    assert len(bomb) < MAX_BYTES
    with pytest.raises(ValueError, match="too long"):
        decode(bomb)


@given(st.binary(max_size=200))
def test_garbage_raises_only_value_error(body: bytes) -> None:
    """No payload can raise anything that the sink does not expect."""
    for each in (body, b"\x78\x9c" + body, GOOD[: len(body)] + body):
        try:
            decode(each)
        except ValueError:
            continue


RANGES = st.lists(st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple), min_size=1)


@given(RANGES)
def test_a_commit_comes_back(ranges: list[tuple[int, int]]) -> None:
    """Every range survives."""
    commit = Commit(epoch="00000000000000aa", ranges=tuple(ranges))
    assert Commit.decode(commit.encode()) == commit


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"# lini-commit 1 epoch=00000000000000aa ",
        b"# lini-commit 1 epoch=00000000000000aa 5-4",
        b"# lini-commit 1 epoch=00000000000000aa 1-",
        b"# lini-commit 1 epoch=xyz 1-2",
        "# lini-commit 1 epoch=00000000000000aa ٣-٣".encode(),
        b"\xff",
    ],
)
def test_what_is_no_commit_is_refused(body: bytes) -> None:
    """An agent deletes what it is told, so it must not be told in doubt."""
    with pytest.raises(ValueError, match=r"."):
        Commit.decode(body)
