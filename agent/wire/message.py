"""The message around the lines: who sent it, and its number in an unbroken sequence.

A message is UTF-8 line protocol whose first line is a comment, so that Telegraf or any InfluxDB
swallows it unchanged. The number lets the receiver prove that nothing is missing.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

TOPIC_ROOT = "lini/v1"
MAX_BYTES = 64_000  # of a whole message: brokers on small machines refuse more
_ZLIB_MAGIC = 0x78
_WORTH_PACKING = 1_000  # below this, zlib saves less than it costs
_HEADER = re.compile(
    r"# lini 1 agent=(?P<agent>[\w-]{1,64}) uplink=(?P<uplink>[\w-]{1,64})"
    r" epoch=(?P<epoch>[0-9a-f]{16}) seq=(?P<seq>\d{1,18}) first=(?P<first>\d{1,18})"
    r" config=(?P<config>[0-9a-f]{8})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Identity of one message. The stream is (agent, uplink, epoch); `seq` grows by 1."""

    agent: str
    uplink: str
    epoch: str  # 16 hex digits, drawn when the spool was made
    seq: int
    first: int  # the oldest number still held when this message was stored
    config: str  # 8 hex digits: hash of the configuration that made the values


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A header and its lines of line protocol."""

    header: Header
    lines: Sequence[str]


def data_topic(agent: str, uplink: str) -> str:
    """Return the topic an agent publishes its messages to."""
    return f"{TOPIC_ROOT}/data/{agent}/{uplink}"


def commit_topic(agent: str, uplink: str) -> str:
    """Return the topic on which the sink tells an agent what is safe in the database."""
    return f"{TOPIC_ROOT}/commit/{agent}/{uplink}"


def status_topic(agent: str) -> str:
    """Return the retained topic that says whether an agent is there (birth and last will)."""
    return f"{TOPIC_ROOT}/status/{agent}"


def encode(message: Message, *, pack: bool) -> bytes:
    """Return the bytes to store and publish; with `pack`, by zlib where that pays.

    Unpacked, any consumer of line protocol can read them.
    """
    head = message.header
    first = (
        f"# lini 1 agent={head.agent} uplink={head.uplink} epoch={head.epoch}"
        f" seq={head.seq} first={head.first} config={head.config}"
    )
    plain = "\n".join([first, *message.lines, ""]).encode()
    if not pack or len(plain) < _WORTH_PACKING:
        return plain
    packed = zlib.compress(plain, level=6)
    return packed if len(packed) < len(plain) else plain


def decode(payload: bytes) -> Message:
    """Return the message of `payload`.

    Raises ValueError for anything that `encode` does not make, packed bombs included.
    """
    if payload[:1] == bytes([_ZLIB_MAGIC]):
        payload = _unpack(payload)
    text = payload.decode("utf-8")
    first, *lines = text.split("\n")
    found = _HEADER.fullmatch(first)
    if not found:
        raise ValueError("the first line is not a header of Lini")
    if not lines or lines[-1]:
        raise ValueError("the message is cut off: no line feed at its end")
    header = Header(
        agent=found["agent"],
        uplink=found["uplink"],
        epoch=found["epoch"],
        seq=int(found["seq"]),
        first=int(found["first"]),
        config=found["config"],
    )
    return Message(header=header, lines=lines[:-1])


def _unpack(payload: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    limit = 20 * MAX_BYTES
    try:
        plain = unpacker.decompress(payload, limit)
    except zlib.error as error:
        raise ValueError(f"the packed message is damaged: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the packed message is cut off, too long, or not alone")
    return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What the sink has safe in the database: ranges of seq, both ends included, of one epoch."""

    epoch: str
    ranges: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        """Return the payload: `# lini-commit 1 epoch=… 1-5,7-7`."""
        spans = ",".join(f"{low}-{high}" for low, high in self.ranges)
        return f"# lini-commit 1 epoch={self.epoch} {spans}".encode()

    @classmethod
    def decode(cls, payload: bytes) -> "Commit":
        """Return the commit of `payload`; raises ValueError when it is not one."""
        text = payload.decode("utf-8")
        found = re.fullmatch(
            r"# lini-commit 1 epoch=([0-9a-f]{16}) (\d{1,18}-\d{1,18}(?:,\d{1,18}-\d{1,18})*)",
            text,
            re.ASCII,
        )
        if not found:
            raise ValueError("not a commit message")
        spans = (span.split("-") for span in found[2].split(","))
        ranges = tuple((int(low), int(high)) for low, high in spans)
        if any(low > high for low, high in ranges):
            raise ValueError("a range of a commit runs backwards")
        return cls(epoch=found[1], ranges=ranges)
