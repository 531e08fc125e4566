"""Both languages are complete, and no word stands in a catalogue for nothing."""

import re
from collections.abc import Mapping

import pytest

from collectors import profile
from dashboards.boards.line_status import line_status
from dashboards.boards.welding import welding
from dashboards.texts import LANGUAGES, Texts
from dashboards.variables import characteristics


class Recording(Texts):
    """A catalogue that remembers what it was asked for."""

    def __init__(self, language: str, entries: Mapping[str, str]) -> None:
        super().__init__(language, entries)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)


def test_languages_have_the_same_keys() -> None:
    """Every text exists in every language, under the same key."""
    first, *others = (set(Texts.of(language)) for language in LANGUAGES)
    assert first
    assert all(other == first for other in others)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty(language: str) -> None:
    """Every text says something."""
    text = Texts.of(language)
    assert [key for key in text if not text[key].strip()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_used(language: str) -> None:
    """The dashboards ask for each text of the catalogue, and for no other."""
    text = Recording(language, Texts.of(language))
    line_status(text)
    welding(text, characteristics(profile.shipped().values()))
    assert text.asked == set(Texts.of(language))


def test_a_text_nobody_asks_for_is_seen() -> None:
    """The control: a text added to the catalogue alone is not among those asked for."""
    text = Recording("en", {**Texts.of("en"), "line.nobody": "x"})
    line_status(text)
    assert "line.nobody" not in text.asked


def test_translations_hold_the_same_variables() -> None:
    """What Grafana fills in stands in both languages, and so do the three parts of a description."""
    indonesian, english = Texts.of("id"), Texts.of("en")
    for key in english:
        pattern = r"\$\{[^}]+\}|\*\*"
        assert re.findall(pattern, indonesian[key]) == re.findall(pattern, english[key]), key
