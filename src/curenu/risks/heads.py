"""What a term sums over its examples: the training loss, or another function of the outputs.

Rivals of the cubic methods minimise sums of such terms: away from labels, towards other labels,
towards or away from the outputs of a fixed model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from curenu.data import Batch
from curenu.errors import UnsupportedModel
from curenu.risks.anchor import Anchor
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.terms import Head, Quadratic
from curenu.risks.weighted_sum import WeightedSum

__all__ = [
    "combined",
    "cross_entropy_to",
    "distilled",
    "mixed_batches",
    "need_classes",
    "preference",
]


def combined(
    terms: Iterable[tuple[float, EmpiricalRisk, Head | None]], *, weight_decay: float
) -> WeightedSum:
    """Σ_t w_t · mean of a head over the examples of a risk + (weight_decay/2)|theta|².

    A head of None is the training loss. All risks must be parts of one `EmpiricalRisk`.
    """
    given = list(terms)
    made = tuple(risk.term(weight, head) for weight, risk, head in given)
    return WeightedSum(given[0][1].source, made, Quadratic(weight_decay))


def mixed_batches(
    parts: Sequence[tuple[EmpiricalRisk, Head | None]],
    size: int,
    generator: torch.Generator,
    *,
    weight_decay: float,
) -> Iterator[WeightedSum]:
    """One epoch of shuffled batches over the union of parts, each part with its own head.

    Every example weighs the same, whichever part it is of.
    """
    ids = torch.cat([risk.ids for risk, _ in parts])
    owner = torch.cat([torch.full((risk.size,), i) for i, (risk, _) in enumerate(parts)])
    for chosen in torch.randperm(len(ids), generator=generator).split(size):
        own = [ids[chosen[owner[chosen] == i]] for i in range(len(parts))]
        yield combined(
            [
                (len(some) / len(chosen), risk.subset(some), head)
                for some, (risk, head) in zip(own, parts, strict=True)
                if len(some)
            ],
            weight_decay=weight_decay,
        )


def cross_entropy_to(labels: Tensor) -> Head:
    """Cross-entropy to `labels` `[n]`, by position in the whole dataset, instead of targets."""

    def head(outputs: Tensor, batch: Batch) -> Tensor:
        wanted = labels[batch.ids.to(labels.device)].to(outputs.device)
        return functional.cross_entropy(outputs, wanted, reduction="sum")

    return head


def distilled(anchor: Anchor, target: Callable[[Tensor, Tensor], Tensor] | None = None) -> Head:
    """Σ_i KL(q_i ‖ p_i(theta)), q the fixed model's distribution, or made from it.

    `target` (logits of the fixed model `[b, k]`, classes `[b]`) -> logits of q `[b, k]`, of
    which some may be −∞. A sum over classes: never divided by their number.
    """

    def head(outputs: Tensor, batch: Batch) -> Tensor:
        before = anchor.of(batch).to(outputs.dtype)
        targets = anchor.source.evaluation.targets(batch)
        q = (before if target is None else target(before, targets)).softmax(1)
        return functional.kl_div(outputs.log_softmax(1), q, reduction="sum")

    return head


def preference(anchor: Anchor, inverse_temperature: float) -> Head:
    """NPO's −(2/b) Σ log sigmoid(−b log(p(theta)/p(theta0))), with l = −log p of an example."""
    evaluation = anchor.source.evaluation

    def head(outputs: Tensor, batch: Batch) -> Tensor:
        after = evaluation.each(outputs, batch)
        rise = after - evaluation.each(anchor.of(batch), batch)
        return -2.0 / inverse_temperature * functional.logsigmoid(inverse_temperature * rise).sum()

    return head


def need_classes(risk: EmpiricalRisk, method: str) -> None:
    """Raise `UnsupportedModel` unless the loss is cross-entropy of classes."""
    if not risk.source.evaluation.of_classes:
        raise UnsupportedModel(
            f"{method} changes the labels or the predicted distribution of a classifier.",
            'loss="cross_entropy", or a method that works with any loss.',
        )
