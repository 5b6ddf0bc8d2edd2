"""The one step that the methods share which invert a Fisher matrix of few rows."""

from __future__ import annotations

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.operators import RowMatrix, length
from curenu.risks import combined, gradient_rows
from curenu.status import Status

__all__ = ["fisher_plan", "fisher_step", "row_matrix"]


def fisher_plan(problem: ErasureProblem, sample_size: int, *, forget: bool) -> Plan:
    """A gradient of every sampled example, all kept; one of the forget set, if it is looked at."""
    rows = min(sample_size, problem.retain.size)
    return Plan(rows + forget * problem.forget.size, vectors=2 * rows + 4)


def row_matrix(
    problem: ErasureProblem, sample_size: int, damping: float, generator: torch.Generator
) -> tuple[RowMatrix, str]:
    """damping I + (1/m) Σ g_i g_iᵀ of m retained examples at theta0, and a note of it."""
    sample = problem.retain.sample(sample_size, generator)
    fisher = RowMatrix.of(gradient_rows(sample, problem.start), damping)
    return fisher, f"Fisher matrix of rank {len(fisher.values)} from {sample.size} examples"


def fisher_step(
    problem: ErasureProblem,
    scale: float,
    *,
    damping: float,
    sample_size: int,
    generator: torch.Generator,
) -> Erasure:
    """theta0 + scale · F⁻¹ g_f, g_f the mean gradient of D_f without decay."""
    with problem.retain.meter.measure() as spent:
        fisher, note = row_matrix(problem, sample_size, damping, generator)
        forgotten = combined([(1.0, problem.forget, None)], weight_decay=0.0)
        gradient = forgotten.gradient(problem.start)
        step = fisher.power(-1.0, gradient).mul_(scale)
        record = StepRecord(gradient_norm=length(gradient), damping=damping, step_norm=length(step))
        problem.report(record)
    theta = problem.start + step
    return Erasure(theta, Status.SINGLE_STEP, spent(), (record,), notes=(note,))
