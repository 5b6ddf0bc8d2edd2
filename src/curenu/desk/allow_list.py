"""Which weights files may be served: those attested clean as of the newest release, and no others.

A file is known by SHA-256 of its bytes. So a copy that was cast, split, merged, quantised or
stripped of its metadata is unknown, and what is unknown is denied. A name says nothing: a renamed
copy is what its bytes are.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

__all__ = [
    "Attestation", "Marking", "Reason", "ReleaseHead", "Verdict", "all_clean", "check_digest",
    "check_file", "scan_folder", "tainted",
]  # fmt: skip

Marking = Literal["clean", "contains_erased", "unknown"]

_CHUNK = 1 << 20
_NO_WEIGHTS = {".json", ".md", ".txt", ".toml", ".yaml", ".yml", ".py", ".sh", ".sig", ".cfg"}
_TEXT_LIMIT = 1 << 24


class Reason(Enum):
    """Why a file may be served or not; the value is the sentence to show a person."""

    CLEAN = "Attested clean as of the newest release."
    UNKNOWN = "No attestation names this content: it is no file that the desk released."
    CONTAINS_ERASED = "It saw examples that were erased."
    UNDECIDED = "Nobody has said whether it saw erased examples."
    OUTDATED = "It was clean once, and a later release has not been said to leave it clean."
    HEAD_OUTDATED = "It is attested as of a newer release than the head knows: get the newest head."
    DISPOSED = "It is on record as disposed of, and should not be there."
    UNREADABLE = "It cannot be read as a file of its own."
    CHANGING = "It was written to while it was read."
    FOLDER_LINK = "It is a link to a folder, which is not followed."

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class ReleaseHead:
    """The newest release that is known: how many there were, by a verified head of the log."""

    release: int


@dataclass(frozen=True)
class Attestation:
    """What the desk says of the content `sha256` as of the release number `as_of`."""

    sha256: str
    marking: Marking
    as_of: int
    disposed: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether the file at `path` may be served; `sha256` is None if it could not be read."""

    path: Path
    sha256: str | None
    reason: Reason

    @property
    def allowed(self) -> bool:
        """True for a clean file alone."""
        return self.reason is Reason.CLEAN

    def __str__(self) -> str:
        return f"{self.path}: {'clean' if self.allowed else 'denied'}. {self.reason}"


def check_digest(sha256: str, attestations: Iterable[Attestation], head: ReleaseHead) -> Reason:
    """Why content with this digest may be served (`CLEAN`) or not.

    Once it is said to contain erased examples or to be disposed of, no later attestation cleans
    it: the same bytes hold what they held.
    """
    told = [one for one in attestations if one.sha256 == sha256]
    if not told:
        return Reason.UNKNOWN
    if any(one.marking == "contains_erased" for one in told):
        return Reason.CONTAINS_ERASED
    if any(one.disposed for one in told):
        return Reason.DISPOSED
    newest = max(one.as_of for one in told)
    if newest > head.release:
        return Reason.HEAD_OUTDATED
    if any(one.marking != "clean" for one in told if one.as_of == newest):
        return Reason.UNDECIDED
    return Reason.CLEAN if newest == head.release else Reason.OUTDATED


def check_file(path: Path, attestations: Iterable[Attestation], head: ReleaseHead) -> Verdict:
    """Whether the file at `path` may be served; what cannot be read is denied, not raised."""
    found = _digest(path)
    if isinstance(found, Reason):
        return Verdict(path, None, found)
    return Verdict(path, found, check_digest(found, attestations, head))


def scan_folder(
    folder: Path, attestations: Iterable[Attestation], head: ReleaseHead
) -> tuple[Verdict, ...]:
    """A verdict on every file below `folder`, by path, but plain texts that are not weights.

    A text is what ends in .json, .md, .py and the like, is valid UTF-8 without a zero byte and
    smaller than 16 MiB. Links to files are followed, links to folders are denied, and so is an
    archive: its content is unknown. The scan does not find weights that somebody hides in a text.
    """
    if not folder.is_dir():
        return (check_file(folder, attestations, head),)
    known = tuple(attestations)
    found: list[Verdict] = []

    def unreadable(error: OSError) -> None:
        found.append(Verdict(Path(error.filename), None, Reason.UNREADABLE))

    for place, folders, files in os.walk(folder, onerror=unreadable):
        links = (Path(place) / name for name in folders)
        found += [Verdict(path, None, Reason.FOLDER_LINK) for path in links if path.is_symlink()]
        paths = (Path(place) / name for name in files)
        found += [check_file(path, known, head) for path in paths if not _is_text(path)]
    return tuple(sorted(found, key=lambda verdict: verdict.path))


def all_clean(verdicts: Iterable[Verdict]) -> bool:
    """Whether there is at least one verdict and all of them allow: an empty folder is not clean."""
    told = tuple(verdicts)
    return bool(told) and all(verdict.allowed for verdict in told)


def tainted(seen: Iterable[str], derived_from: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Digests that contain erased examples: those in `seen` and all that derive from them.

    `derived_from` gives, for a digest, those it was made of: parents of a fine-tuning, the file
    that was cast or split, all parts of a merged one.
    """
    found = set(seen)
    before = -1
    while len(found) > before:
        before = len(found)
        found |= {made for made, parts in derived_from.items() if not found.isdisjoint(parts)}
    return frozenset(found)


def _digest(path: Path) -> str | Reason:
    """SHA-256 of a regular file that keeps still, or why there is none."""
    made = hashlib.sha256()
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block
            return Reason.UNREADABLE
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            while part := file.read(_CHUNK):
                made.update(part)
            after = os.fstat(file.fileno())
    except OSError:
        return Reason.UNREADABLE
    still = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return made.hexdigest() if still else Reason.CHANGING


def _is_text(path: Path) -> bool:
    """Whether it is one of the texts that lie beside weights."""
    try:
        if path.suffix.lower() not in _NO_WEIGHTS or not path.is_file():
            return False
        if path.stat().st_size >= _TEXT_LIMIT:
            return False
        content = path.read_bytes()
        content.decode()
    except (OSError, UnicodeDecodeError):
        return False
    return b"\0" not in content
