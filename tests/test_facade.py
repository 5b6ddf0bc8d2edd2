"""What a method is checked for before it runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.erasure import ErasureProblem
from curenu.facade import erase
from curenu.methods import CuReNU
from curenu.risks import EmpiricalRisk
from tests.problems import generator


@pytest.mark.parametrize(("micro_batch", "looked_at"), [(5, 5), (64, 32)])
def test_second_derivatives_are_looked_at_on_no_more_than_a_micro_batch(
    monkeypatch: pytest.MonkeyPatch, micro_batch: int, looked_at: int
) -> None:
    seen: list[int] = []
    check = EmpiricalRisk.check_twice_differentiable

    def counting(objective: EmpiricalRisk, theta: Tensor, vector: Tensor) -> None:
        seen.append(objective.size)
        check(objective, theta, vector)

    monkeypatch.setattr(EmpiricalRisk, "check_twice_differentiable", counting)
    data = TensorDataset(torch.randn(50, 3, generator=generator()), torch.arange(50) % 2)
    risk = EmpiricalRisk(nn.Linear(3, 2), data, "cross_entropy", micro_batch_size=micro_batch)
    erase(ErasureProblem(risk.start, *risk.split([0, 1])), CuReNU(max_steps=1), seed=0)
    assert seen == [looked_at]
