"""Heads of a log: the format of other tools, and every change of one is seen."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from curenu.desk.checkpoint import (
    checkpoint,
    log_faults,
    parse_checkpoint,
    verifier_key,
    verify_checkpoint,
)
from curenu.desk.faults import CheckpointInvalid
from curenu.desk.log import Log
from curenu.errors import BadRequest

ORIGIN = "desk.example.org/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))

NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The key of the example in the documentation of Go's golang.org/x/mod/sumdb/note."""


def test_the_key_line_is_that_of_the_reference_implementation() -> None:
    raw = base64.b64decode(NEUMANN.split("+", 2)[2])[1:]
    assert verifier_key("PeterNeumann", Ed25519PublicKey.from_public_bytes(raw)) == NEUMANN


def test_a_head_has_the_lines_of_the_format() -> None:
    root = Log([b"a", b"b"]).root()
    note = checkpoint(ORIGIN, 2, root, [KEY])
    *text, gap, signed, end = note.split("\n")
    assert text == [ORIGIN, "2", base64.b64encode(root).decode()]
    assert (gap, end) == ("", "")
    dash, name, encoded = signed.split(" ")
    assert (dash, name) == ("—", ORIGIN)
    hint = verifier_key(ORIGIN, KEY.public_key()).split("+")[1]
    value = base64.b64decode(encoded)
    assert value[:4].hex() == hint
    KEY.public_key().verify(value[4:], "\n".join([*text, ""]).encode())


def test_a_head_of_any_trusted_signer_verifies_and_of_no_other() -> None:
    root = Log([b"a"]).root()
    both = checkpoint(ORIGIN, 1, root, [OTHER, KEY])
    for keys in ([KEY], [OTHER], [KEY, OTHER]):
        found = verify_checkpoint(both, [key.public_key() for key in keys], ORIGIN)
        assert (found.size, found.root) == (1, root)
    with pytest.raises(CheckpointInvalid, match="No key trusted here"):
        verify_checkpoint(checkpoint(ORIGIN, 1, root, [OTHER]), [KEY.public_key()], ORIGIN)
    with pytest.raises(CheckpointInvalid, match="not of another"):
        verify_checkpoint(both, [KEY.public_key()], "another")


def test_every_flipped_bit_of_a_head_is_seen() -> None:
    note = checkpoint(ORIGIN, 12, Log([b"a"]).root(), [KEY]).encode()
    for place in range(8 * len(note)):
        other = bytearray(note)
        other[place // 8] ^= 1 << place % 8
        try:
            text = bytes(other).decode()
        except UnicodeDecodeError:
            continue  # not even a text
        with pytest.raises(CheckpointInvalid):
            verify_checkpoint(text, [KEY.public_key()], ORIGIN)
    for length in range(len(note)):
        with pytest.raises(CheckpointInvalid):
            verify_checkpoint(note[:length].decode("utf-8", "ignore"), [KEY.public_key()], ORIGIN)


@pytest.mark.parametrize("size", ["01", "+1", "-1", "1.0", "", "٣"])
def test_sizes_that_are_no_plain_numbers_are_refused(size: str) -> None:
    note = checkpoint(ORIGIN, 1, bytes(32), [KEY]).replace("\n1\n", f"\n{size}\n")
    with pytest.raises(CheckpointInvalid):
        parse_checkpoint(note)


def test_other_spellings_of_the_same_head_are_refused() -> None:
    note = checkpoint(ORIGIN, 1, bytes(32), [KEY])
    assert parse_checkpoint(note).root == bytes(32)
    root = base64.b64encode(bytes(32)).decode()
    for other in (
        note.replace(root, root.replace("A=", "B=")),  # decodes to the same bytes
        note.replace(root, base64.b64encode(bytes(31)).decode()),
        note.replace(ORIGIN + "\n", "a+b\n"),
        note + "more\n",
        note.replace("\n\n", "\n"),
    ):
        with pytest.raises(CheckpointInvalid, match="no signed head"):
            parse_checkpoint(other)


def test_a_log_without_an_entry_has_a_head_and_a_negative_size_has_none() -> None:
    empty = checkpoint(ORIGIN, 0, Log().root(), [KEY])
    assert verify_checkpoint(empty, [KEY.public_key()], ORIGIN).size == 0
    for size, root, keys in ((-1, bytes(32), [KEY]), (1, bytes(31), [KEY]), (1, bytes(32), [])):
        with pytest.raises(BadRequest):
            checkpoint(ORIGIN, size, root, keys)


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\nbreak", "größe"])
def test_a_name_that_a_note_cannot_hold_is_refused(origin: str) -> None:
    with pytest.raises(BadRequest, match="printable"):
        checkpoint(origin, 1, bytes(32), [KEY])


def test_the_fault_of_a_log_is_named_by_heads_kept_elsewhere() -> None:
    entries = [f"entry {i}".encode() for i in range(20)]
    log = Log(entries)
    heads = [parse_checkpoint(checkpoint(ORIGIN, n, log.root(n), [KEY])) for n in (20, 5, 12, 16)]
    assert log_faults(entries, heads) == []
    assert log_faults([*entries, b"more"], heads) == []
    for other in (
        [*entries[:13], b"flipped", *entries[14:]],
        [*entries[:13], *entries[14:], b"filled up"],
        [*entries[:13], entries[14], entries[13], *entries[15:]],
        [*entries[:13], b"slipped in", *entries[13:]],
    ):
        (fault,) = log_faults(other, heads)
        assert "entries 12 to 15" in fault
    (fault,) = log_faults([b"flipped", *entries[1:]], heads)
    assert "entries 0 to 4" in fault
    (fault,) = log_faults(entries[:18], heads)
    assert "has 18 entries and the head knows of 20" in fault
    assert "older copy" in fault
