"""Recollections against differences of whole trainings; sums; files; refusals; the trap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.erasure import ErasureProblem
from curenu.errors import BadRequest, CurenuError, MissingData, UnsupportedModel
from curenu.methods import OnlineRemoval, StoCuReNU
from curenu.recollections import RecollectionRecorder, Recollections
from curenu.risks import EmpiricalRisk
from tests.problems import classes, generator, initialised, inputs

N, RATE, DECAY, TRACKED = 12, 0.3, 0.02, [1, 4, 7]
X, Y = inputs(N, 4), classes(N, 3)
BATCHES = [rows for epoch in range(4)
           for rows in torch.randperm(N, generator=generator(epoch)).split(5)]  # fmt: skip


def network() -> nn.Module:
    return initialised(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))


def ends_at(weights: Tensor) -> Tensor:
    """theta_T of the same batches where example i counts weights_i times, by hand."""
    model = network()
    named = {name: p.detach().clone() for name, p in model.named_parameters()}
    for rows in BATCHES:
        for p in named.values():
            p.requires_grad_()
        each = functional.cross_entropy(
            functional_call(model, named, (X[rows],)), Y[rows], reduction="none"
        )
        loss = (weights[rows] * each).sum() / len(rows)
        slopes = torch.autograd.grad(loss, list(named.values()))
        named = {
            name: (p - RATE * (slope + DECAY * p)).detach()
            for (name, p), slope in zip(named.items(), slopes, strict=True)
        }
    return torch.cat([p.reshape(-1) for p in named.values()])


def objective(model: nn.Module, decay: float = DECAY) -> EmpiricalRisk:
    return EmpiricalRisk(model, TensorDataset(X, Y), "cross_entropy", weight_decay=decay)


def trained(forget: list[int] | None = TRACKED) -> tuple[nn.Module, Recollections]:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, weight_decay=DECAY)
    recorder = RecollectionRecorder(optimizer, model, objective(model), forget=forget)
    for rows in BATCHES:
        optimizer.zero_grad()
        functional.cross_entropy(model(X[rows]), Y[rows]).backward()
        recorder.batch(rows)
        optimizer.step()
    return model, recorder.recollections()


@pytest.fixture(scope="module")
def given() -> tuple[ErasureProblem, Recollections]:
    model, kept = trained()
    return problem_of(model), kept


def problem_of(model: nn.Module, forget: list[int] = TRACKED) -> ErasureProblem:
    risk = objective(model)
    return ErasureProblem(risk.start, *risk.split(forget))


def difference(example: int) -> Tensor:
    """−dtheta_T/dw_i by a central difference through two whole trainings."""
    up, down = torch.ones(2, N, dtype=torch.float64)
    up[example] += 1e-5
    down[example] -= 1e-5
    return (ends_at(down) - ends_at(up)) / 2e-5


def test_a_recollection_is_the_derivative_of_the_whole_training(given: Any) -> None:
    problem, kept = given
    torch.testing.assert_close(problem.start, ends_at(torch.ones(N, dtype=torch.float64)))
    for row, example in enumerate(TRACKED):
        torch.testing.assert_close(kept.vectors[row], difference(example), rtol=1e-6, atol=1e-9)


def test_the_published_order_is_another_vector(given: Any) -> None:
    """There the gradient is added first, so that the product acts on it too."""
    _, kept = given
    risk, theta = objective(network()), objective(network()).start
    a = torch.zeros_like(theta)
    for rows in BATCHES:
        part = risk.subset(rows)
        if TRACKED[0] in rows.tolist():
            own = risk.subset([TRACKED[0]])
            a = a + RATE / len(rows) * (own.gradient(theta) - DECAY * theta)
        a = a - RATE * part.hvp(theta, a)
        theta = theta - RATE * part.gradient(theta)
    apart = float((a - kept.vectors[0]).norm() / kept.vectors[0].norm())
    assert apart > 0.01


def test_the_sum_is_the_step_and_requests_add_up(given: Any) -> None:
    problem, kept = given
    method = OnlineRemoval(kept, without_guarantee=True)
    steps = []
    for forget in ([1], [4, 7], TRACKED):
        asked = replace(problem, retain=problem.retain, forget=_over(problem, forget))
        erasure = method(asked, generator=generator())
        steps.append(erasure.theta - problem.start)
        assert erasure.cost.examples == 0
        assert erasure.guarantee is None
    torch.testing.assert_close(steps[0] + steps[1], steps[2])
    torch.testing.assert_close(steps[2], kept.vectors.sum(0))


def _over(problem: ErasureProblem, forget: list[int]) -> EmpiricalRisk:
    return problem.forget.subset(forget)


def test_the_model_gets_nearer_to_the_training_without_what_went(given: Any) -> None:
    problem, kept = given
    weights = torch.ones(N, dtype=torch.float64)
    weights[1] = 0.0
    oracle = ends_at(weights)
    asked = replace(problem, forget=_over(problem, [1]))
    found = OnlineRemoval(kept, without_guarantee=True)(asked, generator=generator()).theta
    assert float((found - oracle).norm()) < 0.5 * float((problem.start - oracle).norm())


def test_noise_and_a_vouched_distance_give_an_epsilon(given: Any) -> None:
    problem, kept = given
    method = OnlineRemoval(kept, noise=0.5, distance=0.05)
    erasure = method(problem, generator=generator())
    assert erasure.guarantee is not None
    assert erasure.guarantee.epsilon == pytest.approx(0.05 / 0.5 * 4.8448, rel=1e-4)
    assert any("assumed" in note for note in erasure.notes)
    drawn = [method(problem, generator=generator(s)).theta - problem.start for s in range(200)]
    spread = torch.stack(drawn).std(0).mean()
    assert float(spread) == pytest.approx(0.5, rel=0.05)
    with pytest.raises(BadRequest, match="without_guarantee"):
        OnlineRemoval(kept, noise=0.5)(problem, generator=generator())


def test_memory_grows_with_the_examples_and_the_default_method_has_none(given: Any) -> None:
    problem, kept = given
    d = len(problem.start)
    assert OnlineRemoval(kept).plan(problem).vectors == len(TRACKED) + 2
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, weight_decay=DECAY)
    assert RecollectionRecorder(optimizer, model, objective(model)).bytes == N * d * 8
    planned = StoCuReNU().plan(problem).vectors
    twice = TensorDataset(torch.cat([X, X]), torch.cat([Y, Y]))
    other = EmpiricalRisk(network(), twice, "cross_entropy", weight_decay=DECAY)
    more = ErasureProblem(other.start, *other.split(TRACKED))
    assert StoCuReNU().plan(more).vectors == planned
    with pytest.raises(UnsupportedModel, match="Recollections of 12 examples take .* GiB"):
        RecollectionRecorder(optimizer, model, objective(model), memory_budget=N * d * 8 - 1)


def test_a_file_gives_them_back_and_what_is_damaged_or_foreign_is_refused(
    given: Any, tmp_path: Path
) -> None:
    problem, kept = given
    path = tmp_path / "kept.safetensors"
    kept.save(path)
    found = OnlineRemoval(str(path), without_guarantee=True)(problem, generator=generator())
    torch.testing.assert_close(found.theta - problem.start, kept.vectors.sum(0))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BadRequest, match="damaged"):
        Recollections.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(CurenuError):
        Recollections.load(path)
    with pytest.raises(MissingData, match="Cannot read"):
        Recollections.load(tmp_path / "none.safetensors")
    other = replace(problem, start=problem.start + 1e-12)
    with pytest.raises(BadRequest, match="another training"):
        OnlineRemoval(kept, without_guarantee=True)(other, generator=generator())
    asked = problem_of(trained()[0], [0, 1])
    with pytest.raises(BadRequest, match="not tracked in training, first 0"):
        OnlineRemoval(kept, without_guarantee=True)(asked, generator=generator())
    with pytest.raises(BadRequest, match="RecollectionRecorder"):
        OnlineRemoval().plan(problem)


def test_trainings_that_are_not_plain_descent_are_refused() -> None:
    def recorder(
        model: nn.Module, decay: float = DECAY, momentum: float = 0.0
    ) -> RecollectionRecorder:
        optimizer = torch.optim.SGD(
            model.parameters(), lr=RATE, momentum=momentum, weight_decay=DECAY
        )
        return RecollectionRecorder(optimizer, model, objective(model, decay))

    with pytest.raises(BadRequest, match="without momentum"):
        recorder(network(), momentum=0.9)
    with pytest.raises(BadRequest, match="weight decay"):
        recorder(network(), decay=0.5)
    with pytest.raises(UnsupportedModel, match="Dropout"):
        recorder(initialised(lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.1))))
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, weight_decay=DECAY)
    kept = RecollectionRecorder(optimizer, model, objective(model))
    functional.cross_entropy(model(X[:5]), Y[:5]).backward()
    with pytest.raises(BadRequest, match=r"recorder\.batch"):
        optimizer.step()
    kept.batch(torch.arange(5, 10))
    with pytest.raises(BadRequest, match="not that of the batch named"):
        optimizer.step()
