"""The dense curvature by layers: the matrix of d products, at a few passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

from curenu.autodiff import Kind
from curenu.autodiff import linearisation as home
from curenu.compare.estimate import _Alive
from curenu.erasure import ErasureProblem
from curenu.errors import UnsupportedModel
from curenu.losses import TokenCrossEntropy
from curenu.methods import CuReNU
from curenu.risks import AnchoredRisk, EmpiricalRisk, weighted_sum
from tests.problems import PROBLEMS, classes, generator, initialised, inputs

KINDS: list[Kind] = ["hessian", "gauss_newton"]


class Deep(nn.Module):
    """Four layers: one skipped, one without bias, one frozen, one whose bias alone moves."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 5, bias=False)
        self.frozen, self.third, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.frozen.requires_grad_(False)
        self.third.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.silu(self.first(x), inplace=True)
        x = x + torch.tanh(self.second(x))
        return self.last(functional.softplus(self.third(self.frozen(x))))


class Again(Deep):
    """The same with its middle passed again on the way back."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x))
        middle = checkpoint(lambda x: self.third(self.second(x)).sin(), x, use_reentrant=False)
        return self.last(middle)


class Twice(nn.Module):
    """A weight that enters by a linear layer, and once more past it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x))) * self.first.weight.square().mean()


def deep(build: Callable[[], nn.Module] = Deep, loss: str = "cross_entropy") -> EmpiricalRisk:
    targets = classes(19, 3) if loss == "cross_entropy" else inputs(19, 3, seed=3)
    data = TensorDataset(inputs(19, 4), targets)
    return EmpiricalRisk(initialised(build), data, loss, weight_decay=1e-2, micro_batch_size=5)


def named(name: str) -> EmpiricalRisk:
    given = PROBLEMS[name]()
    return EmpiricalRisk(
        given.model,
        given.dataset,
        given.loss,
        weight_decay=given.weight_decay,
        micro_batch_size=given.micro_batch_size,
    )


def elsewhere(risk: EmpiricalRisk) -> Tensor:
    return risk.start + 0.3 * torch.randn(risk.dimension, generator=generator()).double()


def dense(objective: Any, theta: Tensor, kind: Kind) -> tuple[Tensor, int]:
    """The matrix, and how many products it was counted as."""
    before = objective.meter.hvps
    return objective.linearise(theta, curvature=kind).dense(), objective.meter.hvps - before


def by_products(objective: Any, theta: Tensor, kind: Kind) -> Tensor:
    curvature = objective.linearise(theta, curvature=kind)
    return torch.stack([curvature @ column for column in torch.eye(len(theta)).to(theta)])


def agree(found: Tensor, wanted: Tensor) -> None:
    assert torch.equal(found, found.mT)
    assert float((found - wanted).norm()) <= 1e-10 * float(wanted.norm())


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_matrix_written_by_hand(kind: Kind, loss: str) -> None:
    risk = deep(loss=loss)
    theta = elsewhere(risk)
    x, y = risk.source.batch(risk.ids).content

    def outputs(theta: Tensor) -> Tensor:
        return functional_call(initialised(Deep), risk.parameters.unflatten(theta), (x,))

    wanted: Any
    if kind == "hessian":
        criterion = getattr(functional, {"mse": "mse_loss"}.get(loss, loss))
        wanted = torch.autograd.functional.hessian(lambda t: criterion(outputs(t), y), theta)
    else:
        slants = torch.autograd.functional.jacobian(outputs, theta)
        p = outputs(theta).softmax(1).detach()
        middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        if loss == "mse":
            middle = (2.0 / 3.0) * torch.eye(3, dtype=torch.float64).expand_as(middle)
        wanted = torch.einsum("nci,ncd,ndj->ij", slants, middle, slants) / len(x)
    found, products = dense(risk, theta, kind)
    agree(found, wanted + 1e-2 * torch.eye(len(theta)).double())
    assert products == (5 + 5 + 5 + 3 if kind == "hessian" else 3) + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["mlp", "regression", "logistic", "dead_relu"])
