"""The recorder keeps checkpoints near the middles of equal parts of training."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

import curenu
from curenu.errors import BadRequest
from tests.recording import net, step


def kept_by(recorder: curenu.TrainingRecorder) -> list[float]:
    return [checkpoint.time for checkpoint in recorder.training_time().checkpoints]


def weight_of(checkpoint: curenu.Checkpoint, model: nn.Module) -> Tensor:
    return checkpoint.vector(curenu.ParameterSpace.of(model))


@pytest.mark.parametrize("in_folder", [False, True])
def test_three_moments_are_kept_near_the_middles_of_thirds(in_folder: bool, tmp_path: Path) -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.01)
    folder = tmp_path / "course" if in_folder else None
    recorder = curenu.TrainingRecorder(optimizer, model, folder=folder)
    passed = []
    for _ in range(120):
        step(model, optimizer)
        passed.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    checkpoints = recorder.training_time().checkpoints
    assert len(checkpoints) == 3
    for checkpoint, middle in zip(checkpoints, (0.2, 0.6, 1.0), strict=True):
        assert abs(checkpoint.time - middle) <= 1.2 / 6  # of a time of 1.2
        there = passed[round(checkpoint.time / 0.01) - 1]
        assert torch.equal(weight_of(checkpoint, model), there)
    if folder is None:
        assert recorder.bytes in [count * 8 * 4 for count in (3, 4, 5, 6)]
    else:
        files = list(folder.iterdir())
        assert 3 <= len(files) <= 6
        assert recorder.bytes == sum(file.stat().st_size for file in files)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_files_of_checkpoints_are_for_their_owner_and_changed_ones_are_refused(
    tmp_path: Path,
) -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer, model, checkpoints=1, folder=tmp_path)
    step(model, optimizer)
    (checkpoint,) = recorder.training_time().checkpoints
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(BadRequest, match="not the one that was recorded"):
        weight_of(checkpoint, model)


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_training_that_goes_on_keeps_the_same_moments(in_folder: bool, tmp_path: Path) -> None:
    def recorded(stops: bool, place: Path) -> list[float]:
        model = net()
        optimizer = SGD(model.parameters(), lr=0.1)
        recorder = curenu.TrainingRecorder(optimizer, model, folder=place if in_folder else None)
        for _ in range(2):
            step(model, optimizer, 20)
            if stops:
                state = copy.deepcopy(recorder.state_dict())
                recorder.stop()
                recorder = curenu.TrainingRecorder(
                    optimizer, model, folder=place if in_folder else None
                )
                recorder.load_state_dict(state)
        return kept_by(recorder)

    assert recorded(True, tmp_path / "a") == recorded(False, tmp_path / "b")


def test_a_state_without_checkpoints_is_none_for_a_recorder_that_keeps_them(
    tmp_path: Path,
) -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    plain = curenu.TrainingRecorder(optimizer).state_dict()
    in_memory = curenu.TrainingRecorder(optimizer, model)
    step(model, optimizer)
    for state in (plain, in_memory.state_dict()):
        with pytest.raises(BadRequest, match="no checkpoints of this kind"):
            curenu.TrainingRecorder(optimizer, model, folder=tmp_path).load_state_dict(state)


def test_a_folder_needs_a_model_and_a_count() -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(BadRequest, match="no model"):
        curenu.TrainingRecorder(optimizer, folder="somewhere")
    with pytest.raises(BadRequest, match="checkpoints=0"):
        curenu.TrainingRecorder(optimizer, model, checkpoints=0)
