"""StoCuReNU's steps around their defaults: sample size, products, steps, penalty, alone, together.

Of `single_step=False`: the large step that comes first has none of these.

Every point of the sweep erases from the same network, with the same seeds, and is compared with
the same oracles: those of `curenu bench anchored-TASK`, from its folder of networks. A default
that only holds where it stands would show as a peak.

    python benchmarks/quality/plateau.py --out plateau.json            # a quarter of an hour
    python benchmarks/quality/plateau.py --smoke --out plateau.json    # digits, seconds

The automatic penalty has no argument: the method takes a share of the penalty that was best for
a step alone, `curenu.newton.tuning.Tuning.eager` ("penalty share" below). Where a sample takes
nearly all of the data there are no examples to set aside, the ratio test finds the penalty, and the
share has no part in it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

from reference import compared, made_by, opened, parser_of, stage, weighed

from curenu.bench.workshop import Workshop
from curenu.compare import Comparison, erase_parts
from curenu.cubic import LanczosSolver
from curenu.methods import StoCuReNU
from curenu.newton.tuning import Tuning
from curenu.report import document

ERASURES = ("half of two classes", "random 10 %")
SHARE, PRODUCTS = "penalty share", "max_products"
AXES: dict[str, tuple[float, ...]] = {
    "sample_size": (640, 960, 1280, 1920, 2560),
    PRODUCTS: (2, 3, 4),
    "max_steps": (5, 7, 10),
    SHARE: (0.05, 0.1, 0.2, 0.4, 0.8),
}
TOGETHER: tuple[dict[str, float], ...] = (
    {"sample_size": 960, "max_steps": 5},
    {"sample_size": 960, "max_steps": 10},
    {"sample_size": 1920, "max_steps": 5},
    {"sample_size": 960, PRODUCTS: 2},
    {"sample_size": 1920, PRODUCTS: 4},
    {PRODUCTS: 2, SHARE: 0.1},
    {PRODUCTS: 4, SHARE: 0.4},
    {"sample_size": 960, PRODUCTS: 2, "max_steps": 5, SHARE: 0.4},
    {"sample_size": 1920, PRODUCTS: 4, "max_steps": 10, SHARE: 0.1},
)
SMOKE_POINTS: tuple[dict[str, float], ...] = (
    {},
    {"sample_size": 640},
    {"sample_size": 640, SHARE: 0.1},  # on digits only smaller samples leave some to set aside
    {PRODUCTS: 2, "max_steps": 5},
)
Point = dict[str, Any]


def defaults() -> Point:
    """What `StoCuReNU(single_step=False)` does."""
    method = StoCuReNU()
    assert isinstance(method.solver, LanczosSolver)
    return {
        "sample_size": method.sample_size,
        PRODUCTS: method.solver.max_products,
        "max_steps": method.max_steps,
        SHARE: method.tuning.eager,
    }


def points(*, smoke: bool) -> list[Point]:
    """The defaults, every other value of one argument alone, then some together."""
    usual = defaults()
    alone = [{}] + [
        {name: value} for name, values in AXES.items() for value in values if value != usual[name]
    ]
    return [usual | changes for changes in (SMOKE_POINTS if smoke else [*alone, *TOGETHER])]


def method_at(point: Point) -> StoCuReNU:
    """The method at `point`."""
    return StoCuReNU(
        single_step=False,
        sample_size=point["sample_size"],
        solver=LanczosSolver(max_products=point[PRODUCTS], hidden_products=0),
        max_steps=point["max_steps"],
        tuning=Tuning(eager=point[SHARE]),
    )


def row(
    shop: Workshop, comparison: Comparison, about: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Erase at a point of the sweep and compare with the oracles."""
    point, risk = about["point"], shop.risk(shop.request(about["erasure"]), comparison.first)
    made = erase_parts(
        risk,
        comparison.first,
        [comparison.forget],
        method_at(point),
        [seed * 1000 + 1],  # as `curenu bench` seeds its own
        training=comparison.task.training_time,
    )
    found = comparison.row(
        "stocurenu",
        made.model,
        made.cost.seconds,
        products=made.cost.hvps,
        examples=made.cost.examples,
        status=made.results[-1].status.name,
    )
    return weighed(comparison, found, weighted=made.cost.weighted, **about, seed=seed)


def run(shop: Workshop, sweep: list[Point]) -> dict[str, Any]:
    references, rows = [], []
    for erasure in (erasure.name for erasure in shop.config.erasures):
        comparison = compared(shop, erasure)
        for reference in (comparison.nothing(), comparison.oracle()):
            references.append(weighed(comparison, reference, erasure=erasure))
        for point, seed in itertools.product(sweep, shop.config.seeds):
            with stage(f"{erasure}, {point}, seed {seed}"):
                rows.append(row(shop, comparison, {"erasure": erasure, "point": point}, seed))
    context = {
        "task": shop.config.task.name,
        "trained": list(shop.config.trained),
        "oracles": list(shop.config.oracles),
        "seeds": list(shop.config.seeds),
    }
    made = document([], context) | made_by("stocurenu")
    return made | {"defaults": defaults(), "rows": references, "sweep": rows}


def main() -> None:
    given = parser_of(__doc__).parse_args()
    results = run(opened(given, ERASURES), points(smoke=given.smoke))
    given.out.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
