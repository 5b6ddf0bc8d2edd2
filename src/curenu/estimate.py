"""What a method will take, in time and memory, before it is started."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from curenu.erasure import Plan
from curenu.objective import EmpiricalRisk
from curenu.objective.linearisation import graph_bytes
from curenu.objective.weighted_sum import GRAPH_MEMORY

__all__ = ["Estimate", "estimate"]

_SMALL = 256  # size of the matrix whose decomposition is timed


@dataclass(frozen=True)
class Estimate:
    """At most so many seconds and bytes, roughly."""

    seconds: float
    bytes: int


def estimate(risk: EmpiricalRisk, plan: Plan) -> Estimate:
    """Seconds and bytes of a plan on `risk`, from one micro-batch measured twice.

    Time: `plan.examples` at the speed of a product (of a gradient, for first-order plans)
    on one micro-batch, the faster of two; those that pass forward only at a value's; plus a
    dense decomposition scaled by d³ from a small one. Memory: parameters, `plan.vectors`,
    three float64 matrices for each dense one, and the graphs kept between products or two
    micro-batches'. Rough, and an upper bound in kind: a method that stops early takes less,
    a busy machine more; a factor of two either way is common.
    """
    theta = risk.start
    generator = torch.Generator().manual_seed(0)
    count = min(risk.source.micro_batch_size, risk.size)
    few = risk.sample(count, generator)
    probe = torch.randn(theta.shape, generator=generator).to(theta)
    if plan.curvature:
        kept = few.linearise(theta)
        per_batch = _seconds(lambda: kept @ probe)
        graph = graph_bytes(lambda: few.linearise(theta, memory_budget=0) @ probe)  # type: ignore[arg-type,return-value]
        graphs = max(2 * graph, min(GRAPH_MEMORY, graph * -(-risk.size // count)))
    else:
        per_batch = _seconds(lambda: few.gradient(theta))
        graphs = 2 * graph_bytes(lambda: few.gradient(theta))  # type: ignore[arg-type,return-value]
    forward = _seconds(lambda: few.value(theta)) if plan.forward else 0.0
    heavy = plan.examples - plan.forward
    seconds = (per_batch * heavy + forward * plan.forward) / count
    if plan.matrices:
        matrix = torch.randn(_SMALL, _SMALL, generator=generator, dtype=torch.float64)
        symmetric = matrix + matrix.mT
        seconds += _seconds(lambda: torch.linalg.eigh(symmetric)) * (len(theta) / _SMALL) ** 3
    vectors = (plan.vectors + 2) * len(theta) * theta.element_size()
    matrices = plan.matrices * 8 * len(theta) ** 2
    return Estimate(seconds, vectors + matrices + graphs)


def _seconds(work: Callable[[], object]) -> float:
    """The faster of two runs after one that warms up."""
    work()
    times = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
