"""Signatures of weights: other people's tool verifies them, and no change of either passes."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from curenu.desk.envelopes import key_id
from curenu.desk.faults import (
    EnvelopeMalformed,
    KeyExpired,
    KeyRevoked,
    KeyUnknown,
    SignatureInvalid,
    WeightsDiffer,
)
from curenu.desk.keys import Keys
from curenu.desk.weights_signing import sign_weights, verify_weights
from curenu.errors import BadRequest
from tests.desk.reports import NOW

REASON = "model-signing or what it needs is not installed: the extra desk-signing"


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Keys, Path, Path]:
    """Keys, weights and their signature."""
    pytest.importorskip("OpenSSL", reason=REASON)
    pytest.importorskip("model_signing", reason=REASON)
    keys = Keys.create(tmp_path / "keys", NOW)
    weights, signature = tmp_path / "model.safetensors", tmp_path / "model.sig"
    weights.write_bytes(bytes(range(256)))
    sign_weights(weights, signature, keys, NOW)
    return keys, weights, signature


Signed = tuple[Keys, Path, Path]


def test_signed_weights_hold_under_any_name(signed: Signed) -> None:
    keys, weights, signature = signed
    key = verify_weights(weights, signature, keys.list(NOW), NOW)
    assert key.id == key_id(keys.statement_key(NOW).public_key())
    renamed = weights.rename(weights.with_name("served.bin"))
    assert verify_weights(renamed, signature, keys.list(NOW), NOW) == key


def test_the_command_of_other_people_verifies_it(signed: Signed, tmp_path: Path) -> None:
    from click.testing import CliRunner
    from model_signing._cli import main

    keys, weights, signature = signed
    (tmp_path / "public.pem").write_text(keys.list(NOW).valid("statement", NOW)[0].public)
    command = ["verify", "key", str(weights), "--signature", str(signature), "--public_key",
               str(tmp_path / "public.pem")]  # fmt: skip
    assert CliRunner().invoke(main, command).exit_code == 0
    weights.write_bytes(b"other")
    assert CliRunner().invoke(main, command).exit_code != 0


def test_changed_weights_are_found(signed: Signed) -> None:
    keys, weights, signature = signed
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(WeightsDiffer, match="not what was signed"):
        verify_weights(weights, signature, keys.list(NOW), NOW)


def test_a_folder_is_signed_to_its_last_file(signed: Signed, tmp_path: Path) -> None:
    keys, _, signature = signed
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    (folder / "sub" / "b").write_bytes(b"2")
    sign_weights(folder, signature, keys, NOW)
    assert verify_weights(folder, signature, keys.list(NOW), NOW)
    (folder / ".git").mkdir()
    (folder / ".git" / "hidden").write_bytes(b"3")
    with pytest.raises(WeightsDiffer):
        verify_weights(folder, signature, keys.list(NOW), NOW)
    with pytest.raises(BadRequest, match="a part of"):
        sign_weights(folder, folder / "model.sig", keys, NOW)
    (folder / "link").symlink_to(folder / "a")
    with pytest.raises(BadRequest, match="is a link"):
        sign_weights(folder, signature, keys, NOW)


def test_a_changed_signature_is_found(signed: Signed) -> None:
    keys, weights, signature = signed
    whole = signature.read_text()
    at = whole.index('"payload"') + 400
    signature.write_text(whole[:at] + ("B" if whole[at] == "A" else "A") + whole[at + 1 :])
    with pytest.raises(SignatureInvalid, match="was changed"):
        verify_weights(weights, signature, keys.list(NOW), NOW)
    for other in ("", "{}", "[]", whole[:200], whole.replace("dsseEnvelope", "envelope")):
        signature.write_text(other)
        with pytest.raises(EnvelopeMalformed, match="no signature"):
            verify_weights(weights, signature, keys.list(NOW), NOW)
    signature.unlink()
    with pytest.raises(EnvelopeMalformed):
        verify_weights(weights, signature, keys.list(NOW), NOW)


def test_keys_that_are_unknown_expired_or_revoked_are_refused(
    signed: Signed, tmp_path: Path
) -> None:
    keys, weights, signature = signed
    with pytest.raises(KeyUnknown):
        verify_weights(weights, signature, Keys.create(tmp_path / "other", NOW).list(NOW), NOW)
    with pytest.raises(KeyExpired):
        verify_weights(weights, signature, keys.list(NOW), NOW + timedelta(days=365))
    keys.revoke(key_id(keys.statement_key(NOW).public_key()), NOW)
    with pytest.raises(KeyRevoked):
        verify_weights(weights, signature, keys.list(NOW), NOW)


def test_weights_that_are_not_there_are_told(signed: Signed, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="not there"):
        sign_weights(tmp_path / "none", tmp_path / "sig", signed[0], NOW)
    assert not (tmp_path / "sig").exists()


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(BadRequest, match=r"curenu\[desk-signing\]"):
        sign_weights(tmp_path, tmp_path / "sig", Keys(tmp_path, "0" * 64), NOW)
