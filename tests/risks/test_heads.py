"""Heads against their closed forms: divergence, preference, other labels, mixed batches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import TensorDataset

from curenu.data import Batch
from curenu.errors import UnsupportedModel
from curenu.risks import (
    Anchor,
    EmpiricalRisk,
    combined,
    cross_entropy_to,
    distilled,
    mixed_batches,
    need_classes,
    preference,
)
from tests.problems import PROBLEMS, Problem, classes, generator, initialised, inputs


def risk_of(given: Problem) -> EmpiricalRisk:
    return EmpiricalRisk(given.model, given.dataset, given.loss, micro_batch_size=4)


def elsewhere(risk: EmpiricalRisk, seed: int = 3) -> Tensor:
    return risk.start + torch.randn(risk.dimension, generator=generator(seed)).double()


def test_distillation_is_the_divergence_summed_over_classes() -> None:
    """Mean over examples, sum over classes; written with explicit loops over both."""
    risk = risk_of(PROBLEMS["mlp"]())
    theta = elsewhere(risk)
    head = distilled(Anchor(risk.source, risk.start))
    q, p = (risk.outputs(at)[0].softmax(1) for at in (risk.start, theta))
    total = 0.0
    for q_row, p_row in zip(q.tolist(), p.tolist(), strict=True):
        total += sum(a * math.log(a / b) for a, b in zip(q_row, p_row, strict=True))
    value = combined([(1.0, risk, head)], weight_decay=0.0).value(theta)
    assert float(value) == pytest.approx(total / 17, rel=1e-12)


def test_distillation_to_a_target_without_some_classes_has_its_gradient() -> None:
    """∂/∂logits of KL(q ‖ p) is p − q, also where q is zero."""
    risk = risk_of(PROBLEMS["mlp"]())
    anchor = Anchor(risk.source, risk.start)
    head = distilled(anchor, lambda logits, y: logits.scatter(1, y[:, None], -torch.inf))
    batch = risk.source.batch(risk.ids)
    y = batch.content[1]
    outputs = inputs(17, 3, seed=9).requires_grad_()
    (slope,) = torch.autograd.grad(head(outputs, batch), outputs)
    q = risk.outputs(risk.start)[0].exp()
    q[torch.arange(17), y] = 0.0
    q = q / q.sum(1, keepdim=True)
    torch.testing.assert_close(slope, outputs.detach().softmax(1) - q)


@pytest.mark.parametrize("name", ["mlp", "mapping"])
def test_preference_has_the_gradient_of_its_closed_form(name: str) -> None:
    """−∇l_i · 2 / (1 + exp(b (l_i(theta) − l_i(theta0)))), averaged over examples."""
    given, b = PROBLEMS[name](), 0.7
    risk = risk_of(given)
    theta = elsewhere(risk)
    head = preference(Anchor(risk.source, risk.start), b)
    made = combined([(1.0, risk, head)], weight_decay=0.0).gradient(theta)
    expected = torch.zeros_like(theta)
    for index in range(risk.size):
        one = risk.subset([index])
        rise = float(one.value(theta) - one.value(risk.start))
        weight = 2 / (1 + torch.tensor(b * rise, dtype=torch.float64).exp())
        expected -= float(weight) * one.gradient(theta) / risk.size
    torch.testing.assert_close(made, expected)


def test_preference_takes_sequences_of_classes_as_one_example() -> None:
    """Cross-entropy over `[b, k, t]` sums an example's t terms before the sigmoid."""
    model = initialised(lambda: torch.nn.Conv1d(2, 3, 1))
    data = TensorDataset(inputs(6, 2, 5), classes(30, 3).view(6, 5))
    risk = EmpiricalRisk(model, data, "cross_entropy")
    theta = elsewhere(risk)
    head = preference(Anchor(risk.source, risk.start), 1.0)
    losses = [
        functional.cross_entropy(risk.outputs(at)[0], data.tensors[1], reduction="none").sum(1)
        for at in (risk.start, theta)
    ]
    expected = -2.0 * functional.logsigmoid(losses[1] - losses[0]).mean()
    value = combined([(1.0, risk, head)], weight_decay=0.0).value(theta)
    torch.testing.assert_close(value, expected)


def test_other_labels_replace_the_targets_by_position() -> None:
    given = PROBLEMS["mlp"]()
    part = risk_of(given).subset([2, 5, 11])
    wanted = classes(17, 3, seed=8)
    value = combined([(1.0, part, cross_entropy_to(wanted))], weight_decay=0.0).value(part.start)
    named = part.parameters.unflatten(part.start)
    x = given.dataset.tensors[0]  # type: ignore[attr-defined]
    outputs = functional_call(given.model, named, (x[part.ids],))
    torch.testing.assert_close(value, functional.cross_entropy(outputs, wanted[part.ids]).detach())


def test_every_example_of_a_mixed_batch_weighs_the_same() -> None:
    whole = risk_of(PROBLEMS["mlp"]())
    retain, forget = whole.split([1, 4, 7])
    batches = list(
        mixed_batches([(retain, None), (forget, _marked)], 5, generator(), weight_decay=0.0)
    )
    assert len(batches) == 4
    seen, weights = [], []
    for batch in batches:
        ids = torch.cat([term.ids for term in batch.terms])
        seen += ids.tolist()
        weights += [term.weight * len(ids) for term in batch.terms]
        for term in batch.terms:
            assert (term.head is _marked) == bool(set(term.ids.tolist()) <= {1, 4, 7})
    assert sorted(seen) == list(range(17))
    assert weights == pytest.approx([1.0] * len(weights))


def _marked(outputs: Tensor, _: Batch) -> Tensor:
    return outputs.sum() * 0.0


def test_classes_are_needed() -> None:
    for name in ("mlp", "cnn"):
        need_classes(risk_of(PROBLEMS[name]()), "It")
    for name in ("regression", "mapping"):
        with pytest.raises(UnsupportedModel, match="^It changes"):
            need_classes(risk_of(PROBLEMS[name]()), "It")
