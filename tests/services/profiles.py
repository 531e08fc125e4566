"""Small profiles for tests that care about some registers only."""

from collections.abc import Sequence
from typing import Any

from collectors.profile import Profile


def small_profile(registers: Sequence[dict[str, Any]], **more: Any) -> Profile:
    """Return a profile with these registers, read each second; `more` are further tables of it."""
    return Profile.model_validate(
        {
            "title": {"id": "Uji", "en": "Test"},
            "family": "meter",
            "maker": "none",
            "source": "made for this test",
            "grade": "bronze",
            "groups": {"live": 1.0},
            "registers": registers,
            **more,
        }
    )
