"""Placements from a spreadsheet: what Excel saves, and every fault with its line."""

from pathlib import Path

import pytest

from agent.genealogy import sheet
from agent.genealogy.entries import PlacementEntry
from agent.genealogy.errors import EntryError


def test_a_sheet_is_read_as_excel_saves_it(tmp_path: Path) -> None:
    """With its mark at the start, semicolons, blanks, columns in any order and empty rows."""
    path = tmp_path / "cells.csv"
    path.write_bytes(
        "\ufeffChild; parent;position;reason\r\nC1; M1 ;1;\r\n;;;\r\nC2;M1;2;moved\r\n".encode()
    )
    assert sheet.read(path, reason="new jig") == (
        PlacementEntry(parent="M1", position="1", child="C1", reason="new jig", line=2),
        PlacementEntry(parent="M1", position="2", child="C2", reason="moved", line=4),
    )


def test_every_fault_is_told_with_its_line() -> None:
    """And the good rows between them do not hide them."""
    lines = [
        "parent,position,child",
        "M1,1,C1",
        "M1,1,C2",
        ",2,C3",
        "M1,3,",
        "M1,4",
        "M2,1,C1",
        "M3,1,M3",
        f"M1,5,{'x' * 65}",
    ]
    with pytest.raises(EntryError) as caught:
        sheet.parse(lines, name="cells.csv")
    assert str(caught.value).splitlines() == [
        "cells.csv: nothing was entered:",
        "  line 3: M1 1 is taken by line 2 already",
        "  line 4: the parent is missing",
        "  line 5: the child is missing",
        "  line 6: has 2 values for 3 columns",
        "  line 7: C1 stands in line 2 already",
        "  line 8: M3 cannot be in itself",
        "  line 9: the child is too long",
    ]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "parent is missing; position is missing; child is missing"),
        (["parent,child", "M1,C1"], "position is missing"),
        (["parent,position,child,colour"], "`colour` is not known"),
    ],
)
def test_a_sheet_without_its_columns_is_told(lines: list[str], told: str) -> None:
    """The first line is named, and how it should begin."""
    with pytest.raises(EntryError, match=told) as caught:
        sheet.parse(lines, name="cells.csv")
    assert "parent,position,child" in caught.value.hint


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """None there, and one of another coding."""
    with pytest.raises(EntryError, match="cannot be read"):
        sheet.read(tmp_path / "none.csv")
    (tmp_path / "old.csv").write_bytes(b"parent,position,child\nM\xe9,1,C1\n")
    with pytest.raises(EntryError, match="UTF-8"):
        sheet.read(tmp_path / "old.csv")


def test_a_sheet_that_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be split, so that one request stays small."""
    monkeypatch.setattr(sheet, "_MOST_ROWS", 2)
    lines = ["parent,position,child", "M1,1,C1", "M1,2,C2", "M1,3,C3"]
    with pytest.raises(EntryError, match="split the file"):
        sheet.parse(lines, name="cells.csv")
