"""What an operator sees when something happens, in a real browser."""

import time

import pytest

from tests.browser.browser import Browser
from tests.browser.fake_board import START_MS, FakeBoard, alarm, line, trouble, value
from tests.browser.live_page import LivePage

pytestmark = pytest.mark.chromium

PHONE = (390, 844)
DEAD = "document.documentElement.hasAttribute('data-dead')"
NETWORK = ("net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR_EMPTY_")


def shows(station: str, text: str) -> str:
    """Return the expression that is true once a tile shows `text`."""
    return f"document.querySelector('[data-station={station}]').innerText.includes({text!r})"


def not_of_the_network(browser: Browser) -> list[str]:
    """Return the browser's complaints but those of a server that is away."""
    return [each for each in browser.complaints() if not any(code in each for code in NETWORK)]


def test_a_change_of_state_appears_on_the_tile(browser: Browser, board: FakeBoard) -> None:
    """Word and colour of the new state are on the tile without a reload; others stay."""
    browser.open("?lang=id")
    assert "Berjalan" in browser.tile("welder-1")
    board.put("welder-1", state="aborted", reason="emergency_stop")
    browser.wait(shows("welder-1", "Berhenti darurat"), timeout_s=2)
    assert "Berjalan" not in browser.tile("welder-1")
    assert browser.count("[data-station=welder-1][data-level=alarm]") == 1
    assert "Siaga" in browser.tile("oven-1")


def test_an_alarm_appears_and_goes(browser: Browser, board: FakeBoard) -> None:
    """The tile says what happened and what to do; the tab counts the alarms."""
    browser.open("?lang=id")
    smoke = alarm("smoke", "critical", ("Asap", "Smoke"), ("Menjauh.", "Keep away."))
    board.put("formation-1", alarms=[smoke])
    browser.wait(shows("formation-1", "Asap"), timeout_s=2)
    assert "Menjauh." in browser.tile("formation-1")
    browser.wait("document.title.startsWith('(1)')", timeout_s=2)
    board.put("formation-1", alarms=[])
    browser.wait(f"!{shows('formation-1', 'Asap')}", timeout_s=2)


def test_a_station_that_falls_silent_shows_old_data(browser: Browser, board: FakeBoard) -> None:
    """Beyond `stale_after_s` the tile says so, without any news from the agent."""
    browser.open("?lang=id")
    board.silence("welder-1", age_s=3.0)
    browser.wait(shows("welder-1", "3 dtk lalu"), timeout_s=2)
    assert "DATA LAMA" not in browser.tile("welder-1")
    browser.wait(shows("welder-1", "DATA LAMA"), timeout_s=4)
    assert browser.count("[data-level=stale]") == 1


def test_a_station_that_never_answered_is_old_and_says_so(
    browser: Browser, board: FakeBoard
) -> None:
    """No time is made up for data that never came."""
    board.silence("meter-1", age_s=None)
    browser.open("?lang=id")
    tile = browser.tile("meter-1")
    assert "DATA LAMA" in tile
    assert "belum ada data" in tile


def test_a_lost_agent_greys_the_page_and_heals(browser: Browser, page: LivePage) -> None:
    """Within 6 s of its end nothing looks alive; back on the same port, the page comes back."""
    browser.open("?lang=id")
    assert not browser.run(DEAD)
    page.stop()
    began = time.monotonic()
    browser.wait(DEAD, timeout_s=6)
    assert time.monotonic() - began <= 6
    assert browser.is_visible("#cut")
    assert "TERPUTUS" in browser.text("#cut")
    assert browser.count("[data-station][data-level=stale]") == browser.count("[data-station]") == 6
    page.start()
    browser.wait(f"!{DEAD}", timeout_s=8)
    browser.wait(shows("welder-1", "Berjalan"), timeout_s=2)
    assert browser.count("[data-level=stale]") == 0
    assert not not_of_the_network(browser)


def test_a_frozen_agent_greys_the_page_and_heals(browser: Browser, page: LivePage) -> None:
    """A connection that stays open but says nothing is as dead as none."""
    browser.open("?lang=en")
    page.freeze()
    browser.wait(DEAD, timeout_s=6)
    page.thaw()
    browser.wait(f"!{DEAD}", timeout_s=8)
    assert not not_of_the_network(browser)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("id", ("Las titik 1", "Berjalan", "1,482", "DATA LAMA")),
        ("en", ("Spot welder 1", "Running", "1.482", "STALE DATA")),
    ],
)
def test_the_page_speaks_both_languages(
    browser: Browser, board: FakeBoard, language: str, words: tuple[str, ...]
) -> None:
    """`?lang` decides about titles, words, decimal marks, and the language HTML declares."""
    board.silence("meter-1", age_s=95)
    browser.open(f"?lang={language}")
    assert browser.run("document.documentElement.lang") == language
    *of_welder, stale = words
    for word in of_welder:
        assert word in browser.tile("welder-1")
    assert stale in browser.tile("meter-1")


def test_the_language_button_switches_and_is_remembered(browser: Browser) -> None:
    """One touch changes every word; the next visit begins in that language."""
    browser.open("?lang=id")
    browser.click("#language")
    browser.wait(shows("welder-1", "Running"), timeout_s=2)
    browser.open()
    assert "Running" in browser.tile("welder-1")


