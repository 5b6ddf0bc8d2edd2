"""What the outer loop passes and holds at most, known before it starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from curenu.autodiff import Kind
from curenu.budgets import LEAST_BASIS
from curenu.cost import FORWARD, GRADIENT, PRODUCT
from curenu.erasure import ErasureProblem, Plan
from curenu.newton.large_step import large_step_examples, most_kept
from curenu.newton.precision import precision_examples
from curenu.newton.target import kind_of
from curenu.risks import forget_beside

if TYPE_CHECKING:
    from curenu.newton.cubic_newton import CubicNewton

__all__ = ["planned", "steps_cost"]


def planned(loop: CubicNewton, problem: ErasureProblem) -> Plan:
    """Upper bound of one loop's work: all products, two values a step; samples do not grow."""
    retain, forget = problem.retain.size, problem.forget.size
    size = min(loop.sample_size or retain, retain)
    products = min(loop.hvp_size or size, retain)
    budget, held = loop.solver.budget(problem.retain.dimension), loop.held(retain)
    auto = loop.penalty == "auto"
    bent = kind_of(problem, loop.objective, loop.curvature)
    convex = problem.retain.source.evaluation.form.convex
    hidden = 0 if bent == "gauss_newton" and convex else budget.hidden
    heavy = loop.max_steps * (size + products * (budget.products + hidden)) + auto * 2 * size
    heavy += size + products * (loop.certificate_products + 1) + precision_examples(problem)
    light = auto * (held * (8 * loop.max_steps + 11) if held else 2 * loop.max_steps * size)
    vectors = max(budget.vectors + hidden, _certificate_vectors(loop, problem))
    vectors += 1 + (loop.average > 0)
    if loop.objective == "anchored":  # forget examples beside, outputs at theta0, the pull
        heavy += problem.training.examples(problem.retain, problem.forget)
        share = 1 + forget_beside(retain, forget)
        heavy = math.ceil(share * (heavy + loop.max_steps * size)) + forget
        light = math.ceil(share * (light + loop.max_steps * (size + products) + 4 * held))
        vectors += 5
    if loop.single_step and loop.judged and problem.training.total != math.inf:
        checkpoints = len(problem.training.checkpoints)
        most = loop.tuning.most_products(False, most_kept(problem.start, loop.memory))
        more = large_step_examples(loop.tuning, most, retain, forget, checkpoints)
        heavy, light = heavy + more[0], light + more[1]
        vectors = max(vectors, most + 8)
    if loop.preconditioner != "none":
        heavy += min(loop.tuning.metric_size, retain)
        vectors += 3
    return Plan(
        heavy + light,
        vectors,
        budget.matrices,
        curvature=bent,
        forward=light,
        anchored=loop.objective == "anchored",
        kept=products if bent == "hessian" and loop.memory.graphs != 0 else 0,
        graphs=loop.memory.graphs,
    )


def steps_cost(loop: CubicNewton, problem: ErasureProblem, kind: Kind) -> tuple[float, float]:
    """Weighted examples that all steps pass for one of a sample, and besides."""
    retain, forget = problem.retain.size, problem.forget.size
    products = loop.solver.budget(problem.retain.dimension).products
    step = GRADIENT + 2 * FORWARD + PRODUCT[kind] * products
    held = loop.held(retain)
    beside = 4 * held + loop.max_steps * 6 * held / loop.tuning.glanced
    share = 1 + forget_beside(retain, forget) if loop.objective == "anchored" else 1.0
    return share * loop.max_steps * step, share * FORWARD * beside


def _certificate_vectors(loop: CubicNewton, problem: ErasureProblem) -> int:
    """What Lanczos for the certificate holds: a basis where it is kept, else four vectors."""
    start = problem.start
    rows = min(loop.certificate_products, len(start))
    kept = loop.basis_bytes() // (len(start) * start.element_size())
    return rows + 4 if rows <= max(LEAST_BASIS, kept) else 4
