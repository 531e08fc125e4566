"""Write all dashboards, in every language, with the files that provision Grafana with them."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from collectors import profile
from collectors.errors import LiniError
from dashboards import provisioning
from dashboards.texts import LANGUAGES, Texts

try:
    from dashboards import variables
    from dashboards.boards.line_status import line_status
    from dashboards.boards.welding import welding
    from dashboards.finalise import Json, finalise
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "grafanalib":
        raise
    raise LiniError(
        "dashboards are built with grafanalib, which is not installed",
        'pip install "lini[dashboards]"',
    ) from error


def build(
    folder: Path,
    languages: Sequence[str] = LANGUAGES,
    *,
    on_progress: Callable[[int, int, Path], None] = lambda _done, _total, _path: None,
) -> list[Path]:
    """Write dashboards and provisioning files below `folder`; return what was written.

    The same input gives the same bytes. `on_progress` hears (done, total, path) after each file.
    Raises LiniError for an unknown language or a folder that cannot be written.
    """
    if unknown := [each for each in languages if each not in LANGUAGES]:
        raise LiniError(
            f"there are no dashboards in {', '.join(unknown)}",
            f"choose from: {', '.join(LANGUAGES)}",
        )
    files = dict(_files(languages))
    written: list[Path] = []
    for name, content in files.items():
        path = folder / name
        _write(path, content)
        written.append(path)
        on_progress(len(written), len(files), path)
    return written


def dashboards(language: str) -> dict[str, Json]:
    """Return the finished dashboards of a language by file name, without `.json`."""
    text = Texts.of(language)
    registers = variables.characteristics(profile.shipped().values())
    return {
        "01-line-status": finalise(line_status(text)),
        "02-welding": finalise(welding(text, registers)),
    }


def _files(languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    for language in languages:
        for name, content in dashboards(language).items():
            text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
            yield f"{language}/{name}.json", text + "\n"
    yield "provisioning/datasources/lini.yaml", provisioning.DATASOURCE
    yield "provisioning/dashboards/lini.yaml", provisioning.DASHBOARDS


def _write(path: Path, content: str) -> None:
    """Replace the file at once: Grafana may be reading the folder."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(content, encoding="utf-8", newline="\n")
        draft.replace(path)
    except OSError as error:
        raise LiniError(
            f"{path} cannot be written: {error.strerror}", "choose a folder that you may write to"
        ) from error
