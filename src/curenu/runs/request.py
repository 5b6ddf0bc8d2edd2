"""A request that was checked but not yet run: which problem it is, and what stays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from curenu.checks import positions_of
from curenu.erasure import ErasureProblem, Method, StepRecord
from curenu.errors import BadRequest
from curenu.facade import with_parameters
from curenu.methods import resolve_method
from curenu.risks import EmpiricalRisk
from curenu.runs.identity import derived_seed, describe_method
from curenu.runs.records import Anchoring, Only
from curenu.runs.run import Run

__all__ = ["Progress", "Request", "counter", "prepare"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Request:
    """A checked request before it is run: the problem, the method, and what stays."""

    positions: tuple[int, ...]
    method: Method
    seed: int
    risk: EmpiricalRisk
    problem: ErasureProblem
    only: Only
    anchor: Anchoring

    @property
    def anchored(self) -> bool:
        """Whether the method minimises the anchored objective."""
        return self.method.plan(self.problem).anchored


def prepare(
    run: Run,
    forget: Sequence[Hashable] | Tensor,
    method: str | Method,
    *,
    seed: int | None,
    only: str | Sequence[str] | None,
    anchor: Anchoring,
    progress: Progress | None,
    on_step: Callable[[StepRecord], None] | None,
) -> Request:
    """The request on `run` as it stands; `BadRequest` for what it cannot be."""
    chosen = resolve_method(method)
    moving: Only = only if only is None or isinstance(only, str) else tuple(only)
    positions = positions_of(forget, run.description.examples, ids=run.task.ids, erased=run.erased)
    risk = run.risk(run.model, moving)
    going = set(positions)
    kept = [p for p in run.retained if p not in going]
    gone = positions if anchor == "last" else sorted({*going, *run.erased_since_base})
    problem = ErasureProblem(
        risk.start,
        risk.subset(kept),
        risk.subset(gone),
        retrain=partial(_retrained, run, risk, kept, progress),
        on_step=on_step,
        training=run.task.training_time,
        anchor=None if anchor == "last" else _first_vector(run, risk),
        penalty=_penalty_before(run, chosen, moving),
    )
    if seed is None:
        seed = derived_seed(run.description.seed, "request", len(run.records) + 1)
    asked = Request(tuple(positions), chosen, seed, risk, problem, moving, anchor)
    if anchor == "first" and not asked.anchored:
        raise BadRequest(
            f"{type(chosen).__name__} as set does not minimise the anchored objective.",
            'anchor="last", or a method with objective="anchored".',
        )
    if progress is not None:
        risk.meter.listener = counter(progress, chosen.plan(problem).examples)
    return asked


def _retrained(
    run: Run,
    risk: EmpiricalRisk,
    kept: Sequence[int],
    progress: Progress | None,
    generator: torch.Generator,
) -> Tensor:
    seed = int(torch.randint(2**31, (), generator=generator))
    return risk.vector_of(run.task.train_model(seed, ids=kept, progress=progress))


def _first_vector(run: Run, risk: EmpiricalRisk) -> Tensor:
    """The model that was last trained as a vector `[d]` of what this request may move."""
    first = run.base_model
    theta = risk.vector_of(first)
    same = with_parameters(run.model, risk.parameters, theta).state_dict()
    if any(not torch.equal(tensor, same[name]) for name, tensor in first.state_dict().items()):
        raise BadRequest(
            "Earlier requests moved parameters that `only` leaves out.",
            'anchor="last", or an `only` that covers what they moved.',
        )
    return theta


def _penalty_before(run: Run, method: Method, only: Only) -> float | None:
    """What the request before settled on, if it was made the same way."""
    if not run.records:
        return None
    last = run.records[-1]
    same = (last.method, last.arguments) == describe_method(method) and last.only == only
    return last.penalty if same else None


def counter(progress: Progress, total: int) -> Callable[[int], None]:
    """A meter's listener that tells `progress` (examples passed, at most `total`)."""
    done = 0

    def passed(examples: int) -> None:
        nonlocal done
        done += examples
        progress(min(done, total), total)

    return passed
