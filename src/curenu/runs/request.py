"""A request that was checked but not yet run: which problem it is, and what stays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from curenu.checks import positions_of
from curenu.data import check_every_place
from curenu.erasure import ErasureProblem, Method, StepRecord
from curenu.errors import BadRequest, Cancelled, Disposed
from curenu.methods import resolve_method
from curenu.own_model import with_parameters
from curenu.parameters import patterns_of
from curenu.risks import EmpiricalRisk
from curenu.runs.evidence import Head
from curenu.runs.identity import derived_seed, describe_method, method_of
from curenu.runs.ledger import Ledger
from curenu.runs.records import Anchoring, Digest, Only, Record
from curenu.runs.run import Run
from curenu.settings import Seed, fitted

__all__ = ["Asked", "Progress", "Request", "counter", "prepare", "told"]

Progress = Callable[[int, int], object]
"""Told (done, total); returning False, or raising, cancels the work before anything is written.

What it does meanwhile is its own: renewing a lease, for one."""


class Asked(Record):
    """A prepared request as it is sent to where it is run, made from `head` on.

    The run there must hold the same records; the request then gives the same weights.
    """

    format: Literal[1] = 1
    head: Digest
    number: int
    request: str
    positions: tuple[int, ...]
    method: str
    arguments: dict[str, Any]
    seed: int
    only: Only = None
    anchor: Anchoring = "last"


@dataclass(frozen=True)
class Request:
    """A checked request before it is run: the problem, the method, and what stays.

    It is for the run as it was at `head`, with the weights `before`.
    """

    head: Head
    before: str
    name: str
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

    def to_json(self) -> str:
        """The request as text, for `Session.perform` elsewhere; no name but its own is in it.

        Raises `BadRequest` for a method that its description does not wholly tell.
        """
        name, arguments = describe_method(self.method)
        method_of(name, arguments)
        return Asked(
            head=self.head.hash,
            number=self.head.number + 1,
            request=self.name,
            positions=self.positions,
            method=name,
            arguments=arguments,
            seed=self.seed,
            only=self.only,
            anchor=self.anchor,
        ).model_dump_json()


def prepare(
    run: Run,
    forget: Sequence[Hashable] | Tensor,
    method: str | Method,
    *,
    seed: int | None,
    request: str | None,
    only: str | Sequence[str] | None,
    anchor: Anchoring,
    progress: Progress | None,
    on_step: Callable[[StepRecord], None] | None,
) -> Request:
    """The request on `run` as it stands; `BadRequest` for what it cannot be."""
    chosen = resolve_method(method)
    moving: Only = only if only is None or isinstance(only, str) else patterns_of(only)
    positions = positions_of(forget, run.description.examples, ids=run.task.ids, erased=run.erased)
    check_every_place(run.task.train, positions, run.task.ids)
    head, before = run.head, run.current
    risk = run.risk(run.model, moving)
    going = set(positions)
    kept = [p for p in run.retained if p not in going]
    problem = ErasureProblem(
        risk.start,
        risk.subset(kept),
        risk.subset(positions if anchor == "last" else _since_training(run, going)),
        retrain=partial(_retrained, run, risk, kept, progress),
        on_step=on_step,
        training=run.training,
        anchor=None if anchor == "last" else _first_vector(run, risk),
        penalty=_penalty_before(run, chosen, moving),
    )
    seed = fitted("seed", seed, Seed | None)
    if seed is None:
        seed = derived_seed(run.description.seed, "request", head.number + 1)
    asked = Request(
        head,
        before,
        request or _free_name(run.ledger),
        tuple(positions),
        chosen,
        seed,
        risk,
        problem,
        moving,
        anchor,
    )
    if anchor == "first" and not asked.anchored:
        raise BadRequest(
            f"{type(chosen).__name__} as set does not minimise the anchored objective.",
            'anchor="last", or a method with objective="anchored".',
        )
    if progress is not None:
        risk.meter.listener = counter(progress, chosen.plan(problem).examples)
    return asked


def _free_name(ledger: Ledger) -> str:
    number = ledger.head.number + 1
    while f"request-{number}" in ledger.tried:
        number += 1
    return f"request-{number}"


def _since_training(run: Run, going: set[int]) -> list[int]:
    before = run.ledger.erased_since
    if before is None:
        raise Disposed(
            "Which examples were erased since the model was last trained is no longer on record.",
            'anchor="last", or retraining first.',
        )
    return sorted(before | going)


def _retrained(
    run: Run,
    risk: EmpiricalRisk,
    kept: Sequence[int],
    progress: Progress | None,
    generator: torch.Generator,
) -> Tensor:
    seed = int(torch.randint(2**31, (), generator=generator))
    return risk.vector_of(
        run.task.train_model(seed, ids=kept, progress=progress and told(progress))
    )


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
    """What the granted request before settled on, if it was made the same way."""
    number = run.ledger.last
    if number < 0:
        return None
    last = run.record(number)
    same = (last.method, last.arguments) == describe_method(method) and last.only == only
    return last.penalty if same else None


def told(progress: Progress) -> Callable[[int, int], None]:
    """`progress` as a function that raises `Cancelled` where it returned False."""

    def tell(done: int, total: int) -> None:
        if progress(done, total) is False:
            raise Cancelled("The work was cancelled by its progress function.", "it again.")

    return tell


def counter(progress: Progress, total: int) -> Callable[[int], None]:
    """A meter's listener that tells `progress` (examples passed, at most `total`)."""
    done, tell = 0, told(progress)

    def passed(examples: int) -> None:
        nonlocal done
        done += examples
        tell(min(done, total), total)

    return passed
