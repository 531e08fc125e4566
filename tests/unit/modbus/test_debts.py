"""Which late answers may still come on a line without numbers, and what settles them."""

import pytest

from collectors.modbus.transport.debts import Debts, DoubtfulError
from collectors.modbus.transport.frame import Acknowledgement, QueueRequest, Request
from collectors.register import Table


def read(address: int, count: int, table: Table = Table.HOLDING, device_id: int = 1) -> Request:
    return Request(device_id, table, address, count)


@pytest.fixture
def debts() -> Debts:
    """Return a line on which ten registers from 100 on were asked for at 0 s, in vain."""
    debts = Debts()
    debts.ask(read(100, 10), 0.2, now=0.0)
    return debts


def test_a_request_of_the_same_shape_is_preceded_by_a_smaller_one_at_its_address(
    debts: Debts,
) -> None:
    assert debts.probe(read(500, 10), now=1.0) == read(500, 1)


@pytest.mark.parametrize(
    "other",
    [
        read(100, 9),
        read(100, 10, Table.INPUT),
        read(100, 10, device_id=2),
        read(100, 80, Table.COIL),
    ],
    ids=["count", "table", "device", "bits"],
)
def test_a_request_of_another_shape_is_asked_at_once(debts: Debts, other: Request) -> None:
    assert debts.probe(other, now=1.0) is None


def test_only_refusals_of_the_same_function_and_device_are_doubtful(debts: Debts) -> None:
    assert debts.makes_refusals_doubtful(read(0, 1), now=1.0)
    assert not debts.makes_refusals_doubtful(read(0, 1, Table.INPUT), now=1.0)
    assert not debts.makes_refusals_doubtful(read(0, 1, device_id=2), now=1.0)


def test_each_probe_has_a_shape_that_is_not_owed_yet(debts: Debts) -> None:
    for count in range(1, 10):
        assert debts.probe(read(200, 10), now=1.0) == read(200, count)
        debts.ask(read(200, count), 0.2, now=1.0)
    with pytest.raises(DoubtfulError, match="still owed"):
        debts.probe(read(200, 10), now=1.0)


@pytest.mark.parametrize("asked", [QueueRequest(1, 100), Acknowledgement(1, 41, 7)])
def test_a_queue_and_an_acknowledgement_are_preceded_by_a_read_of_registers(
    debts: Debts, asked: Request
) -> None:
    assert debts.probe(asked, now=1.0) is None
    debts.ask(asked, 0.2, now=1.0)
    assert debts.makes_refusals_doubtful(asked, now=1.0)
    probe = debts.probe(asked, now=1.0)
    assert probe == read(asked.address, 1)
    debts.ask(probe, 0.2, now=1.0)
    assert debts.probe(asked, now=1.0) == read(asked.address, 2)


def test_queues_look_alike_and_acknowledgements_only_if_they_say_the_same() -> None:
    debts = Debts()
    debts.ask(QueueRequest(1, 100), 0.2, now=0.0)
    debts.ask(Acknowledgement(1, 41, 7), 0.2, now=0.0)
    assert debts.probe(QueueRequest(1, 200), now=1.0) == read(200, 1)
    assert debts.probe(Acknowledgement(1, 41, 8), now=1.0) is None
    assert debts.probe(QueueRequest(2, 100), now=1.0) is None


def test_bits_of_one_byte_have_one_shape() -> None:
    debts = Debts()
    debts.ask(read(0, 3, Table.COIL), 0.2, now=0.0)
    assert debts.probe(read(8, 7, Table.COIL), now=1.0) == read(8, 9, Table.COIL)


def test_a_probe_stays_within_the_table() -> None:
    debts = Debts()
    debts.ask(read(65535, 1), 0.2, now=0.0)
    assert debts.probe(read(65535, 1), now=1.0) == read(65534, 2)


def test_an_answer_settles_all_of_its_device_and_of_no_other(debts: Debts) -> None:
    debts.ask(read(100, 10, device_id=2), 0.2, now=0.0)
    debts.settle(1)
    assert debts.probe(read(100, 10), now=1.0) is None
    assert debts.probe(read(100, 10, device_id=2), now=1.0) is not None


def test_a_debt_is_given_up_after_5_s_or_ten_time_outs(debts: Debts) -> None:
    debts.ask(read(100, 20), 2.0, now=0.0)
    assert debts.probe(read(100, 10), now=4.9) is not None
    assert debts.probe(read(100, 10), now=5.1) is None
    assert debts.probe(read(100, 20), now=19.9) is not None
    assert debts.probe(read(100, 20), now=20.1) is None


def test_bytes_that_nobody_asked_for_show_that_answers_are_still_under_way(debts: Debts) -> None:
    debts.stray(4.0)
    assert debts.probe(read(100, 10), now=8.9) is not None
    assert debts.probe(read(100, 10), now=9.1) is None


def test_on_a_line_that_is_never_without_noise_a_debt_is_given_up_after_a_minute(
    debts: Debts,
) -> None:
    for second in range(1, 70):
        debts.stray(float(second))
    assert debts.probe(read(100, 10), now=59.9) is not None
    assert debts.probe(read(100, 10), now=60.1) is None
