"""What a method is checked for before it runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu import TrainingTime
from curenu.erasure import ErasureProblem
from curenu.errors import BadRequest
from curenu.facade import erase, unlearn
from curenu.methods import CuReNU
from curenu.risks import EmpiricalRisk
from tests.problems import classes, generator, inputs


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


def test_a_result_is_not_made_of_a_model_that_was_trained_on_since() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double().eval()
    data = TensorDataset(inputs(20, 4), classes(20, 3))
    made = [
        unlearn(model, data, "cross_entropy", forget=[3], training=TrainingTime(5.0))
        for _ in range(2)
    ]
    assert made[0].model is made[0].model
    model.train()(inputs(20, 4))  # running statistics move
    with pytest.raises(BadRequest, match="has been changed in the given model since"):
        made[1].model
    assert made[1].state_dict().keys() == dict(model.named_parameters()).keys()
