"""Building writes whole files, the same ones each time, and says what is wrong in words."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.errors import LiniError
from dashboards.build import build

FILES = [
    "id/01-line-status.json",
    "id/02-welding.json",
    "en/01-line-status.json",
    "en/02-welding.json",
    "provisioning/datasources/lini.yaml",
    "provisioning/dashboards/lini.yaml",
]


def test_build_writes_dashboards_and_provisioning(tmp_path: Path) -> None:
    """Each language has its folder of dashboards; nothing else is left behind."""
    written = build(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in written] == FILES
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)
    for path in written[:4]:
        assert json.loads(path.read_text(encoding="utf-8"))["schemaVersion"] == 39


def test_build_gives_the_same_bytes_again(tmp_path: Path) -> None:
    """Two builds differ in no byte, the second one over the first."""
    first = {path: path.read_bytes() for path in build(tmp_path)}
    assert {path: path.read_bytes() for path in build(tmp_path)} == first


def test_build_of_one_language(tmp_path: Path) -> None:
    """A language that is not asked for is not written."""
    build(tmp_path, ["en"])
    assert {path.name for path in tmp_path.iterdir()} == {"en", "provisioning"}


def test_build_tells_its_progress(tmp_path: Path) -> None:
    """After each file the caller hears how many of how many are done."""
    heard: list[tuple[int, int, Path]] = []
    written = build(tmp_path, on_progress=lambda *step: heard.append(step))
    assert heard == [(done, 6, path) for done, path in enumerate(written, start=1)]


def test_unknown_language_is_refused(tmp_path: Path) -> None:
    """A language without texts is named, with those there are."""
    with pytest.raises(LiniError, match="fr") as caught:
        build(tmp_path, ["fr"])
    assert caught.value.hint == "choose from: id, en"
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in the place of the folder ends the build with the next step."""
    blocked = tmp_path / "blocked"
    blocked.write_text("not a folder")
    with pytest.raises(LiniError, match="cannot be written") as caught:
        build(blocked)
    assert "choose a folder" in caught.value.hint


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (
            "grafanalib",
            'LiniError: dashboards are built with .* → pip install "lini\\[dashboards\\]"',
        ),
        ("dashboards.panels", "ModuleNotFoundError: .*dashboards.panels"),  # the control
    ],
)
def test_without_grafanalib_the_way_to_it_is_named(missing: str, said: str) -> None:
    """The optional library is asked for by its extra; no other missing module is mistaken for it."""
    code = f"import sys; sys.modules[{missing!r}] = None; import dashboards.build"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    last = " ".join(done.stderr.split("\n")[-3:])
    assert re.search(said, last), last


def test_provisioning_names_no_address_and_no_secret(tmp_path: Path) -> None:
    """What differs from site to site comes from the environment; the uid is the preselected one."""
    *_, datasource, provider = build(tmp_path)
    text = datasource.read_text(encoding="utf-8")
    for line in ("url: $LINI_INFLUX_URL", "password: $LINI_INFLUX_READ_TOKEN", "uid: lini"):
        assert line in text
    assert "path: $LINI_DASHBOARDS/$LINI_LANGUAGE" in provider.read_text(encoding="utf-8")
    assert "allowUiUpdates: false" in provider.read_text(encoding="utf-8")
