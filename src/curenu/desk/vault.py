"""Identities and example ids, encrypted; and commitments that name nobody.

AES-GCM as in NIST SP 800-38D with keys of 256 bits and random nonces of 96 bits; one key must not
seal more than 2^32 values (section 8.3 there).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from curenu.atomic import flush_folder
from curenu.desk.faults import KeyDamaged, KeyExposed, KeyLost, KeyWrong, SealDamaged
from curenu.errors import BadRequest

__all__ = ["SALT_BYTES", "Vault", "commitment", "new_salt", "read_secret", "write_secret"]

SALT_BYTES = 32
"""Length of a salt: as long as the commitment, so that guessing it is no easier."""

_FORMAT, _VERSION = "curenu-vault-key-1", b"\x01"
_KEY_BYTES, _ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 8, 12, 16
_HEAD_BYTES = len(_VERSION) + _ID_BYTES + _NONCE_BYTES
_BACKUP = "putting the file back from its backup; without it the vault's content is gone for good."


class Vault:
    """Seals and unseals small texts with one secret key.

    A token is: version (1 byte), key id (8), nonce (12), ciphertext, tag (16). The key id is a
    truncated hash of the key, so that a wrong key is told from a damaged token. A sealed value is
    as long as the value and 37 bytes: its length is not hidden.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise BadRequest(f"A vault key of {len(key)} bytes.", f"one of {_KEY_BYTES} bytes.")
        self._cipher, self.key_id = AESGCM(key), _id_of(key)

    @classmethod
    def create(cls, path: Path) -> Vault:
        """Write a new key to `path`, for its owner alone, and open it.

        Raises `BadRequest` if something is there: a key is never overwritten.
        """
        key = secrets.token_bytes(_KEY_BYTES)
        write_secret(path, _text_of(key))
        return cls(key)

    @classmethod
    def open(cls, path: Path) -> Vault:
        """The vault of the key in the file `path`.

        Raises `KeyLost` without the file, `KeyExposed` where others may read it, `KeyDamaged` if
        its content is not a whole key.
        """
        return cls(_parsed(path, read_secret(path, _BACKUP)))

    def seal(self, plain: bytes, context: bytes = b"") -> bytes:
        """`plain`, encrypted; `context` (the name of its row, say) must be given again to open."""
        head = _VERSION + self.key_id + secrets.token_bytes(_NONCE_BYTES)
        nonce = head[-_NONCE_BYTES:]
        return head + self._cipher.encrypt(nonce, plain, head + context)

    def unseal(self, token: bytes, context: bytes = b"") -> bytes:
        """What `seal` was given.

        Raises `KeyWrong` for a token of another key, `SealDamaged` for one that was changed, cut,
        or sealed for another `context`.
        """
        if len(token) < _HEAD_BYTES + _TAG_BYTES or token[:1] != _VERSION:
            raise SealDamaged("This is no sealed value.", "restoring the row from a backup.")
        head, body = token[:_HEAD_BYTES], token[_HEAD_BYTES:]
        sealer = head[1 : 1 + _ID_BYTES]
        try:
            return self._cipher.decrypt(head[-_NONCE_BYTES:], body, head + context)
        except InvalidTag:
            if sealer != self.key_id:
                raise KeyWrong(
                    f"The value was sealed with the key {sealer.hex()}, and this is the key "
                    f"{self.key_id.hex()}.",
                    "the key file that belongs to this database.",
                ) from None
            raise SealDamaged(
                "A sealed value was changed or belongs to another row.",
                "restoring the row from a backup.",
            ) from None


def new_salt() -> bytes:
    """A new random salt of 256 bits; it is kept in the vault, never beside the commitment."""
    return secrets.token_bytes(SALT_BYTES)


def commitment(value: str, salt: bytes) -> str:
    """HMAC-SHA-256 of `value` (UTF-8) under the key `salt`, in 64 hexadecimal digits.

    Who has value and salt can recompute it. Without the salt, guessing values does not help: each
    guess can be true under some salt. Raises `BadRequest` for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise BadRequest(f"A salt of {len(salt)} bytes.", "one made by new_salt().")
    return hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()


def write_secret(path: Path, content: bytes) -> None:
    """Put `content` at `path` for its owner alone; raises `BadRequest` if something is there."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise BadRequest(
            f"{path} is already there.", "another name; keys are never overwritten."
        ) from None
    flush_folder(path.parent)


def read_secret(path: Path, remedy: str) -> bytes:
    """The content of the secret file at `path`.

    Raises `KeyLost`, with `remedy`, where it cannot be read, and `KeyExposed` where others may
    read it too.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
                raise KeyExposed(
                    f"Others on this machine may read or change {path}.",
                    f"chmod 600 {path}, and a new key if somebody may have read it.",
                )
            return file.read()
    except OSError as error:
        raise KeyLost(f"The key {path} cannot be read: {error.strerror}.", remedy) from None


def _parsed(path: Path, content: bytes) -> bytes:
    """The key in a key file; its id in the file says whether it is whole."""
    found = re.fullmatch(rb"\S+ ([0-9a-f]{64}) \S+\n", content)
    key = bytes.fromhex(found[1].decode()) if found else b""
    if content != _text_of(key):
        raise KeyDamaged(f"{path} does not hold a whole vault key.", _BACKUP)
    return key


def _text_of(key: bytes) -> bytes:
    return f"{_FORMAT} {key.hex()} {_id_of(key).hex()}\n".encode()


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"curenu vault key id" + key).digest()[:_ID_BYTES]
