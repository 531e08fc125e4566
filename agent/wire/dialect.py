"""Which version of MQTT to speak with a broker that may not know the newer one. Pure."""

from dataclasses import replace

from agent.wire.broker import Broker


class Dialect:
    """With `mqtt = "auto"`, every connection begins with 5 and falls back to 3.1.1 if it must.

    So a broker that learns 5 is spoken to in 5 from its next start on. An old broker may also
    hang up at a CONNECT it cannot read, as a bad link does: one that has ever spoken 5 is not
    suspected of that.
    """

    def __init__(self, broker: Broker) -> None:
        self._is_free = broker.mqtt == "auto"
        self._new = replace(broker, mqtt="5") if self._is_free else broker
        self._old = replace(broker, mqtt="3.1.1")
        self._knows_5 = False
        self.broker = self._new
        """The broker, with the version to speak at the next try."""

    @property
    def fell_back(self) -> bool:
        """Whether 3.1.1 is spoken for want of an understanding broker."""
        return self._is_free and self.broker is self._old

    def took(self) -> None:
        """Note that the broker let the connection in."""
        self._knows_5 = self._knows_5 or self.broker.mqtt == "5"

    def ended(self) -> None:
        """Note that a connection, or a try of one, ended for no reason of language."""
        self.broker = self._new

    def refused(self) -> bool:
        """Note that the broker refuses the version; return whether to try the other at once."""
        tries_old = self._is_free and self.broker is self._new
        self.broker = self._old if tries_old else self._new
        return tries_old

    def hung_up(self) -> bool:
        """Note that the broker ended a try without a word; return as `refused` does."""
        if self._knows_5:
            self.ended()
            return False
        return self.refused()
