"""What the founding paper says of Newton's method for unlearning, measured: one page.

    python benchmarks/quality/claims.py --task digits --out claims.json
    python benchmarks/quality/claims_page.py               # docs/claims.md, from results/

The networks, requests and oracles are those of `curenu bench anchored-TASK`. Newton's steps are
taken with the dense Hessian of all retained examples, so that nothing is due to a truncated solve
(in the small form in a Krylov space); the cubic step beside them minimises the same objective.
Sizes of storage are counted, not timed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from reference import compared, made_by, opened, parser_of, stage, weighed

from curenu.bench.workshop import Workshop
from curenu.compare import Comparison, erase_parts
from curenu.erasure import ErasureProblem, Method
from curenu.methods import CuReNU, DampedNewton, PseudoInverseNewton, StoCuReNU
from curenu.report import document

ERASURES = ("half of two classes", "random 10 %", "whole class")
SETTINGS: dict[str, tuple[float, ...]] = {
    "pseudo-inverse-newton, cut-off": (1e-9, 1e-6, 1e-3, 1e-2),
    "damped-newton, damping": (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0),
    "curenu on the retain objective, penalty M": (0.1, 1.0, 10.0, 100.0),
    "curenu on the retain objective, nothing set": (0.0,),
    "stocurenu, nothing set": (0.0,),
}
SIZES = (1_000, 6_000, 60_000, 1_000_000)


def method_at(family: str, setting: float, products: int | None) -> Method:
    """The method of a family at one setting; `products` None takes the dense Hessian."""
    if family.startswith("pseudo-inverse"):
        return PseudoInverseNewton(setting, products)
    if family.startswith("damped"):
        return DampedNewton(setting, products)
    if family.startswith("stocurenu"):
        return StoCuReNU()
    return CuReNU.paper(setting) if setting else CuReNU(objective="retain")


def rows_of(
    shop: Workshop, comparison: Comparison, about: Mapping[str, Any], products: int | None
) -> Iterable[Any]:
    """Erase by every setting of every family, and compare with the oracles."""
    risk = shop.risk(shop.request(about["erasure"]), comparison.first)
    for family, settings in SETTINGS.items():
        for setting in settings:
            if products is not None and family.startswith("curenu"):
                continue  # minutes, for the paper's solver
            method = method_at(family, setting, products)
            made = erase_parts(
                risk,
                comparison.first,
                [comparison.forget],
                method,
                [1],
                training=comparison.task.training_time,
            )
            found = comparison.row(
                family,
                made.model,
                made.cost.seconds,
                products=made.cost.hvps,
                examples=made.cost.examples,
                status=made.results[-1].status.name,
            )
            here = {**about, "family": family, "setting": setting}
            yield weighed(comparison, found, **here, move=moved(comparison, made.model))


def moved(comparison: Comparison, model: Any) -> float:
    """|theta − theta0| over |theta0|."""
    before = dict(comparison.first.named_parameters())
    pairs = [(p.detach(), before[name].detach()) for name, p in model.named_parameters()]
    apart = sum(float((new - old).square().sum()) for new, old in pairs)
    return (apart / sum(float(old.square().sum()) for _, old in pairs)) ** 0.5


def storage(shop: Workshop, comparison: Comparison) -> list[dict[str, float]]:
    """Vectors `[d]` that StoCuReNU plans for, and that one a training example takes, by n."""
    risk = shop.risk(shop.request(ERASURES[1]), comparison.first)
    retain, forget = risk.split(comparison.forget)
    planned = StoCuReNU().plan(ErasureProblem(risk.start, retain, forget)).vectors
    d = risk.dimension
    return [
        {"n": n, "d": d, "vectors": planned, "each": 4.0 * n * d, "ours": 4.0 * planned * d}
        for n in SIZES
    ]


def run(shop: Workshop, products: int | None) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for erasure, seed in itertools.product(shop.config.erasures, shop.config.trained):
        comparison = compared(shop, erasure.name, seed=seed)
        with stage(f"{erasure.name}, network {seed}"):
            about = {"erasure": erasure.name, "trained": seed}
            found.append(weighed(comparison, comparison.nothing(), family="do nothing", **about))
            found += rows_of(shop, comparison, about, products)
    context = {
        "task": shop.config.task.name,
        "trained": list(shop.config.trained),
        "oracles": list(shop.config.oracles),
    }
    made = document([], context) | made_by("curenu", "stocurenu")
    return made | {"claims": found, "storage": storage(shop, comparison)}


def main() -> None:
    given = parser_of(__doc__).parse_args()
    erasures = ERASURES[1:2] if given.smoke else ERASURES
    shop = opened(given, erasures, every=not given.smoke)
    results = run(shop, 20 if given.smoke else None)
    given.out.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
