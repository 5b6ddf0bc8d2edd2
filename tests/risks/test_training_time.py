"""How long training lasted, and the limit that it sets to the anchored objective."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import curenu
from curenu.errors import BadRequest
from curenu.facade import erase
from curenu.methods import AnchoredSGD, CuReNU, StoCuReNU
from curenu.risks import AnchoredRisk, EmpiricalRisk, TrainingTime
from curenu.tasks import Recipe, digits
from tests.problems import generator, mlp

GONE = list(range(0, 200, 10))


def ill_conditioned() -> EmpiricalRisk:
    """200 examples whose inputs have lengths from 1 down to 1/1000, labels of much noise."""
    own = generator(3)
    scales = torch.logspace(0, -3, 12, dtype=torch.float64)
    inputs = torch.randn(200, 12, generator=own, dtype=torch.float64) * scales
    targets = torch.randn(200, 1, generator=own, dtype=torch.float64)
    model = nn.Linear(12, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    return EmpiricalRisk(model, TensorDataset(inputs, targets), "mse")


def followed(risk: EmpiricalRisk, total: float) -> Tensor:
    """Where gradient flow from zero is at the time `total`: (I − exp(−HT)) H⁻¹ (−∇F(0))."""
    zero = torch.zeros_like(risk.start)
    hessian = risk.linearise(zero).dense()
    end = torch.linalg.solve(hessian, -risk.gradient(zero))
    return end - torch.linalg.matrix_exp(-total * hessian) @ end


@pytest.mark.parametrize("total", [30.0, 300.0])
def test_with_its_limit_the_minimum_is_closer_to_training_stopped_as_early(total: float) -> None:
    risk = ill_conditioned()
    retain, forget = risk.split(GONE)
    start, oracle = followed(risk, total), followed(retain, total)

    def minimum(limit: float) -> Tensor:
        objective = AnchoredRisk(retain, forget, start, limit=limit)
        hessian = objective.linearise(start).dense()
        return start - torch.linalg.solve(hessian, objective.gradient(start))

    limited = (minimum(1.0 / total) - oracle).norm()
    assert limited < 0.5 * (start - oracle).norm()
    assert limited < 0.1 * (minimum(0.0) - oracle).norm()


def test_the_limit_adds_its_quadratic_and_no_gradient_at_the_anchor() -> None:
    problem = mlp()
    retain, forget = EmpiricalRisk(problem.model, problem.dataset, problem.loss).split([1, 4, 7])
    start = retain.start
    free, limited = (AnchoredRisk(retain, forget, start, limit=limit) for limit in (0.0, 0.7))
    theta = start + torch.randn(start.shape, generator=generator(1), dtype=start.dtype)
    torch.testing.assert_close(limited.gradient(start), free.gradient(start))
    torch.testing.assert_close(
        limited.gradient(theta), free.gradient(theta) + 0.7 * (theta - start)
    )
    rise = [float(risk.value(theta) - risk.value(start)) for risk in (free, limited)]
    added = 0.35 * float((theta - start).square().sum())
    assert rise[1] - rise[0] == pytest.approx(added)
    own = generator(2)
    torch.testing.assert_close(
        limited.sample(5, own).hvp(theta, theta), free.sample(5, generator(2)).hvp(theta, theta)
        + 0.7 * theta
    )  # fmt: skip


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_time_of_a_recipe_is_the_sum_of_its_rates(schedule: str) -> None:
    recipe = Recipe(7, 32, 0.05, momentum=0.8, schedule=schedule)  # type: ignore[arg-type]
    steps = 7 * 4
    rates = [
        0.05 * (0.5 * (1 + math.cos(math.pi * k / steps)) if schedule == "cosine" else 1.0)
        for k in range(steps)
    ]
    assert recipe.time(100).total == pytest.approx(sum(rates) / 0.2, rel=1 / steps)


def test_under_an_adaptive_optimiser_the_limit_follows_the_gradients_scale() -> None:
    risk = ill_conditioned()
    time = TrainingTime(2.0, adaptive_batch=200)
    theta = torch.ones_like(risk.start)
    scale = float(risk.gradient(theta).square().mean().sqrt())
    nothing = risk.subset([0])
    found = time.limit(risk, nothing, theta, generator(0))
    assert found.curvature == pytest.approx(scale / 2.0 * 201 / 200)
    assert "adaptive" in found.note
    small = TrainingTime(2.0, adaptive_batch=10)
    assert small.limit(risk, nothing, theta, generator(0)).curvature > scale / 2.0


def test_the_oracles_protocol_says_how_long_it_trains() -> None:
    risk = ill_conditioned()
    retain, forget = risk.split(GONE)
    limits = [
        TrainingTime(30.0, oracle=oracle).limit(retain, forget, risk.start, generator(0)).curvature
        for oracle in ("same_epochs", "same_steps")
    ]
    assert limits == [pytest.approx(200 / 180 / 30.0), pytest.approx(1 / 30.0)]
    with pytest.raises(BadRequest, match="same_steps"):
        TrainingTime(1.0, oracle="same")  # type: ignore[arg-type]


def test_the_minimum_is_that_of_training_as_long_as_the_protocol_says() -> None:
    """Proximal training, argmin F + |theta − theta_init|²/(2T), where the term is exact.

    The oracle of as many epochs has T_r = T n_r/n. One of as many steps feels, besides, its
    share (n_f/n_r) ∇F_D(theta0) of what training had left to do.
    """
    risk, total = ill_conditioned(), 30.0
    retain, forget = risk.split(GONE)

    def proximal(part: EmpiricalRisk, time: float) -> Tensor:
        zero = torch.zeros_like(risk.start)
        hessian = part.linearise(zero).dense()
        return torch.linalg.solve(hessian.add(torch.eye(12), alpha=1 / time), -part.gradient(zero))

    start = proximal(risk, total)
    for oracle, time in (("same_epochs", total * 0.9), ("same_steps", total)):
        known = TrainingTime(total, oracle=oracle)  # type: ignore[arg-type]
        limit = known.limit(retain, forget, start, generator(0)).curvature
        objective = AnchoredRisk(retain, forget, start, limit=limit)
        gradient = objective.gradient(start)
        if oracle == "same_steps":
            gradient = gradient + (20 / 180) * risk.gradient(start)
        found = start - torch.linalg.solve(objective.linearise(start).dense(), gradient)
        torch.testing.assert_close(found, proximal(retain, time))


@pytest.mark.parametrize(("kind", "loss"), [("outputs known", "mse"), ("unknown", "callable")])
def test_an_unknown_time_takes_a_share_of_the_mean_curvature(kind: str, loss: str) -> None:
    inputs = torch.eye(6, dtype=torch.float64).repeat(50, 1) * torch.arange(1.0, 7.0)
    model = nn.Linear(6, 1, bias=False).double()
    own = nn.functional.mse_loss if loss == "callable" else loss
    data = TensorDataset(inputs, torch.ones(300, 1).double())
    risk = EmpiricalRisk(model, data, own, weight_decay=0.3)
    retain, forget = risk.split(GONE)
    mean = 2.0 * float(inputs.square().sum()) / 300 / 6
    found = TrainingTime().limit(retain, forget, risk.start, generator(0))
    assert found.curvature == pytest.approx(0.3 * mean, rel=0.1)
    assert "mean curvature" in found.note


@pytest.mark.parametrize(
    ("epochs", "seeds"),
    [
        (10, 6),
        pytest.param(10, 40, marks=pytest.mark.slow),
        pytest.param(200, 40, marks=pytest.mark.slow),  # of six the deviation is too rough to bound
    ],
)
def test_the_limit_of_an_unknown_time_hardly_depends_on_the_seed(seeds: int, epochs: int) -> None:
    """Stopped early, and known by heart: where labels drawn from the model are all but one."""
    task = digits()
    task = replace(task, recipe=replace(task.recipe, epochs=epochs, weight_decay=0.0))
    retain, forget = EmpiricalRisk(task.train_model(0), task.train, task.loss).split(GONE)
    theta = retain.start
    exact = 0.3 * float(torch.trace(retain.linearise(theta, curvature="gauss_newton").dense()))
    found = torch.tensor(
        [TrainingTime().limit(retain, forget, theta, generator(s)).curvature for s in range(seeds)]
    ) * len(theta)  # fmt: skip
    assert float(found.mean()) == pytest.approx(exact, rel=0.1 if seeds < 10 else 0.03)
    assert float(found.std()) < 0.1 * exact
    assert 0.7 * exact < float(found.min()) <= float(found.max()) < 1.3 * exact


def test_no_curvature_at_all_is_no_limit_and_is_said() -> None:
    model = nn.Linear(2, 1, bias=False).double()
    data = TensorDataset(torch.ones(30, 2).double(), torch.ones(30, 1).double())

    def straight(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).mean() + 0.0 * outputs.square().mean()

    retain, forget = EmpiricalRisk(model, data, straight).split([0])
    found = TrainingTime().limit(retain, forget, retain.start, generator(0))
    assert found.curvature == 0.0
    assert "no limit" in found.note


def test_trained_to_convergence_there_is_no_limit_and_nothing_is_measured() -> None:
    risk = ill_conditioned()
    time = TrainingTime(math.inf, adaptive_batch=8)
    assert time.limit(*risk.split(GONE), risk.start, generator(0)).curvature == 0.0
    assert risk.meter.examples == 0
    assert time.examples(*risk.split(GONE)) == 0


@pytest.mark.parametrize(
    ("total", "batch"), [(0.0, None), (-1.0, None), (math.nan, None), (None, 8), (1.0, 0)]
)
def test_times_that_cannot_be_meant_are_refused(total: float | None, batch: int | None) -> None:
    with pytest.raises(BadRequest):
        TrainingTime(total, batch)


@pytest.mark.parametrize(
    "method",
    [CuReNU(certificate_products=0), AnchoredSGD(batch_size=9, epochs=40)],
)
def test_short_training_keeps_every_method_of_the_objective_near(method: object) -> None:
    problem = mlp()
    moved = [
        curenu.unlearn(
            problem.model,
            problem.dataset,
            problem.loss,
            forget=[1, 4, 7],
            method=method,  # type: ignore[arg-type]
            training=TrainingTime(total),
        )
        for total in (0.5, math.inf)
    ]
    start = EmpiricalRisk(problem.model, problem.dataset, problem.loss).start
    near, far = (float((result.theta - start).norm()) for result in moved)
    assert 0 < near < 0.5 * far


def test_a_plan_counts_what_the_time_measures() -> None:
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    parts = risk.split([1, 4, 7])
    for method in (StoCuReNU(sample_size=8), AnchoredSGD()):
        for time in (TrainingTime(), TrainingTime(1.0, adaptive_batch=4)):
            asked = curenu.ErasureProblem(risk.start, *parts, training=time)
            free = curenu.ErasureProblem(risk.start, *parts)
            assert method.plan(asked).examples > method.plan(free).examples
            spent = erase(asked, method, seed=0).cost.examples
            assert spent <= method.plan(asked).examples + 64  # `erase` looks at the curvature
