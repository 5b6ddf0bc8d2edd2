"""The recorder adds up what the optimiser really did, whatever the loop around it does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, lr_scheduler
from torch.utils.data import TensorDataset

import curenu
from curenu.errors import BadRequest
from tests.problems import generator
from tests.recording import net, step


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
