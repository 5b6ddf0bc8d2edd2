"""The K-FAC metric and objectives seen in its coordinates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.errors import UnsupportedModel
from curenu.losses import form_of
from curenu.operators import Coordinates, Metric, kronecker_metric
from curenu.operators.label_draws import drawn_by_curvature
from curenu.risks import EmpiricalRisk
from tests.problems import (
    Problem,
    attention,
    batch_norm,
    cnn,
    generator,
    initialised,
    mapping,
    mlp,
    regression,
    tied,
)


def risk_of(problem: Problem, loss: str | None = None) -> EmpiricalRisk:
    return EmpiricalRisk(
        problem.model,
        problem.dataset,
        loss or problem.loss,
        weight_decay=0.01,
        micro_batch_size=problem.micro_batch_size,
    )


def dense(metric: Metric, dimension: int) -> Tensor:
    return torch.stack([metric.root(row) for row in torch.eye(dimension, dtype=torch.float64)])


@pytest.mark.parametrize("build", [mlp, cnn, batch_norm])
def test_the_root_is_symmetric_and_positive_definite(build) -> None:
    risk = risk_of(build(), "cross_entropy")
    root = dense(kronecker_metric(risk, risk.start, generator()), risk.dimension)
    torch.testing.assert_close(root, root.mT, rtol=1e-10, atol=1e-12)
    assert torch.linalg.eigvalsh(root)[0] > 0


def test_on_one_linear_layer_and_one_input_the_metric_is_the_gauss_newton_matrix() -> None:
    """K-FAC is exact there; what is left is the sampling of labels, 4 standard errors."""
    model = initialised(lambda: nn.Linear(3, 4))
    size = 20000
    data = TensorDataset(
        torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64).expand(size, 3),
        torch.zeros(size).long(),
    )
    risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=size)
    damped = kronecker_metric(risk, risk.start, generator(), damping=0.5)
    exact = risk.linearise(risk.start, curvature="gauss_newton").dense()
    inverse = torch.linalg.inv(dense(damped, risk.dimension))
    shift = 0.5 * exact.trace() / risk.dimension
    expected = exact + shift * torch.eye(risk.dimension, dtype=torch.float64)
    assert (inverse @ inverse - expected).abs().max() < 4 * exact.abs().max() / size**0.5


def test_layers_that_share_or_are_not_called_have_a_constant() -> None:
    with pytest.raises(UnsupportedModel, match="K-FAC needs"):  # its one layer is tied
        kronecker_metric(risk_of(tied(), "cross_entropy"), risk_of(tied()).start, generator())
    risk = risk_of(attention(), "cross_entropy")  # calls its output projection by function
    metric = kronecker_metric(risk, risk.start, generator())
    linear = [m for m in risk.source.evaluation.model.modules() if isinstance(m, nn.Linear)]
    assert 0 < len(metric.blocks) < len(linear)


class Padded(nn.Conv2d):
    """A convolution that pads by itself: K-FAC's factors would be of the unpadded images."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(input, (1, 1, 1, 1)))


def test_a_layer_with_a_forward_pass_of_its_own_has_a_constant() -> None:
    model = nn.Sequential(Padded(1, 2, 5), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    images = torch.randn(6, 1, 4, 4, generator=generator(), dtype=torch.float64)
    data = TensorDataset(images, torch.arange(6) % 3)
    risk = EmpiricalRisk(model, data, "cross_entropy")
    metric = kronecker_metric(risk, risk.start, generator())
    (block,) = metric.blocks
    assert (len(block.outputs), len(block.inputs)) == (3, 9)


def test_no_curvature_is_no_metric() -> None:
    dead = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()).double()
    with torch.no_grad():
        dead[0].bias.fill_(-700.0)  # a slope of 1e-304
        dead[0].weight.zero_()
    data = TensorDataset(torch.zeros(4, 3).double(), torch.zeros(4, 2).double())
    risk = EmpiricalRisk(dead, data, "mse")
    with pytest.raises(UnsupportedModel, match="no curvature"):
        kronecker_metric(risk, risk.start, generator())


@pytest.mark.parametrize("build", [mlp, regression])
def test_labels_are_drawn_alike_whatever_the_micro_batch(build) -> None:
    problem = build()
    found = []
    for size in (1, 3, 7, 64):
        risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss, micro_batch_size=size)
        found.append(dense(kronecker_metric(risk, risk.start, generator()), risk.dimension))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-8, atol=1e-10)


def weighted_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    picked = -outputs.log_softmax(1).gather(1, targets[:, None])[:, 0]
    return (1.0 + targets) * picked


