"""OnlineRemoval: vectors kept along training are added up, and noise drowns what they miss.

Source: Qiao, Zhang, Tang and Wei, "Hessian-Free Online Certified Unlearning" (ICLR 2025). Differs
from the paper in: the bound on the distance to the retrained model, which theirs derives from
constants of the loss that nothing here can measure, is the caller's, and so marked. Differs from
its code in: the Hessian acts before the new gradient is added, there after, on the gradient as
well (see `curenu.recollections`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Constant, Erasure, ErasureProblem, Guarantee, Plan, StepRecord
from curenu.errors import BadRequest
from curenu.operators import length
from curenu.recollections import Recollections
from curenu.settings import InsideOne, NotNegative, Settings
from curenu.status import Status

__all__ = ["OnlineRemoval"]


@dataclass(frozen=True)
class OnlineRemoval(Settings):
    """theta0 + Σ a_i over D_f + N(0, `noise`² I), a_i the recollections of the training.

    `recollections` are those that `RecollectionRecorder` kept, or the file of them. Additive: two
    requests, one after the other, need the recollections of the first weights, so give both at
    once. Cost: no example is passed; n vectors were kept in training, where `stocurenu` needs a
    number that does not depend on n.

    With a `distance`, an upper bound of |result − retrained| before the noise that the caller
    vouches for, `Erasure.guarantee` has the epsilon at `delta`. Without one, or without noise,
    there is none and `BadRequest` is raised, unless `without_guarantee`. Raises what
    `Recollections` raises for those of another training, missing or damaged, before anything
    else.
    """

    recollections: Recollections | str | None = None
    noise: NotNegative = 0.0
    distance: NotNegative | None = None
    delta: InsideOne = 1e-5
    without_guarantee: bool = False

    def plan(self, problem: ErasureProblem) -> Plan:
        """No pass; the recollections, as many vectors as were tracked."""
        return Plan(0, vectors=len(self._found().positions) + 2)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: add what was kept."""
        kept = self._found()
        if not self.without_guarantee and (self.distance is None or self.noise == 0.0):
            raise BadRequest(
                "No guarantee without a `distance` that bounds what the sum misses, and noise.",
                "`distance=` and `noise=`, or `without_guarantee=True`, which promises nothing.",
            )
        with problem.retain.meter.measure() as spent:
            step = kept.total(problem.forget.ids.tolist(), problem.start)
            drawn = torch.randn(step.shape, generator=generator, dtype=step.dtype)
            theta = problem.start + step + self.noise * drawn.to(step.device)
            record = problem.report(StepRecord(step_norm=length(step)))
        guarantee = None if self.without_guarantee else self._guarantee(kept)
        said = ("no (epsilon, delta) guarantee",) if guarantee is None else guarantee.notes
        return Erasure(
            theta, Status.SINGLE_STEP, spent(), (record,), notes=said, guarantee=guarantee
        )

    def _found(self) -> Recollections:
        if self.recollections is None:
            raise BadRequest(
                "No recollections: nothing was kept in training.",
                "`curenu.recollections.RecollectionRecorder` in the training loop, or `stocurenu`.",
            )
        if isinstance(self.recollections, str):
            return Recollections.load(self.recollections)
        return self.recollections

    def _guarantee(self, kept: Recollections) -> Guarantee:
        constants = (
            Constant("noise", self.noise, "chosen"),
            Constant("distance between the sum and retraining", self.distance, "assumed"),
            Constant("steps of the recorded training", float(kept.steps), "measured"),
        )
        return Guarantee(self.distance, self.noise, self.delta, constants)
