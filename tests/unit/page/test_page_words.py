"""The two catalogues: complete, alike, and nothing in them that nobody says."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from importlib import resources

import pytest

from agent.model.states import State
from collectors.profile import shipped
from collectors.quality import Quality, Reason
from collectors.record import Result
from collectors.register import Priority, Register, Type

STATIC = resources.files("agent.page") / "static"
CATALOGUES: dict[str, dict[str, str]] = {
    language: json.loads((STATIC / "i18n" / f"{language}.json").read_text("utf-8"))
    for language in ("id", "en")
}
WORDS = CATALOGUES["id"]
SCRIPTS = {
    path.name: path.read_text("utf-8") for path in STATIC.iterdir() if path.name.endswith(".js")
}
SAID = re.compile(r'\bt\("([^"]+)"')
COUNTED = re.compile(r'\btn\("([^"]+)"')
GROUP = re.compile(r'\bword\("([^"]+)"')
PLACE = re.compile(r"\{\w+\}")


def calls(pattern: re.Pattern[str]) -> set[str]:
    """Return what the scripts pass to a function of i18n.js."""
    return {found for script in SCRIPTS.values() for found in pattern.findall(script)}


def said() -> set[str]:
    """Return every key that a script names."""
    plurals = {f"{key}.{form}" for key in calls(COUNTED) for form in ("one", "other")}
    return calls(SAID) | plurals


def codes(group: str, kind: type[StrEnum]) -> set[str]:
    """Return the keys that the members of `kind` need."""
    return {f"{group}.{member.value}" for member in kind if member.value}


def enum_registers() -> Iterator[tuple[str, Register]]:
    """Yield the enum registers of all shipped profiles that the page shows words for."""
    for profile in shipped().values():
        for register in profile.channels.registers if profile.channels else ():
            yield {"state": "channel", "step": "step"}.get(register.name, ""), register
        if profile.records:
            for register in profile.records.registers:
                yield ("code" if register.name == profile.records.code else ""), register


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    """A word added to one language cannot be forgotten in the other."""
    assert list(CATALOGUES["id"]) == list(CATALOGUES["en"])


@pytest.mark.parametrize("language", CATALOGUES)
def test_no_word_is_empty(language: str) -> None:
    """Each key has a text, without blanks around it."""
    assert not [
        key for key, text in CATALOGUES[language].items() if text.strip() != text or not text
    ]


def test_both_languages_fill_the_same_places() -> None:
    """A number named in one sentence is named in the other."""
    unlike = [
        key for key in WORDS if not _same_places(*(words[key] for words in CATALOGUES.values()))
    ]
    assert not unlike


def _same_places(one: str, other: str) -> bool:
    return {*PLACE.findall(one)} == {*PLACE.findall(other)}


def test_every_key_that_a_script_says_exists() -> None:
    """`t` would fail on a key that is missing."""
    assert len(said()) > 30
    assert not said() - WORDS.keys()


def test_every_key_is_used() -> None:
    """A word is either said by its key or found through its group."""
    grouped = {key for key in WORDS if key.partition(".")[0] in calls(GROUP)}
    assert not WORDS.keys() - said() - grouped


def test_every_group_has_words() -> None:
    """No script looks for words in a group that is not there."""
    assert calls(GROUP) <= {key.partition(".")[0] for key in WORDS}


def test_every_code_of_the_agent_has_a_word() -> None:
    """States, reasons, qualities, priorities and results are never shown as codes."""
    needed = codes("state", State) | codes("priority", Priority) | codes("result", Result)
    needed |= {f"quality.{each}" for each in Quality if each is not Quality.GOOD}
    needed |= codes("why", Reason)
    for profile in shipped().values():
        meanings = profile.state.values.values() if profile.state else ()
        needed |= {f"reason.{meaning.reason}" for meaning in meanings if meaning.reason}
    assert not needed - WORDS.keys()


def test_every_code_of_the_shipped_profiles_has_a_word() -> None:
    """Channel states, steps and reject codes read as words in both languages."""
    needed = {
        f"{group}.{code}"
        for group, register in enum_registers()
        if group and register.type is Type.ENUM
        for code in register.values.values()
        if code != "none"
    }
    assert len(needed) > 20
    assert not needed - WORDS.keys()


def test_scripts_make_no_markup_and_no_inline_style() -> None:
    """Text of devices cannot become HTML, and nothing needs a weaker security policy."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\.style\b"
    )
    assert not {name for name, script in SCRIPTS.items() if forbidden.search(script)}
    html = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", html)
