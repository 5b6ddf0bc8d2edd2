"""Recurrent networks in float32 on a processor, whose own kernels bend only once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import curenu
from curenu.autodiff import Kind
from curenu.risks import EmpiricalRisk
from tests.problems import classes, generator


class Network(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell = kind(3, 5, batch_first=True)
        self.last = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cell(x)[0][:, -1])


def built(kind: type[nn.RNNBase], dtype: torch.dtype) -> tuple[nn.Module, TensorDataset]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Network(kind).to(dtype)
    x = torch.randn(20, 4, 3, generator=generator(1)).to(dtype)
    return model, TensorDataset(x, classes(20, 3))


KINDS = pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN], ids=lambda k: k.__name__)


@KINDS
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_products_in_float32_are_those_in_float64(kind: type[nn.RNNBase], curvature: Kind) -> None:
    found = []
    for dtype in (torch.float32, torch.float64):
        risk = EmpiricalRisk(*built(kind, dtype), "cross_entropy", weight_decay=1e-3)
        way = torch.randn(risk.dimension, generator=generator(2)).to(dtype)
        found.append((risk.linearise(risk.start, curvature=curvature) @ way).double())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


@KINDS
def test_a_default_erasure_moves_and_leaves_torch_as_it_was(kind: type[nn.RNNBase]) -> None:
    before = torch.backends.mkldnn.enabled
    model, data = built(kind, torch.float32)
    result = curenu.unlearn(model, data, "cross_entropy", forget=[3], weight_decay=1e-3, seed=0)
    assert result.status.ok
    assert float((result.theta - EmpiricalRisk(model, data, "cross_entropy").start)
                 .abs().max()) > 0  # fmt: skip
    assert torch.backends.mkldnn.enabled == before
