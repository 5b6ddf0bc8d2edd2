"""A transparency log: a Merkle tree over entries, and heads of it that are signed.

The tree is that of RFC 6962, section 2.1: H(leaf) = SHA-256(00 || entry), H(node) = SHA-256(01 ||
left || right), and a tree of n > 1 entries splits at the largest power of two below n. Proofs are
verified as RFC 9162, sections 2.1.3.2 and 2.1.4.2, says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from curenu.desk.faults import LogBroken
from curenu.errors import BadRequest

__all__ = ["EMPTY_ROOT", "Log", "leaf_hash", "verify_consistency", "verify_inclusion"]

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without an entry."""

_REMEDY = "asking for the entries and the head again, from whoever else holds a copy."


class Log:
    """The entries of a log, in memory, with its roots and proofs.

    Hashes of complete subtrees are kept, so that appending, a root and a proof take O(log n).
    Hashes are 32 bytes; sizes count entries, so that `size` names the tree of the first `size`.
    """

    def __init__(self, entries: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for entry in entries:
            self.append(entry)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, entry: bytes) -> int:
        """Add `entry` at the end and return its index, counted from 0."""
        self._levels[0].append(leaf_hash(entry))
        level = 0
        while len(self._levels[level]) % 2 == 0:
            if level + 1 == len(self._levels):
                self._levels.append([])
            self._levels[level + 1].append(_node(*self._levels[level][-2:]))
            level += 1
        return len(self) - 1

    def leaf(self, index: int) -> bytes:
        """The hash of the entry at `index`."""
        self._check(index < len(self) and index >= 0, f"entry {index}")
        return self._levels[0][index]

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` entries, of all by default.

        Raises `BadRequest` for a size that the log does not have.
        """
        size = len(self) if size is None else size
        self._check(0 <= size <= len(self), f"size {size}")
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The proof that entry `index` is in the tree of the first `size` entries, leaf upwards.

        Raises `BadRequest` for an index or a size that the log does not have.
        """
        size = len(self) if size is None else size
        self._check(0 <= index < size <= len(self), f"entry {index} of {size}")
        return self._path(index, 0, size)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The proof that the tree of `new` entries begins with the tree of `old`.

        Raises `BadRequest` unless 0 < old <= new <= the log's size.
        """
        new = len(self) if new is None else new
        self._check(0 < old <= new <= len(self), f"sizes {old} and {new}")
        return self._subproof(old, 0, new, whole=True)

    def _range(self, low: int, high: int) -> bytes:
        """The root over entries low..high-1; low is a multiple of the range's subtree size."""
        size = high - low
        level = size.bit_length() - 1
        if size == 1 << level:
            return self._levels[level][low >> level]
        split = low + _split(size)
        return _node(self._range(low, split), self._range(split, high))

    def _path(self, index: int, low: int, high: int) -> list[bytes]:
        if high - low == 1:
            return []
        split = low + _split(high - low)
        if index < split:
            return [*self._path(index, low, split), self._range(split, high)]
        return [*self._path(index, split, high), self._range(low, split)]

    def _subproof(self, old: int, low: int, high: int, *, whole: bool) -> list[bytes]:
        """SUBPROOF of the RFC: `whole` while the verifier knows the root of low..old-1."""
        if old == high:
            return [] if whole else [self._range(low, high)]
        split = low + _split(high - low)
        if old <= split:
            return [*self._subproof(old, low, split, whole=whole), self._range(split, high)]
        return [*self._subproof(old, split, high, whole=False), self._range(low, split)]

    def _check(self, known: bool, what: str) -> None:
        if not known:
            raise BadRequest(
                f"The log has {len(self)} entries, and {what} was asked for.",
                "an index and a size that it has.",
            )


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise `LogBroken` unless `proof` leads from the hash `leaf` at `index` to `root`."""
    where, last, found = index, size - 1, leaf
    sound = 0 <= index < size
    for step in proof:
        sound = sound and last > 0
        if where % 2 or where == last:
            found = _node(step, found)
            while where and not where % 2:
                where, last = where // 2, last // 2
        else:
            found = _node(found, step)
        where, last = where // 2, last // 2
    if not sound or last or found != root:
        raise LogBroken(f"Entry {index} is not in the log of {size} entries.", _REMEDY)


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise `LogBroken` unless `proof` shows that the new tree begins with the whole old one.

    Every tree begins with the empty one: old = 0 needs the empty root and no proof.
    """
    if old in (0, new):
        known = old_root == (EMPTY_ROOT if old == 0 else new_root)
        first, second, sound = old_root, new_root, known and not proof and old <= new
    else:
        first, second, sound = _both_roots(old, new, old_root, proof)
    if not sound or (first, second) != (old_root, new_root):
        raise LogBroken(
            f"The log of {new} entries does not begin with the log of {old} entries: what was "
            "there was changed, moved or removed.",
            _REMEDY,
        )


def _both_roots(
    old: int, new: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes, bool]:
    """The old and the new root that `proof` leads to, and whether it has the right shape."""
    steps = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not proof or not 0 < old < new:
        return b"", b"", False
    where, last = old - 1, new - 1
    while where % 2:
        where, last = where // 2, last // 2
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return b"", b"", False
        if where % 2 or where == last:
            first, second = _node(step, first), _node(step, second)
            while where and not where % 2:
                where, last = where // 2, last // 2
        else:
            second = _node(second, step)
        where, last = where // 2, last // 2
    return first, second, last == 0


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
