"""Pictures of every screen, for people to judge: LINI_SCREENSHOTS=DIR pytest tests/browser."""

import os
from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.browser.fake_board import FakeBoard, trouble
from tests.browser.live_page import LivePage

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif("LINI_SCREENSHOTS" not in os.environ, reason="LINI_SCREENSHOTS is not set"),
]

SIZES = {"phone": (390, 844), "tablet": (1024, 768), "wall": (1920, 1080)}
SCREENS = {"line": "#/", "kiosk": "&kiosk#/", "welder": "#/welder-1", "formation": "#/formation-1"}
LOOKS = (("id", False), ("en", True), ("id", True), ("en", False))  # language, dark


def target(*parts: str) -> Path:
    return Path(os.environ["LINI_SCREENSHOTS"]) / f"{'-'.join(parts)}.png"


@pytest.mark.parametrize("mood", ["normal", "trouble"])
@pytest.mark.parametrize("size", SIZES)
def test_every_screen_is_pictured(browser: Browser, board: FakeBoard, size: str, mood: str) -> None:
    """Each screen, size, language and theme leaves one picture."""
    if mood == "trouble":
        trouble(board)
    for screen, fragment in SCREENS.items():
        for language, dark in LOOKS:
            browser.open(f"?lang={language}{fragment}", size=SIZES[size], dark=dark)
            path = target(screen, size, mood, language, "dark" if dark else "light")
            browser.screenshot(path, whole=True)
            assert path.stat().st_size > 5_000


@pytest.mark.parametrize("size", SIZES)
def test_a_lost_agent_is_pictured(browser: Browser, page: LivePage, size: str) -> None:
    """The grey page leaves one picture for each size."""
    browser.open("?lang=id", size=SIZES[size])
    page.stop()
    browser.wait("document.documentElement.hasAttribute('data-dead')")
    browser.screenshot(target("line", size, "dead", "id", "light"))
