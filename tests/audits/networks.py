"""Networks that learn random labels by heart: what they know of an example is membership."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from curenu.audits import Outputs, Split
from tests.problems import classes, generator, inputs

CLASSES, WIDTH, HIDDEN = 4, 20, 64
FORGET, RETAIN, TEST = 100, 100, 400


@cache
def trained(count: int, *, seen: bool, seed: int) -> tuple[Split, ...]:
    """`count` networks of different initialisation; `seen`: the forget set too.

    One hidden layer, full-batch Adam, all networks at once: a leading dimension of `count`.
    """
    x, y = inputs(FORGET + RETAIN + TEST, WIDTH).float(), classes(FORGET + RETAIN + TEST, CLASSES)
    start = generator(seed)
    weights = [
        (torch.randn(count, a, b, generator=start) / a**0.5).requires_grad_()
        for a, b in ((WIDTH, HIDDEN), (HIDDEN, CLASSES))
    ]
    first = 0 if seen else FORGET
    taught = slice(first, FORGET + RETAIN)
    goal = y[taught].expand(count, -1)
    optimizer = torch.optim.Adam(weights, lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        logits = _logits(weights, x[taught])
        functional.cross_entropy(logits.flatten(0, 1), goal.flatten()).mul(count).backward()
        optimizer.step()
    with torch.no_grad():
        answers = _logits(weights, x)
    parts = (slice(FORGET), slice(FORGET, FORGET + RETAIN), slice(FORGET + RETAIN, None))
    return tuple(Split(*(Outputs(one[part], y[part]) for part in parts)) for one in answers)


def _logits(weights: list[Tensor], x: Tensor) -> Tensor:
    hidden = torch.tanh(torch.einsum("nw,cwh->cnh", x, weights[0]))
    return torch.einsum("cnh,chk->cnk", hidden, weights[1])
