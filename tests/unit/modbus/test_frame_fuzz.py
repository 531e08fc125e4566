"""Damaged answers by the ten thousand: what the framers accept, an independent oracle allows."""

import tracemalloc
from typing import TypeVar

import pytest

from collectors.modbus.transport import frame
from collectors.modbus.transport.frame import Answer, Asked, Discarded, Found, Request, RtuFramer
from tests.fuzz import campaign, grammar
from tests.fuzz.campaign import WrongError

_SEED = 3
_STREAMS = 34_000  # of each kind
T = TypeVar("T")


@pytest.mark.parametrize("kind", grammar.KINDS)
def test_no_damaged_answer_is_accepted_and_no_true_one_missed(kind: str) -> None:
    tally = campaign.run(kind, seed=_SEED, streams=_STREAMS)
    assert {*tally.damages} == {"field", *grammar.DAMAGES}
    assert min(tally.answers, tally.nothing) > _STREAMS / 10
    assert tally.refusals > _STREAMS / 100
    assert (tally.damaged > _STREAMS / 100) == (kind == "tcp")


@pytest.mark.parametrize("kind", grammar.KINDS)
def test_damaged_answers_leave_nothing_behind_in_memory(kind: str) -> None:
    campaign.run(kind, seed=_SEED, streams=300)  # what is made once, is made
    tracemalloc.start()
    try:
        campaign.run(kind, seed=_SEED, streams=300)
        first, _ = tracemalloc.get_traced_memory()
        campaign.run(kind, seed=_SEED, streams=3000)
        last, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last - first < 20_000


def finds_a_wrong_answer(kind: str) -> bool:
    try:
        campaign.run(kind, seed=_SEED, streams=5000)
    except WrongError:
        return True
    return False


@pytest.mark.parametrize("kind", grammar.KINDS)
@pytest.mark.parametrize("guard", ["device", "function", "length"])
def test_control_without_a_guard_a_wrong_answer_is_accepted(
    kind: str, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard is switched off: an answer that only it refuses is taken as it is."""
    checked = frame._answer

    def unchecked(device_id: int, pdu: bytes, request: Request) -> Answer | str:
        said = checked(device_id, pdu, request)
        return Answer(pdu[2:]) if said == guard else said

    monkeypatch.setattr(frame, "_answer", unchecked)
    assert finds_a_wrong_answer(kind)


def test_control_without_the_crc_a_wrong_answer_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame, "_is_sound", lambda data, size: len(data) == size)
    assert finds_a_wrong_answer("rtu")


def test_control_without_the_lrc_a_wrong_answer_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame, "_has_lrc", bool)
    assert finds_a_wrong_answer("ascii")


class AnyNumber(dict[int, Request]):
    """Requests that any transaction number answers."""

    def get(self, key: int, default: T | None = None) -> Request | T | None:  # type: ignore[override]
        return super().get(key) or next(iter(self.values()), default)


def test_control_without_the_transaction_a_wrong_answer_is_accepted() -> None:
    with pytest.raises(WrongError):
        campaign.run("tcp", seed=_SEED, streams=5000, asked_as=AnyNumber)


class SearchingFramer(RtuFramer):
    """Looks for head and CRC wherever they may be, even inside another frame."""

    def find(self, buffer: bytearray, asked: Asked, discarded: Discarded) -> Found | None:
        del discarded
        ((number, request),) = asked.items()
        device_id, function = request.device_id, request.function
        good = bytes([device_id]) + request.opening
        refused = bytes([device_id, function | 0x80])
        for head in (good, refused):
            start = buffer.find(head)
            while start >= 0:
                answer_size = request.answer_size(bytes(buffer[start + 1 :])) or 0
                size = 5 if head is refused else 3 + answer_size
                whole = bytes(buffer[start : start + size])
                if frame._is_sound(whole, size):
                    answer = frame._answer(device_id, whole[1:-2], request)
                    return (number, answer) if isinstance(answer, Answer) else None
                start = buffer.find(head, start + 1)
        return None


def test_control_an_rtu_framer_that_only_searches_takes_an_answer_out_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(campaign.FRAMERS, "rtu", SearchingFramer)
    with pytest.raises(WrongError, match="nest"):
        campaign.run("rtu", seed=_SEED, streams=5000)