def test_markup_from_a_device_is_text(browser: Browser, board: FakeBoard) -> None:
    """Whatever a device sends is shown letter by letter, on both screens."""
    script, bold = "<script>document.title='hacked'</script>", "<b class=evil>NG</b>"
    image = "<img class=evil src=x onerror=\"document.title='hacked'\">"
    board.put(
        "welder-1",
        title={"id": script, "en": script},
        values=[value("lot", (image, image), (bold, "", None))],
        last={"serial": bold, "result": bold, "code": bold, "time_ms": START_MS},
        alarms=[alarm(bold, "high", (script, script), (image, image))],
    )
    for screen in ("?lang=id", "?lang=id#/welder-1"):
        browser.open(screen)
        shown = browser.text("main")
        for markup in (script, bold, image):
            assert markup in shown, screen
        assert browser.count("main script, main img, .evil") == 0
        assert "hacked" not in browser.run("document.title")


def test_the_policy_stops_a_script_that_gets_in(browser: Browser) -> None:
    """Control: an inline script does not run, and the browser's log, clean before, tells."""
    browser.open("?lang=id")
    assert browser.complaints() == []
    browser.run(
        "document.body.append("
        "Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'}))"
    )
    assert browser.run("window.hacked === undefined")
    assert any("Content Security Policy" in each for each in browser.complaints())


@pytest.mark.parametrize("screen", ["#/", "#/welder-1", "#/formation-1"])
@pytest.mark.parametrize("language", ["id", "en"])
def test_a_phone_never_scrolls_sideways(
    browser: Browser, board: FakeBoard, screen: str, language: str
) -> None:
    """All fits into 390 px, on a bad day and with a serial number without a break."""
    trouble(board)
    last = {"serial": "MB260514" * 6, "result": "NG", "code": "low_current", "time_ms": START_MS}
    board.put("welder-1", last=last)
    browser.open(f"?lang={language}{screen}", size=PHONE)
    assert browser.overflow(PHONE[0]) == []


def test_something_too_wide_would_be_seen(browser: Browser) -> None:
    """Control: a node of 500 px on a phone is told."""
    browser.open("?lang=id", size=PHONE)
    assert browser.overflow(PHONE[0]) == []
    browser.run("document.querySelector('#summary').style.width = '500px'")
    assert any("summary" in each for each in browser.overflow(PHONE[0]))


def test_a_kiosk_hides_the_controls(browser: Browser) -> None:
    """On the wall nobody can touch them; elsewhere they are there."""
    browser.open("?lang=id")
    assert browser.is_visible("#controls")
    browser.open("?lang=id&kiosk")
    assert not browser.is_visible("#controls")
    assert "Berjalan" in browser.tile("welder-1")


def test_a_tile_shows_what_the_profile_ranks_and_its_screen_all(
    browser: Browser, board: FakeBoard
) -> None:
    """At most four values by rank, none without one; the station's own screen shows every one."""
    ranks = {"a": None, "b": 5, "c": 2, "d": 1, "e": 4, "f": 3}
    board.put(
        "chiller-1",
        values=[value(name, (name, name), (1.0, "", 1), show=rank) for name, rank in ranks.items()],
    )
    browser.open("?lang=id")
    assert browser.texts("[data-station=chiller-1] .value .label") == ["d", "c", "f", "e"]
    browser.click("[data-station=chiller-1] a")
    browser.wait("document.querySelector('.detail')", timeout_s=2)
    assert sorted(browser.texts(".detail .value .label")) == sorted(ranks)
    browser.click(".back")
    browser.wait("document.querySelector('[data-station=chiller-1]')", timeout_s=2)


def test_a_truth_value_is_a_word(browser: Browser, board: FakeBoard) -> None:
    """A coil reads yes or no, not as a program would print it."""
    board.put("chiller-1", values=[value("run", ("Jalan", "Runs"), (True, "", None))])
    browser.open("?lang=id")
    assert browser.texts("[data-station=chiller-1] .figure") == ["ya"]


def test_a_channel_tells_its_story(browser: Browser) -> None:
    """Touching a channel names its state, step and measured values; one without data says so."""
    browser.open("?lang=id#/formation-1")
    assert browser.count(".matrix button") == 64
    browser.click(".matrix button:nth-child(1)")
    story = browser.text(".chosen")
    for part in ("Kanal 1 ", "mengisi", "pengisian CC", "3,654 V", "1,205 Ah", "31,1 °C"):
        assert part in story
    browser.click(".matrix button:nth-child(60)")
    story = browser.text(".chosen")
    assert "tidak diketahui" in story
    assert "NaN" not in story
    assert "Ah" not in story


def test_a_channel_without_some_registers_shows_the_rest(
    browser: Browser, board: FakeBoard
) -> None:
    """A cabinet whose profile has no temperature and no capacity is not shown as broken."""
    formation = next(each for each in line() if each["name"] == "formation-1")
    for channel in formation["channels"]:
        for name in ("temperature", "capacity_ah", "step"):
            del channel[name]
    board.put("formation-1", channels=formation["channels"])
    browser.open("?lang=id#/formation-1")
    browser.click(".matrix button:nth-child(1)")
    assert "3,654 V" in browser.text(".chosen")
    assert not [word for word in ("NaN", "undefined", "null") if word in browser.text("main")]
