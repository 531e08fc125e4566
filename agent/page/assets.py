"""The files of the page, read and packed once at start, named by what they contain."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_STATIC = Path(__file__).parent / "static"
_RELEASE = b"{{release}}"  # stands in index.html where the hash of all other files belongs
_AT_THE_ROOT = ("index.html", "manifest.webmanifest", "icon.svg")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file as it goes over the wire, plain and by gzip."""

    plain: bytes
    packed: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "Asset":
        """Pack `content`; the type follows from the suffix of `name`."""
        return cls(
            plain=content,
            packed=gzip.compress(content, compresslevel=9, mtime=0),
            content_type=_TYPES[Path(name).suffix],
            etag=_digest(content),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """All files of one release of the page.

    `root` are those with a fixed address (the page itself, its manifest and icon), asked for
    again each time. `hashed` live under `/static/<release>/`: modules find each other by relative
    paths, nothing is rewritten, and a browser may keep them for ever.
    """

    release: str
    root: Mapping[str, Asset]
    hashed: Mapping[str, Asset]

    @classmethod
    def read(cls, folder: Path = _STATIC) -> "Assets":
        """Read and pack every file of `folder`."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES
        }
        release = _digest(b"".join(name.encode() + content for name, content in files.items()))
        return cls(
            release=release,
            root={
                name: Asset.of(name, files.pop(name).replace(_RELEASE, release.encode()))
                for name in _AT_THE_ROOT
            },
            hashed={name: Asset.of(name, content) for name, content in files.items()},
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
