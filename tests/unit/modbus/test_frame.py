"""Frames byte by byte: what goes out, and what is taken for an answer."""

import ast
import dataclasses
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import collectors
from collectors.modbus.transport.frame import (
    AsciiFramer,
    DamagedError,
    Framer,
    Request,
    RtuFramer,
    TcpFramer,
)
from collectors.register import Table
from tests.fuzz import oracle

ONE = Request(17, Table.HOLDING, 0x006B, 3)  # the example of the standard
DATA = bytes.fromhex("022B00000064")
FRAMERS: list[Framer] = [TcpFramer(), RtuFramer(), AsciiFramer()]


def rtu(body: str | bytes) -> bytes:
    content = bytes.fromhex(body) if isinstance(body, str) else body
    return content + oracle.crc(content).to_bytes(2, "little")


def tcp(transaction: int, body: str, *, protocol: int = 0) -> bytes:
    content = bytes.fromhex(body)
    return struct.pack(">HHH", transaction, protocol, len(content)) + content


def found(framer: Framer, data: bytes, request: Request = ONE) -> bytes | int | None:
    """Return data bytes or code of what is found at once."""
    said = framer.find(bytearray(data), {7: request}, Counter())
    if said is None:
        return None
    answer = said[1]
    return answer.payload if answer.exception is None else answer.exception


def why_not(framer: Framer, data: bytes, request: Request = ONE) -> dict[str, int]:
    discarded: Counter[str] = Counter()
    assert framer.find(bytearray(data), {7: request}, discarded) is None
    return dict(discarded)


def test_a_request_goes_out_as_the_standard_has_it() -> None:
    assert TcpFramer().pack(ONE, 0x1234) == bytes.fromhex("1234 0000 0006 11 03 006B 0003")
    assert RtuFramer().pack(ONE, 9) == bytes.fromhex("11 03 006B 0003 7687")
    assert AsciiFramer().pack(ONE, 9) == b":1103006B00037E\r\n"


TABLES = st.sampled_from(list(Table))


@given(st.integers(0, 255), TABLES, st.integers(0, 65535), st.integers(1, 2000))
def test_whatever_is_asked_only_the_functions_1_to_4_go_out(
    device_id: int, table: Table, address: int, count: int
) -> None:
    """A frame holds the function at a known place, and nothing but address and count after it."""
    try:
        request = Request(device_id, table, address, count)
    except ValueError:
        assert address + count > 65536 or count > 125
        return
    rest = struct.pack(">BHH", device_id, address, count)
    tcp_frame, rtu_frame, line = (framer.pack(request, 1) for framer in FRAMERS)
    for frame in (tcp_frame[6:], rtu_frame[:-2], bytes.fromhex(line[1:-4].decode())):
        assert frame[1] in {1, 2, 3, 4}
        assert frame[:1] + frame[2:] == rest


@pytest.mark.parametrize(
    ("device_id", "table", "address", "count"),
    [
        (256, Table.HOLDING, 0, 1),
        (-1, Table.HOLDING, 0, 1),
        (1.0, Table.HOLDING, 0, 1),
        (1, "registers", 0, 1),
        (1, 6, 0, 1),
        (1, Table.HOLDING, -1, 1),
        (1, Table.HOLDING, 65536, 1),
        (1, Table.HOLDING, 65535, 2),
        (1, Table.HOLDING, "0", 1),
        (1, Table.HOLDING, 0, 0),
        (1, Table.HOLDING, 0, 126),
        (1, Table.COIL, 0, 2001),
        (1, Table.HOLDING, 0, None),
    ],
)
def test_what_no_device_may_answer_cannot_be_asked(
    device_id: int, table: Table, address: int, count: int
) -> None:
    with pytest.raises(ValueError, match=r"is not a whole number from|there is no table"):
        Request(device_id, table, address, count)


def test_a_request_cannot_be_made_into_another_function() -> None:
    with pytest.raises(TypeError):
        Request(1, Table.HOLDING, 0, 1, function=6)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="function"):
        dataclasses.replace(ONE, function=6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ONE.function = 6  # type: ignore[misc]


def test_no_code_of_the_engine_imports_how_to_write() -> None:
    """Nothing that builds or sends a write is imported, nor any client that could."""
    engine = Path(collectors.__path__[0]) / "modbus"
    for path in engine.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.ImportFrom) else []
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith(("pymodbus.client", "pymodbus.pdu")), path
            assert not [name for name in names if "write" in name.lower()], path


