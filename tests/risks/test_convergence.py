"""A converged model is told from one that was stopped, by the gradient of its training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.risks import EmpiricalRisk, TrainingTime
from curenu.risks.convergence import converged, convergence_examples
from curenu.tasks import digits
from tests.problems import generator, initialised

SIZE, DECAY = 5000, 0.05


def made(dtype: torch.dtype) -> TensorDataset:
    """Noisy linear regression of 5,000 examples."""
    own = generator(5)
    inputs = torch.randn(SIZE, 6, generator=own)
    targets = inputs.sum(1, keepdim=True) + torch.randn(SIZE, 1, generator=own)
    return TensorDataset(inputs.to(dtype), targets.to(dtype))


def ridge() -> EmpiricalRisk:
    model = nn.Linear(6, 1, bias=False).double()
    return EmpiricalRisk(model, made(torch.float64), "mse", weight_decay=DECAY)


def minimiser(risk: EmpiricalRisk) -> Tensor:
    zero = torch.zeros_like(risk.start)
    return torch.linalg.solve(risk.linearise(zero).dense(), -risk.gradient(zero))


def pull(forget: EmpiricalRisk, theta: Tensor) -> Tensor:
    return forget.gradient(theta) * (forget.size / SIZE)


@pytest.mark.parametrize("gone", [[7], list(range(0, SIZE, 10))])
@pytest.mark.parametrize(("leftover", "expected"), [(0.0, True), (0.008, True), (0.02, False)])
def test_a_leftover_gradient_counts_beside_the_pull(
    gone: list[int], leftover: float, expected: bool
) -> None:
    risk = ridge()
    retain, forget = risk.split(gone)
    theta = minimiser(risk)
    hessian = risk.linearise(theta).dense()
    aside = torch.linalg.solve(
        hessian, leftover * pull(forget, theta).norm() * torch.eye(6)[0].double()
    )
    assert converged(retain, forget, theta + aside, generator(0)) is expected


def test_what_it_leaves_out_of_the_step_is_that_leftover() -> None:
    """|theta_A − theta_r| ≤ leftover/pull of the way, in the length that the Hessian gives."""
    risk = ridge()
    retain, forget = risk.split(list(range(0, SIZE, 10)))
    theta = minimiser(risk)
    hessian = retain.linearise(theta).dense()
    theta = theta + torch.linalg.solve(hessian, 0.01 * pull(forget, theta))
    share = SIZE / retain.size
    reached = theta + torch.linalg.solve(hessian, share * pull(forget, theta))
    error, way = reached - minimiser(retain), theta - minimiser(retain)
    size = torch.tensor([v @ hessian @ v for v in (error, way)]).sqrt()
    assert float(size[0] / size[1]) == pytest.approx(0.01, rel=0.15)


def test_samples_exclude_a_model_far_from_its_minimum_before_all_are_seen() -> None:
    risk = ridge()
    retain, forget = risk.split([7])
    theta = minimiser(risk) + 0.5
    risk.meter.examples = 0
    assert not converged(retain, forget, theta, generator(0))
    assert risk.meter.examples < 2000


def test_samples_never_exclude_a_converged_model() -> None:
    risk = ridge()
    retain, forget = risk.split([7])
    theta = minimiser(risk)
    assert all(converged(retain, forget, theta, generator(seed)) for seed in range(15))


def test_a_float32_minimum_counts_where_rounding_is_all_that_is_left() -> None:
    """An example without a pull of its own: no leftover is small beside nothing."""
    data = made(torch.float32)
    data.tensors[0][7], data.tensors[1][7] = 0.0, 0.0
    exact = EmpiricalRisk(
        nn.Linear(6, 1, bias=False).double(),
        TensorDataset(*(part.double() for part in data.tensors)),
        "mse",
    )
    risk = EmpiricalRisk(nn.Linear(6, 1, bias=False), data, "mse")
    retain, forget = risk.split([7])
    theta = minimiser(exact).float()
    assert float(risk.gradient(theta).norm()) > 0.0 == float(forget.gradient(theta).norm())
    assert converged(retain, forget, theta, generator(0))
    assert not converged(retain, forget, theta + 1e-4, generator(0))


def test_the_digits_network_was_stopped() -> None:
    task = digits()
    decay = task.recipe.weight_decay
    risk = EmpiricalRisk(task.train_model(0), task.train, task.loss, weight_decay=decay)
    labels = task.train.tensors[1]  # type: ignore[attr-defined]
    for gone in ([3], list(range(0, risk.size, 10)), (labels == 8).nonzero().flatten().tolist()):
        assert not converged(*risk.split(gone), risk.start, generator(0))


def test_a_plain_network_stopped_by_its_owner_was_not_converged() -> None:
    own = generator(8)
    inputs = torch.randn(3000, 8, generator=own)
    labels = (inputs[:, 0] * inputs[:, 1] > 0).long()
    model = initialised(
        lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    ).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        for chosen in torch.randperm(3000, generator=own).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
    risk = EmpiricalRisk(model, TensorDataset(inputs, labels), "cross_entropy")
    for gone in ([3], list(range(300)), labels.nonzero().flatten().tolist()):
        retain, forget = risk.split(gone)
        assert not converged(retain, forget, risk.start, generator(0))
        assert TrainingTime().limit(retain, forget, risk.start, generator(0)).curvature > 0


@pytest.mark.parametrize("gone", [[7], list(range(0, SIZE, 2))])
def test_it_passes_no_more_examples_than_it_says(gone: list[int]) -> None:
    risk = ridge()
    retain, forget = risk.split(gone)
    least = minimiser(risk)
    for theta in (least, least + 1e-4):
        risk.meter.examples = 0
        converged(retain, forget, theta, generator(0))
        assert 0 < risk.meter.examples <= convergence_examples(retain.size, forget.size)
