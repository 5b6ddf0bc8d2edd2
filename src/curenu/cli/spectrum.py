"""`curenu spectrum`: how degenerate the Hessian of a run's model is."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from curenu.cli.console import print_json, progress_bar, say_table
from curenu.cli.run_option import RunArgument, TaskOption, TrustOption, opened

if TYPE_CHECKING:
    from curenu.compare import Diagnosis

__all__ = ["spectrum"]

_DECADES = (-1e-2, -1e-4, -1e-6, 1e-6, 1e-4, 1e-2, 1e-1)


def spectrum(
    run: RunArgument,
    products: Annotated[
        int, typer.Option(min=2, help="Products for the ends, and for each of four probes.")
    ] = 30,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Look at so many retained examples only.")
    ] = None,
    dense: Annotated[
        bool, typer.Option("--dense", help="All eigenvalues, from the dense Hessian.")
    ] = False,
    task: TaskOption = None,
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Diagnose the Hessian of the retain objective at the current model.

    Example: curenu spectrum run --products 40 --sample 2000
    """
    import torch

    from curenu.compare import PROBES, diagnose, diagnose_dense
    from curenu.runs.identity import derived_seed

    session = opened(run, task, trust)
    generator = torch.Generator().manual_seed(derived_seed(session.description.seed, "spectrum", 0))
    retain = session.risk(session.model).subset(session.retained)
    objective = retain.sample(sample or retain.size, generator)
    theta = objective.start
    total = objective.size * (len(theta) if dense else products * (PROBES + 1))
    with progress_bar("Hessian-vector products") as progress:
        objective.meter.listener = lambda _: progress(objective.meter.examples, total)
        if dense:
            found = diagnose_dense(objective, theta)
        else:
            found = diagnose(objective, theta, products=products, generator=generator)
    if as_json:
        print_json(found.to_json())
    else:
        _say_summary(found)
        _say_density(found)


def _say_summary(found: Diagnosis) -> None:
    from curenu.compare import TOLERANCE

    how = "all eigenvalues" if found.exact else "Krylov estimates"
    rows = [["parameters", f"{found.spectrum.dimension:,}"]]
    for name, end in (("smallest", found.ends.smallest), ("largest", found.ends.largest)):
        rows.append([f"{name} eigenvalue", f"{end.value:.4g} ± {end.residual:.2g}"])
    rows.append([f"numerical rank ({TOLERANCE:g} of the largest)", f"{found.spectrum.rank:,}"])
    rows.append(["share zero or negative", f"{found.spectrum.nonpositive_share:.1%}"])
    title = f"Hessian of {found.examples} retained examples ({how})"
    say_table(["quantity", "value"], rows, title=title)


def _say_density(found: Diagnosis) -> None:
    """Share of eigenvalues by size: negative, near zero, and the decades below the largest."""
    largest = float(abs(found.nodes).max(initial=0.0))
    relative = found.nodes / (largest or 1.0)
    rows = []
    for below, above in pairwise((-math.inf, *_DECADES, math.inf)):
        share = float(found.weights[(relative > below) & (relative <= above)].sum())
        rows.append([f"{below:g} to {above:g}", f"{share:.2%}", "█" * round(30 * share)])
    say_table(["eigenvalue / largest", "share", ""], rows, title="Density")
