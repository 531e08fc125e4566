"""A real browser for the page, without a window."""

from collections.abc import Iterator

import pytest
from selenium import webdriver

from tests.browser.browser import Browser
from tests.browser.fake_board import FakeBoard
from tests.browser.live_page import LivePage
from tests.services.ports import free_port
from tests.services.process import binary

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Return one Chromium for the whole run, with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = binary("chromium")
    for flag in _FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(binary("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def board() -> FakeBoard:
    """Return a line of six stations, all well."""
    return FakeBoard()


@pytest.fixture
def page(board: FakeBoard) -> Iterator[LivePage]:
    """Serve `board`."""
    with LivePage(board, free_port()) as live:
        yield live


@pytest.fixture
def browser(chromium: webdriver.Chrome, page: LivePage) -> Iterator[Browser]:
    """Return the browser, ready to open `page`; its log must be clean at the end."""
    browser = Browser(chromium, page.url)
    yield browser
    complaints = browser.complaints()
    browser.leave()
    assert not complaints
