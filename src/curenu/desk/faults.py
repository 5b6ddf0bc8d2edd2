"""Every way in which evidence or a secret of the desk fails, each under its own name."""

from __future__ import annotations

from curenu.errors import NotProven, RunBroken

__all__ = [
    "CheckpointInvalid",
    "EnvelopeMalformed",
    "KeyDamaged",
    "KeyExpired",
    "KeyExposed",
    "KeyListInvalid",
    "KeyLost",
    "KeyRevoked",
    "KeyUnknown",
    "KeyWrong",
    "LogBroken",
    "SealDamaged",
    "SignatureInvalid",
    "StatementInvalid",
    "WeightsDiffer",
    "WrongType",
]


class KeyLost(RunBroken):
    """The file of a secret key is not there: put it back from its backup."""


class KeyWrong(RunBroken):
    """The key is whole and is another one than this was made with: use the other one."""


class KeyDamaged(RunBroken):
    """The file of a secret key is not what was written: put it back from its backup."""


class KeyExposed(RunBroken):
    """Others on this machine may read the file of a secret key: take that right away."""


class SealDamaged(RunBroken):
    """What was sealed in the vault was changed, or belongs elsewhere: restore the row."""


class EnvelopeMalformed(NotProven):
    """No signed statement, or not in the one form that a signed statement has."""


class WrongType(NotProven):
    """What was signed is of another type than was asked for."""


class StatementInvalid(NotProven):
    """The statement was signed, and its content is not what a statement may hold."""


class SignatureInvalid(NotProven):
    """The content is not what was signed, or too few signed it."""


class KeyUnknown(NotProven):
    """The signature names a key that is not on the key list for this use."""


class KeyExpired(NotProven):
    """The key is not valid at that time."""


class KeyRevoked(NotProven):
    """The key was revoked: whatever it signed, at any time, proves nothing."""


class KeyListInvalid(NotProven):
    """The list of keys is not signed by the root key that is trusted, or too old."""


class LogBroken(NotProven):
    """The transparency log does not hold what its signed head says it holds."""


class CheckpointInvalid(NotProven):
    """No head of a log, or one that no key trusted here has signed."""


class WeightsDiffer(NotProven):
    """The weights are not those that were signed."""
