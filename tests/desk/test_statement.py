"""Statements: whole and by a key of today they hold; in any other way each has its own error."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from curenu.desk.checkpoint import checkpoint
from curenu.desk.envelopes import key_id, sealed
from curenu.desk.faults import (
    CheckpointInvalid,
    EnvelopeMalformed,
    KeyExpired,
    KeyListInvalid,
    KeyRevoked,
    KeyUnknown,
    LogBroken,
    SignatureInvalid,
    StatementInvalid,
    WrongType,
)
from curenu.desk.forms import canonical
from curenu.desk.keys import Keys
from curenu.desk.predicate import SHORT_TEXTS, Predicate, StatusName, Subject
from curenu.desk.statement import (
    PAYLOAD_TYPE,
    build,
    entry_of,
    predicate_of,
    sign,
    verify,
    verify_report,
    with_log,
)
from curenu.errors import BadRequest, CurenuError
from curenu.status import Status
from tests.desk.reports import DIGEST, NOW, ORIGIN, Desk, desk, predicate

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return desk(tmp_path_factory.mktemp("desk"))


def test_a_statement_is_in_toto_v1_in_a_dsse_envelope(made: Desk) -> None:
    envelope = made.envelope
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    payload = base64.b64decode(envelope["payload"])
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "digits", "digest": {"sha256": DIGEST}}]
    assert statement["predicateType"].endswith("/erasure/v1")
    (signature,) = envelope["signatures"]
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    public = made.keys.statement_key(NOW).public_key()  # by the library below, by the definition
    public.verify(base64.b64decode(signature["sig"]), signed, ECDSA(SHA256()))


def test_a_whole_report_holds_and_says_what_was_put_in(made: Desk) -> None:
    found = verify_report(made.report, made.keys.root, NOW)
    assert found == made.statement
    said = predicate_of(found)
    assert said.model_copy(update={"log": None}) == Predicate.model_validate(predicate())
    assert said.log is not None
    assert (said.log.index, said.log.size) == (4, 7)


def test_no_report_with_a_flipped_bit_holds(made: Desk) -> None:
    report, chance = made.report, random.Random(18)
    for place in chance.sample(range(len(report)), 300):
        other = bytearray(report)
        other[place] ^= 1 << chance.randrange(8)
        with pytest.raises(CurenuError):
            verify_report(bytes(other), made.keys.root, NOW)
    for other in (report[:-1], report + b"\n", b" " + report, b"", b"[]\n", b"[" * 100_000 + b"\n"):
        with pytest.raises(EnvelopeMalformed, match="no report"):
            verify_report(other, made.keys.root, NOW)


def test_a_reader_who_trusts_another_root_is_told(made: Desk) -> None:
    with pytest.raises(KeyListInvalid, match="not on the key list"):
        verify_report(made.report, "0" * 64, NOW)


def test_changed_content_and_swapped_signatures_are_found(made: Desk) -> None:
    known = made.keys.list(NOW)
    other = copy.deepcopy(made.statement)
    other["predicate"]["asked"]["examples"] = 11
    payload = base64.b64encode(canonical(other)).decode()
    with pytest.raises(SignatureInvalid, match="does not fit"):
        verify(made.envelope | {"payload": payload}, known, NOW)
    with pytest.raises(SignatureInvalid, match="1 signed, and 2 must"):
        verify(made.envelope, known, NOW, threshold=2)


def test_an_envelope_of_another_type_is_told_apart(made: Desk) -> None:
    known = made.keys.list(NOW)
    with pytest.raises(WrongType, match=r"vnd\.curenu\.keys"):
        verify(made.keys.envelope(), known, NOW)
    with pytest.raises(SignatureInvalid):  # the type is signed with the content
        relabelled = made.keys.envelope() | {"payloadType": PAYLOAD_TYPE}
        relabelled["signatures"] = made.envelope["signatures"]
        verify(relabelled, known, NOW)
    for name in ("_type", "predicateType"):
        content = canonical(made.statement | {name: "https://example.org/other/v1"})
        envelope = sealed(PAYLOAD_TYPE, content, [made.keys.statement_key(NOW)])
        with pytest.raises(WrongType, match="not one about an erasure"):
            verify(envelope, known, NOW)


def test_expired_revoked_and_unknown_keys_each_have_their_error(tmp_path: Path) -> None:
    made = desk(tmp_path)
    name = key_id(made.keys.statement_key(NOW).public_key())
    with pytest.raises(KeyExpired):
        verify(made.envelope, made.keys.list(NOW), NOW + 365 * DAY)
    with pytest.raises(KeyUnknown):
        verify(made.envelope, Keys.create(tmp_path / "other", NOW).list(NOW), NOW)
    log_signed = sealed(
        PAYLOAD_TYPE, canonical(made.statement), [made.keys.private(made.keys.root)]
    )
    with pytest.raises(KeyUnknown):  # the root key signs no statements
        verify(log_signed, made.keys.list(NOW), NOW)
    made.keys.revoke(name, NOW)
    with pytest.raises(KeyRevoked):
        verify(made.envelope, made.keys.list(NOW), NOW)


def test_after_a_rotation_the_new_key_signs_the_same_statement_again(tmp_path: Path) -> None:
    made = desk(tmp_path)
    made.keys.rotate("statement", NOW, overlap=DAY)
    known = made.keys.list(NOW + 2 * DAY)
    with pytest.raises(KeyExpired):
        verify(made.envelope, known, NOW + 2 * DAY)
    again = sign(made.statement, [made.keys.statement_key(NOW + 2 * DAY)])
    assert verify(again, known, NOW + 2 * DAY) == made.statement


def test_two_signatures_make_four_eyes_and_both_must_hold(tmp_path: Path) -> None:
    made = desk(tmp_path)
    first, second = (
        made.keys.statement_key(NOW),
        made.keys.private(made.keys.new("statement", NOW).id),
    )
    both = sign(made.statement, [first, second])
    known = made.keys.list(NOW)
    assert verify(both, known, NOW, threshold=2) == made.statement
    twice = sign(made.statement, [first, first])
    with pytest.raises(SignatureInvalid, match="1 signed"):
        verify(twice, known, NOW, threshold=2)
    wrong = copy.deepcopy(both)
    wrong["signatures"][1]["sig"] = wrong["signatures"][0]["sig"]
    with pytest.raises(SignatureInvalid, match="does not fit"):
        verify(wrong, known, NOW)


def relogged(made: Desk, **changes: Any) -> dict[str, Any]:
    """The statement with other evidence of the log, signed by the right key."""
    said = made.statement["predicate"]
    log = said["log"] | changes
    statement = made.statement | {"predicate": said | {"log": log}}
    return sealed(PAYLOAD_TYPE, canonical(statement), [made.keys.statement_key(NOW)])


def test_evidence_of_the_log_that_does_not_hold_is_found_though_it_is_signed(made: Desk) -> None:
    known, log = made.keys.list(NOW), made.statement["predicate"]["log"]
    for changes in ({"index": 3}, {"proof": log["proof"][:-1]}, {"proof": log["proof"][::-1]}):
        with pytest.raises(LogBroken, match="not in the log"):
            verify(relogged(made, **changes), known, NOW)
    with pytest.raises(CheckpointInvalid, match="another head"):
        verify(relogged(made, size=8), known, NOW)
    with pytest.raises(CheckpointInvalid, match="not of other"):
        verify(relogged(made, origin="other.example.org"), known, NOW)
    forged = Keys.create(made.keys.folder.parent / "forged", NOW).log_key(NOW)
    note = checkpoint(ORIGIN, len(made.log), made.log.root(), [forged])
    with pytest.raises(CheckpointInvalid, match="No key trusted"):
        verify(relogged(made, checkpoint=note), known, NOW)
    with pytest.raises(KeyUnknown):
        verify(relogged(made, checkpoint=note, key=key_id(forged.public_key())), known, NOW)
    without = build("digits", DIGEST, predicate())
    with pytest.raises(StatementInvalid, match="not in the log"):
        verify(sealed(PAYLOAD_TYPE, canonical(without), [made.keys.statement_key(NOW)]), known, NOW)


def test_what_is_signed_is_in_the_log_and_in_its_form(made: Desk) -> None:
    key = made.keys.statement_key(NOW)
    without = build("digits", DIGEST, predicate())
    with pytest.raises(BadRequest, match="not in the log"):
        sign(without, [key])
    with pytest.raises(BadRequest, match="No key signs"):
        sign(made.statement, [])
    with pytest.raises(BadRequest, match="malformed"):
        sign(made.statement | {"note": "for Jane"}, [key])
    assert entry_of(made.statement) == entry_of(without)
    note = made.statement["predicate"]["log"]["checkpoint"]
    with pytest.raises(BadRequest, match="belong together"):
        with_log(without, made.log, 3, note, made.keys.log_key(NOW).public_key())
    twice = checkpoint(ORIGIN, 7, made.log.root(), 2 * [made.keys.log_key(NOW)])
    with pytest.raises(BadRequest, match="one key signed"):
        with_log(without, made.log, 4, twice, made.keys.log_key(NOW).public_key())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The predicate with the field at the dotted `path` set to `value`."""
    said = copy.deepcopy(predicate())
    *places, last = path.split(".")
    here: Any = said
    for place in places:
        here = here[int(place)] if place.isdigit() else here[place]
    here[int(last) if last.isdigit() else last] = value
    return said


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("note", "for Jane Doe", "unknown field"),
        ("asked.name", "Jane Doe", "asked: an unknown field"),
        ("done.method", "asked for by jane@example.org", "done.method"),
        ("done.method", "Jane Doe", "done.method"),
        ("done.curenu", "jane@example.org", "done.curenu"),
        ("done.status", "because Jane asked", "done.status"),
        ("limits", ["approximate", "other_copies", "clock", "Jane"], "limits"),
        ("asked.commitments", ["jane", "b2" * 32, "c3" * 32], "asked.commitments.0"),
        ("asked.commitments", ["A1" * 32, "b2" * 32, "c3" * 32], "asked.commitments.0"),
        ("asked.commitments", ["a1" * 32, "a1" * 32, "c3" * 32], "one commitment"),
        ("asked.commitments", ["a1" * 32, "b2" * 32], "one commitment"),
        ("done.results.erased", 1, "not every request"),
        ("done.results.grounds", [], "has a ground"),
        ("measured.figures.0.value", 1.6, "against its bar"),
        ("measured.figures.0.value", float("nan"), "finite"),
        ("measured.figures.0.high", None, "no bar"),
        ("measured.oracles", 0, "no oracle"),
        ("measured.figures", [], "all four figures"),
        ("done.status", "NO_GAIN", "accepted by nobody"),
        ("done.finished", "2026-11-27T05:00:00Z", "before it started"),
        ("done.finished", "2026-11-27T07:31:00Z", "before it was done"),
        ("limits", ["other_copies", "clock"], "approximate"),
        ("release", None, "a release has a number"),
        ("old_versions.0.acknowledged", 3, "more acknowledged"),
        ("old_versions.1.disposed", None, "has a time"),
    ],
)
def test_what_the_schema_refuses(path: str, value: Any, told: str) -> None:
    with pytest.raises(BadRequest, match=told) as caught:
        build("digits", DIGEST, changed(path, value))
    assert "ane" not in str(caught.value)  # nobody's name gets into a message either


