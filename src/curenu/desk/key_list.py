"""Which keys may sign what, from when to when: a list that the root key signs.

Who checks a report needs one thing from elsewhere: the root key's id, 64 hexadecimal digits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from curenu.desk.envelopes import algorithm_of, content_of, key_id, verified
from curenu.desk.faults import KeyExpired, KeyListInvalid, KeyRevoked, KeyUnknown
from curenu.desk.forms import Digest, Form, Moment, read_form, written
from curenu.errors import NotProven

__all__ = ["KEY_LIST_TYPE", "KeyList", "PublicKey", "Use", "verify_key_list"]

KEY_LIST_TYPE = "application/vnd.curenu.keys+json"

Use = Literal["root", "statement", "log"]
"""What a key signs: the key list, statements (both P-256), heads of the log (Ed25519)."""


class PublicKey(Form):
    """A public key, valid in not_before <= t < not_after unless `revoked` says when it ended.

    `id` is SHA-256 of its DER form.
    """

    id: Digest
    use: Use
    public: str
    not_before: Moment
    not_after: Moment
    revoked: Moment | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if key_id(self.public) != self.id:
            raise ValueError("a key does not have its id")
        if algorithm_of(self.public) != ("Ed25519" if self.use == "log" else "P-256"):
            raise ValueError("a key is of another kind than its use asks for")
        if not self.not_before < self.not_after:
            raise ValueError("a key is never valid")
        return self


class KeyList(Form):
    """All keys there ever were, as of `issued`; to be asked for anew after `expires`.

    `number` counts the lists that were issued: of two lists the one with the larger number holds.
    """

    format: Literal[1] = 1
    number: int = Field(ge=1)
    issued: Moment
    expires: Moment
    keys: tuple[PublicKey, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("a key is there twice")
        return self

    def find(self, key: str, use: Use, now: datetime) -> PublicKey:
        """The key with the id `key`, if it may be used for `use` at `now`.

        Raises `KeyUnknown`, `KeyRevoked` (whenever it was revoked: who stole a key can write any
        date) or `KeyExpired`.
        """
        found = next((one for one in self.keys if (one.id, one.use) == (key, use)), None)
        if found is None:
            raise KeyUnknown(
                f"The key {key[:16]}… is not on the key list for this use.",
                "a newer key list, if the key is new; otherwise do not rely on the signature.",
            )
        if found.revoked is not None:
            raise KeyRevoked(
                f"The key {key[:16]}… was revoked at {written(found.revoked)}.",
                "asking the desk for the report again, signed with a key that holds.",
            )
        if not found.not_before <= now < found.not_after:
            raise KeyExpired(
                f"The key {key[:16]}… is valid from {written(found.not_before)} to "
                f"{written(found.not_after)}, and the time is {written(now)}.",
                "asking the desk for the report again, signed with a key of today.",
            )
        return found

    def valid(self, use: Use, now: datetime) -> tuple[PublicKey, ...]:
        """The keys that may be used for `use` at `now`, the newest last."""
        held = [key for key in self.keys if key.use == use and key.revoked is None]
        held = [key for key in held if key.not_before <= now < key.not_after]
        return tuple(sorted(held, key=lambda key: key.not_before))


def verify_key_list(envelope: Any, root: str, now: datetime, least: int = 1) -> KeyList:
    """The key list in `envelope`, if the root key with the id `root` signed it.

    `least` is the number of the newest list seen so far: an older one may hide a revocation.
    Raises `KeyListInvalid` for another signer, a list that is not valid at `now`, an older one or
    one that is malformed; `EnvelopeMalformed` and `WrongType` as `content_of` does.
    """
    remedy = "asking the desk for its present key list, and comparing the root key's id."
    content = content_of(envelope, KEY_LIST_TYPE)
    try:
        found = read_form(KeyList, content)
        anchor = found.find(root, "root", now)
        signers = verified(envelope, {anchor.id: anchor.public}.__getitem__)
    except NotProven as error:
        raise KeyListInvalid(f"The key list does not hold: {error.problem}", remedy) from None
    except KeyError:
        raise KeyListInvalid(
            "The key list is signed by another key than the root key that is trusted here.", remedy
        ) from None
    except ValueError:
        raise KeyListInvalid("The key list is malformed.", remedy) from None
    if signers != (root,) or not found.issued <= now < found.expires:
        raise KeyListInvalid(
            f"The key list is valid from {written(found.issued)} to {written(found.expires)}, and "
            f"the time is {written(now)}.",
            remedy,
        )
    if found.number < least:
        raise KeyListInvalid(f"Key list {found.number} is older than list {least}.", remedy)
    return found
