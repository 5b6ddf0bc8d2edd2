"""Signatures of released weights that OpenSSF's model-signing, and so other people's tools, verify.

Needs the extra `curenu[desk-signing]`. What is signed is SHA-256 of the bytes: of one file, or of
every file of a folder. A signature says who released the weights; whether they may still be served
is for the allow-list to say.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from curenu.atomic import replace_file
from curenu.desk.envelopes import key_id
from curenu.desk.faults import EnvelopeMalformed, KeyUnknown, SignatureInvalid, WeightsDiffer
from curenu.desk.forms import moment
from curenu.desk.key_list import KeyList, PublicKey
from curenu.desk.keys import Keys
from curenu.errors import BadRequest

__all__ = ["sign_weights", "verify_weights"]


def sign_weights(weights: Path, signature: Path, keys: Keys, now: datetime) -> None:
    """Write the signature of the file or folder `weights` by the newest key for statements.

    Raises `BadRequest` without the extra, without weights, or for a signature that would lie among
    them; `KeyLost`, `KeyExpired` and the like as `Keys` does. What was at `signature` is replaced
    at the end, or not at all.
    """
    signing, _, hashing = _library()
    _check_place(weights, signature)
    name = key_id(keys.statement_key(now).public_key())
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "signature"
        config = signing.Config().use_elliptic_key_signer(private_key=keys.folder / f"{name}.pem")
        config.set_hashing_config(_every_file(hashing)).sign(weights, made)
        replace_file(signature, made.read_bytes())


def verify_weights(weights: Path, signature: Path, keys: KeyList, now: datetime) -> PublicKey:
    """The key of the list that signed exactly these bytes.

    Raises `EnvelopeMalformed` for a file that is no signature, `KeyUnknown`, `KeyRevoked` or
    `KeyExpired` for its key, `SignatureInvalid` if it was changed, `WeightsDiffer` if the weights
    were: content, names in a folder, a file more or less. `BadRequest` as `sign_weights` does.
    """
    from cryptography.exceptions import InvalidSignature

    _, verifying, hashing = _library()
    _check_place(weights, signature)
    key = _signer(signature, keys, moment(now))
    with tempfile.TemporaryDirectory() as folder:
        public = Path(folder) / "public.pem"
        public.write_text(key.public)
        config = verifying.Config().use_elliptic_key_verifier(public_key=public)
        try:
            config.set_hashing_config(_every_file(hashing)).verify(weights, signature)
        except InvalidSignature:
            raise SignatureInvalid(
                f"{signature} was changed.", "the signature as it was."
            ) from None
        except ValueError as error:
            if not str(error).startswith("Signature mismatch"):
                raise EnvelopeMalformed(
                    f"{signature} is no signature of weights.", _AGAIN
                ) from None
            raise WeightsDiffer(
                f"{weights} is not what was signed.", "the weights as they were released."
            ) from None
    return key


_AGAIN = "the signature file that was released with the weights."


def _signer(signature: Path, keys: KeyList, now: datetime) -> PublicKey:
    """The key that the signature names by SHA-256 of its PEM text."""
    try:
        hint = json.loads(signature.read_bytes())["verificationMaterial"]["publicKey"]["hint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvelopeMalformed(
            f"{signature} is no signature of weights: {type(error).__name__}.", _AGAIN
        ) from None
    for key in keys.keys:
        if hashlib.sha256(key.public.encode()).hexdigest() == hint:
            return keys.find(key.id, "statement", now)
    raise KeyUnknown(f"{signature} is by a key that is not on the key list.", "a newer key list.")


def _check_place(weights: Path, signature: Path) -> None:
    if not weights.exists():
        raise BadRequest(f"{weights} is not there.", "the weights' file or folder.")
    if weights.resolve() in (signature.resolve(), *signature.resolve().parents):
        raise BadRequest(
            f"The signature {signature} would be a part of {weights}.", "a place outside it."
        )
    inside = weights.rglob("*") if weights.is_dir() else ()
    link = next((path for path in inside if path.is_symlink()), None)
    if link is not None:
        raise BadRequest(f"{link} is a link, which is not signed.", "a folder without links.")


def _every_file(hashing: Any) -> Any:
    """SHA-256 of every file; the library leaves out git's own files, where weights can hide."""
    config = hashing.Config().use_file_serialization(hashing_algorithm="sha256")
    return config.set_ignored_paths(paths=[], ignore_git_paths=False)


def _library() -> tuple[Any, Any, Any]:
    """The signing, verifying and hashing modules of model-signing."""
    try:
        from model_signing import hashing, signing, verifying
    except ImportError as error:
        raise BadRequest(
            f"Weights are signed by model-signing, which cannot be imported: {error}.",
            "pip install 'curenu[desk-signing]'.",
        ) from None
    return signing, verifying, hashing
