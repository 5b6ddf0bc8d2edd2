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
from curenu.curvature import (
    Extremes,
    RitzValue,
    Spectrum,
    extreme_eigenvalues,
    spectral_density,
)
from curenu.identity import derived_seed
from curenu.session import Session

__all__ = ["spectrum"]

_PROBES = 4
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
    with progress_bar("Hessian-vector products") as progress:
        total = objective.size * (len(theta) if dense else products * (_PROBES + 1)) or 1
        objective.meter.listener = lambda _: progress(objective.meter.examples, total)
        operator = objective.linearise(theta)
        if dense:
            found = Spectrum.of_matrix(operator)
            ends = Extremes(
                RitzValue(found.lambda_min, 0.0), RitzValue(found.lambda_max, 0.0), len(theta)
            )
        else:
            ends = extreme_eigenvalues(operator, theta, max_products=products, generator=generator)
            density = spectral_density(
                operator, theta, probes=_PROBES, steps=products, generator=generator
            )
            found = Spectrum.of_density(density, len(theta))
    _print(found, ends, objective.size, as_json)


def _print(found: Spectrum, ends: Extremes, examples: int, as_json: bool) -> None:
    low, high = ends.smallest, ends.largest
    if as_json:
        print_json(
            {
                "parameters": found.dimension,
                "examples": examples,
                "exact": found.exact,
                "lambda_min": {"value": low.value, "residual": low.residual},
                "lambda_max": {"value": high.value, "residual": high.residual},
                "rank": found.rank,
                "relative_tolerance": found.relative_tolerance,
                "share_not_positive": found.non_positive,
                "share_negative": found.negative,
                "density": {
                    "values": found.density.values.tolist(),
                    "weights": found.density.weights.tolist(),
                },
            }
        )
        return
    how = "all eigenvalues" if found.exact else f"estimated, {found.density.probes} probes"
    table = Table("quantity", "value", title=f"Hessian of {examples} retained examples ({how})")
    table.add_row("parameters", f"{found.dimension:,}")
    table.add_row("smallest eigenvalue", f"{low.value:.4g} ± {low.residual:.2g}")
    table.add_row("largest eigenvalue", f"{high.value:.4g} ± {high.residual:.2g}")
    rank = f"{found.rank:,} above {found.relative_tolerance:g} of the largest"
    table.add_row("numerical rank", rank)
    table.add_row("share not positive", f"{found.non_positive:.1%}")
    table.add_row("share negative", f"{found.negative:.1%}")
    stdout().print(table)
    stdout().print(_density_table(found))


def _density_table(found: Spectrum) -> Table:
    """Share of eigenvalues by size: negative, near zero, and the decades below the largest."""
    values, weights = found.density.values, found.density.weights
    largest = float(np.abs(values).max(initial=0.0))
    relative = values / largest if largest else values
    edges = [-np.inf, *_DECADES, np.inf]
    table = Table("eigenvalue / largest", "share", "", title="Density")
    for below, above in pairwise(edges):
        share = float(weights[(relative > below) & (relative <= above)].sum())
        name = f"{below:g} to {above:g}" if np.isfinite([below, above]).all() else None
        name = name or (f"below {above:g}" if np.isfinite(above) else f"above {below:g}")
        table.add_row(name, f"{share:.2%}", "█" * round(30 * share))
    return table
