"""A line that makes parts while everything around it fails, drawn from a seed."""

import random
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

from collectors.simulated.line import Endpoint, LineSpec, SimulatedLine
from tests.services.fault_proxy import Faults, TcpFaultProxy
from tests.services.lini import Role
from tests.services.mosquitto import Mosquitto
from tests.services.plant import Plant, made_more
from tests.services.waiting import eventually

_TIMEOUT_S = 1.0  # that of the profiles
_RATE = 0.01  # of the frames between agent and machines
_PARTS_BETWEEN = (100, 400)  # two blows
_STATIONS = ("welder-1", "welder-2", "laser-1", "sorter-1", "formation-1")
_BLOWS = ("kill agent", "kill sink", "kill broker", "unplug", "freeze", "restart PLC")


async def ordeal(plant: Plant, spec: LineSpec, *, seed: int) -> Counter[str]:
    """Let the line make all its parts and prove that each is stored once; return what was done.

    Frames between agent and machines are delayed, cut, doubled, damaged and reordered; agent, sink
    and broker are killed; cables are pulled; PLCs stop, and start anew with their counters at 0.
    """
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(SimulatedLine(spec, ledger_path=plant.truth))
        proxies: dict[int, TcpFaultProxy] = {}
        for number, port in enumerate(sorted({each.port for each in line.equipment})):
            proxy = TcpFaultProxy(port, Faults(1000 * seed + number, _RATE, _TIMEOUT_S))
            proxies[port] = await stack.enter_async_context(proxy)
        plant.configure([_through(each, proxies) for each in line.equipment])
        with plant.sink, plant.agent:
            deck: list[str] = []
            while not line.finished.is_set():
                await made_more(line, chance.randint(*_PARTS_BETWEEN))
                deck = deck or chance.sample(_BLOWS, len(_BLOWS))
                blow = deck.pop()
                await _strike(plant, line, blow, chance)
                done[blow] += 1
            await plant.proof(made=sum(line.counts().values()))
        for proxy in proxies.values():
            done += proxy.faults.done
    return done


def _through(endpoint: Endpoint, proxies: dict[int, TcpFaultProxy]) -> Endpoint:
    return replace(endpoint, port=proxies[endpoint.port].port)


async def _strike(plant: Plant, line: SimulatedLine, blow: str, chance: random.Random) -> None:
    """Do one thing, and undo it when some more parts were made."""
    station = chance.choice(_STATIONS)
    parts = chance.randint(5, 60)
    match blow:
        case "unplug":
            await line.unplug(station)
            await made_more(line, parts)
            await line.plug(station)
        case "freeze":
            line.freeze(station)
            await made_more(line, parts)
            line.thaw(station)
        case "restart PLC":
            line.pause()  # what nobody has read by then would be lost
            made = sum(line.counts().values())
            await eventually(lambda: plant.parts() >= made, timeout_s=60, what="all parts read")
            line.restart_plc(station)
            line.resume()
        case _:
            victims: dict[str, Role | Mosquitto] = {
                "kill agent": plant.agent,
                "kill sink": plant.sink,
                "kill broker": plant.broker,
            }
            victim = victims[blow]
            victim.kill()
            await made_more(line, parts)
            victim.start()
