"""The desk's private keys in a folder: made, replaced, revoked, each change a new signed list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from curenu.atomic import held, replace_file
from curenu.desk.envelopes import content_of, key_id, pem_of, sealed
from curenu.desk.faults import KeyDamaged, KeyExpired, KeyLost, KeyWrong
from curenu.desk.forms import canonical, moment, read_form, written
from curenu.desk.key_list import KEY_LIST_TYPE, KeyList, PublicKey, Use, verify_key_list
from curenu.desk.vault import read_secret, write_secret
from curenu.errors import BadRequest

__all__ = ["KEY_LIST_FILE", "Keys"]

KEY_LIST_FILE = "key-list.json"
_LIST_LIFE = timedelta(days=90)
_RESTORE = "putting the file back from its backup, or revoking the key and making a new one."


class Keys:
    """The keys in `folder`: private ones in `<id>.pem`, mode 0600, and the signed key list.

    The root key's file may be moved to another folder, best on a medium that is not in the machine,
    and is given as `root_folder` when keys are made, replaced or revoked. Signing statements and
    heads does not need it.
    """

    def __init__(self, folder: Path, root: str, root_folder: Path | None = None) -> None:
        self.folder, self.root, self._root_folder = folder, root, root_folder or folder

    @classmethod
    def create(cls, folder: Path, now: datetime, life: timedelta = timedelta(days=365)) -> Keys:
        """A root key for ten times `life`, one key for statements and one for heads, in `folder`.

        Raises `BadRequest` if there is a key list in it.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (folder / KEY_LIST_FILE).exists():
            raise BadRequest(f"There are keys in {folder} already.", "another folder.")
        now = moment(now)
        root = _made(folder, "root", now, now + 10 * life)
        rest = [_made(folder, use, now, now + life) for use in ("statement", "log")]
        keys = cls(folder, root.id)
        keys._issue((root, *rest), number=1, now=now)
        return keys

    @classmethod
    def open(cls, folder: Path, root_folder: Path | None = None) -> Keys:
        """The keys in `folder`; raises `KeyLost` without a key list, `KeyDamaged` if it is none."""
        keys = cls(folder, "", root_folder)
        roots = [key.id for key in keys.unverified_list().keys if key.use == "root"]
        keys.root = roots[0] if roots else ""
        return keys

    def envelope(self) -> dict[str, Any]:
        """The signed key list, to be given away with reports."""
        path = self.folder / KEY_LIST_FILE
        try:
            return json.loads(path.read_bytes())
        except OSError as error:
            raise KeyLost(f"{path} cannot be read: {error.strerror}.", _RESTORE) from None
        except ValueError:
            raise KeyDamaged(f"{path} is no key list.", _RESTORE) from None

    def unverified_list(self) -> KeyList:
        """What the key list says, its signature not looked at; raises `KeyDamaged`."""
        try:
            content = content_of(self.envelope(), KEY_LIST_TYPE)
            return read_form(KeyList, content)
        except ValueError as error:
            raise KeyDamaged(
                f"{self.folder / KEY_LIST_FILE} is no key list: {error}", _RESTORE
            ) from None

    def list(self, now: datetime) -> KeyList:
        """The key list, verified by the root key at `now`.

        Raises `KeyExpired` where it is to be issued anew, otherwise as `verify_key_list` does.
        """
        ends = self.unverified_list().expires
        if moment(now) >= ends:
            raise KeyExpired(
                f"The key list held until {written(ends)}.",
                "`curenu desk key renew`, with the root key at hand.",
            )
        return verify_key_list(self.envelope(), self.root, moment(now))

    def new(self, use: Use, now: datetime, life: timedelta = timedelta(days=365)) -> PublicKey:
        """Another key for statements or heads, valid from `now` for `life`."""
        if use == "root":
            raise BadRequest("A second root key is asked for.", "new keys in another folder.")
        with self._changing(now) as (known, now):
            made = _made(self.folder, use, now, now + life)
            self._issue((*known.keys, made), known.number + 1, now)
        return made

    def rotate(
        self,
        use: Use,
        now: datetime,
        overlap: timedelta = timedelta(days=7),
        life: timedelta = timedelta(days=365),
    ) -> PublicKey:
        """A new key for `use`; the older ones of this use end after `overlap`."""
        if use == "root":
            raise BadRequest("A new root key is asked for.", "new keys in another folder.")
        with self._changing(now) as (known, now):
            ends = now + overlap if overlap else now + timedelta(seconds=1)
            kept = [key if key.use != use else _ended(key, ends) for key in known.keys]
            made = _made(self.folder, use, now, now + life)
            self._issue((*kept, made), known.number + 1, now)
        return made

    def revoke(self, key: str, now: datetime) -> None:
        """Put on the list that `key` was revoked, for good, and delete its private part.

        Raises `BadRequest` for a root key, which is what says so, and for an unknown one.
        """
        with self._changing(now) as (known, now):
            found = next((one for one in known.keys if one.id == key), None)
            if found is None or found.use == "root":
                raise BadRequest(
                    f"{key[:16]}… is no key that can be revoked.",
                    "the id of a key for statements or heads; for a root key, new keys in another "
                    "folder and its id to all who check reports.",
                )
            ended = found.model_copy(update={"revoked": found.revoked or now})
            kept = tuple(ended if one.id == key else one for one in known.keys)
            self._issue(kept, known.number + 1, now)
            (self.folder / f"{key}.pem").unlink(missing_ok=True)

    def renew(self, now: datetime) -> None:
        """Issue the same list anew, before the one there is expires."""
        with self._changing(now) as (known, now):
            self._issue(known.keys, known.number + 1, now)

    def private(self, key: str) -> Any:
        """The private key with the id `key`.

        Raises `KeyLost` without its file, `KeyExposed` where others may read it, `KeyDamaged` if
        it is no key and `KeyWrong` if it is another.
        """
        folder = self._root_folder if key == self.root else self.folder
        path = folder / f"{key}.pem"
        content = read_secret(path, _RESTORE)
        try:
            found = load_pem_private_key(content, None)
        except (ValueError, TypeError):
            raise KeyDamaged(f"{path} does not hold a whole private key.", _RESTORE) from None
        if key_id(found.public_key()) != key:
            raise KeyWrong(f"{path} holds another key than its name says.", _RESTORE)
        return found

    def statement_key(self, now: datetime) -> EllipticCurvePrivateKey:
        """The newest key for statements that is valid at `now`; raises `KeyExpired` if none is."""
        return self.private(self._newest("statement", now))

    def log_key(self, now: datetime) -> Ed25519PrivateKey:
        """The newest key for heads that is valid at `now`; raises `KeyExpired` if none is."""
        return self.private(self._newest("log", now))

    def _newest(self, use: Use, now: datetime) -> str:
        valid = self.list(now).valid(use, moment(now))
        if not valid:
            raise KeyExpired(
                f"No key for this use ({use}) is valid at {written(moment(now))}.",
                f"curenu desk key rotate {use}, with the root key at hand.",
            )
        return valid[-1].id

    @contextmanager
    def _changing(self, now: datetime) -> Iterator[tuple[KeyList, datetime]]:
        """The list as it is, held against other writers; refuses a clock that was set back."""
        now = moment(now)
        with held(self.folder):
            issued = self.unverified_list().issued
            known = verify_key_list(self.envelope(), self.root, issued)  # it may have expired
            if now < known.issued:
                raise BadRequest(
                    f"It is {written(now)} here, and the key list is of {written(known.issued)}.",
                    "setting the clock of this machine.",
                )
            self.private(self.root)  # nothing is made before it is sure that it can be signed
            yield known, now

    def _issue(self, keys: tuple[PublicKey, ...], number: int, now: datetime) -> None:
        made = KeyList(number=number, issued=now, expires=now + _LIST_LIFE, keys=keys)
        envelope = sealed(KEY_LIST_TYPE, canonical(made), [self.private(self.root)])
        replace_file(self.folder / KEY_LIST_FILE, canonical(envelope) + b"\n")


def _made(folder: Path, use: Use, start: datetime, end: datetime) -> PublicKey:
    """A new key, its private part in `folder`."""
    private = Ed25519PrivateKey.generate() if use == "log" else generate_private_key(SECP256R1())
    public = private.public_key()
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(folder / f"{key_id(public)}.pem", content)
    return PublicKey(
        id=key_id(public), use=use, public=pem_of(public), not_before=start, not_after=end
    )


def _ended(key: PublicKey, end: datetime) -> PublicKey:
    """`key`, valid until `end` at the latest."""
    end = max(end, key.not_before + timedelta(seconds=1))
    return key.model_copy(update={"not_after": min(key.not_after, end)})
