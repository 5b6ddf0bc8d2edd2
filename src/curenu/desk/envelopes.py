"""Signed envelopes: DSSE, by securesystemslib, with P-256 keys.

DSSE signs type and content together: what was signed as one type cannot be shown as another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, UnverifiedSignatureError
from securesystemslib.signer import (
    CryptoSigner,  # pyright: ignore[reportPrivateImportUsage]
    SSlibKey,  # pyright: ignore[reportPrivateImportUsage]
)

from curenu.desk.faults import EnvelopeMalformed, SignatureInvalid, WrongType

__all__ = ["algorithm_of", "content_of", "key_id", "pem_of", "sealed", "verified"]

_REMEDY = "asking for the report again, from the desk that made it."


def sealed(
    payload_type: str, payload: bytes, keys: Sequence[EllipticCurvePrivateKey]
) -> dict[str, Any]:
    """`payload` in an envelope that each of `keys` signed, as its JSON object."""
    envelope = Envelope(payload, payload_type, {})
    for key in keys:
        public = SSlibKey.from_crypto(key.public_key(), key_id(key.public_key()))
        envelope.sign(CryptoSigner(key, public))
    return envelope.to_dict()


def content_of(envelope: Any, payload_type: str) -> bytes:
    """What is in `envelope`, its signatures not yet looked at.

    Raises `EnvelopeMalformed` for anything but the one spelling of an envelope with at least one
    signature, `WrongType` for a content of another type.
    """
    found = _read(envelope)
    if found.payload_type != payload_type:
        raise WrongType(
            f"The envelope says that it holds {found.payload_type!r}, not {payload_type!r}.",
            "the file that the desk made for this.",
        )
    return found.payload


def verified(envelope: Any, pem_for: Callable[[str], str], threshold: int = 1) -> tuple[str, ...]:
    """The ids of the keys that signed `envelope`: all of its signatures hold.

    `pem_for` gives the public key of an id, or raises why it may not be used. Raises
    `SignatureInvalid` for a signature that does not hold and for fewer than `threshold`.
    """
    found = _read(envelope)
    for signature in found.signatures.values():
        pem = pem_for(signature.keyid).encode()
        key = SSlibKey.from_crypto(load_pem_public_key(pem), signature.keyid)  # type: ignore[arg-type]
        try:
            key.verify_signature(signature, found.pae())
        except UnverifiedSignatureError:
            raise SignatureInvalid(
                f"The signature by the key {signature.keyid[:16]}… does not fit the content.",
                _REMEDY,
            ) from None
    if len(found.signatures) < threshold:
        raise SignatureInvalid(
            f"{len(found.signatures)} signed, and {threshold} must.",
            "asking for the other signatures.",
        )
    return tuple(found.signatures)


def pem_of(public: Any) -> str:
    """A public key as PEM text."""
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def algorithm_of(pem: str) -> str:
    """The kind of a public key, P-256 or Ed25519; raises `ValueError` for any other text."""
    public = load_pem_public_key(pem.encode())
    if isinstance(public, Ed25519PublicKey):
        return "Ed25519"
    if isinstance(public, EllipticCurvePublicKey) and public.curve.name == "secp256r1":
        return "P-256"
    raise ValueError("neither a P-256 nor an Ed25519 key")


def key_id(public: Any) -> str:
    """SHA-256, in hexadecimal, of the DER form of a public key or of its PEM text.

    Raises `ValueError` for a text that is no key in the one spelling that `pem_of` gives.
    """
    if isinstance(public, str):
        text = public
        try:
            public = load_pem_public_key(text.encode())
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from None
        if pem_of(public) != text:
            raise ValueError("the public key is not in its usual spelling")
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _read(envelope: Any) -> Envelope:
    """The envelope of a JSON object, which is that envelope's one spelling."""
    try:
        signatures = [dict(signature) for signature in envelope["signatures"]]
        plain = all(set(signature) == {"keyid", "sig"} for signature in signatures)
        found = Envelope.from_dict(dict(envelope) | {"signatures": signatures})
        if not plain or not signatures or found.to_dict() != envelope:
            raise ValueError("it has no signature, or more in it than an envelope has")
        found.pae()
    except (KeyError, TypeError, ValueError, AttributeError, FormatError) as error:
        raise EnvelopeMalformed(f"This is no signed envelope: {error}.", _REMEDY) from None
    return found
