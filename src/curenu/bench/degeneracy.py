"""The degeneracy along training: rank, negative eigenvalues, and Newton steps that explode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from curenu.bench.workshop import Workshop
from curenu.compare import Diagnosis, diagnose, diagnose_dense
from curenu.erasure import ErasureProblem
from curenu.facade import erase
from curenu.methods import CuReNU, DampedNewton, PseudoInverseNewton
from curenu.risks import EmpiricalRisk
from curenu.tasks import train

__all__ = ["Degeneracy", "run_degeneracy"]

_SHARES = (0.0, 0.1, 0.3, 0.6, 1.0)  # of training, at which the network is looked at
_DENSE = 1000  # up to so many parameters all eigenvalues; of 2,400 they take 10 s each time
_EXAMPLES, _PRODUCTS = 512, 60
_DAMPINGS = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Degeneracy:
    """The spectrum of the retain objective along one training, for the request of `erasure`."""

    erasure: str
    seed: int


def run_degeneracy(shop: Workshop, unit: Degeneracy) -> dict[str, Any]:
    """Rank, share not positive and ends at five times of training; step norms at its end.

    The Hessian is that of 512 retained examples. Norms are of one step: pseudo-inverse,
    damped by four dampings, and the cubic one at its own damping.
    """
    request = shop.request(unit.erasure, False)
    task, retained = request.task, request.retained(1)
    model = task.initialise(unit.seed)
    total = task.recipe.steps(len(range(len(request.task.train))))  # type: ignore[arg-type]
    wanted = {round(share * total): share for share in _SHARES}
    moments: list[dict[str, Any]] = []

    def look(done: int, _: int = 0) -> None:
        if done in wanted:
            was = model.training
            risk = shop.risk(request, model)
            found = _diagnosed(risk.subset(retained), unit.seed)
            moments.append({"share of training": wanted[done], **_summary(found)})
            model.train(was)

    look(0)
    train(
        model, task.train, task.loss, task.recipe,
        generator=torch.Generator().manual_seed(unit.seed + 1), progress=look,
    )  # fmt: skip
    risk = shop.risk(request, model)
    return {
        "task": task.name,
        "network": shop.config.task.options.get("network", ""),
        "parameters": risk.dimension,
        "examples": _EXAMPLES,
        "moments": moments,
        "norms": _norms(risk, list(request.rounds[0]), unit.seed),
    }


def _diagnosed(retain: EmpiricalRisk, seed: int) -> Diagnosis:
    generator = torch.Generator().manual_seed(seed)
    seen = retain.sample(_EXAMPLES, generator)
    if retain.dimension <= _DENSE:
        return diagnose_dense(seen, seen.start)
    return diagnose(seen, seen.start, products=_PRODUCTS, generator=generator)


def _summary(found: Diagnosis) -> dict[str, float]:
    return {
        "rank": found.spectrum.rank,
        "share not positive": found.spectrum.nonpositive_share,
        "lambda_min": found.ends.smallest.value,
        "lambda_max": found.ends.largest.value,
    }


def _norms(risk: EmpiricalRisk, gone: list[int], seed: int) -> dict[str, float]:
    products = None if risk.dimension <= _DENSE else 200
    problem = ErasureProblem(risk.start, *risk.split(gone))

    def norm(method: PseudoInverseNewton | DampedNewton | CuReNU) -> float:
        moved = erase(problem, method, seed=seed).theta - risk.start
        return float(moved.double().norm())

    found = {
        "pseudo-inverse": norm(PseudoInverseNewton(max_products=products, hvp_size=_EXAMPLES)),
        "cubic": norm(CuReNU(objective="retain", max_steps=1, certificate_products=0)),
    }
    for damping in _DAMPINGS:
        damped = DampedNewton(damping=damping, max_products=products, hvp_size=_EXAMPLES)
        found[f"damped {damping:g}"] = norm(damped)
    return found
