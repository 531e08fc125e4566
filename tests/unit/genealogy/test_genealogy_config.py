"""`[genealogy]` in lini.toml: what it becomes, and its faults, told before anything runs."""

from pathlib import Path

import pytest

from agent.config import check_links, load_edge, station_profiles
from agent.genealogy.links import Links, PositionMap, Scan
from collectors.errors import FixTheFileError

SITE = """
[agent]
name = "a"
site = "s"
line = "l"
[[bus]]
name = "b"
host = "127.0.0.1"
[[station]]
name = "welder-1"
bus = "b"
profile = "spot-welder-plc"
[[station]]
name = "meter-1"
bus = "b"
device_id = 2
profile = "eastron-sdm630"
[[uplink]]
name = "home"
host = "127.0.0.1"
"""


def links_of(folder: Path, text: str) -> Links:
    """Return the links of a site with this genealogy."""
    path = folder / "lini.toml"
    path.write_text(SITE + text, encoding="utf-8")
    file = load_edge(path)
    check_links(file, station_profiles(file, folder))
    return file.genealogy.links()


def test_a_site_says_what_is_in_what(tmp_path: Path) -> None:
    """Positions are names or numbers; a site without any of it has no links."""
    text = """
[genealogy]
parts = { welder-1 = "pack" }
[[genealogy.map]]
station = "welder-1"
position = "electrode"
cells = [[1, "2b"], [3]]
[[genealogy.scan]]
station = "welder-1"
parent = "electrode"
position = "force"
"""
    assert links_of(tmp_path, text) == Links(
        maps={"welder-1": PositionMap(register="electrode", cells=(("1", "2b"), ("3",)))},
        scans={"welder-1": Scan(parent="electrode", position="force")},
        parts={"welder-1": "pack"},
    )
    assert links_of(tmp_path, "") == Links()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[genealogy.map]]\nstation = "welder-9"\ncells = [[1]]', "no station welder-9"),
        ('[[genealogy.map]]\nstation = "welder-1"\ncells = []', "at least 1 item"),
        (
            '[[genealogy.map]]\nstation = "welder-1"\nposition = "spot"\ncells = [[1]]',
            "have no `spot`; there is: current",
        ),
        ('[[genealogy.map]]\nstation = "meter-1"\ncells = [[1]]', "makes no records"),
        (
            '[[genealogy.scan]]\nstation = "welder-1"\nparent = "a"\nposition = "b"',
            r"no `a`;[\s\S]*no `b`;",
        ),
        ('[genealogy]\nparts = { welder-9 = "pack" }', "no station welder-9"),
        ('[genealogy]\nparts = { welder-1 = "wheel" }', "cell"),
        (2 * '[[genealogy.map]]\nstation = "welder-1"\ncells = [[1]]\n', "stands twice"),
    ],
)
def test_a_fault_is_told(tmp_path: Path, text: str, told: str) -> None:
    """With what there is instead."""
    with pytest.raises(FixTheFileError, match=told):
        links_of(tmp_path, text)
