"""The whole simulated line: machines, their servers, and the truth of what they made."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from collectors.profile import Profile, shipped
from collectors.simulated.formation import FormationCabinet
from collectors.simulated.laser import LaserWelder
from collectors.simulated.ledger import Ledger
from collectors.simulated.memory import Memory
from collectors.simulated.pace import Pace
from collectors.simulated.plc import Plc
from collectors.simulated.server import PtyServer, TcpServer
from collectors.simulated.sorter import Sorter
from collectors.simulated.utilities import Chiller, Meter
from collectors.simulated.welder import Welder

_PLCS: tuple[tuple[str, type[Plc], str], ...] = (
    ("welder-1", Welder, "spot-welder-plc"),
    ("welder-2", Welder, "spot-welder-plc"),
    ("laser-1", LaserWelder, "laser-welder-plc"),
    ("sorter-1", Sorter, "cell-sorter-plc"),
    ("formation-1", FormationCabinet, "formation-cabinet-64"),
)
_CHILLER, _METER = ("chiller-1", "smc-hrs-chiller"), ("meter-1", "eastron-sdm630")
_PLC_ID, _CHILLER_ID, _METER_ID = 1, 1, 2
_EVENTS_A_TURN = 20  # of one machine, before the others and the servers have theirs
_LEAST_SLEEP_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSpec:
    """What to simulate. Two lines with one seed make the same parts, at other times."""

    seed: int = 1
    speed: float = 1.0  # of welders and sorter; at 1 a weld takes 1.2 s
    formation_speed: float = 60.0  # of the cabinet: its hours pass as minutes
    parts: int | None = None  # each station stops after so many; None: never
    meter_on_rtu: bool = False  # on a serial port of its own, not behind the chiller's gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a station is to be read; `host` and `port` for TCP, `path` for RTU."""

    station: str
    profile_name: str
    transport: Literal["tcp", "rtu"]
    device_id: int
    host: str = ""
    port: int = 0
    path: str = ""


class _Device(NamedTuple):
    """A machine, ready to be served."""

    station: str
    profile_name: str
    device_id: int
    memory: Memory


class _Plug(NamedTuple):
    """Where a machine is plugged in. Who is in `wire` answers; `server` is None on a serial line."""

    device: _Device
    wire: dict[int, Memory]
    server: TcpServer | None


