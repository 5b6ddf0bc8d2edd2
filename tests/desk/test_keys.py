"""Keys of the desk: for their owner alone, and worth nothing once expired or revoked."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa

from curenu.desk.envelopes import key_id, pem_of, sealed
from curenu.desk.faults import (
    EnvelopeMalformed,
    KeyDamaged,
    KeyExpired,
    KeyExposed,
    KeyListInvalid,
    KeyLost,
    KeyRevoked,
    KeyUnknown,
    KeyWrong,
    WrongType,
)
from curenu.desk.forms import canonical, moment, written
from curenu.desk.key_list import KEY_LIST_TYPE, verify_key_list
from curenu.desk.keys import KEY_LIST_FILE, Keys
from curenu.errors import BadRequest

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.create(tmp_path / "keys", NOW)


def test_private_keys_are_of_their_kind_and_for_their_owner_alone(keys: Keys) -> None:
    known = keys.list(NOW)
    assert [key.use for key in known.keys] == ["root", "statement", "log"]
    assert isinstance(keys.statement_key(NOW), EllipticCurvePrivateKey)
    assert keys.statement_key(NOW).curve.name == "secp256r1"
    assert isinstance(keys.log_key(NOW), Ed25519PrivateKey)
    for key in known.keys:
        assert key.id == key_id(keys.private(key.id).public_key())
        assert stat.S_IMODE((keys.folder / f"{key.id}.pem").stat().st_mode) == 0o600
    assert b"PRIVATE" not in (keys.folder / KEY_LIST_FILE).read_bytes()
    with pytest.raises(BadRequest, match="already"):
        Keys.create(keys.folder, NOW)


def test_a_rotated_key_holds_until_the_overlap_ends(keys: Keys) -> None:
    old = keys.statement_key(NOW)
    new = keys.rotate("statement", NOW + DAY, overlap=2 * DAY)
    later = Keys.open(keys.folder)
    assert key_id(later.statement_key(NOW + DAY).public_key()) == new.id
    before = key_id(old.public_key())
    known = later.list(NOW + 2 * DAY)
    assert known.number == 2
    assert known.find(before, "statement", NOW + 3 * DAY - timedelta(seconds=1)).id == before
    with pytest.raises(KeyExpired, match="2026-11-30T08:00:00Z"):
        known.find(before, "statement", NOW + 3 * DAY)
    assert [key.id for key in known.valid("statement", NOW + 3 * DAY)] == [new.id]


def test_a_revoked_key_never_holds_again_and_is_deleted(keys: Keys) -> None:
    name = key_id(keys.log_key(NOW).public_key())
    keys.revoke(name, NOW + DAY)
    for time in (NOW, NOW + DAY, NOW + 2 * DAY):
        with pytest.raises(KeyRevoked, match="2026-11-28"):
            keys.list(NOW + DAY).find(name, "log", time)
    assert not (keys.folder / f"{name}.pem").exists()
    with pytest.raises(KeyExpired, match="key rotate log"):
        keys.log_key(NOW + DAY)
    keys.new("log", NOW + 2 * DAY)
    assert keys.log_key(NOW + 2 * DAY)


def test_a_key_is_known_for_its_own_use_only(keys: Keys) -> None:
    name = key_id(keys.log_key(NOW).public_key())
    for key, use in [(name, "statement"), (name, "root"), ("0" * 64, "log")]:
        with pytest.raises(KeyUnknown):
            keys.list(NOW).find(key, use, NOW)  # type: ignore[arg-type]


def test_who_holds_a_newer_list_sees_an_older_one_and_an_old_one_ends(keys: Keys) -> None:
    first = keys.envelope()
    keys.revoke(key_id(keys.statement_key(NOW).public_key()), NOW + DAY)
    assert verify_key_list(first, keys.root, NOW + 2 * DAY).number == 1
    with pytest.raises(KeyListInvalid, match="list 1 is older than list 2"):
        verify_key_list(first, keys.root, NOW + 2 * DAY, least=2)
    with pytest.raises(KeyListInvalid, match="valid from"):
        verify_key_list(first, keys.root, NOW + 90 * DAY)
    with pytest.raises(KeyListInvalid, match="valid from"):
        verify_key_list(first, keys.root, NOW - timedelta(seconds=1))
    keys.renew(NOW + 100 * DAY)
    assert keys.list(NOW + 100 * DAY).number == 3


def test_a_list_of_another_root_is_refused(keys: Keys, tmp_path: Path) -> None:
    other = Keys.create(tmp_path / "other", NOW)
    with pytest.raises(KeyListInvalid, match="not on the key list"):
        verify_key_list(other.envelope(), keys.root, NOW)
    mixed = keys.envelope() | {"signatures": other.envelope()["signatures"]}
    with pytest.raises(KeyListInvalid, match="another key"):
        verify_key_list(mixed, keys.root, NOW)


def flipped(text: str, place: int = 40) -> str:
    return text[:place] + ("B" if text[place] == "A" else "A") + text[place + 1 :]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda e: e | {"payload": flipped(e["payload"])}, KeyListInvalid),
        (lambda e: e | {"signatures": []}, EnvelopeMalformed),
        (lambda e: e | {"more": 1}, EnvelopeMalformed),
        (lambda e: e | {"payload": 3}, EnvelopeMalformed),
        (lambda e: [e], EnvelopeMalformed),
        (lambda e: None, EnvelopeMalformed),
        (lambda e: e | {"signatures": [e["signatures"][0] | {"note": "x"}]}, EnvelopeMalformed),
        (lambda e: e | {"signatures": 2 * e["signatures"]}, EnvelopeMalformed),
        (lambda e: e | {"payloadType": "application/vnd.in-toto+json"}, WrongType),
        (lambda e: e | {"payloadType": 7}, EnvelopeMalformed),
    ],
)
def test_lists_that_are_not_as_signed_are_refused(
    keys: Keys, change: Callable[[Any], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        verify_key_list(change(keys.envelope()), keys.root, NOW)


def test_the_list_is_not_changed_by_hand_and_then_signed(keys: Keys) -> None:
    path = keys.folder / KEY_LIST_FILE
    envelope = keys.envelope()
    envelope["payload"] = flipped(envelope["payload"], 100)
    path.write_text(json.dumps(envelope))
    with pytest.raises((KeyDamaged, KeyListInvalid)):
        Keys.open(keys.folder).rotate("log", NOW)
    path.write_text("{")
    with pytest.raises(KeyDamaged, match="no key list"):
        Keys.open(keys.folder)
    path.unlink()
    with pytest.raises(KeyLost, match="cannot be read"):
        Keys.open(keys.folder)


def test_a_clock_set_back_and_a_second_root_are_refused(keys: Keys) -> None:
    with pytest.raises(BadRequest, match="setting the clock"):
        keys.rotate("log", NOW - DAY)
    for wrong in (lambda: keys.new("root", NOW), lambda: keys.rotate("root", NOW)):
        with pytest.raises(BadRequest, match="root key"):
            wrong()
    for name in (keys.root, "0" * 64):
        with pytest.raises(BadRequest, match="can be revoked"):
            keys.revoke(name, NOW)
    assert keys.list(NOW).number == 1
    assert len([*keys.folder.glob("*.pem")]) == 3


def test_the_root_key_can_be_kept_elsewhere(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "safe").mkdir()
    (keys.folder / f"{keys.root}.pem").rename(tmp_path / "safe" / f"{keys.root}.pem")
    without = Keys.open(keys.folder)
    assert without.statement_key(NOW)
    with pytest.raises(KeyLost, match="backup"):
        without.new("statement", NOW)
    assert len([*keys.folder.glob("*.pem")]) == 2  # no key that no list names
    Keys.open(keys.folder, tmp_path / "safe").new("statement", NOW)
    assert len(Keys.open(keys.folder).list(NOW).valid("statement", NOW)) == 2


def test_a_key_file_lost_damaged_exposed_or_swapped_has_its_own_error(keys: Keys) -> None:
    log = key_id(keys.log_key(NOW).public_key())
    other = key_id(keys.statement_key(NOW).public_key())
    path = keys.folder / f"{log}.pem"
    whole = path.read_bytes()
    path.write_bytes((keys.folder / f"{other}.pem").read_bytes())
    with pytest.raises(KeyWrong, match="another key"):
        keys.log_key(NOW)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KeyDamaged, match="whole private key"):
        keys.log_key(NOW)
    path.write_bytes(whole)
    path.chmod(0o640)
    with pytest.raises(KeyExposed, match="chmod 600"):
        keys.log_key(NOW)
    path.unlink()
    with pytest.raises(KeyLost):
        keys.log_key(NOW)


def test_a_list_with_a_key_of_another_kind_or_id_is_malformed(keys: Keys) -> None:
    listed = keys.list(NOW).model_dump(mode="json")
    root, statement, log = listed["keys"]
    rsa = generate_rsa(65537, 2048).public_key()
    for wrong in (
        statement | {"use": "log"},
        log | {"use": "statement"},
        statement | {"public": log["public"]},
        statement | {"id": log["id"]},
        statement | {"public": statement["public"] + "\n"},
        statement | {"public": pem_of(rsa), "id": key_id(rsa)},
        statement | {"not_after": statement["not_before"]},
        root,
    ):
        changed = listed | {"keys": [root, wrong]}
        envelope = sealed(KEY_LIST_TYPE, canonical(changed), [keys.private(keys.root)])
        with pytest.raises(KeyListInvalid, match="malformed"):
            verify_key_list(envelope, keys.root, NOW)
    listed["keys"].reverse()  # another order is another list, and a list all the same
    envelope = sealed(KEY_LIST_TYPE, canonical(listed), [keys.private(keys.root)])
    assert verify_key_list(envelope, keys.root, NOW)


def test_times_are_utc_to_the_second_and_nothing_else() -> None:
    ahead = datetime.fromisoformat("2026-11-27T09:30:00.5+01:00")
    assert written(moment(ahead)) == "2026-11-27T08:30:00Z"
    assert moment("2026-11-27T08:30:00Z") == datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
    for wrong in ("2026-11-27", "2026-11-27T08:30:00+00:00", "2026-11-7T08:30:00Z", 3, None,
                  datetime(2026, 11, 27)):  # fmt: skip
        with pytest.raises(ValueError):
            moment(wrong)
