"""The micro-batch size chosen by a short measurement."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

import curenu
from curenu.autodiff.pieces import graph_bytes
from curenu.methods import FineTune, StoCuReNU
from curenu.risks import EmpiricalRisk, micro_batch_size
from tests.problems import PROBLEMS, classes, generator, initialised, inputs, mlp
from tests.test_bad_input import once

SEEN: list[int] = []
"""How many examples each pass through a `Slow` model had."""


TIME = [0.0]
"""What the clock says that sizes are timed by."""


@pytest.fixture(autouse=True)
def _clock_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the model takes time: what else runs on the machine cannot choose a size."""
    monkeypatch.setattr(micro_batch_size, "clock", lambda: TIME[0])


class Slow(nn.Module):
    """A layer that needs a fixed time a call, and the more where it is given too many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.linear = nn.Linear(4, 3)

    def extra_repr(self) -> str:
        return f"most={self.most}"

    def forward(self, x: Tensor) -> Tensor:
        SEEN.append(len(x))
        TIME[0] += 0.002 + (0.0002 * len(x) if len(x) > self.most else 0.0)
        return self.linear(x)


def timed(model: nn.Module, count: int) -> EmpiricalRisk:
    SEEN.clear()
    data = TensorDataset(inputs(count, 4), classes(count, 3))
    return EmpiricalRisk(model, data, "cross_entropy", micro_batch_size="auto")


def slow(most: int) -> nn.Module:
    return initialised(lambda: Slow(most))


@pytest.mark.parametrize("most", [32, 128])
def test_the_fastest_size_an_example_is_taken(most: int) -> None:
    risk = timed(slow(most), 300)
    assert risk.source.micro_batch_size == most
    assert risk.sample(64, generator()).source.micro_batch_size == most


def test_a_model_is_measured_once_in_a_process() -> None:
    first = timed(slow(64), 200)
    assert 64 in SEEN
    again = timed(initialised(lambda: Slow(64), seed=1), 200)
    assert max(SEEN) <= 32  # looks at the loss alone
    assert again.source.micro_batch_size == first.source.micro_batch_size
    timed(slow(65), 200)
    assert 64 in SEEN


@pytest.mark.parametrize(("count", "wanted"), [(1, 1), (17, 17), (100, 64)])
def test_it_is_never_above_the_number_of_examples(count: int, wanted: int) -> None:
    risk = timed(slow(1000), count)
    assert risk.source.micro_batch_size == wanted
    assert max(SEEN) <= count


def test_what_would_not_fit_in_memory_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    model = initialised(lambda: nn.Sequential(nn.Linear(4, 200), nn.Tanh(), nn.Linear(200, 3)))
    data = TensorDataset(inputs(1000, 4), classes(1000, 3))

    def graph(size: int) -> int:
        risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=size)
        few = risk.subset(range(size))
        return graph_bytes(lambda: few.gradient(few.start))

    monkeypatch.setattr(micro_batch_size, "available_memory", lambda device: 8 * graph(20))
    assert timed(model, 1000).source.micro_batch_size == 20


@pytest.mark.parametrize("name", PROBLEMS)
def test_value_gradient_and_product_are_those_of_any_size(name: str) -> None:
    problem = PROBLEMS[name]()
    auto, given = (
        EmpiricalRisk(problem.model, problem.dataset, problem.loss, micro_batch_size=size)
        for size in ("auto", problem.micro_batch_size)
    )
    vector = torch.randn(auto.dimension, generator=generator()).double()
    torch.testing.assert_close(auto.value(auto.start), given.value(auto.start))
    torch.testing.assert_close(auto.gradient(auto.start), given.gradient(auto.start))
    torch.testing.assert_close(auto.hvp(auto.start, vector), given.hvp(auto.start, vector))


def test_the_measurement_is_in_no_cost_and_the_notes_tell_the_size() -> None:
    risk = timed(mlp().model, 100)
    assert (risk.meter.examples, risk.meter.gradients, risk.meter.hvps) == (0, 0, 0)
    found = curenu.unlearn(
        mlp().model,
        TensorDataset(inputs(100, 4), classes(100, 3)),
        "cross_entropy",
        forget=[1],
        micro_batch_size="auto",
        method=StoCuReNU(max_steps=1),
    )
    size = risk.source.micro_batch_size
    assert f"micro-batches of {size}, the fastest here" in found.erasure.notes


def test_a_loss_with_one_derivative_is_timed_by_its_gradient() -> None:
    data = TensorDataset(inputs(100, 4), classes(100, 3))
    found = curenu.unlearn(
        mlp().model, data, once, forget=[1], micro_batch_size="auto", method=FineTune(epochs=1)
    )
    assert found.theta.isfinite().all()


class Distant(Dataset[tuple[Tensor, int]]):
    """Examples that take five milliseconds each to read."""

    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        TIME[0] += 0.005
        return torch.full((4,), index / 1000.0, dtype=torch.float64), index % 3


def test_what_takes_long_is_not_measured_for_long() -> None:
    """Larger sizes are not tried where a second is used up, items being read anew every time."""
    risk = EmpiricalRisk(
        mlp().model, Distant(), "cross_entropy", micro_batch_size="auto", data_memory=0
    )
    assert risk.source.micro_batch_size <= 64
