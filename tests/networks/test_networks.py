"""Networks are trained once, told apart by their problem, and made again where damaged."""

from __future__ import annotations

import dataclasses
import logging
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from curenu.errors import IllPosed, NotConverged, RunBroken
from curenu.networks import Networks, split_of, timed_training
from curenu.tasks import Recipe, Task, load_task

IDS = list(range(64))


def short(**changes: Any) -> Task:
    return dataclasses.replace(load_task("digits"), recipe=Recipe(2, 32, 0.1), **changes)


@pytest.fixture
def networks(tmp_path: Path) -> Networks:
    return Networks.in_folder(tmp_path / "nets", short())


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def vector(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_a_network_is_trained_once_and_is_the_recipes(networks: Networks, tmp_path: Path) -> None:
    first = networks.get(3, IDS)
    expected = networks.task.train_model(3, ids=IDS)
    assert torch.equal(vector(first.model), vector(expected))
    again = networks.get(3, IDS, progress=lambda *_: pytest.fail("trained again"))
    assert torch.equal(vector(again.model), vector(first.model))
    assert again.seconds == first.seconds > 0
    assert not again.model.training
    (path,) = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_seeds_examples_and_problems_are_other_networks(tmp_path: Path) -> None:
    task = short()
    x, y = task.train.tensors  # type: ignore[attr-defined]
    spoilt = y.clone()
    spoilt[700] = (spoilt[700] + 1) % 10
    tasks = [
        task,
        short(train=TensorDataset(x, spoilt)),
        dataclasses.replace(task, recipe=Recipe(2, 32, 0.1, weight_decay=0.0)),
        dataclasses.replace(task, loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1)),
    ]
    keys = [Networks.in_folder(tmp_path, one).key(0, IDS) for one in tasks]
    own = Networks.in_folder(tmp_path, task)
    keys += [own.key(1, IDS), own.key(0, IDS[1:]), own.key(0, IDS[::-1])]
    assert len(set(keys)) == len(keys)
    assert own.key(0, np.array(IDS)) == keys[0]


def test_a_network_that_was_never_trained_is_not_loaded(networks: Networks) -> None:
    with pytest.raises(NotConverged, match="was not trained"):
        networks.load(0, IDS)


def test_training_that_diverges_is_not_kept(tmp_path: Path) -> None:
    wild = dataclasses.replace(load_task("digits"), recipe=Recipe(2, 32, 1e30))
    with pytest.raises(IllPosed):
        Networks.in_folder(tmp_path, wild).train(0, IDS)
    assert not files(tmp_path)


@pytest.mark.parametrize("where", [0, 60, -9])
def test_a_damaged_network_is_made_again_and_said(
    networks: Networks, tmp_path: Path, caplog: pytest.LogCaptureFixture, where: int
) -> None:
    first = networks.get(0, IDS)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = networks.get(0, IDS)
    assert torch.equal(vector(again.model), vector(first.model))
    assert "is damaged" in caplog.text
    assert path.name in caplog.text
    caplog.clear()
    networks.get(0, IDS, progress=lambda *_: pytest.fail("trained again"))
    assert not caplog.records


def test_a_cut_network_and_one_under_anothers_name_are_made_again(
    networks: Networks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = networks.get(0, IDS), networks.get(1, IDS)
    one, other = files(tmp_path)
    content = one.read_bytes()
    for wrong in (content[:100], b"", other.read_bytes()):
        other.write_bytes(content)
        one.write_bytes(wrong)
        caplog.clear()
        assert torch.equal(vector(networks.get(0, IDS).model), vector(first.model))
        networks.get(1, IDS)
        assert "is made again" in caplog.text


def test_kept_outputs_are_those_of_the_network(networks: Networks, tmp_path: Path) -> None:
    networks.train(0, IDS)
    first, again = networks.outputs(0, IDS, [3, 1]), networks.outputs(0, IDS, [1, 3])
    rest = [i for i in range(1437) if i not in (1, 3)]
    fresh = split_of(networks.task, [1, 3], rest, networks.load(0, IDS).model)
    for letter in "frt":
        assert torch.equal(again.parts[letter].logits, fresh.parts[letter].logits)
        assert torch.equal(first.parts[letter].targets, fresh.parts[letter].targets)
    (path,) = files(tmp_path / "nets" / "outputs")
    path.write_bytes(path.read_bytes()[:-200])
    repaired = networks.outputs(0, IDS, [1, 3])
    assert torch.equal(repaired.forget.logits, fresh.forget.logits)


def test_outputs_on_another_test_set_are_not_taken_for_those_on_this(tmp_path: Path) -> None:
    task = short()
    x, y = task.test[:]  # type: ignore[misc]
    networks = Networks.in_folder(tmp_path, task)
    other = Networks.in_folder(tmp_path, short(test=TensorDataset(x[:50], y[:50])))
    assert networks.key(0, IDS) == other.key(0, IDS)
    networks.train(0, IDS)
    assert len(networks.outputs(0, IDS, [1]).test.targets) == len(y)
    assert len(other.outputs(0, IDS, [1]).test.targets) == 50


def test_what_is_kept_can_be_listed_and_deleted_and_nothing_else(
    networks: Networks, tmp_path: Path
) -> None:
    assert networks.shelf.names() == ()
    networks.train(0, IDS)
    networks.outputs(0, IDS, [1])
    (tmp_path / "nets" / "thesis.tex").write_text("x")
    names = networks.shelf.names()
    assert len(names) == 2
    for name in names:
        networks.shelf.remove(name)
        networks.shelf.remove(name)
    assert [path.name for path in files(tmp_path)] == ["thesis.tex"]
    assert not networks.is_kept(networks.key(0, IDS))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunBroken, match="Cannot keep"):
        Networks.in_folder(tmp_path / "file", short()).train(0, IDS)


def test_the_seconds_of_a_training_begin_after_a_throw_away_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What only the first steps of a process cost is over when the clock is started."""
    told: list[str] = []
    task = short()
    monkeypatch.setattr(
        "curenu.networks.training.train", lambda *_, **__: told.append("throw-away steps")
    )
    clock = iter([5.0, 7.5])

    def now() -> float:
        told.append("clock")
        return next(clock)

    monkeypatch.setattr("curenu.networks.training.clock", now)
    assert timed_training(task, 0, ids=IDS).seconds == 2.5
    assert told == ["throw-away steps", "clock", "clock"]
