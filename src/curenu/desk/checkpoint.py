"""Heads of a log as C2SP's tlog-checkpoint: a signed note with Ed25519 signatures.

A note is the lines origin, size and root (base64), an empty line, and one line "— name base64" for
each signature, of a key's 4 byte hash followed by the 64 bytes of its signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from curenu.desk.faults import CheckpointInvalid
from curenu.desk.log import Log
from curenu.errors import BadRequest

__all__ = [
    "Checkpoint", "checkpoint", "log_faults", "parse_checkpoint", "verifier_key",
    "verify_checkpoint",
]  # fmt: skip

_ED25519 = b"\x01"
_ORIGIN = re.compile(r"[!-*,-~]+")  # printable ASCII without blanks and "+"
_HEAD = re.compile(r"(?P<origin>\S+)\n(?P<size>0|[1-9][0-9]*)\n(?P<root>[A-Za-z0-9+/]{43}=)\n")
_LINE = re.compile(r"— (?P<name>\S+) (?P<signature>[A-Za-z0-9+/]+={0,2})")
_REMEDY = "a head as the desk exported it, and the key that it was signed with."


@dataclass(frozen=True)
class Checkpoint:
    """A log's head: the name of the log, how many entries it has, their root (32 bytes).

    `signatures` are the names of its signers, their keys' hashes and their signatures.
    """

    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...] = ()

    @property
    def text(self) -> bytes:
        """What is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\n".encode()


def checkpoint(origin: str, size: int, root: bytes, keys: Sequence[Ed25519PrivateKey]) -> str:
    """The head of a log, signed by each of `keys` under the name `origin`.

    Raises `BadRequest` for an origin that a note cannot hold (a URL without scheme is usual), a
    root that is no hash, or no key.
    """
    if not _ORIGIN.fullmatch(origin) or size < 0 or len(root) != 32 or not keys:
        raise BadRequest(
            f"A head cannot be made of origin {origin!r}, size {size}, a root of {len(root)} bytes "
            f"and {len(keys)} keys.",
            "printable ASCII without blanks and +, a size of 0 or more, 32 bytes and a key.",
        )
    text = Checkpoint(origin, size, root).text
    signed = [_hint(origin, key.public_key()) + key.sign(text) for key in keys]
    lines = [f"— {origin} {base64.b64encode(both).decode()}\n" for both in signed]
    return text.decode() + "\n" + "".join(lines)


def parse_checkpoint(note: str) -> Checkpoint:
    """What `note` says, its signatures not yet looked at.

    Raises `CheckpointInvalid` for any text that `checkpoint` would not write.
    """
    text, gap, signed = note.partition("\n\n")
    head = _HEAD.fullmatch(text + "\n")
    lines = [_LINE.fullmatch(line) for line in signed.removesuffix("\n").split("\n")]
    try:
        if not gap or head is None or not signed.endswith("\n") or not all(lines):
            raise ValueError(note)
        found = [(line["name"], _decoded(line["signature"])) for line in lines if line]
        signatures = tuple((name, both[:4], both[4:]) for name, both in found)
        read = Checkpoint(head["origin"], int(head["size"]), _decoded(head["root"]), signatures)
        if not _ORIGIN.fullmatch(read.origin):
            raise ValueError(note)
    except (ValueError, binascii.Error):
        raise CheckpointInvalid("This is no signed head of a log.", _REMEDY) from None
    return read


def verify_checkpoint(note: str, keys: Sequence[Ed25519PublicKey], origin: str) -> Checkpoint:
    """The head that `note` says, if one of `keys` signed it for the log `origin`.

    Signatures of other keys are passed over, as the format asks. Raises `CheckpointInvalid` for
    another log's head, for a note that none of `keys` signed, and if a signature that names one of
    them is not its.
    """
    read = parse_checkpoint(note)
    if read.origin != origin:
        raise CheckpointInvalid(f"This is a head of {read.origin}, not of {origin}.", _REMEDY)
    known = {_hint(origin, key): key for key in keys}
    signed = [(known[hint], value) for name, hint, value in read.signatures
              if name == origin and hint in known]  # fmt: skip
    try:
        for key, value in signed:
            key.verify(value, read.text)
    except InvalidSignature:
        signed = []
    if not signed:
        raise CheckpointInvalid(f"No key trusted here signed this head of {origin}.", _REMEDY)
    return read


def verifier_key(origin: str, key: Ed25519PublicKey) -> str:
    """The public key in the one line that tools for signed notes read: name+hash+key."""
    encoded = base64.b64encode(_ED25519 + key.public_bytes_raw()).decode()
    return f"{origin}+{_hint(origin, key).hex()}+{encoded}"


def log_faults(entries: Sequence[bytes], heads: Sequence[Checkpoint]) -> list[str]:
    """What is wrong with the entries of a log, by verified heads of it from any time.

    An empty list says that the log begins with what each head stood for. The more heads, the
    closer a fault is told.
    """
    log, held = Log(entries), 0
    found: list[str] = []
    for head in sorted(heads, key=lambda head: head.size):
        if head.size > len(log):
            found.append(
                f"The log has {len(log)} entries and the head knows of {head.size}: entries were "
                "cut off, or an older copy was put in its place."
            )
            break
        if log.root(head.size) != head.root:
            found.append(
                f"Of the entries {held} to {head.size - 1} at least one was changed, moved, added "
                f"or removed: they are not those that the head of size {head.size} stands for."
            )
            break
        held = head.size
    return found


def _hint(name: str, key: Ed25519PublicKey) -> bytes:
    """The first 4 bytes of SHA-256(name || newline || 01 || key), which find the key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]


def _decoded(text: str) -> bytes:
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError(text)
    return content