@pytest.mark.parametrize("anchored", [False, True])
def test_it_is_the_matrix_of_products_for_both_objectives(
    name: str, kind: Kind, anchored: bool
) -> None:
    risk = named(name)
    retain, forget = risk.split([1, 3, 4])
    objective = AnchoredRisk(retain, forget, risk.start) if anchored else retain
    theta = elsewhere(risk)
    found, products = dense(objective, theta, kind)
    agree(found, by_products(objective, theta, kind))
    assert products < risk.dimension


@pytest.mark.parametrize("name", ["cnn", "batch_norm", "tied", "mapping"])
def test_the_hessian_of_other_models_goes_by_products(name: str) -> None:
    risk = named(name)
    theta = elsewhere(risk)
    found, products = dense(risk, theta, "hessian")
    agree(found, by_products(risk, theta, "hessian"))
    assert products == risk.dimension


@pytest.mark.parametrize(("name", "outputs"), [("cnn", 3), ("batch_norm", 3), ("tied", 4)])
@pytest.mark.parametrize("anchored", [False, True])
def test_gauss_newton_of_other_models_goes_by_jacobians(
    name: str, outputs: int, anchored: bool, monkeypatch
) -> None:
    monkeypatch.setattr("curenu.autodiff.jacobian._MEMORY", 1)  # an example at a time
    risk = named(name)
    retain, forget = risk.split([1, 3, 4])
    objective = AnchoredRisk(retain, forget, risk.start) if anchored else retain
    theta = elsewhere(risk)
    found, products = dense(objective, theta, "gauss_newton")
    agree(found, by_products(objective, theta, "gauss_newton"))
    assert products == outputs + 1


class Choosing(nn.Conv1d):
    """Reads a number off its inputs, which `vmap` does not allow."""

    def forward(self, input: Tensor) -> Tensor:
        made = super().forward(input).tanh().sum(2)
        return made * (2.0 if float(input.abs().max()) > 0 else 1.0)


@pytest.mark.parametrize(
    "build", [lambda: Choosing(2, 3, 2), lambda: nn.Sequential(nn.Conv1d(2, 9, 2), nn.Flatten())]
)
def test_models_that_jacobians_cannot_take_or_not_gain_from_go_by_products(build) -> None:
    """36 outputs are too many for a Jacobian an example."""
    model = initialised(build)
    count = model(inputs(1, 2, 5)).shape[1]
    data = TensorDataset(inputs(8, 2, 5), classes(8, count))
    risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=3)
    found, products = dense(risk, risk.start, "gauss_newton")
    agree(found, by_products(risk, risk.start, "gauss_newton"))
    assert products == risk.dimension


def test_hidden_outputs_have_no_gauss_newton_matrix() -> None:
    risk = named("mapping")
    with pytest.raises(UnsupportedModel, match="hides them"):
        dense(risk, risk.start, "gauss_newton")


def test_tokens_in_rows_go_by_products() -> None:
    """Linear layers see a sequence, not an example a row."""
    given = PROBLEMS["mapping"]()
    loss = TokenCrossEntropy(lambda model, batch: model(batch["tokens"]), shift=False)
    risk = EmpiricalRisk(given.model, given.dataset, loss, micro_batch_size=3)
    found, products = dense(risk, risk.start, "gauss_newton")
    agree(found, by_products(risk, risk.start, "gauss_newton"))
    assert products == risk.dimension


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_used_past_its_layer_is_noticed(kind: Kind) -> None:
    risk = deep(Twice)
    theta = elsewhere(risk)
    found, products = dense(risk, theta, kind)
    agree(found, by_products(risk, theta, kind))
    assert products > risk.dimension