def test_a_failed_bar_is_never_released_and_a_retraining_needs_none() -> None:
    said = changed("measured.figures.0", {"name": "R", "value": 2.5, "high": 1.5, "passed": False})
    with pytest.raises(BadRequest, match="cannot be released: retrain"):
        build("digits", DIGEST, said)
    assert build("digits", DIGEST, said | {"outcome": "rejected", "release": None})
    retrained = said["done"] | {"kind": "retrained", "method": "retrain"}
    assert build("digits", DIGEST, said | {"done": retrained})


@pytest.mark.parametrize("name", ["Jane", "jane doe", "jane@example.org", "", "a" * 64, "17"])
def test_a_model_is_named_by_a_short_word(name: str) -> None:
    with pytest.raises(BadRequest, match="name"):
        build(name, DIGEST, predicate())


def texts(schema: Any, defs: dict[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    """Every text in a JSON schema, with the name of its field."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[1]]
    if schema.get("type") == "string":
        yield name, schema
    for field, part in schema.get("properties", {}).items():
        yield from texts(part, defs, field)
    for part in [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
        yield from texts(part, defs, name)


@pytest.mark.parametrize("kind", [Predicate, Subject])
def test_no_field_of_the_schema_takes_free_text(kind: type) -> None:
    schema = kind.model_json_schema()  # type: ignore[attr-defined]
    found = list(texts(schema, schema.get("$defs", {})))
    assert found
    for name, text in found:
        fixed = "enum" in text or "const" in text or text.get("format") == "date-time"
        digest = text.get("pattern") == "^[0-9a-f]{64}$"
        short = name in SHORT_TEXTS and "pattern" in text and "@" not in text["pattern"]
        assert fixed or digest or short, (name, text)


def test_every_status_has_its_word() -> None:
    assert set(StatusName.__args__) == set(Status.__members__)


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s | {"subject": 2 * s["subject"]},
        lambda s: s | {"subject": []},
        lambda s: s | {"subject": [s["subject"][0] | {"uri": "https://example.org/jane"}]},
        lambda s: s | {"predicate": s["predicate"] | {"release": 7.0}},
        lambda s: s | {"predicate": []},
    ],
)
def test_signed_content_outside_the_schema_is_refused(made: Desk, change: Change) -> None:
    content = canonical(change(made.statement))
    envelope = sealed(PAYLOAD_TYPE, content, [made.keys.statement_key(NOW)])
    with pytest.raises(StatementInvalid, match="malformed"):
        verify(envelope, made.keys.list(NOW), NOW)