def test_the_one_write_is_made_at_one_place_from_one_register() -> None:
    """Its function has one name, which only the layouts of answers use as well."""
    users, makers = set(), set()
    for path in Path(collectors.__path__[0]).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for scope in ast.walk(tree):
            if not isinstance(scope, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            names = {each.id for each in ast.walk(scope) if isinstance(each, ast.Name)}
            if "_WRITE_REGISTER" in names:
                users.add(scope.name)
            calls = [each.func for each in ast.walk(scope) if isinstance(each, ast.Call)]
            if any(isinstance(each, ast.Name) and each.id == "Acknowledgement" for each in calls):
                makers.add((path.name, scope.name))
    assert users == {"Acknowledgement", "__post_init__", "_rtu_sizes"}
    assert makers == {("device.py", "Device"), ("device.py", "acknowledge")}


@pytest.mark.parametrize("code", range(256))
def test_every_code_of_a_refusal_is_a_refusal(code: int) -> None:
    """A code that no standard knows, 0 too, is never an empty value."""
    body = f"1183{code:02X}"
    lrc = -sum(bytes.fromhex(body)) % 256
    assert found(TcpFramer(), tcp(7, body)) == code
    assert found(RtuFramer(), rtu(body)) == code
    assert found(AsciiFramer(), f":{body}{lrc:02x}\r\n".encode()) == code


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("12 03 06 022B00000064", "device"),
        ("11 04 06 022B00000064", "function"),
        ("11 06 006B 0003", "function"),
        ("11 84 02", "function"),
        ("11 03 04 022B0000", "length"),
        ("11 03 08 022B000000640000", "length"),
        ("11 03 05 022B000000", "length"),
    ],
)
def test_a_foreign_answer_is_thrown_away_and_counted(body: str, why: str) -> None:
    content = bytes.fromhex(body)
    line = ":" + content.hex() + f"{-sum(content) % 256:02X}\r\n"
    assert why_not(TcpFramer(), tcp(7, body)) == {why: 1}
    assert why_not(RtuFramer(), rtu(body)) == {why: 1}
    assert why_not(AsciiFramer(), line.encode()) == {why: 1}


class TestTcp:
    def test_the_answer_is_found_behind_a_stream_of_foreign_ones(self) -> None:
        foreign = b"".join(tcp(n, "11 03 06 666666666666") for n in (0, 6, 8, 65535) * 500)
        buffer = bytearray(foreign + tcp(7, "11 03 06 022B00000064") + b"\0\x09\0\0\0")
        discarded: Counter[str] = Counter()
        said = TcpFramer().find(buffer, {7: ONE}, discarded)
        assert said is not None
        assert (said[0], said[1].payload) == (7, DATA)
        assert discarded == {"transaction": 2000}
        assert buffer == b"\0\x09\0\0\0"  # the beginning of the next frame stays

    def test_each_answer_of_a_window_finds_its_request(self) -> None:
        two = Request(17, Table.INPUT, 0, 1)
        buffer = bytearray(tcp(9, "11 04 02 0001") + tcp(7, "11 03 06 022B00000064"))
        asked = {7: ONE, 9: two}
        order = [TcpFramer().find(buffer, asked, Counter()) for _ in range(2)]
        assert [said and said[0] for said in order] == [9, 7]

    def test_an_answer_byte_by_byte_is_found_with_the_last_one(self) -> None:
        framer, buffer = TcpFramer(), bytearray()
        whole = tcp(7, "11 03 06 022B00000064")
        for byte in whole[:-1]:
            buffer.append(byte)
            assert framer.find(buffer, {7: ONE}, Counter()) is None
        assert found(framer, whole) == DATA

    @pytest.mark.parametrize("head", ["0007 0001 0009", "0007 0000 0002", "0007 0000 00FF"])
    def test_what_has_no_frame_borders_is_damaged(self, head: str) -> None:
        with pytest.raises(DamagedError):
            found(TcpFramer(), bytes.fromhex(head) + bytes(9))


