"""What the vault seals comes back to the one key alone, and commitments name nobody."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curenu.desk.faults import KeyDamaged, KeyExposed, KeyLost, KeyWrong, SealDamaged
from curenu.desk.vault import Vault, commitment, new_salt
from curenu.errors import BadRequest


@given(plain=st.binary(max_size=200), context=st.binary(max_size=20))
def test_what_was_sealed_comes_back(plain: bytes, context: bytes) -> None:
    vault = Vault(bytes(range(32)))
    token = vault.seal(plain, context)
    assert vault.unseal(token, context) == plain
    assert len(token) == len(plain) + 37
    assert vault.seal(plain, context) != token  # another nonce each time


def test_the_plain_text_is_not_in_the_token() -> None:
    assert b"jane.doe@example.org" not in Vault(bytes(32)).seal(b"jane.doe@example.org")


def test_the_file_is_for_its_owner_alone_and_opens_again(tmp_path: Path) -> None:
    token = Vault.create(tmp_path / "vault.key").seal(b"a person")
    assert stat.S_IMODE((tmp_path / "vault.key").stat().st_mode) == 0o600
    assert Vault.open(tmp_path / "vault.key").unseal(token) == b"a person"
    with pytest.raises(BadRequest, match="already there"):
        Vault.create(tmp_path / "vault.key")


def test_every_flipped_bit_of_a_token_is_found() -> None:
    vault = Vault(bytes(range(32)))
    token = vault.seal(b"id 17", b"row 4")
    for place in range(8 * len(token)):
        other = bytearray(token)
        other[place // 8] ^= 1 << place % 8
        with pytest.raises((SealDamaged, KeyWrong)):
            vault.unseal(bytes(other), b"row 4")
    for length in range(len(token)):
        with pytest.raises(SealDamaged):
            vault.unseal(token[:length], b"row 4")


def test_a_token_moved_to_another_row_is_refused() -> None:
    vault = Vault(bytes(range(32)))
    with pytest.raises(SealDamaged, match="another row"):
        vault.unseal(vault.seal(b"id 17", b"row 4"), b"row 5")


def test_a_wrong_key_is_told_from_damage() -> None:
    with pytest.raises(KeyWrong, match="belongs to this database"):
        Vault(bytes(32)).unseal(Vault(bytes(range(32))).seal(b"id 17"))


def test_a_lost_key_is_lost_and_a_damaged_one_damaged(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    with pytest.raises(KeyLost, match="backup"):
        Vault.open(path)
    Vault.create(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        path.write_bytes(bytes(flipped))
        with pytest.raises(KeyDamaged, match="whole vault key"):
            Vault.open(path)
    path.write_bytes(b"")
    with pytest.raises(KeyDamaged):
        Vault.open(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Vault.create(tmp_path / "vault.key")
    (tmp_path / "vault.key").chmod(0o644)
    with pytest.raises(KeyExposed, match="chmod 600"):
        Vault.open(tmp_path / "vault.key")


def test_a_commitment_is_the_hmac_of_rfc_2104() -> None:
    salt, value = bytes(range(32)), "jane.doe@example.org"
    block = salt.ljust(64, b"\0")  # the definition, written out
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + value.encode()).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).hexdigest()
    assert commitment(value, salt) == outer


def test_equal_values_have_unlike_commitments_and_short_salts_are_refused() -> None:
    assert commitment("jane", new_salt()) != commitment("jane", new_salt())
    with pytest.raises(BadRequest, match="new_salt"):
        commitment("jane", b"short")
