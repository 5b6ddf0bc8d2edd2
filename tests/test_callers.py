"""Wherever and however it is called, the bits are the same, and nothing given is changed."""

from __future__ import annotations

import copy
import threading
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu import TrainingTime
from curenu.errors import UnsupportedModel
from curenu.risks import AnchoredRisk, EmpiricalRisk
from tests.problems import classes, generator, initialised, inputs

SIZE = 20
X, Y = inputs(SIZE, 4).float(), classes(SIZE, 3)


# built once: seeding the process's generator from several threads at once would mix their draws
_NET = initialised(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))).float()


def net() -> nn.Module:
    return copy.deepcopy(_NET)


def asked(loss: Any = "cross_entropy", *, targets: Tensor = Y, **changes: Any) -> Tensor:
    given: dict[str, Any] = {
        "forget": [1, 2, 7],
        "weight_decay": 1e-2,
        "training": TrainingTime(20.0),
        "micro_batch_size": 8,
    } | changes
    return curenu.unlearn(net(), TensorDataset(X, targets), loss, **given).theta


REAL = inputs(SIZE, 3, seed=5).float()
MARKS = (REAL > 0).float()
WEIGHT = torch.tensor([0.5, 2.0, 1.0])


@pytest.mark.parametrize("method", ["stocurenu", "curenu"])
@pytest.mark.parametrize(
    ("targets", "ways"),
    [
        (Y, ["cross_entropy", nn.CrossEntropyLoss(), functional.cross_entropy]),
        (
            Y,
            [
                nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.1),
                partial(functional.cross_entropy, weight=WEIGHT, label_smoothing=0.1),
            ],
        ),
        (REAL, ["mse", nn.MSELoss(), functional.mse_loss]),
        (
            MARKS,
            [
                "bce_with_logits",
                nn.BCEWithLogitsLoss(),
                functional.binary_cross_entropy_with_logits,
            ],
        ),
        (REAL, ["huber", nn.HuberLoss(), functional.huber_loss]),
        (REAL, [nn.SmoothL1Loss(beta=0.5), partial(functional.smooth_l1_loss, beta=0.5)]),
    ],
)
def test_by_name_by_object_and_by_function_are_equal_to_the_bit(
    targets: Tensor, ways: list[Any], method: str
) -> None:
    first, *others = (asked(way, targets=targets, method=method) for way in ways)
    assert not torch.equal(first, torch.cat([p.detach().flatten() for p in net().parameters()]))
    for other in others:
        assert torch.equal(first, other)


def test_the_callers_modes_change_no_bit() -> None:
    wanted = asked()
    with torch.no_grad():
        assert torch.equal(asked(), wanted)
    with torch.inference_mode():
        assert torch.equal(asked(), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(asked(), wanted)
    assert torch.is_grad_enabled()


def test_a_model_made_in_inference_mode_is_erased_from() -> None:
    with torch.inference_mode():
        model = net()
    found = curenu.unlearn(
        model,
        TensorDataset(X, Y),
        "cross_entropy",
        forget=[1, 2, 7],
        weight_decay=1e-2,
        training=TrainingTime(20.0),
        micro_batch_size=8,
    )
    assert torch.equal(found.theta, asked())


def test_three_threads_at_once_get_the_same_bits() -> None:
    wanted, before = asked(), torch.backends.mha.get_fastpath_enabled()
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(asked())
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(one, Tensor) and torch.equal(one, wanted) for one in found), found
    assert len(found) == 3
    assert torch.backends.mha.get_fastpath_enabled() == before


class Renormalised(nn.Module):
    """`max_norm` writes into the table of embeddings at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(9, 4, max_norm=1.0), nn.Linear(4, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(torch.tanh(self.table(words).mean(1)))


def test_no_objective_changes_what_it_is_given() -> None:
    model = initialised(Renormalised)
    with torch.no_grad():
        model.table.weight[:3] *= 2.0  # type: ignore[union-attr]
        assert (model.table.weight.norm(dim=1) > 1).any()  # type: ignore[union-attr]
    words = torch.randint(9, (SIZE, 3), generator=generator(6))
    risk = EmpiricalRisk(model, TensorDataset(words, Y), "cross_entropy", micro_batch_size=6)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    theta = risk.start
    kept = theta.clone()
    vector = torch.randn(len(theta), generator=generator(7), dtype=theta.dtype)
    anchored = AnchoredRisk(*risk.split([0, 5]), theta)
    values = {float(risk.value(theta)) for _ in range(2)}
    for one in (risk, anchored):
        one.measure(theta)
        one.gradient(theta)
        with pytest.raises(UnsupportedModel, match="max_norm"):  # cut off: no derivative of its own
            one.hvp(theta, vector)
    within = theta.clone()
    within[: model.table.weight.numel()] *= 0.1  # type: ignore[union-attr]
    kept_within = within.clone()
    risk.hvp(within, vector)
    _ = risk.linearise(within, curvature="gauss_newton") @ vector
    assert torch.equal(within, kept_within)
    risk.outputs(theta)
    assert len(values) == 1
    assert torch.equal(theta, kept)
    assert torch.equal(anchored.start, kept)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
