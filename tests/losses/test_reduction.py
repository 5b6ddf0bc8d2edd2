"""A reduction given beside a loss is used, or refused; never ignored."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.losses import CrossEntropy, TokenCrossEntropy
from curenu.risks import EmpiricalRisk
from tests.problems import mlp, regression


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_beside_a_name_it_is_that_of_torchs_object(reduction: Any) -> None:
    for problem, name, kind in (
        (mlp(), "cross_entropy", nn.CrossEntropyLoss),
        (regression(), "mse", nn.MSELoss),
    ):
        named = EmpiricalRisk(problem.model, problem.dataset, name, reduction=reduction)
        made = EmpiricalRisk(problem.model, problem.dataset, kind(reduction=reduction))
        assert torch.equal(named.gradient(named.start), made.gradient(made.start))


def test_a_sum_over_the_elements_of_an_example_is_not_their_mean() -> None:
    problem = regression()  # of two outputs
    mean, total = (
        EmpiricalRisk(problem.model, problem.dataset, "mse", reduction=reduction)
        for reduction in ("mean", "sum")
    )
    torch.testing.assert_close(total.gradient(total.start), 2 * mean.gradient(mean.start))


def own(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="sum")


LOSSES: list[Any] = [
    "cross_entropy",
    nn.CrossEntropyLoss(),
    functional.cross_entropy,
    CrossEntropy(),
    own,
    TokenCrossEntropy(lambda model, batch: model(batch)),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("reduction", ["avg", "batchmean", 3, ["mean"]])
def test_a_word_that_is_none_is_refused_with_the_three(loss: Any, reduction: Any) -> None:
    problem = mlp()
    with pytest.raises(BadRequest, match='reduction=.*"mean", "sum" or "none"'):
        EmpiricalRisk(problem.model, problem.dataset, loss, reduction=reduction)


@pytest.mark.parametrize(
    ("loss", "reduction"),
    [
        (nn.CrossEntropyLoss(), "sum"),
        (nn.CrossEntropyLoss(reduction="sum"), "mean"),
        (functional.cross_entropy, "none"),
        (partial(functional.cross_entropy, reduction="sum"), "mean"),
        (CrossEntropy(), "sum"),
        (TokenCrossEntropy(lambda model, batch: model(batch)), "mean"),
    ],
)
def test_another_than_the_losses_own_is_refused(loss: Any, reduction: Any) -> None:
    problem = mlp()
    with pytest.raises(BadRequest, match=f"reduction='{reduction}' beside a loss whose own is"):
        EmpiricalRisk(problem.model, problem.dataset, loss, reduction=reduction)


def test_the_same_as_the_losses_own_is_taken() -> None:
    problem = mlp()
    plain = EmpiricalRisk(problem.model, problem.dataset, nn.CrossEntropyLoss())
    for loss in (nn.CrossEntropyLoss(), functional.cross_entropy, "cross_entropy"):
        risk = EmpiricalRisk(problem.model, problem.dataset, loss, reduction="mean")
        assert torch.equal(risk.gradient(risk.start), plain.gradient(plain.start))


def test_what_a_users_function_gives_is_compared_with_it() -> None:
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, own, reduction="sum")
    assert risk.source.evaluation.reduction == "sum"
    with pytest.raises(BadRequest, match="is not the mean of their losses alone"):
        EmpiricalRisk(problem.model, problem.dataset, own, reduction="mean")
    with pytest.raises(BadRequest, match="The loss declares reduction='avg'"):
        EmpiricalRisk(problem.model, problem.dataset, nn.MSELoss(reduction="avg"))
