"""A Modbus device made with libmodbus in C, over TCP or on one end of a pty pair."""

import os
import select
import subprocess
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.ports import free_port
from tests.services.process import Process, binary, missing

_SOURCE = Path(__file__).with_name("modbus_server.c")


def compiled(folder: Path) -> Path:
    """Return the server's program, compiled into `folder`; skips where libmodbus is missing."""
    compiler = binary("gcc")
    if not Path("/usr/include/modbus/modbus.h").exists():
        missing("libmodbus-dev")
    program = folder / "modbus_server"
    subprocess.run(
        [compiler, "-O1", "-I/usr/include/modbus", _SOURCE, "-o", program, "-lmodbus"], check=True
    )
    return program


@contextmanager
def tcp_device(program: Path, folder: Path) -> Iterator[Process]:
    """Serve on a free port of the loopback."""
    port = free_port()
    with Process([str(program), "tcp", str(port)], port=port, log=folder / "device.log") as device:
        yield device


@contextmanager
def pty_pair() -> Iterator[tuple[Path, Path]]:
    """Join two pseudo terminals, as a cable joins two serial ports; yield the paths of both."""
    ends = [os.openpty() for _ in range(2)]
    for _, inner in ends:
        tty.setraw(inner, termios.TCSANOW)
    (first, _), (second, _) = ends
    stop_reader, stop_writer = os.pipe()
    pump = threading.Thread(target=_pump, args=(first, second, stop_reader), name="cable")
    pump.start()
    try:
        yield Path(os.ttyname(ends[0][1])), Path(os.ttyname(ends[1][1]))
    finally:
        os.write(stop_writer, b"x")
        pump.join()
        for descriptor in (*ends[0], *ends[1], stop_reader, stop_writer):
            os.close(descriptor)


def _pump(one: int, other: int, stop: int) -> None:
    while True:
        ready, _, _ = select.select([one, other, stop], [], [])
        if stop in ready:
            return
        for source, target in ((one, other), (other, one)):
            if source in ready:
                os.write(target, os.read(source, 4096))


@contextmanager
def rtu_device(program: Path) -> Iterator[Path]:
    """Serve device 17 at 115200 baud on one end of a cable; yield the path of the other end."""
    with pty_pair() as (near, far):
        popen = subprocess.Popen([str(program), "rtu", str(far)])
        try:
            yield near
        finally:
            popen.kill()
            popen.wait()