class SimulatedLine:
    """Equipment to try Lini on. It runs, and can be read, inside `async with`.

    `ports` is the first of six TCP ports in a row, or 0 for free ones. `clock`, in s since
    1970, stamps the parts.
    """

    def __init__(
        self,
        spec: LineSpec,
        *,
        ledger_path: Path | None = None,
        host: str = "127.0.0.1",
        ports: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.equipment: tuple[Endpoint, ...] = ()
        self.finished = asyncio.Event()
        self._spec = spec
        self._ledger_path = ledger_path
        self._host = host
        self._ports = ports
        self._clock = clock
        self._stack = AsyncExitStack()
        self._plcs: dict[str, Plc] = {}
        self._plugs: dict[str, _Plug] = {}
        self._is_paused = False
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if isinstance(exc, Exception):  # of the body: the task group would wrap it
            await self._stack.aclose()
            return None
        return await self._stack.__aexit__(exc_type, exc, traceback)

    # -- what tests and demos do to it --------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Return how many parts each station has made, test parts included."""
        return {station: plc.made for station, plc in self._plcs.items()}

    def pause(self) -> None:
        """Stop making parts; every part that was made can then be read."""
        self._is_paused = True
        for plc in self._plcs.values():
            plc.pace.pause()
            plc.settle()
        self._changed.set()

    def resume(self) -> None:
        """Go on making parts."""
        self._is_paused = False
        for plc in self._plcs.values():
            if not plc.is_frozen:
                plc.pace.resume()
        self._changed.set()

    def restart_plc(self, station: str) -> None:
        """Power-cycle a PLC: counters, sequence and ring begin anew.

        Parts that nobody has read by then are lost: pause and let them be read first.
        """
        self._plcs[station].restart()

    def freeze(self, station: str) -> None:
        """Put a PLC in STOP: it still answers, but its heartbeat and its work stand still."""
        self._plcs[station].freeze()

    def thaw(self, station: str) -> None:
        """Put a PLC back in RUN."""
        plc = self._plcs[station]
        plc.thaw()
        if self._is_paused:
            plc.pace.pause()
        self._changed.set()

    async def unplug(self, station: str) -> None:
        """Pull the cable. Alone on its port: the server is gone; else only this device is."""
        plug = self._plugs[station]
        plug.wire.pop(plug.device.device_id, None)
        if plug.server is not None and not plug.wire:
            await plug.server.close()

    async def plug(self, station: str) -> None:
        """Put the cable back, at the same address."""
        plug = self._plugs[station]
        was_closed = not plug.wire
        plug.wire[plug.device.device_id] = plug.device.memory
        if plug.server is not None and was_closed:
            await plug.server.open()

    # -- inside -------------------------------------------------------------------------------

    async def _open(self, stack: AsyncExitStack) -> None:
        spec, profiles = self._spec, shipped()
        ledger = stack.enter_context(Ledger(self._ledger_path))
        for number, (station, machine, profile_name) in enumerate(_PLCS):
            is_cabinet = machine is FormationCabinet
            plc = machine(
                station=station,
                profile=profiles[profile_name],
                seed=spec.seed,
                pace=Pace(
                    speed=spec.formation_speed if is_cabinet else spec.speed,
                    clock=self._clock,
                    monotonic=time.monotonic,
                ),
                ledger=ledger,
                limit=spec.parts,
            )
            self._plcs[station] = plc
            device = _Device(station, profile_name, _PLC_ID, plc.memory)
            await self._serve_tcp(stack, [device], offset=number)
        await self._open_utilities(stack, profiles)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(tasks.create_task(self._produce(), name="simulated line").cancel)
        self.resume()

    async def _open_utilities(self, stack: AsyncExitStack, profiles: dict[str, Profile]) -> None:
        (chiller, chiller_profile), (meter, meter_profile) = _CHILLER, _METER
        seed = self._spec.seed
        first = Chiller(station=chiller, profile=profiles[chiller_profile], seed=seed)
        second = Meter(station=meter, profile=profiles[meter_profile], seed=seed)
        devices = [_Device(chiller, chiller_profile, _CHILLER_ID, first.memory)]
        on_its_own = [_Device(meter, meter_profile, _METER_ID, second.memory)]
        if self._spec.meter_on_rtu:
            await self._serve_pty(stack, on_its_own)
        else:
            devices += on_its_own
        await self._serve_tcp(stack, devices, offset=len(_PLCS))

    async def _serve_tcp(
        self, stack: AsyncExitStack, devices: Sequence[_Device], *, offset: int
    ) -> None:
        wire = {each.device_id: each.memory for each in devices}
        port = self._ports + offset if self._ports else 0
        server = await stack.enter_async_context(TcpServer(wire, host=self._host, port=port))
        for each in devices:
            self._plugs[each.station] = _Plug(each, wire, server)
            self.equipment += (
                Endpoint(
                    station=each.station,
                    profile_name=each.profile_name,
                    transport="tcp",
                    device_id=each.device_id,
                    host=self._host,
                    port=server.port,
                ),
            )

    async def _serve_pty(self, stack: AsyncExitStack, devices: Sequence[_Device]) -> None:
        wire = {each.device_id: each.memory for each in devices}
        server = await stack.enter_async_context(PtyServer(wire))
        for each in devices:
            self._plugs[each.station] = _Plug(each, wire, None)
            self.equipment += (
                Endpoint(
                    station=each.station,
                    profile_name=each.profile_name,
                    transport="rtu",
                    device_id=each.device_id,
                    path=server.path,
                ),
            )

    async def _produce(self) -> None:
        """Let each machine do what is due, and sleep until the next thing is."""
        while working := [plc for plc in self._plcs.values() if not plc.is_finished]:
            self._changed.clear()
            wait = min(plc.advance(_EVENTS_A_TURN) for plc in working)
            if wait <= 0:  # late: only let the servers have their turn, and go on
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(wait) else max(wait, _LEAST_SLEEP_S)):
                    await self._changed.wait()
        self.finished.set()
