"""What the tests ask of the browser, in the words of a person before the screen."""

from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.services.waiting import wait_until


class Browser:
    """One tab of Chromium on the page of one test."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self._driver = driver
        self._url = url
        self.complaints()  # forget what an earlier test left

    def open(
        self, query: str = "", *, size: tuple[int, int] = (1920, 1080), dark: bool = False
    ) -> None:
        """Load the page anew, and return once it shows the line."""
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size[0] < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._command("Emulation.setEmulatedMedia", features=[scheme])
        self._driver.get("about:blank")
        self._driver.get(f"{self._url}{query}")
        self.wait(
            "document.querySelector('#link[data-link=live]') && document.querySelector('#main > *')"
        )

    def leave(self) -> None:
        """Close the page's connections and forget what it remembered."""
        self._driver.execute_script("try { localStorage.clear() } catch {}")
        self._driver.get("about:blank")

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self._driver.execute_script(f"return ({expression})")

    def wait(self, expression: str, timeout_s: float = 10) -> Any:
        """Return the first truthy value of a JavaScript expression."""
        return wait_until(lambda: self.run(expression), timeout_s, expression)

    def text(self, selector: str) -> str:
        """Return the visible text of the first match."""
        return str(self.run(f"document.querySelector({selector!r}).innerText"))

    def texts(self, selector: str) -> list[str]:
        """Return the visible text of every match, in order."""
        found = f"[...document.querySelectorAll({selector!r})].map((each) => each.innerText)"
        return [str(text) for text in self.run(found)]

    def count(self, selector: str) -> int:
        """Return how many nodes match."""
        return int(self.run(f"document.querySelectorAll({selector!r}).length"))

    def click(self, selector: str) -> None:
        """Click on the first match, where a person could."""
        self._driver.find_element(By.CSS_SELECTOR, selector).click()

    def is_visible(self, selector: str) -> bool:
        """Return whether the first match can be seen."""
        return self._driver.find_element(By.CSS_SELECTOR, selector).is_displayed()

    def overflow(self, width: int) -> list[str]:
        """Return what reaches beyond `width` px, so that the page would scroll sideways."""
        found = f"""[...document.querySelectorAll("body, body *")]
            .filter((each) => each.getBoundingClientRect().right > {width} + 1)
            .map((each) => each.outerHTML.slice(0, 80))"""
        wide = int(self.run("document.documentElement.scrollWidth"))
        return [*self.run(found), *([f"the page is {wide} px wide"] if wide > width else [])]

    def tile(self, station: str) -> str:
        """Return the visible text of a station's tile."""
        return self.text(f"[data-station={station}]")

    def complaints(self) -> list[str]:
        """Return errors and warnings that the browser logged since it was last asked."""
        entries = self._driver.execute("getLog", {"type": "browser"})["value"]
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen as PNG; with `whole`, all that can be scrolled to."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not whole:
            self._driver.save_screenshot(str(path))
            return
        height = int(self.run("document.documentElement.scrollHeight"))
        width = int(self.run("innerWidth"))
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._driver.save_screenshot(str(path))

    def _command(self, name: str, **arguments: object) -> None:
        self._driver.execute_cdp_cmd(name, arguments)
