"""Errors of the genealogy, each named by what its receiver can do."""

from collectors.errors import LiniError


class GenealogyDownError(LiniError):
    """The file cannot be written or read now. Nothing is lost: it is tried again."""


class EntryError(LiniError):
    """What people entered cannot be taken: correct it and enter it again. Nothing was stored."""
