"""The micro-batch size that is fastest here: timed once for a model and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import torch
from torch import Tensor

from curenu.autodiff.micro_batch import graph_bytes
from curenu.cost import Meter, clock
from curenu.data import tensors_of
from curenu.distributed import by_first, count
from curenu.errors import UnsupportedModel
from curenu.memory import available_memory
from curenu.risks.source import Source
from curenu.risks.terms import Quadratic, Term
from curenu.risks.weighted_sum import WeightedSum

__all__ = ["fastest_size"]

_SIZES = (32, 64, 128, 256, 512, 1024)
_ROUNDS = 3  # each size's best of them
_SECONDS = 1.0  # beyond which nothing more is timed
_SHARE = 8  # one part in so many of the free memory for a gradient's graph; a product's is larger

_KNOWN: dict[Hashable, int] = {}


def fastest_size(source: Source, term: Term, theta: Tensor) -> int:
    """The size at which a gradient and a product take the least time an example.

    Of 32 to 1,024, no more than a process has examples of `term`; fewer only where these do not
    fit in memory. About a second in all, less where a size takes longer than is left. Kept for
    the process by the model's structure, its inputs' shapes, types, device and threads; several
    processes take the first one's choice. The passes are counted nowhere.
    """
    processes = count()
    share = -(-len(term.ids) // processes)
    return by_first(_chosen)(source, term, theta, share, processes)


def _chosen(source: Source, term: Term, theta: Tensor, share: int, processes: int) -> int:
    key = _structure(source, term), min(share, _SIZES[-1]), processes
    if key not in _KNOWN:
        sizes = _fitting(source, term, theta, share, available_memory(theta.device) // processes)
        _KNOWN[key] = _fastest(_work(source, term, theta), sizes)
    return _KNOWN[key]


def _structure(source: Source, term: Term) -> Hashable:
    model = source.evaluation.model
    leaves = tensors_of(source.batch(term.ids[:1]).content)
    return (
        repr(model),
        tuple((name, tuple(p.shape), p.dtype) for name, p in model.named_parameters()),
        source.parameters.names,
        source.evaluation.form.label,
        tuple((tuple(x.shape[1:]), x.dtype) for x in leaves),
        source.product_dtype,
        str(source.parameters.device),
        torch.get_num_threads(),
    )


def _fitting(source: Source, term: Term, theta: Tensor, share: int, free: int) -> list[int]:
    """Sizes to be tried: one alone, the largest that fits, where it is below the smallest."""

    def graph(size: int) -> int:
        return graph_bytes(lambda: _trial(source, term, size).gradient(theta))

    one = graph(1)
    each = max(1, graph(2) - one)
    largest = min(share, max(1, 1 + (free // _SHARE - one) // each))
    return [size for size in _SIZES if size <= largest] or [largest]


def _work(source: Source, term: Term, theta: Tensor) -> Callable[[int], None]:
    """What an erasure spends its time on, of so many examples in one micro-batch."""
    kind = "gauss_newton" if source.evaluation.shows_outputs else "hessian"
    vector = torch.linspace(-1.0, 1.0, len(theta)).to(theta)

    def work(size: int) -> None:
        trial = _trial(source, term, size)
        trial.gradient(theta)
        try:
            _ = trial.linearise(theta, curvature=kind, memory_budget=0) @ vector
        except UnsupportedModel:
            return  # a first-order method may be all that is wanted

    return work


def _trial(source: Source, term: Term, size: int) -> WeightedSum:
    own = replace(source, micro_batch_size=size, meter=Meter())
    few = Term(term.ids[:size], 1.0 / size, term.head)
    return WeightedSum(own, (few,), Quadratic(0.0))


def _fastest(work: Callable[[int], None], sizes: list[int]) -> int:
    """Sizes take turns, so that what slows one of them down slows all of them down."""
    if len(sizes) == 1:
        return sizes[0]
    end = clock() + _SECONDS
    work(2)  # warms up
    least = _seconds(work, 2)
    best: dict[int, float] = {}
    for _ in range(_ROUNDS):
        for size in sizes:
            if clock() + size * least > end:
                break
            best[size] = min(_seconds(work, size), best.get(size, float("inf")))
            least = min(least, best[size])
    return min(best, key=lambda size: best[size], default=sizes[0])


def _seconds(work: Callable[[int], None], size: int) -> float:
    """An example's share."""
    start = clock()
    work(size)
    return (clock() - start) / size
