"""Eight cabinets of 64 channels on one agent: it starts, and no channel waits for another."""

from collections import Counter
from pathlib import Path

import pytest

from agent.config import load_edge
from agent.demo.site_file import site_file
from agent.runtime.edge import running
from agent.runtime.line import Line
from collectors.profile import find
from collectors.sample import Sample
from tests.services.cabinets import PROFILE, cabinets
from tests.services.ports import free_port
from tests.services.waiting import eventually

CABINETS, CHANNELS, ROUNDS = 8, 64, 4


async def test_512_channels_are_read_in_turn_and_every_step_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a fifth of the usual period: each channel as often as any other, each with its values."""
    seen: Counter[tuple[str, str]] = Counter()
    sampled = Line.sampled

    def count(self: Line, sample: Sample) -> None:
        if "voltage" in sample.values:
            seen[sample.station.station, sample.channel] += 1
        sampled(self, sample)

    monkeypatch.setattr(Line, "sampled", count)
    profile = find(PROFILE)
    groups = {**profile.groups, "channels": profile.groups["channels"] / 5}
    monkeypatch.setattr(
        "agent.runtime.edge.station_profiles",
        lambda file, _: {
            each.name: profile.model_copy(update={"groups": groups}) for each in file.station
        },
    )
    async with cabinets(CABINETS, speed=300) as (machines, endpoints):
        path = tmp_path / "lini.toml"
        text = site_file(endpoints, broker_port=free_port())
        path.write_text(text.replace("[page]", "[page]\nenabled = false"))
        async with running(path, load_edge(path)) as edge:
            await eventually(
                lambda: len(seen) == CABINETS * CHANNELS and min(seen.values()) >= ROUNDS,
                timeout_s=90,
                what=f"{ROUNDS} rounds of {CABINETS * CHANNELS} channels",
            )
            for each in endpoints:  # one round may be under way
                rounds = [seen[each.station, str(n)] for n in range(1, CHANNELS + 1)]
                assert max(rounds) - min(rounds) <= 1, "a channel was left out"
            for machine in machines:
                machine.pace.pause()
                machine.settle()
            made = sum(machine.made for machine in machines)
            assert made > 0
            await eventually(lambda: edge.line.records == made, timeout_s=60, what="all steps")
            assert edge.line.records_lost == 0
            for model in edge.models:
                assert len(model.channels) == CHANNELS
                faults = [
                    shown.fault
                    for channel in model.channels
                    for shown in model.registers(channel).values()
                ]
                assert not any(faults)
