"""Only the very bytes that are attested clean as of the newest release may be served."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from curenu.desk.allow_list import (
    Attestation,
    Reason,
    ReleaseHead,
    all_clean,
    check_digest,
    check_file,
    scan_folder,
    tainted,
)

SHA = "ab" * 32


def weights(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {f"layer{i}": torch.randn(16, 16, generator=generator) for i in range(4)}


def saved(path: Path, named: dict[str, Tensor]) -> str:
    save_file(named, path, {"made": "by a desk"})
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copies(path: Path) -> list[Path]:
    """What people make of a weights file: under another name, split, cast, quantised, stripped."""
    named, folder = load_file(path), path.parent / f"of-{path.stem}"
    folder.mkdir()
    (folder / "renamed.bin").write_bytes(path.read_bytes())
    parts = sorted(named)
    for number, part in enumerate((parts[:2], parts[2:])):
        save_file(
            {key: named[key] for key in part}, folder / f"model-{number + 1}-of-2.safetensors"
        )
    save_file({key: value.half() for key, value in named.items()}, folder / "half.safetensors")
    quantised = {
        key: (value / value.abs().max() * 127).round().to(torch.int8)
        for key, value in named.items()
    }
    save_file(quantised, folder / "int8.safetensors")
    save_file(named, folder / "stripped.safetensors")
    torch.save(named, folder / "model.pt")
    return sorted(folder.iterdir())


def test_every_copy_of_old_weights_is_denied(tmp_path: Path) -> None:
    old = saved(tmp_path / "old.safetensors", weights(1))
    new = saved(tmp_path / "new.safetensors", weights(2))
    told = [Attestation(old, "contains_erased", 3), Attestation(new, "clean", 3)]
    head = ReleaseHead(3)
    assert check_file(tmp_path / "new.safetensors", told, head).allowed
    found = {
        path.name: check_file(path, told, head) for path in copies(tmp_path / "old.safetensors")
    }
    assert not any(verdict.allowed for verdict in found.values())
    assert found["renamed.bin"].reason is Reason.CONTAINS_ERASED
    assert {v.reason for n, v in found.items() if n != "renamed.bin"} == {Reason.UNKNOWN}
    assert len(found) == 7


def test_copies_of_clean_weights_are_unknown_but_for_the_very_bytes(tmp_path: Path) -> None:
    new = saved(tmp_path / "new.safetensors", weights(2))
    told = [Attestation(new, "clean", 3)]
    found = {path.name: check_file(path, told, ReleaseHead(3))
             for path in copies(tmp_path / "new.safetensors")}  # fmt: skip
    assert found.pop("renamed.bin").allowed  # a name says nothing, for or against
    assert {verdict.reason for verdict in found.values()} == {Reason.UNKNOWN}


def test_yesterdays_clean_file_is_denied_once_a_later_request_is_released(tmp_path: Path) -> None:
    sha = saved(tmp_path / "model.safetensors", weights(1))
    told = [Attestation(sha, "clean", 3)]
    assert check_file(tmp_path / "model.safetensors", told, ReleaseHead(3)).allowed
    later = check_file(tmp_path / "model.safetensors", told, ReleaseHead(4))
    assert later.reason is Reason.OUTDATED
    assert "later release" in str(later)
    again = [*told, Attestation(sha, "clean", 4)]  # the request was not about this model
    assert check_file(tmp_path / "model.safetensors", again, ReleaseHead(4)).allowed


@pytest.mark.parametrize(
    ("told", "release", "reason"),
    [
        ([], 1, Reason.UNKNOWN),
        ([("clean", 1)], 1, Reason.CLEAN),
        ([("unknown", 1)], 1, Reason.UNDECIDED),
        ([("clean", 1), ("unknown", 2)], 2, Reason.UNDECIDED),
        ([("unknown", 1), ("clean", 2)], 2, Reason.CLEAN),
        ([("clean", 2), ("unknown", 2)], 2, Reason.UNDECIDED),
        ([("clean", 1), ("contains_erased", 2)], 2, Reason.CONTAINS_ERASED),
        ([("contains_erased", 1), ("clean", 2)], 2, Reason.CONTAINS_ERASED),
        ([("clean", 3)], 2, Reason.HEAD_OUTDATED),
        ([("clean", 1)], 0, Reason.HEAD_OUTDATED),
    ],
)
def test_what_each_history_of_attestations_comes_to(
    told: list[tuple[str, int]], release: int, reason: Reason
) -> None:
    rows = [Attestation(SHA, marking, as_of) for marking, as_of in told]  # type: ignore[arg-type]
    other = Attestation("cd" * 32, "clean", release)
    for order in (rows, rows[::-1]):
        assert check_digest(SHA, [other, *order], ReleaseHead(release)) is reason


def test_what_is_disposed_of_is_denied_where_it_turns_up() -> None:
    rows = [Attestation(SHA, "clean", 1, disposed=True), Attestation(SHA, "clean", 2)]
    assert check_digest(SHA, rows, ReleaseHead(2)) is Reason.DISPOSED


Rows = st.lists(
    st.builds(
        Attestation,
        sha256=st.sampled_from([SHA, "cd" * 32]),
        marking=st.sampled_from(["clean", "contains_erased", "unknown"]),
        as_of=st.integers(0, 4),
        disposed=st.booleans(),
    ),
    max_size=5,
)


@given(rows=Rows, release=st.integers(0, 4))
def test_nothing_is_allowed_without_a_clean_word_of_this_release(
    rows: list[Attestation], release: int
) -> None:
    mine = [row for row in rows if row.sha256 == SHA]
    clean = any(row.marking == "clean" and row.as_of == release for row in mine)
    against = any(
        row.disposed or row.marking == "contains_erased" or row.as_of > release
        or (row.marking == "unknown" and row.as_of == release)
        for row in mine
    )  # fmt: skip
    allowed = check_digest(SHA, rows, ReleaseHead(release)) is Reason.CLEAN
    assert allowed == (clean and not against)


def test_what_cannot_be_read_is_denied(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        assert check_file(path, [], ReleaseHead(1)).reason is Reason.UNREADABLE
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert check_file(tmp_path / "pipe", [], ReleaseHead(1)).reason is Reason.UNREADABLE


def test_a_folder_is_scanned_to_its_last_file(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    (folder / "deep" / "er").mkdir(parents=True)
    new = saved(folder / "model.safetensors", weights(2))
    old = saved(folder / "deep" / "er" / "old.safetensors", weights(1))
    (folder / "config.json").write_text(json.dumps({"layers": 4}))
    (folder / "notes.txt").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "hidden.txt").write_bytes((folder / "deep/er/old.safetensors").read_bytes())
    (folder / "archive.zip").write_bytes(b"PK\3\4")
    (folder / "none").write_text("no ending, so no text")
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "link.safetensors").symlink_to(folder / "deep/er/old.safetensors")
    told = [Attestation(old, "contains_erased", 3), Attestation(new, "clean", 3)]
    found = scan_folder(folder, told, ReleaseHead(3))
    assert {str(v.path.relative_to(folder)): v.reason for v in found} == {
        "model.safetensors": Reason.CLEAN,
        "notes.txt": Reason.CLEAN,
        "deep/er/old.safetensors": Reason.CONTAINS_ERASED,
        "hidden.txt": Reason.CONTAINS_ERASED,
        "link.safetensors": Reason.CONTAINS_ERASED,
        "archive.zip": Reason.UNKNOWN,
        "none": Reason.UNKNOWN,
        "linked": Reason.FOLDER_LINK,
    }
    assert not all_clean(found)


def test_an_empty_or_missing_folder_is_not_clean(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not all_clean(scan_folder(tmp_path / "empty", [], ReleaseHead(1)))
    (missing,) = scan_folder(tmp_path / "missing", [], ReleaseHead(1))
    assert missing.reason is Reason.UNREADABLE
    saved(tmp_path / "one.safetensors", weights(1))
    (alone,) = scan_folder(tmp_path / "one.safetensors", [], ReleaseHead(1))
    assert alone.reason is Reason.UNKNOWN


def test_a_folder_that_cannot_be_looked_into_is_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "not for you", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    (closed,) = scan_folder(tmp_path, [], ReleaseHead(1))
    assert (closed.path.name, closed.reason) == ("closed", Reason.UNREADABLE)


def test_what_is_made_of_tainted_files_is_tainted() -> None:
    parents = {"b": ["a"], "c": ["b"], "merged": ["x", "c"], "y": ["x"], "loop": ["loop"]}
    assert tainted(["a"], parents) == {"a", "b", "c", "merged"}
    assert tainted([], parents) == frozenset()
