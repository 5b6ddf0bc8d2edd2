"""The recorder adds up what the optimiser really did, whatever the loop around it does."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler
from torch.utils.data import TensorDataset

import curenu
from curenu.errors import BadRequest
from tests.problems import generator


def net(seed: int = 0) -> nn.Linear:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(seed)))
    return model


def step(model: nn.Module, optimizer: Optimizer, times: int = 1, scheduler: Any = None) -> None:
    for _ in range(times):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().mean().backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def test_a_scheduler_a_restart_and_a_hand_are_followed() -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5, nesterov=True)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer, 3, lr_scheduler.ExponentialLR(optimizer, 0.5))
    assert recorder.training_time().total == pytest.approx((0.1 + 0.05 + 0.025) / 0.5)
    optimizer.param_groups[0].update(lr=0.2, momentum=0.0, nesterov=False)
    step(model, optimizer, 2)
    expected = (0.1 + 0.05 + 0.025) / 0.5 + 0.4
    found = recorder.training_time(oracle="same_steps")
    assert (found.total, found.oracle) == (pytest.approx(expected), "same_steps")
    assert recorder.steps == 5
    assert recorder.totals == (pytest.approx(expected),)


def test_it_records_what_the_schedule_says_beforehand() -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=21)
    said = curenu.TrainingTime.of(optimizer, scheduler, steps=20)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer, 20, scheduler)
    assert recorder.training_time().total == pytest.approx(said.total)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam_needs_its_batch_size(kind: type[Optimizer]) -> None:
    model = net()
    optimizer = kind(model.parameters(), lr=0.01)  # type: ignore[call-arg]
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer, 5)
    found = recorder.training_time(batch_size=32)
    assert (found.total, found.adaptive_batch) == (pytest.approx(0.05), 32)
    with pytest.raises(BadRequest, match="batch_size"):
        recorder.training_time()


def test_recording_changes_no_step() -> None:
    plain, recorded = net(), net()
    for model in (plain, recorded):
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        recorder = curenu.TrainingRecorder(optimizer) if model is recorded else None
        step(model, optimizer, 4)
    assert recorder is not None
    assert recorder.steps == 4
    assert torch.equal(plain.weight, recorded.weight)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_step_that_the_scaler_leaves_out_does_not_count(
    kind: type[Optimizer], fused: bool
) -> None:
    model = net()
    optimizer = kind(model.parameters(), lr=0.1, fused=fused)  # type: ignore[call-arg]
    recorder = curenu.TrainingRecorder(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)  # type: ignore[attr-defined]
    moved = []
    for bad in (False, True, True, False):
        before = model.weight.clone()
        optimizer.zero_grad()
        loss = model(torch.ones(4, 3)).square().mean() * (torch.inf if bad else 1.0)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        moved.append(not torch.equal(model.weight, before))
    assert moved == [True, False, False, True]
    assert recorder.steps == 2
    assert recorder.totals == (pytest.approx(0.2),)


def test_a_step_by_a_closure_counts_once() -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer)

    def closure() -> float:
        optimizer.zero_grad()
        loss = model(torch.ones(4, 3)).square().mean()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    assert (recorder.steps, recorder.totals) == (1, (0.1,))


def test_training_goes_on_from_a_checkpoint() -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer, 3)
    kept = copy.deepcopy(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "time": recorder.state_dict(),
        }
    )
    step(model, optimizer, 7)  # lost: the process dies here

    model = net(1)
    optimizer = SGD(model.parameters(), lr=0.9)
    recorder = curenu.TrainingRecorder(optimizer)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    recorder.load_state_dict(kept["time"])
    step(model, optimizer, 2)
    assert recorder.steps == 5
    assert recorder.training_time().total == pytest.approx(5 * 0.2)


def test_its_state_survives_a_file(tmp_path: Any) -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer, 3)
    torch.save(recorder.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = curenu.TrainingRecorder(SGD(net().parameters(), lr=0.1))
    again.load_state_dict(state)
    assert again.state_dict() == recorder.state_dict()


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"steps": 1},
        {"steps": -1, "totals": [0.1]},
        {"steps": 1, "totals": [-0.1]},
        {"steps": 1, "totals": [float("nan")]},
        {"steps": 1, "totals": "0.1"},
        {"steps": 1, "totals": [0.1, 0.1]},
    ],
)
def test_a_state_of_something_else_is_refused_and_changes_nothing(state: dict[str, Any]) -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer, 2)
    before = recorder.state_dict()
    with pytest.raises(BadRequest):
        recorder.load_state_dict(state)
    assert recorder.state_dict() == before


def test_groups_are_counted_apart_and_only_where_they_have_a_gradient() -> None:
    model = nn.Sequential(net(), nn.Linear(2, 1))
    groups = [{"params": list(part.parameters())} for part in model]
    optimizer = SGD(groups, lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer)
    assert recorder.training_time().total == pytest.approx(0.1)
    model[0].requires_grad_(False)
    step(model, optimizer, 2)
    assert recorder.totals == (pytest.approx(0.1), pytest.approx(0.3))
    assert recorder.training_time().total == pytest.approx(0.3)  # of what still moves
    model[0].requires_grad_(True)
    with pytest.raises(BadRequest, match="different times"):
        recorder.training_time()


def test_a_group_added_later_starts_at_nothing() -> None:
    model, late = net(), nn.Linear(2, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer)
    optimizer.add_param_group({"params": list(late.parameters())})
    assert recorder.state_dict()["totals"] == [0.1, 0.0]
    step(nn.Sequential(model, late), optimizer)
    assert recorder.totals == (pytest.approx(0.2), pytest.approx(0.1))


def test_nothing_recorded_is_no_time() -> None:
    recorder = curenu.TrainingRecorder(SGD(net().parameters(), lr=0.1))
    with pytest.raises(BadRequest, match="before the training loop"):
        recorder.training_time()


def test_it_stops_when_told() -> None:
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer)
    step(model, optimizer)
    recorder.stop()
    step(model, optimizer)
    assert recorder.steps == 1


@pytest.mark.parametrize(
    ("kind", "remedy"), [(torch.optim.LBFGS, "math.inf"), (torch.optim.RMSprop, "by hand")]
)
def test_an_optimiser_that_it_does_not_know_is_refused(kind: Any, remedy: str) -> None:
    with pytest.raises(BadRequest, match=remedy):
        curenu.TrainingRecorder(kind(net().parameters()))


def test_what_was_recorded_is_what_unlearn_takes() -> None:
    inputs = torch.randn(60, 3, generator=generator(2))
    targets = (inputs[:, 0] > 0).long()
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    recorder = curenu.TrainingRecorder(optimizer)
    for batch in torch.arange(60).split(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
        optimizer.step()
    found: Tensor = curenu.unlearn(
        model,
        TensorDataset(inputs, targets),
        "cross_entropy",
        forget=[3],
        method="curenu",
        training=recorder.training_time(),
    ).theta
    given = curenu.unlearn(
        model,
        TensorDataset(inputs, targets),
        "cross_entropy",
        forget=[3],
        method="curenu",
        training=curenu.TrainingTime(0.1 + 0.1 + 0.1),
    ).theta
    torch.testing.assert_close(found, given)


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
