"""How far products in a lower precision are off: measured before a method relies on them."""

from __future__ import annotations

import torch

from curenu.autodiff import Kind
from curenu.erasure import ErasureProblem
from curenu.errors import UnsupportedModel
from curenu.operators import length

__all__ = ["precision_examples", "precision_notes"]

_MOST = 0.1  # of a product's length that rounding may take


def precision_notes(problem: ErasureProblem, kind: Kind) -> tuple[str, ...]:
    """What lower precision does to a product at theta0; nothing where there is none.

    |Ĥv − Hv| / |Hv| on one micro-batch of retained examples, v random, the weight decay, which
    is not rounded, apart. Both products are counted. Raises `UnsupportedModel` above a tenth.
    """
    source = problem.retain.source
    if source.product_dtype is None:
        return ()
    generator = torch.Generator().manual_seed(0)
    few = problem.retain.sample(source.micro_batch_size, generator)
    probe = torch.randn(problem.start.shape, generator=generator, dtype=torch.float32).to(
        problem.start
    )
    probe /= length(probe)
    lower, full = (
        few.linearise(problem.start, curvature=kind, memory_budget=0, full_precision=full) @ probe
        for full in (False, True)
    )
    gap, size = length(lower - full), length(full - few.weight_decay * probe)
    name = str(source.product_dtype).removeprefix("torch.")
    if not gap <= _MOST * size:
        raise UnsupportedModel(
            f"A product in {name} is {gap:.2g} from one in float32, which is {size:.2g} long.",
            "`product_dtype=None`, or `torch.bfloat16` where it was float16.",
        )
    return (f"products in {name}, {gap / size if size else 0.0:.2%} off",)


def precision_examples(problem: ErasureProblem) -> int:
    """How many examples `precision_notes` passes."""
    source = problem.retain.source
    few = min(source.micro_batch_size, problem.retain.size)
    return 0 if source.product_dtype is None else 2 * few
