"""Pictures of every screen, for people to judge: LINI_SCREENSHOTS=DIR pytest tests/browser.

Without a folder a few are taken all the same, to see that no screen is empty or too wide.
"""

import os
from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.browser.fake_board import FakeBoard, trouble
from tests.browser.live_page import LivePage

pytestmark = pytest.mark.chromium

FOLDER = os.environ.get("LINI_SCREENSHOTS")
SIZES = {"phone": (390, 844), "tablet": (1024, 768), "wall": (1920, 1080)}
SCREENS = {"line": "#/", "kiosk": "&kiosk#/", "welder": "#/welder-1", "formation": "#/formation-1"}
LOOKS = (("id", False), ("en", True), ("id", True), ("en", False))  # language, dark
MOODS = ("normal", "trouble")
EMPTY = 20_000  # bytes: more than a PNG of nothing but the background has

whole_matrix = pytest.mark.skipif(FOLDER is None, reason="LINI_SCREENSHOTS is not set")


def take(browser: Browser, path: Path, width: int) -> None:
    """Save a picture of the whole page, and check that it is one."""
    overflow = browser.overflow(width)
    browser.screenshot(path, whole=True)
    assert path.stat().st_size > EMPTY
    assert overflow == []


@pytest.mark.parametrize(
    ("size", "screen"), [("phone", "line"), ("tablet", "formation"), ("wall", "kiosk")]
)
def test_each_size_has_a_picture(
    browser: Browser, board: FakeBoard, tmp_path: Path, size: str, screen: str
) -> None:
    """One screen of each size, on a bad day, is neither empty nor too wide."""
    trouble(board)
    browser.open(f"?lang=id{SCREENS[screen]}", size=SIZES[size])
    take(browser, tmp_path / "page.png", SIZES[size][0])


def test_an_empty_page_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    """Control: a page that shows nothing makes a picture too small to pass."""
    browser.open("?lang=id")
    browser.run("document.body.hidden = true")
    with pytest.raises(AssertionError, match=f"> {EMPTY}"):
        take(browser, tmp_path / "page.png", 1920)


@whole_matrix
@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("size", SIZES)
def test_every_screen_is_pictured(browser: Browser, board: FakeBoard, size: str, mood: str) -> None:
    """Each screen, size, language and theme leaves one picture."""
    if mood == "trouble":
        trouble(board)
    for screen, fragment in SCREENS.items():
        for language, dark in LOOKS:
            browser.open(f"?lang={language}{fragment}", size=SIZES[size], dark=dark)
            path = target(screen, size, mood, language, "dark" if dark else "light")
            take(browser, path, SIZES[size][0])


@whole_matrix
@pytest.mark.parametrize("size", SIZES)
def test_a_lost_agent_is_pictured(browser: Browser, page: LivePage, size: str) -> None:
    """The grey page leaves one picture for each size."""
    browser.open("?lang=id", size=SIZES[size])
    page.stop()
    browser.wait("document.documentElement.hasAttribute('data-dead')")
    take(browser, target("line", size, "dead", "id", "light"), SIZES[size][0])
    browser.complaints()  # of the server that is away


def target(*parts: str) -> Path:
    """Return the file of a picture."""
    assert FOLDER is not None
    return Path(FOLDER) / f"{'-'.join(parts)}.png"