@pytest.mark.parametrize("kind", KINDS)
def test_parts_passed_again_change_nothing(kind: Kind) -> None:
    risk = deep(Again)
    theta = elsewhere(risk)
    agree(dense(risk, theta, kind)[0], by_products(risk, theta, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_not_depend_on_micro_batches_or_order(kind: Kind, monkeypatch) -> None:
    risk = named("mlp")
    theta = elsewhere(risk)
    wanted = dense(risk, theta, kind)[0]
    given = PROBLEMS["mlp"]()
    order = torch.randperm(17, generator=generator())
    data = TensorDataset(*(tensor[order] for tensor in given.dataset.tensors))  # type: ignore[attr-defined]
    monkeypatch.setattr("curenu.autodiff.layers._MEMORY", 1)  # an example at a time
    other = EmpiricalRisk(
        given.model, data, given.loss, weight_decay=given.weight_decay, micro_batch_size=17
    )
    agree(dense(other, theta, kind)[0], wanted)


def test_single_precision_differs_by_its_rounding() -> None:
    risk = deep()
    data = TensorDataset(inputs(19, 4).float(), classes(19, 3))
    single = EmpiricalRisk(
        initialised(Deep).float(), data, "cross_entropy", weight_decay=1e-2, micro_batch_size=5
    )
    for kind in KINDS:
        found, products = dense(single, risk.start.float(), kind)
        wanted, _ = dense(risk, risk.start.float().double(), kind)
        assert found.dtype == torch.float64
        assert float((found - wanted).norm()) <= 1e-6 * float(wanted.norm())
        assert products < risk.dimension


def test_every_pass_is_counted_and_flat_examples_once() -> None:
    """Three outputs and the product that confirms; three forget examples bend nothing."""
    risk = named("mlp")
    objective = AnchoredRisk(*risk.split([1, 3, 4]), risk.start)
    _ = objective.linearise(risk.start, curvature="gauss_newton") @ risk.start  # outputs at theta0
    curvature = objective.linearise(risk.start, curvature="gauss_newton")
    counts = []
    for _ in range(2):
        before = risk.meter.examples
        curvature.dense()
        counts.append(risk.meter.examples - before)
    assert counts == [14 * (3 + 1) + 3, 14 * (3 + 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_bounds_what_an_exact_erasure_passes(kind: Any) -> None:
    risk = named("mlp")
    problem = ErasureProblem(risk.start, *risk.split([1, 3, 4]))
    method = CuReNU(solver="eigen", curvature=kind, max_steps=2)
    plan = method.plan(problem)
    before = risk.meter.examples
    method(problem, generator=generator())
    assert 0 < risk.meter.examples - before <= plan.examples


@pytest.mark.parametrize("kind", KINDS)
def test_shares_of_the_examples_add_up(kind: Kind, monkeypatch) -> None:
    """What two processes would sum, each with the examples dealt to it."""
    risk = named("mlp")
    theta = elsewhere(risk)
    wanted = dense(risk, theta, kind)[0]
    shares = []
    monkeypatch.setattr(home, "reduced", lambda total: shares.append(total.clone()) or total)
    for process in range(2):
        own = slice(process, None, 2)
        monkeypatch.setattr(weighted_sum, "dealt", lambda ids, size, own=own: ids[own].split(size))
        risk.linearise(theta, curvature=kind, memory_budget=0).dense()
    total = shares[0] + shares[1]
    agree((total + total.mT) / 2 + 1e-2 * torch.eye(len(theta)).double(), wanted)


@pytest.mark.parametrize(
    ("kind", "middle"), [*((k, nn.Tanh()) for k in KINDS), (KINDS[1], nn.BatchNorm1d(4))]
)
def test_it_takes_no_more_memory_than_its_decomposition(kind: Kind, middle: nn.Module) -> None:
    """A batch-norm has parameters of its own: by Jacobians."""
    model = nn.Sequential(nn.Linear(100, 4), middle, nn.Linear(4, 10))
    data = TensorDataset(inputs(600, 100).float(), classes(600, 10))
    risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=200)
    curvature = risk.linearise(risk.start, curvature=kind, memory_budget=0)
    vector = torch.ones_like(risk.start)
    bound = 3 * 8 * risk.dimension**2 + _Alive.most(lambda: curvature @ vector)
    assert _Alive.most(curvature.dense) <= bound
