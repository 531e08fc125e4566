"""The words of the dashboards: one catalogue a language, every word in all of them."""

import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

LANGUAGES = ("id", "en")


class Texts(Mapping[str, str]):
    """A catalogue by dotted key: `text["line.states.title"]`."""

    def __init__(self, language: str, entries: Mapping[str, str]) -> None:
        self.language = language
        self._entries = entries

    @classmethod
    def of(cls, language: str) -> "Texts":
        """Return the catalogue of one of `LANGUAGES`."""
        file = resources.files("dashboards") / f"texts.{language}.toml"
        return cls(language, dict(_flat(tomllib.loads(file.read_text(encoding="utf-8")))))

    def __getitem__(self, key: str) -> str:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
