"""Whether it can be read: contrast, words that are cut off, a wall screen that needs no hand."""

from typing import Any

import pytest

from tests.browser.browser import Browser
from tests.browser.fake_board import FakeBoard, line, trouble

pytestmark = pytest.mark.chromium

SIZES = {"phone": (390, 844), "tablet": (1024, 768), "laptop": (1366, 768), "wall": (1920, 1080)}
SCREENS = ("#/", "#/welder-1", "#/formation-1")

# Every text and icon against the colours behind it, stripes included, by WCAG 2.2, level AA.
FAINT = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const { backgroundColor, backgroundImage } = getComputedStyle(each);
      const found = [backgroundColor, ...(backgroundImage.match(/rgba?\\([^)]*\\)/g) ?? [])]
        .map(numbers).filter(([, , , alpha = 1]) => alpha === 1);
      if (found.length) return found;
    }
    return [[255, 255, 255]];
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const isIcon = node.classList.contains("icon");
    const hasText = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!(isIcon || hasText) || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const needed = isIcon || isLarge ? 3 : 4.5;
    const got = Math.min(...behind(node).map((each) => contrast(numbers(style.color), each)));
    if (got < needed) {
      faint.push(`${got.toFixed(2)} < ${needed}: ${node.getAttribute("class")} ${node.textContent}`);
    }
  }
  return faint;
})()"""

# Text that leaves its box or runs into its neighbour: a word or number that is cut in two.
CUT = """(() => {
  const cut = [];
  const box = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return range.getBoundingClientRect();
  };
  for (const node of document.querySelectorAll(".value, .counts > div, .state, .name, .last, #summary li, .matrix button")) {
    if (!node.checkVisibility()) continue;
    const [inner, outer] = [box(node), node.getBoundingClientRect()];
    if (inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1) {
      cut.push(`${node.className || node.parentElement.className}: ${node.innerText}`);
    }
  }
  return cut;
})()"""

# Numbers on more than one line: 18.250,04 must never read as 18.250 and 04.
BROKEN = """[...document.querySelectorAll(".figure[data-number], .count")]
  .filter((each) => each.checkVisibility() && each.getClientRects().length > 0)
  .filter((each) => each.offsetHeight > 1.8 * parseFloat(getComputedStyle(each).fontSize))
  .map((each) => each.innerText)"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_text_and_icon_has_enough_contrast(
    browser: Browser, board: FakeBoard, screen: str, *, dark: bool
) -> None:
    """Good news and bad keep WCAG AA in both themes, on hatched tiles too."""
    browser.open(f"?lang=id{screen}", dark=dark)
    assert browser.run(FAINT) == []
    trouble(board)
    browser.open(f"?lang=id{screen}", dark=dark)
    assert browser.run(FAINT) == []


def test_faint_text_would_be_seen(browser: Browser) -> None:
    """Control: grey on grey is told."""
    browser.open("?lang=id")
    browser.run("document.querySelector('h1').style.color = '#9aa0a6'")
    assert len(browser.run(FAINT)) == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["id", "en"])
def test_no_word_and_no_number_is_cut(
    browser: Browser, board: FakeBoard, size: str, language: str
) -> None:
    """Long Indonesian labels and long meter readings stay whole, in their own place."""
    long_reading(board)
    trouble(board)
    for screen in (*SCREENS, "#/meter-1"):
        browser.open(f"?lang={language}{screen}", size=SIZES[size])
        assert browser.run(CUT) == []
        assert browser.run(BROKEN) == []


def test_a_cut_word_and_a_broken_number_would_be_seen(browser: Browser) -> None:
    """Control: a narrow figure breaks, one that may not break runs over."""
    browser.open("?lang=id")
    style = "document.querySelector('.figure').style"
    browser.run(f"{style}.cssText = 'width: 1em; overflow-wrap: anywhere'")
    assert browser.run(BROKEN) != []
    browser.run(f"{style}.cssText = 'font-size: 12rem'")
    assert browser.run(CUT) != []


@pytest.mark.parametrize("query", ["?lang=id", "?lang=en", "?lang=id&kiosk", "?lang=en&kiosk"])
def test_the_whole_line_fits_on_a_wall_screen(
    browser: Browser, board: FakeBoard, query: str
) -> None:
    """Six stations need no scrolling at 1920 by 1080, whatever happens to them."""
    for bad in (False, True):
        if bad:
            trouble(board)
        browser.open(query)
        assert browser.count("[data-station]") == 6
        assert browser.run("document.documentElement.scrollHeight") <= 1080


def test_a_hot_channel_is_marked_among_its_like(browser: Browser) -> None:
    """One of 64 channels is warmer than the others in its step: ring, word and reason."""
    browser.open("?lang=id")
    assert browser.count("[data-station=formation-1] .mini [data-apart]") == 1
    assert "menyimpang" in browser.tile("formation-1")
    browser.open("?lang=id#/formation-1")
    browser.click(".matrix [data-apart]")
    assert "suhu menyimpang, median 31,2 °C" in browser.text(".chosen")


def test_a_channel_that_cools_down_loses_its_mark(browser: Browser, board: FakeBoard) -> None:
    """Marks follow the channels while the page is open, on both screens."""
    browser.open("?lang=id")
    channels = station("formation-1")["channels"]
    channels[26] |= {"temperature": 31.0}
    channels[2] |= {"temperature": 39.0}
    board.put("formation-1", channels=channels)
    browser.wait("document.querySelector('.mini :nth-child(3)[data-apart]')", timeout_s=2)
    assert browser.count(".mini [data-apart]") == 1
    browser.click("[data-station=formation-1] a")
    browser.wait("document.querySelector('.matrix :nth-child(3)[data-apart]')", timeout_s=2)
    channels = [{**each, "temperature": 31.0} for each in channels]
    board.put("formation-1", channels=channels)
    browser.wait("!document.querySelector('.matrix [data-apart]')", timeout_s=2)


def test_channels_at_different_times_of_a_step_are_not_apart(
    browser: Browser, board: FakeBoard
) -> None:
    """The voltage of a constant-current step is a matter of time, not of quality."""
    channels = station("formation-1")["channels"]
    for n, channel in enumerate(channels):
        channel |= {"temperature": 31.0, "voltage": 4.2 if n == 5 else 3.2}
    board.put("formation-1", channels=channels)
    browser.open("?lang=id")
    assert browser.count("[data-apart]") == 0


def test_a_value_older_than_its_station_tells_its_age(browser: Browser, board: FakeBoard) -> None:
    """One register that is read no more is not as fresh as the rest of its station."""
    browser.open("?lang=id")
    assert browser.count("[data-station=oven-1] [data-late]") == 0
    values = station("oven-1")["values"]
    values[0] |= {"stale_after_s": -1.0}  # answered this second, and that is too long ago
    board.put("oven-1", values=values)
    browser.wait("document.querySelector('[data-station=oven-1] [data-late]')", timeout_s=2)
    assert browser.count("[data-station=oven-1] [data-late]") == 1
    assert "baru saja" in browser.text("[data-station=oven-1] [data-late] .note")


def station(name: str) -> dict[str, Any]:
    return next(each for each in line() if each["name"] == name)


def long_reading(board: FakeBoard) -> None:
    """Let a meter count far, beside two other values."""
    values = station("meter-1")["values"][1:]
    values[-1] |= {"value": 1_248_213.64, "decimals": 2}
    board.put("meter-1", values=values)
