"""The log's tree is RFC 6962's, and no tampering with entries or proofs goes unseen."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curenu.desk.faults import LogBroken
from curenu.desk.log import EMPTY_ROOT, Log, leaf_hash, verify_consistency, verify_inclusion
from curenu.errors import BadRequest

LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
"""The entries of the test vectors of Certificate Transparency."""

ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_vectors_of_certificate_transparency(size: int) -> None:
    assert Log(LEAVES).root(size).hex() == ROOTS[size]
    assert Log(LEAVES[:size]).root().hex() == ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, ROOTS[4]]), (2, 3, [ROOTS[2]]),
     (1, 5, [ROOTS[1], B, D])],
)  # fmt: skip
def test_inclusion_proofs_are_the_vectors(index: int, size: int, proof: list[str]) -> None:
    assert [step.hex() for step in Log(LEAVES).inclusion(index, size)] == proof


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[4]]), (2, 5, [B, D])],
)
def test_consistency_proofs_are_the_vectors(old: int, new: int, proof: list[str]) -> None:
    assert [step.hex() for step in Log(LEAVES).consistency(old, new)] == proof


def naive_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962, word for word."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = max(2**i for i in range(64) if 2**i < len(entries))
    return hashlib.sha256(b"\1" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def naive_path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, word for word."""
    if len(entries) == 1:
        return []
    k = max(2**i for i in range(64) if 2**i < len(entries))
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def naive_subproof(m: int, entries: list[bytes], known: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, word for word."""
    if m == len(entries):
        return [] if known else [naive_root(entries)]
    k = max(2**i for i in range(64) if 2**i < len(entries))
    if m <= k:
        return [*naive_subproof(m, entries[:k], known), naive_root(entries[k:])]
    return [*naive_subproof(m - k, entries[k:], False), naive_root(entries[:k])]


def entries_of(count: int) -> list[bytes]:
    return [f"entry {i}".encode() for i in range(count)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 13, 32, 37])
def test_everything_equals_a_naive_tree_and_verifies(size: int) -> None:
    entries = entries_of(size)
    log = Log(entries)
    root = naive_root(entries)
    assert log.root() == root
    for index in range(size):
        proof = log.inclusion(index)
        assert proof == naive_path(index, entries)
        verify_inclusion(leaf_hash(entries[index]), index, size, proof, root)
    for old in range(1, size + 1):
        proof = log.consistency(old)
        assert proof == naive_subproof(old, entries, True)
        verify_consistency(old, size, naive_root(entries[:old]), root, proof)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=4), min_size=1, max_size=40), st.data())
def test_any_tree_proves_its_own_past(entries: list[bytes], data: st.DataObject) -> None:
    log = Log(entries)
    new = data.draw(st.integers(1, len(entries)))
    old = data.draw(st.integers(1, new))
    index = data.draw(st.integers(0, new - 1))
    assert log.root(new) == naive_root(entries[:new])
    verify_inclusion(log.leaf(index), index, new, log.inclusion(index, new), log.root(new))
    verify_consistency(old, new, log.root(old), log.root(new), log.consistency(old, new))


def mutants(proof: list[bytes], chance: random.Random) -> list[list[bytes]]:
    """`proof` with a step flipped, lost, doubled, swapped or added, each way once a step."""
    made = [[*proof, bytes(32)], [bytes(32), *proof]]
    for place in range(len(proof)):
        step = bytearray(proof[place])
        step[chance.randrange(32)] ^= 1 << chance.randrange(8)
        made.append([*proof[:place], bytes(step), *proof[place + 1 :]])
        made.append([*proof[:place], *proof[place + 1 :]])
        made.append([*proof[:place], proof[place], *proof[place:]])
    made += [[*proof[:i], proof[i + 1], proof[i], *proof[i + 2 :]] for i in range(len(proof) - 1)]
    return [other for other in made if other != proof]


@pytest.mark.parametrize("size", [1, 2, 5, 8, 11, 16, 21])
def test_no_mutated_proof_verifies(size: int) -> None:
    chance = random.Random(size)
    log = Log(entries_of(size))
    for index in range(size):
        leaf, proof = log.leaf(index), log.inclusion(index)
        for other in mutants(proof, chance):
            with pytest.raises(LogBroken, match="not in the log"):
                verify_inclusion(leaf, index, size, other, log.root())
        for wrong in {*range(-1, size + 2)} - {index}:
            with pytest.raises(LogBroken):
                verify_inclusion(leaf, wrong, size, proof, log.root())
        with pytest.raises(LogBroken):
            verify_inclusion(leaf_hash(b"another"), index, size, proof, log.root())
    for old in range(1, size + 1):
        for other in mutants(log.consistency(old), chance):
            with pytest.raises(LogBroken, match="does not begin with"):
                verify_consistency(old, size, log.root(old), log.root(), other)


@settings(max_examples=60)
@given(st.integers(2, 30), st.data())
def test_a_changed_past_has_no_proof(size: int, data: st.DataObject) -> None:
    entries = entries_of(size)
    old = data.draw(st.integers(1, size))
    place = data.draw(st.integers(0, old - 1))
    kind = data.draw(st.sampled_from(["flip", "delete", "swap", "insert"]))
    head, changed = Log(entries).root(old), list(entries)
    if kind == "flip":
        changed[place] += b"!"
    elif kind == "delete":
        del changed[place]
        changed.append(b"filled up")
    elif kind == "swap":
        changed[place], changed[place - 1] = changed[place - 1], changed[place]
    else:
        changed.insert(place, b"slipped in")
    log = Log(changed)
    if log.root(old) == head:  # a swap across the old end may leave the past alone: not here
        assert kind == "swap"
        assert changed[:old] == entries[:old]
        return
    with pytest.raises(LogBroken):
        verify_consistency(old, len(log), head, log.root(), log.consistency(old))


def test_every_tree_begins_with_the_empty_one_and_no_other_claim_of_it_holds() -> None:
    log = Log(LEAVES)
    verify_consistency(0, 8, EMPTY_ROOT, log.root(), [])
    for old, new, first, second in [
        (0, 8, bytes(32), log.root()),
        (8, 8, log.root(7), log.root()),
        (8, 7, log.root(), log.root(7)),
        (-1, 7, log.root(), log.root(7)),
    ]:
        with pytest.raises(LogBroken):
            verify_consistency(old, new, first, second, [])


@pytest.mark.parametrize(("old", "new"), [(3, 7), (4, 7), (7, 3), (8, 4), (9, 8), (-2, 8)])
def test_an_empty_proof_and_a_log_that_shrank_show_nothing(old: int, new: int) -> None:
    log = Log(entries_of(9))
    first = log.root(max(old, 0))
    for proof in ([], log.consistency(4, 7), log.consistency(3, 7)):
        if (old, new) in ((3, 7), (4, 7)) and proof:
            continue
        with pytest.raises(LogBroken, match="does not begin with"):
            verify_consistency(old, new, first, log.root(new), proof)


def test_what_the_log_does_not_have_is_refused() -> None:
    log = Log(LEAVES)
    for ask in (
        lambda: log.root(9), lambda: log.root(-1), lambda: log.leaf(8), lambda: log.leaf(-1),
        lambda: log.inclusion(8), lambda: log.inclusion(3, 3), lambda: log.inclusion(-1),
        lambda: log.consistency(0), lambda: log.consistency(5, 4), lambda: log.consistency(1, 9),
    ):  # fmt: skip
        with pytest.raises(BadRequest, match="8 entries"):
            ask()
