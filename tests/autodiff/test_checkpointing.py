"""Transformers inside products: plain attention, and checkpointed parts passed again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

from curenu.risks import AnchoredRisk, EmpiricalRisk
from tests.problems import classes, generator, initialised, inputs


class Block(nn.Module):
    """x + attention(x), then x + mlp(x), by the fused kernel where it can."""

    def __init__(self) -> None:
        super().__init__()
        self.projections, self.joined = nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(torch.backends.cuda.flash_sdp_enabled())
        query, key, value = self.projections(x).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.joined(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(x)


class Transformer(nn.Module):
    def __init__(self, *, again: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(8, 3)
        self.again, self.passes = again, 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.again else block(x)
        return self.head(x.mean(1))


def risk(*, again: bool) -> EmpiricalRisk:
    model = initialised(lambda: Transformer(again=again))
    data = TensorDataset(inputs(14, 5, 8), classes(14, 3))
    return EmpiricalRisk(model, data, "cross_entropy", weight_decay=1e-2, micro_batch_size=4)


def elsewhere(risk: EmpiricalRisk) -> tuple[Tensor, Tensor]:
    """A point that is not where the model was given, and a direction."""
    draw = generator()
    shift, vector = (
        torch.randn(risk.dimension, generator=draw, dtype=torch.float64) for _ in range(2)
    )
    return risk.start + 0.3 * shift, vector


@pytest.mark.parametrize("budget", [0, 2**30])
@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_checkpointed_products_equal_those_without(kind: Any, budget: int) -> None:
    plain, again = risk(again=False), risk(again=True)
    theta, vector = elsewhere(plain)
    torch.testing.assert_close(again.gradient(theta), plain.gradient(theta))
    wanted = plain.linearise(theta, curvature=kind, memory_budget=budget)
    found = again.linearise(theta, curvature=kind, memory_budget=budget)
    for _ in range(2):  # of which the second may come from a kept graph
        torch.testing.assert_close(found @ vector, wanted @ vector)
    torch.testing.assert_close(found.gradient, wanted.gradient)
    assert found.value == pytest.approx(wanted.value)


def test_checkpointed_parts_are_passed_again_by_double_backward() -> None:
    """Forward mode cannot pass them again: what is found there is not what is needed."""
    again = risk(again=True)
    theta, vector = elsewhere(again)
    model = again.source.evaluation.model
    again.hvp(theta, vector)
    assert again.source.measured["forward mode", "hessian"] is False
    before = len(model.blocks[0].seen), model.passes  # type: ignore[index,arg-type]
    again.hvp(theta, vector)
    inside = len(model.blocks[0].seen) - before[0]  # type: ignore[index,arg-type]
    assert inside > model.passes - before[1] > 0  # type: ignore[operator]


def test_checkpointed_products_of_the_anchored_objective_are_right() -> None:
    found = []
    for again in (False, True):
        whole = risk(again=again)
        anchored = AnchoredRisk(*whole.split([1, 5]), whole.start)
        theta, vector = elsewhere(whole)
        found.append((anchored.gradient(theta), anchored.hvp(theta, vector)))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("again", [False, True])
def test_fused_attention_is_off_inside_products_only(again: bool) -> None:
    whole = risk(again=again)
    theta, vector = elsewhere(whole)
    seen: list[bool] = whole.source.evaluation.model.blocks[0].seen  # type: ignore[index,assignment]
    seen.clear()
    whole.hvp(theta, vector)
    assert seen
    assert not any(seen)
    seen.clear()
    whole.value(theta)
    whole.gradient(theta)
    assert seen
    assert all(seen)
