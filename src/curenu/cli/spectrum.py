"""`curenu spectrum`: how degenerate the Hessian of a run's model is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.table import Table

from curenu.cli.console import print_json, progress_bar, stdout
from curenu.diagnosis import PROBES, TOLERANCE, Diagnosis, diagnose, diagnose_dense
from curenu.runs.identity import derived_seed
from curenu.runs.session import Session

__all__ = ["spectrum"]

_DECADES = (-1e-2, -1e-4, -1e-6, 1e-6, 1e-4, 1e-2, 1e-1)


def spectrum(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    products: Annotated[
        int, typer.Option(min=2, help="Products for the ends, and for each of four probes.")
    ] = 30,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Look at so many retained examples only.")
    ] = None,
    dense: Annotated[
        bool, typer.Option("--dense", help="All eigenvalues, from the dense Hessian.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Diagnose the Hessian of the retain objective at the current model.

    Example: curenu spectrum run --products 40 --sample 2000
    """
    session = Session.open(run)
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
        stdout().print(_summary(found), _density(found))


def _summary(found: Diagnosis) -> Table:
    how = "all eigenvalues" if found.exact else "Krylov estimates"
    title = f"Hessian of {found.examples} retained examples ({how})"
    table = Table("quantity", "value", title=title)
    table.add_row("parameters", f"{found.spectrum.dimension:,}")
    for name, end in (("smallest", found.ends.smallest), ("largest", found.ends.largest)):
        table.add_row(f"{name} eigenvalue", f"{end.value:.4g} ± {end.residual:.2g}")
    table.add_row(f"numerical rank ({TOLERANCE:g} of the largest)", f"{found.spectrum.rank:,}")
    table.add_row("share zero or negative", f"{found.spectrum.nonpositive_share:.1%}")
    return table


def _density(found: Diagnosis) -> Table:
    """Share of eigenvalues by size: negative, near zero, and the decades below the largest."""
    largest = float(np.abs(found.nodes).max(initial=0.0))
    relative = found.nodes / (largest or 1.0)
    table = Table("eigenvalue / largest", "share", "", title="Density")
    for below, above in pairwise((-np.inf, *_DECADES, np.inf)):
        share = float(found.weights[(relative > below) & (relative <= above)].sum())
        table.add_row(f"{below:g} to {above:g}", f"{share:.2%}", "█" * round(30 * share))
    return table
