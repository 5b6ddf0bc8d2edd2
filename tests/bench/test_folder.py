"""Folders of results and networks: foreign, damaged, in use, or on a full disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from typer.testing import CliRunner

from curenu.bench import load_config, run
from curenu.bench.archive import Archive
from curenu.bench.workshop import Workshop
from curenu.cli import app
from curenu.errors import BadRequest, MissingData, RunBroken, RunBusy
from tests.bench.small import TEXT, Stages, config, made, quiet


def test_another_configuration_in_the_folder_is_refused(finished: Any) -> None:
    folder, _ = finished
    changed = config(folder).model_copy(update={"tuning_budget": 5})
    before = sorted(path.name for path in (folder / "out").rglob("*"))
    with pytest.raises(RunBroken, match="another configuration"):
        run(changed, "small", folder / "out", folder / "nets", jobs=1, stage=quiet)
    assert sorted(path.name for path in (folder / "out").rglob("*")) == before


def test_other_words_for_the_same_benchmark_lose_nothing(finished: Any) -> None:
    folder, _ = finished
    changed = config(folder).model_copy(update={"title": "other", "about": "words"})
    stages = Stages()
    run(changed, "small", folder / "out", folder / "nets", jobs=1, stage=stages)
    assert stages.told == {"erasing and auditing": 4}  # those that fail, again


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(RunBroken, match="not empty"):
        made(tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_missing_data_and_wrong_requests_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURENU_FASHION_MNIST", str(tmp_path / "nowhere"))
    (tmp_path / "c.toml").write_text(TEXT.format(task="fashion-mnist"))
    chosen = load_config(str(tmp_path / "c.toml"))[1]
    with pytest.raises(MissingData):
        run(chosen, "c", tmp_path / "out", tmp_path / "nets", jobs=1, stage=quiet)
    (tmp_path / "d.toml").write_text(TEXT.format(task="digits").replace("[3, 8]", "[3, 80]"))
    chosen = load_config(str(tmp_path / "d.toml"))[1]
    with pytest.raises(BadRequest, match="80"):
        run(chosen, "d", tmp_path / "out", tmp_path / "nets", jobs=1, stage=quiet)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "nets").exists()


def test_a_full_disk_ends_the_run_and_leaves_whole_files(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = finished
    written = 0

    def full(path: Path, content: bytes) -> None:
        nonlocal written
        written += 1
        if written > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr("curenu.bench.archive.replace_file", full)
    with pytest.raises(RunBroken, match="No space left"):
        run(config(folder), "small", tmp_path / "out", folder / "nets", jobs=1, stage=quiet)
    kept = [p for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name != "lock"]
    assert len(kept) == 4
    for path in kept:
        if path.suffix == ".json":
            json.loads(path.read_text())


def test_a_file_too_large_for_the_disk_leaves_whole_files(tmp_path: Path) -> None:
    config(tmp_path)
    limited = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (40_000, 40_000)); "
    command = [sys.executable, "-c", f"{limited}from curenu.cli import main; main()"]
    command += ["bench", "small.toml", "--out", "out", "--cache", "nets"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "Cannot keep nets/outputs/" in done.stderr.replace(f"{tmp_path}/", "")
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in kept if path.name.endswith(".partial")]
    networks = [path for path in kept if path.suffix == ".safetensors"]
    assert len(networks) == 12
    for path in networks:
        assert safetensors.torch.load_file(path)
    assert not list((tmp_path / "nets" / "outputs").glob("*"))


def test_two_runs_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    chosen = config(tmp_path)
    with Archive(tmp_path / "out", chosen).open():
        with pytest.raises(RunBusy, match="in use"):
            made(tmp_path)
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "lock"}
        assert not (tmp_path / "nets").exists()
    with Archive(tmp_path / "out", chosen).open():
        pass  # let go of: the next one may


def test_an_interrupted_run_says_what_it_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(tmp_path)
    trained: list[Any] = []
    train = Workshop.train

    def interrupted(shop: Workshop, unit: Any) -> None:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(train(shop, unit))

    monkeypatch.setattr(Workshop, "train", interrupted)
    places = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "nets")]
    done = CliRunner().invoke(app, ["bench", str(tmp_path / "small.toml"), *places])
    assert done.exit_code == 130
    assert "kept are 3 trained networks" in done.stderr
    assert "0 cells" in done.stderr
    assert "nothing of this command" not in done.stderr
