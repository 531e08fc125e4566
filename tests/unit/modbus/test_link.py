"""How long characters and silences take on each kind of line."""

from pathlib import Path

import pytest

from collectors.modbus.transport.link import AsciiLink, RtuLink, RtuOverTcpLink, TcpLink

PORT = Path("/dev/serial/by-id/usb-adapter")


@pytest.mark.parametrize(
    ("parity", "stop_bits", "bits"), [("N", 1, 10), ("N", 2, 11), ("E", 1, 11), ("O", 2, 12)]
)
def test_a_character_has_start_data_parity_and_stop_bits(
    parity: str, stop_bits: int, bits: int
) -> None:
    link = RtuLink(port=PORT, baud=9600, parity=parity, stop_bits=stop_bits)
    assert link.character_s == pytest.approx(bits / 9600)
    assert link.silence_s == pytest.approx(3.5 * bits / 9600)


def test_above_19200_baud_the_silence_is_fixed() -> None:
    assert RtuLink(port=PORT, baud=19200).silence_s == pytest.approx(35 / 19200)
    assert RtuLink(port=PORT, baud=38400).silence_s == 0.00175
    assert RtuOverTcpLink(host="server", port=4001, baud=115200).silence_s == 0.00175


def test_ascii_sends_two_characters_a_byte() -> None:
    link = AsciiLink(port=PORT, baud=9600, parity="E")
    assert link.character_s == pytest.approx(2 * 10 / 9600)
    assert link.silence_s == pytest.approx(3.5 * 10 / 9600)


def test_a_network_takes_no_time_and_a_pseudo_terminal_keeps_none(tmp_path: Path) -> None:
    assert (TcpLink(host="plc").character_s, TcpLink(host="plc").silence_s) == (0.0, 0.0)
    (tmp_path / "adapter").symlink_to("/dev/pts/0")
    assert not RtuLink(port=tmp_path / "adapter").is_paced
    assert RtuLink(port=PORT).is_paced
