"""Value, gradient and product against autograd on the whole data at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import TensorDataset, default_collate

from curenu.errors import UnsupportedModel
from curenu.risks import EmpiricalRisk
from tests.problems import PROBLEMS, Problem, generator


def risk_of(problem: Problem, **changes: Any) -> EmpiricalRisk:
    arguments = {
        "weight_decay": problem.weight_decay,
        "micro_batch_size": problem.micro_batch_size,
    } | changes
    return EmpiricalRisk(problem.model, problem.dataset, problem.loss, **arguments)


def whole(problem: Problem, risk: EmpiricalRisk, theta: Tensor) -> Tensor:
    """F(theta) written again: all examples in one batch, one graph."""
    model = problem.model.eval()
    batch = default_collate([problem.dataset[i] for i in range(risk.size)])
    named = dict(risk.parameters.unflatten(theta))
    with sdpa_kernel(SDPBackend.MATH):
        if isinstance(batch, dict):
            loss = problem.loss(lambda x: functional_call(model, named, (x,)), batch).mean()
        else:
            outputs = functional_call(model, named, (batch[0],))
            compare = functional.mse_loss if problem.loss == "mse" else functional.cross_entropy
            loss = compare(outputs, batch[1])
    return loss + 0.5 * problem.weight_decay * theta.square().sum()


@pytest.mark.parametrize("name", PROBLEMS)
def test_value_gradient_and_product_equal_dense_autograd(name: str) -> None:
    problem = PROBLEMS[name]()
    risk = risk_of(problem)
    theta = risk.start
    vector = torch.randn(risk.dimension, generator=generator(), dtype=theta.dtype)

    def objective(point: Tensor) -> Tensor:
        return whole(problem, risk, point)

    hessian = torch.autograd.functional.hessian(objective, theta)
    gradient = torch.func.grad(objective)(theta)
    torch.testing.assert_close(risk.value(theta), objective(theta), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(risk.gradient(theta), gradient, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(risk.hvp(theta, vector), hessian @ vector, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(risk.linearise(theta).dense(), hessian, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own imports
def test_product_agrees_with_curvlinops(name: str) -> None:
    curvlinops = pytest.importorskip("curvlinops")
    problem = PROBLEMS[name]()
    if name in {"mapping", "regression", "attention"}:
        pytest.skip("curvlinops takes (input, target) with torch's own losses and kernels")
    risk = risk_of(problem)
    moving = [p for p in problem.model.parameters() if p.requires_grad]
    batches = torch.utils.data.DataLoader(problem.dataset, batch_size=4)  # type: ignore[arg-type]
    operator = curvlinops.HessianLinearOperator(
        problem.model.eval(), nn.CrossEntropyLoss(), moving, list(batches)
    )
    vector = torch.randn(risk.dimension, generator=generator(), dtype=torch.float64)
    expected = operator @ vector + problem.weight_decay * vector
    torch.testing.assert_close(risk.hvp(risk.start, vector), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_hvp_does_not_depend_on_batch_size(name: str, size: int) -> None:
    problem = PROBLEMS[name]()
    risk, other = risk_of(problem), risk_of(problem, micro_batch_size=size)
    theta, vector = (
        risk.start,
        torch.randn(risk.dimension, generator=generator()).double(),
    )
    torch.testing.assert_close(other.hvp(theta, vector), risk.hvp(theta, vector))
    torch.testing.assert_close(other.gradient(theta), risk.gradient(theta))
    torch.testing.assert_close(other.value(theta), risk.value(theta))


def test_hvp_does_not_depend_on_the_order_of_examples() -> None:
    problem = PROBLEMS["mlp"]()
    risk = risk_of(problem)
    shuffled = torch.randperm(risk.size, generator=generator())
    x, y = problem.dataset.tensors  # type: ignore[attr-defined]
    other = EmpiricalRisk(
        problem.model,
        TensorDataset(x[shuffled], y[shuffled]),
        "cross_entropy",
        weight_decay=1e-2,
    )
    vector = torch.ones_like(risk.start)
    torch.testing.assert_close(other.hvp(risk.start, vector), risk.hvp(risk.start, vector))


def test_kept_and_recomputed_graphs_give_one_product() -> None:
    problem = PROBLEMS["cnn"]()
    risk = risk_of(problem, micro_batch_size=2)
    vector = torch.randn(risk.dimension, generator=generator()).double()
    none, some, all_ = (
        risk.linearise(risk.start, memory_budget=budget) for budget in (0, 8000, 2**30)
    )
    assert 0 < some.kept_graphs < all_.kept_graphs == 6
    for kept in (some, all_):
        torch.testing.assert_close(kept @ vector, none @ vector, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(kept @ vector, none @ vector, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(kept.gradient, risk.gradient(risk.start))
        assert kept.value == pytest.approx(float(risk.value(risk.start)), rel=1e-12)


def test_only_moves_the_named_part() -> None:
    problem = PROBLEMS["mlp"]()
    whole_risk, head = risk_of(problem), risk_of(problem, only="2")
    vector = torch.randn(head.dimension, generator=generator()).double()
    first = whole_risk.dimension - head.dimension
    padded = torch.cat([torch.zeros(first).double(), vector])
    expected = whole_risk.hvp(whole_risk.start, padded)[first:]
    torch.testing.assert_close(head.hvp(head.start, vector), expected)


def test_dropout_is_off_and_buffers_stay() -> None:
    problem = PROBLEMS["batch_norm"]()
    before = {name: b.clone() for name, b in problem.model.named_buffers()}
    risk = risk_of(problem)
    values = {float(risk.value(risk.start)) for _ in range(3)}
    assert len(values) == 1
    assert problem.model.training
    for name, buffer in problem.model.named_buffers():
        torch.testing.assert_close(buffer, before[name], rtol=0, atol=0)


def test_subsets_average_to_the_whole() -> None:
    problem = PROBLEMS["mlp"]()
    risk = risk_of(problem)
    retain, forget = risk.split([3, 5, 11])
    total = retain.size * retain.gradient(risk.start) + 3 * forget.gradient(risk.start)
    torch.testing.assert_close(total / risk.size, risk.gradient(risk.start))
    assert forget.ids.tolist() == [3, 5, 11]


def test_one_epoch_of_batches_is_every_example_once() -> None:
    risk = risk_of(PROBLEMS["mlp"]())
    parts = list(risk.batches(5, generator()))
    assert sorted(torch.cat([part.ids for part in parts]).tolist()) == list(range(17))


def test_a_sample_draws_without_replacement() -> None:
    risk = risk_of(PROBLEMS["mlp"]())
    sample = risk.sample(9, generator())
    assert sample.ids.unique().numel() == 9
    assert risk.sample(100, generator()) is risk


def test_passes_are_counted_once_each() -> None:
    risk = risk_of(PROBLEMS["mlp"]())
    theta = risk.start
    with risk.meter.measure() as spent:
        risk.value(theta)
        risk.gradient(theta)
        risk.hvp(theta, theta)
        linearised = risk.linearise(theta)
        for _ in range(2):
            linearised @ theta
    cost = spent()
    assert (cost.gradients, cost.hvps, cost.examples) == (2, 3, 6 * risk.size)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(reduction="sum"),
        nn.CrossEntropyLoss(reduction="none"),
        functional.cross_entropy,
        lambda outputs, targets: functional.cross_entropy(outputs, targets),
    ],
)
def test_every_way_to_give_cross_entropy_has_one_scale(loss: Any) -> None:
    problem = PROBLEMS["mlp"]()
    risk = risk_of(problem)
    other = EmpiricalRisk(problem.model, problem.dataset, loss, weight_decay=1e-2)
    torch.testing.assert_close(other.gradient(risk.start), risk.gradient(risk.start))


def test_outputs_come_in_the_order_of_ids() -> None:
    problem = PROBLEMS["mlp"]()
    risk = risk_of(problem).subset([9, 2, 4])
    outputs, targets = risk.outputs(risk.start)
    x, y = problem.dataset.tensors  # type: ignore[attr-defined]
    assert targets.tolist() == y[risk.ids].tolist()
    torch.testing.assert_close(outputs, problem.model.eval()(x[risk.ids]).detach())


def test_float32_products_stay_close_to_float64() -> None:
    problem = PROBLEMS["cnn"]()
    risk = risk_of(problem)
    x, y = problem.dataset.tensors  # type: ignore[attr-defined]
    theta = risk.start
    vector = torch.randn(risk.dimension, generator=generator()).double()
    exact = risk.hvp(theta, vector)
    single = EmpiricalRisk(
        problem.model.float(),
        TensorDataset(x.float(), y),
        "cross_entropy",
        weight_decay=1e-2,
    )
    rough = single.hvp(theta.float(), vector.float()).double()
    assert torch.linalg.vector_norm(rough - exact) < 1e-5 * torch.linalg.vector_norm(exact)


@pytest.mark.parametrize("name", ["mlp", "cnn", "batch_norm", "tied", "attention", "regression"])
def test_gauss_newton_equals_its_definition(name: str) -> None:
    problem = PROBLEMS[name]()
    risk = risk_of(problem)
    theta, model = risk.start, problem.model.eval()
    x, _ = problem.dataset.tensors  # type: ignore[attr-defined]

    def outputs(point: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return functional_call(model, dict(risk.parameters.unflatten(point)), (x,))

    jacobian = torch.autograd.functional.jacobian(outputs, theta)
    z = outputs(theta).detach()
    p = z.softmax(1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    if problem.loss == "mse":
        middle = torch.eye(2, dtype=torch.float64).expand(len(z), 2, 2)  # 2/k, k = 2 outputs
    expected = torch.einsum("nid,nij,nje->de", jacobian, middle, jacobian) / risk.size
    expected.diagonal().add_(problem.weight_decay)
    made = risk.linearise(theta, curvature="gauss_newton")
    torch.testing.assert_close(made.dense(), expected, rtol=1e-10, atol=1e-10)
    vector = torch.randn(risk.dimension, generator=generator()).double()
    torch.testing.assert_close(made @ vector, expected @ vector, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(made.gradient, risk.gradient(theta))


def test_gauss_newton_refuses_a_loss_that_hides_the_outputs() -> None:
    risk = risk_of(PROBLEMS["mapping"]())
    with pytest.raises(UnsupportedModel, match="hides them"):
        risk.linearise(risk.start, curvature="gauss_newton") @ risk.start


def test_a_compiled_model_is_taken_as_the_module_inside() -> None:
    plain = PROBLEMS["mlp"]()
    compiled = torch.compile(plain.model, backend="aot_eager")
    risks = [EmpiricalRisk(m, plain.dataset, plain.loss) for m in (compiled, plain.model)]
    assert risks[0].parameters.names == risks[1].parameters.names
    vector = torch.ones_like(risks[0].start)
    first, second = (risk.hvp(risk.start, vector) for risk in risks)
    assert torch.equal(first, second)
