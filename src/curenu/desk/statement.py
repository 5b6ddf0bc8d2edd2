"""Statements about erasures: in-toto Statement v1 in signed envelopes, each in the desk's log.

The entry of the log is the statement without its field `log`. So the statement can carry the proof
that it is in the log, and one signature covers all of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from curenu.desk.checkpoint import parse_checkpoint, verify_checkpoint
from curenu.desk.envelopes import content_of, key_id, sealed, verified
from curenu.desk.faults import CheckpointInvalid, EnvelopeMalformed, StatementInvalid, WrongType
from curenu.desk.forms import canonical, moment, read_canonical
from curenu.desk.key_list import KeyList, verify_key_list
from curenu.desk.log import Log, leaf_hash, verify_inclusion
from curenu.desk.predicate import PREDICATE_TYPE, LogEvidence, Predicate, Subject
from curenu.errors import BadRequest

__all__ = [
    "PAYLOAD_TYPE", "STATEMENT_TYPE", "build", "entry_of", "predicate_of", "report_file", "sign",
    "verify", "verify_report", "with_log",
]  # fmt: skip

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_ONE_SIGNATURE = "a head that one key signed, of a log named in small letters without a scheme."
_REMEDY = "asking the desk for the report again."


def build(subject_name: str, sha256: str, predicate: dict[str, Any]) -> dict[str, Any]:
    """The statement of `predicate` about the weights `sha256` of the model `subject_name`.

    Raises `BadRequest` naming each field that does not fit the schema; free text fits nowhere.
    """
    try:
        subject = Subject(name=subject_name, sha256=sha256)
        said = Predicate.model_validate(predicate)
    except ValidationError as error:
        raise BadRequest(
            f"The statement cannot be made: {_told(error)}.", "the fields of docs/desk_security.md."
        ) from None
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": subject.name, "digest": {"sha256": subject.sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": json.loads(
            said.model_dump_json(exclude={"log"} if said.log is None else None)
        ),
    }


def entry_of(statement: dict[str, Any]) -> bytes:
    """What the log keeps of `statement`: its one text without the field `log`."""
    said = {name: value for name, value in statement["predicate"].items() if name != "log"}
    return canonical(statement | {"predicate": said})


def with_log(
    statement: dict[str, Any], log: Log, index: int, note: str, key: Ed25519PublicKey
) -> dict[str, Any]:
    """`statement` with the proof that it is entry `index` of `log` at the head `note`.

    `key` is the public key that signed `note`, alone. Raises `BadRequest` if it is another entry,
    or `note` is of another log; `CheckpointInvalid` if another key signed it.
    """
    head = verify_checkpoint(note, [key], parse_checkpoint(note).origin)
    if log.leaf(index) != leaf_hash(entry_of(statement)) or log.root(head.size) != head.root:
        raise BadRequest("The statement, the log and its head do not belong together.", _REMEDY)
    try:
        evidence = LogEvidence(
            origin=head.origin,
            key=key_id(key),
            index=index,
            size=head.size,
            proof=tuple(step.hex() for step in log.inclusion(index, head.size)),
            checkpoint=note,
        )
    except ValidationError as error:
        raise BadRequest(f"The head does not fit: {_told(error)}.", _ONE_SIGNATURE) from None
    said = statement["predicate"] | {"log": json.loads(evidence.model_dump_json())}
    return statement | {"predicate": said}


def sign(statement: dict[str, Any], keys: Sequence[EllipticCurvePrivateKey]) -> dict[str, Any]:
    """The envelope of `statement`, signed by each of `keys`; several make four eyes.

    Raises `BadRequest` for a statement that is not in the log or not in its form, or without a key.
    """
    if not keys:
        raise BadRequest("No key signs.", "one key for statements or more.")
    content = canonical(statement)
    try:
        if _checked(content)[1].log is None:
            raise BadRequest("The statement is not in the log.", "with_log, then signing.")
    except (WrongType, StatementInvalid) as error:
        raise BadRequest(error.problem, "a statement as `build` makes it.") from None
    return sealed(PAYLOAD_TYPE, content, keys)


def verify(envelope: Any, keys: KeyList, now: datetime, threshold: int = 1) -> dict[str, Any]:
    """The statement in `envelope`, if it holds at `now` by the keys of a verified list.

    Every signature must hold, and there must be `threshold` of them. The statement must be in the
    log, whose head a log key of the list has signed.

    Raises `EnvelopeMalformed`, `WrongType` (of envelope, statement or predicate), `KeyUnknown`,
    `KeyExpired`, `KeyRevoked`, `SignatureInvalid`, `StatementInvalid` (signed, but against the
    schema), `CheckpointInvalid` or `LogBroken`.
    """
    now = moment(now)
    content = content_of(envelope, PAYLOAD_TYPE)
    verified(envelope, lambda key: keys.find(key, "statement", now).public, threshold)
    statement, said = _checked(content)
    if said.log is None:
        raise StatementInvalid("The statement is not in the log.", _REMEDY)
    signer: Any = load_pem_public_key(keys.find(said.log.key, "log", now).public.encode())
    head = verify_checkpoint(said.log.checkpoint, [signer], said.log.origin)
    if head.size != said.log.size:
        raise CheckpointInvalid("The proof is for another head than the one beside it.", _REMEDY)
    leaf = leaf_hash(entry_of(statement))
    proof = [bytes.fromhex(step) for step in said.log.proof]
    verify_inclusion(leaf, said.log.index, head.size, proof, head.root)
    return statement


def report_file(envelope: dict[str, Any], key_list: dict[str, Any]) -> bytes:
    """The one file that is given away: the signed statement and the signed key list."""
    return canonical({"keys": key_list, "statement": envelope}) + b"\n"


def verify_report(content: bytes, root: str, now: datetime, threshold: int = 1) -> dict[str, Any]:
    """The statement in a file as `report_file` makes it, if it holds; `root`: the root key's id.

    Raises as `verify_key_list` and `verify` do, `EnvelopeMalformed` for any other file.
    """
    try:
        found = read_canonical(content.removesuffix(b"\n"))
        if not content.endswith(b"\n") or set(found) != {"keys", "statement"}:
            raise ValueError("it has other parts than a report")
    except ValueError as error:
        raise EnvelopeMalformed(f"This file is no report: {error}.", _REMEDY) from None
    keys = verify_key_list(found["keys"], root, moment(now))
    return verify(found["statement"], keys, now, threshold)


def predicate_of(statement: dict[str, Any]) -> Predicate:
    """What a verified statement says, as a record."""
    return Predicate.model_validate(statement["predicate"])


def _checked(content: bytes) -> tuple[dict[str, Any], Predicate]:
    """The statement of a payload, held against form and schema."""
    try:
        found = read_canonical(content)
        if (found.get("_type"), found.get("predicateType")) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise WrongType(
                f"The statement is of type {found.get('predicateType')!r}, and not one about an "
                "erasure.",
                "the report of an erasure.",
            )
        (subject,) = found["subject"]
        again = build(subject["name"], subject["digest"]["sha256"], found["predicate"])
        if canonical(again) != content:  # 7.0 equals 7, and is spelled in another way
            raise ValueError("it is spelled in another way than statements are")
    except WrongType:
        raise
    except (ValueError, KeyError, TypeError) as error:
        told = error.problem if isinstance(error, BadRequest) else str(error)
        raise StatementInvalid(f"The statement is malformed: {told}", _REMEDY) from None
    return found, predicate_of(found)


def _told(error: ValidationError) -> str:
    """Which fields do not fit and why; never what was in them, which may name somebody."""
    told = []
    for one in error.errors(include_input=False, include_url=False):
        unknown = one["type"] == "extra_forbidden"
        place = ".".join(map(str, one["loc"][:-1] if unknown else one["loc"])) or "the whole"
        told.append(f"{place}: {'an unknown field' if unknown else one['msg']}")
    return "; ".join(told)
