"""Which version of MQTT is spoken with a broker."""

import pytest

from agent.wire.broker import Broker, MqttVersion
from agent.wire.dialect import Dialect


def _dialect(mqtt: MqttVersion = "auto") -> Dialect:
    return Dialect(Broker(host="broker", mqtt=mqtt))


def test_a_broker_that_refuses_5_is_tried_in_the_old_version_at_once() -> None:
    """And in 5 again at the next connection: it may have been replaced by then."""
    dialect = _dialect()
    tried = [dialect.broker.mqtt]
    assert dialect.refused()
    tried.append(dialect.broker.mqtt)
    assert dialect.fell_back
    dialect.took()
    dialect.ended()
    tried.append(dialect.broker.mqtt)
    assert tried == ["5", "3.1.1", "5"]
    assert not dialect.fell_back


def test_a_broker_that_refuses_both_is_not_hammered() -> None:
    """The second refusal is a trouble like others: a pause, and from the start."""
    dialect = _dialect()
    assert [dialect.refused(), dialect.refused()] == [True, False]
    assert dialect.broker.mqtt == "5"


def test_a_broker_that_hangs_up_without_a_word_is_tried_in_both_in_turn() -> None:
    """It may not know how to refuse a version it cannot read."""
    dialect = _dialect()
    tried = []
    for is_tried_at_once in (True, False, True, False):
        tried.append(dialect.broker.mqtt)
        assert dialect.hung_up() is is_tried_at_once
    assert tried == ["5", "3.1.1", "5", "3.1.1"]


def test_a_broker_that_has_spoken_5_is_not_suspected_when_the_link_is_bad() -> None:
    """In 3.1.1 it could no longer tell its limits and refusals."""
    dialect = _dialect()
    dialect.took()
    dialect.ended()
    assert not dialect.hung_up()
    assert dialect.broker.mqtt == "5"


@pytest.mark.parametrize("mqtt", ["5", "3.1.1"])
def test_a_version_that_was_set_is_kept(mqtt: MqttVersion) -> None:
    """Whatever the broker says."""
    dialect = _dialect(mqtt)
    assert not dialect.refused()
    assert not dialect.hung_up()
    assert dialect.broker.mqtt == mqtt
    assert not dialect.fell_back
