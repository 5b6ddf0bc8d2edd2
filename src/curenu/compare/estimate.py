"""What a method will take, in time and memory, before it is started."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from curenu.autodiff.pieces import graph_bytes
from curenu.budgets import GRAPH_MEMORY
from curenu.cost import clock
from curenu.erasure import Plan
from curenu.risks import EmpiricalRisk

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
    dense decomposition scaled by d³ from a small one. Rough, and an upper bound in kind: a
    method that stops early takes less, a busy machine more; a factor of two either way is
    common. Memory above that of the loaded model and data: `plan.vectors`, float64 matrices,
    the graphs kept between products, and the most that is alive while one micro-batch is
    worked on, as counted, not guessed; or what the check of the products takes, if that is more.
    """
    theta = risk.start
    generator = torch.Generator().manual_seed(0)
    count = min(risk.source.micro_batch_size, risk.size)
    few = risk.sample(count, generator)
    probe = torch.randn(theta.shape, generator=generator, dtype=torch.float32).to(theta)
    checked, kind = 0, plan.curvature
    if kind:
        # the first of its kind compares products with differences, which holds vectors of its own
        checked = _Alive.most(lambda: few.linearise(theta, curvature=kind))
        kept = few.linearise(theta, curvature=kind)
        per_batch = _seconds(lambda: kept @ probe)
        graphs = _Alive.after_first(
            lambda: few.linearise(theta, curvature=kind, memory_budget=0) @ probe
        )
        graphs += _kept(few, plan, risk.size, count)
    else:
        per_batch = _seconds(lambda: few.gradient(theta))
        graphs = _Alive.after_first(lambda: few.gradient(theta))
    forward = _seconds(lambda: few.value(theta)) if plan.forward else 0.0
    heavy = plan.examples - plan.forward
    seconds = (per_batch * heavy + forward * plan.forward) / count
    if plan.matrices:
        matrix = torch.randn(_SMALL, _SMALL, generator=generator, dtype=torch.float64)
        symmetric = matrix + matrix.mT
        seconds += _seconds(lambda: torch.linalg.eigh(symmetric)) * (len(theta) / _SMALL) ** 3
    vectors = plan.vectors * len(theta) * theta.element_size()
    matrices = plan.matrices * 8 * len(theta) ** 2
    return Estimate(seconds, max(checked, vectors + matrices + graphs))


def _kept(few: EmpiricalRisk, plan: Plan, size: int, count: int) -> int:
    """Bytes of the graphs that wait for the next product."""
    examples = size if plan.kept is None else plan.kept
    if examples == 0:
        return 0
    limit = GRAPH_MEMORY if plan.graphs is None else plan.graphs
    kind = plan.curvature or "hessian"
    held = few.linearise(few.start, curvature=kind, memory_budget=GRAPH_MEMORY)
    graph = graph_bytes(lambda: held.gradient)
    return min(limit, graph * -(-examples // count))


class _Alive(TorchDispatchMode):
    """Counts the bytes of all tensors made under it and not yet freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    @classmethod
    def most(cls, work: Callable[[], object]) -> int:
        """The most bytes alive at once while `work` ran."""
        with cls() as counted:
            work()
        return counted.peak

    @classmethod
    def after_first(cls, work: Callable[[], object]) -> int:
        """The same of a second run: what is made once and kept is no part of it."""
        work()
        return cls.most(work)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in pytree.tree_leaves(made):
            if isinstance(tensor, Tensor) and not tensor._is_zerotensor():
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return

        def freed(_: object) -> None:
            self.now -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def _seconds(work: Callable[[], object]) -> float:
    """The faster of two runs after one that warms up."""
    work()
    times = []
    for _ in range(2):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)