class TestRtu:
    GOOD = rtu("11 03 06 022B00000064")

    def framer(self) -> RtuFramer:
        framer = RtuFramer()
        for device_id in (1, 17):
            framer.pack(Request(device_id, Table.HOLDING, 0x006B, 3), 1)
        return framer

    @pytest.mark.parametrize("noise", ["00", "FF", "0000", "FFFFFF", "A5113C", "9F03"])
    def test_the_answer_is_found_in_noise(self, noise: str) -> None:
        before = bytes.fromhex(noise)
        assert found(self.framer(), before + self.GOOD + before) == DATA
        assert why_not(self.framer(), before + bytes(5)) == {"noise": 1}

    def test_an_answer_that_begins_like_a_whole_request_is_waited_for(self) -> None:
        """The CRC of eight bytes fits by chance; seen once in 65536 answers of two registers."""
        asked, whole = Request(4, Table.HOLDING, 17858, 2), bytes.fromhex("0403042B05F1F67300")
        assert oracle.crc(whole[:8]) == oracle.crc(whole) == 0
        framer, buffer = RtuFramer(), bytearray(whole[:8])
        framer.pack(asked, 1)
        assert framer.find(buffer, {7: asked}, Counter()) is None
        assert found(framer, bytes(buffer) + whole[8:], asked) == whole[3:-2]

    def test_noise_that_may_be_the_head_of_a_frame_costs_the_answer_but_no_value(self) -> None:
        assert found(self.framer(), bytes.fromhex("110364") + self.GOOD) is None

    def test_one_wrong_bit_anywhere_makes_it_no_answer(self) -> None:
        for bit in range(8 * len(self.GOOD)):
            damaged = bytearray(self.GOOD)
            damaged[bit // 8] ^= 1 << bit % 8
            assert found(self.framer(), bytes(damaged)) is None
        assert why_not(self.framer(), self.GOOD[:-1] + b"\0")["crc"] == 1

    def test_an_answer_inside_the_data_of_another_is_no_answer(self) -> None:
        """Device 1 shows what it once read from device 17; it comes late, in two pieces."""
        outer = rtu(bytes([1, 3, 2 + len(self.GOOD) + 1]) + b"\0\0" + self.GOOD + b"\0")
        for cut in range(len(outer)):
            framer, buffer = self.framer(), bytearray(outer[:cut])
            assert framer.find(buffer, {7: ONE}, Counter()) is None
            buffer += outer[cut:] + self.GOOD
            said = framer.find(buffer, {7: ONE}, Counter())
            assert said is not None
            assert not buffer  # it was the last one that was taken

    def test_a_refusal_inside_the_data_of_the_awaited_answer_is_no_answer(self) -> None:
        asked = Request(17, Table.HOLDING, 0, 5)
        whole = rtu(bytes([17, 3, 10]) + b"\0\0" + rtu("11 83 02") + b"\0\0\0")
        assert found(self.framer(), whole[:12], asked) is None
        assert found(self.framer(), whole, asked) == whole[3:-2]

    def test_the_echo_of_the_request_is_no_answer(self) -> None:
        """The echo may even look like an answer: here its address is the byte count, 6."""
        framer, asked = RtuFramer(), Request(17, Table.HOLDING, 0x0600, 3)
        echo = framer.pack(asked, 1)
        assert echo[:3] == self.GOOD[:3]
        assert all(found(framer, echo[:size], asked) is None for size in range(9))
        assert found(framer, echo + self.GOOD, asked) == DATA
        assert found(framer, echo + echo + self.GOOD, asked) == DATA


class TestAscii:
    GOOD = b":110306022B0000006455\r\n"

    def test_both_cases_of_hex_digits_are_read(self) -> None:
        assert found(AsciiFramer(), self.GOOD) == DATA
        assert found(AsciiFramer(), self.GOOD.lower()) == DATA

    @pytest.mark.parametrize("noise", [b"\0\xff", b"garbage\r\n", b":1103", b":::", b"\r\n\n\r"])
    def test_the_answer_is_found_in_noise(self, noise: bytes) -> None:
        assert found(AsciiFramer(), noise + self.GOOD + noise) == DATA

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (b":110306022B0000006456\r\n", "crc"),
            (b":110306022B000000645\r\n", "noise"),
            (b":1103 06022B0000006455\r\n", "noise"),
            (b":11030G022B0000006455\r\n", "noise"),
            (b"110306022B0000006455\r\n", "noise"),
            (b":\r\n", "noise"),
            (b":110306022B0000006455", ""),
        ],
    )
    def test_a_damaged_line_is_no_answer(self, line: bytes, why: str) -> None:
        assert why_not(AsciiFramer(), line) == ({why: 1} if why else {})

    def test_a_line_without_end_is_not_kept(self) -> None:
        framer, buffer = AsciiFramer(), bytearray()
        for _ in range(1000):
            buffer += b":" + b"11" * 20
            framer.find(buffer, {7: ONE}, Counter())
            assert len(buffer) < 600