@pytest.mark.parametrize("count", [1, 2, 5])
def test_slopes_drawn_of_an_own_loss_have_its_second_derivative(count: int) -> None:
    outputs = torch.randn(1, count, generator=generator(), dtype=torch.float64)
    target = torch.tensor([count - 1])
    form = form_of(weighted_cross_entropy, None)
    draw = drawn_by_curvature(form, [target.expand(40_000)], 0)
    many = outputs.expand(40_000, count)
    slopes = 2.0 * (many - draw(many)) / count**0.5  # of the squared error's mean over outputs
    exact = torch.func.hessian(lambda f: weighted_cross_entropy(f[None], target).sum())(outputs[0])
    torch.testing.assert_close(slopes.T @ slopes / 40_000, exact, rtol=0.05, atol=0.02)


def test_the_metric_of_an_own_loss_is_near_the_one_by_name() -> None:
    problem = mlp()
    metrics = []
    for loss in ("cross_entropy", lambda f, y: functional.cross_entropy(f, y)):
        risk = EmpiricalRisk(problem.model, problem.dataset, loss)
        made = [kronecker_metric(risk, risk.start, generator(seed)) for seed in range(120)]
        metrics.append(sum(dense(one, risk.dimension) for one in made) / len(made))
    named, own = metrics
    assert float((named - own).norm() / named.norm()) < 0.05


def test_a_loss_without_curvature_in_the_outputs_has_no_metric() -> None:
    problem = regression()
    risk = EmpiricalRisk(problem.model, problem.dataset, lambda f, y: (f - y).abs().sum(1))
    with pytest.raises(UnsupportedModel, match="no curvature"):
        kronecker_metric(risk, risk.start, generator())


def test_what_is_no_linear_layer_has_a_constant() -> None:
    risk = risk_of(batch_norm(), "cross_entropy")
    metric = kronecker_metric(risk, risk.start, generator())
    vector = torch.ones_like(risk.start)
    scaled = risk.parameters.unflatten(metric.root(vector))
    known = {
        f"{name}.{part}"
        for name, layer in risk.source.evaluation.model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
        for part in ("weight", "bias")
    }
    others = [value for name, value in scaled.items() if name not in known]
    assert others
    for value in others:
        torch.testing.assert_close(value, torch.full_like(value, metric.elsewhere))


def test_values_gradients_and_products_in_the_coordinates_are_one_function() -> None:
    risk = risk_of(mlp())
    metric = kronecker_metric(risk, risk.start, generator())
    coordinates = Coordinates(risk.start, metric)
    seen = coordinates.view(risk)
    t = 0.1 * torch.randn(risk.dimension, generator=generator(3), dtype=torch.float64)
    vector = torch.randn(risk.dimension, generator=generator(4), dtype=torch.float64)
    assert float(seen.value(t)) == float(risk.value(coordinates.theta(t)))
    step = 1e-5
    slope = (seen.value(t + step * vector) - seen.value(t - step * vector)) / (2 * step)
    assert float(torch.dot(seen.gradient(t), vector)) == pytest.approx(float(slope), rel=1e-6)
    bent = (seen.gradient(t + step * vector) - seen.gradient(t - step * vector)) / (2 * step)
    torch.testing.assert_close(seen.hvp(t, vector), bent, rtol=1e-5, atol=1e-8)
    whole = seen.linearise(t).dense()
    torch.testing.assert_close(whole @ vector, seen.hvp(t, vector))


def test_without_a_metric_nothing_changes() -> None:
    risk = risk_of(mlp())
    coordinates = Coordinates(risk.start)
    assert coordinates.view(risk) is risk
    torch.testing.assert_close(coordinates.start, risk.start)


def test_the_metric_is_that_of_the_parameters_that_move() -> None:
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss, only="2.*")
    metric = kronecker_metric(risk, risk.start, generator())
    assert len(metric.blocks) == 1
    assert metric.root(risk.start).shape == risk.start.shape


def test_a_loss_that_hides_the_outputs_is_refused() -> None:
    problem = mapping()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    with pytest.raises(UnsupportedModel, match="K-FAC needs"):
        kronecker_metric(risk, risk.start, generator())


def test_a_factor_that_float32_cannot_decompose_is_decomposed_in_float64(monkeypatch) -> None:
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(6, 20), torch.arange(6) % 3)
    risk = EmpiricalRisk(nn.Linear(20, 3), data, "cross_entropy")
    wanted = kronecker_metric(risk, risk.start, torch.Generator().manual_seed(0))
    eigh = torch.linalg.eigh

    def failing(matrix: Tensor) -> object:
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("The algorithm failed to converge.")
        return eigh(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    found = kronecker_metric(risk, risk.start, torch.Generator().manual_seed(0))
    vector = torch.linspace(-1, 1, len(risk.start))
    torch.testing.assert_close(found.root(vector), wanted.root(vector), rtol=1e-4, atol=1e-5)
