"""The main job in one go: train, retrain, erase by several methods, compare."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.checks import size_of
from curenu.compare import Comparison, Stage, compare, diagnose, diagnose_dense, erase_parts
from curenu.erasure import ErasureProblem, Method
from curenu.errors import MissingData
from curenu.methods import CuReNU, DampedNewton, FineTune, PseudoInverseNewton, StoCuReNU
from curenu.networks import Networks, TrainedNetwork
from curenu.report import Report, Row
from curenu.risks import EmpiricalRisk
from curenu.runs.identity import derived_seed
from curenu.runs.run import objective_of
from curenu.runs.session import Progress, counter
from curenu.tasks import Task, class_ids, find_fashion_mnist, load_task

__all__ = ["CLASSES", "EXAMPLES", "SHARE", "Demo", "choose_task", "methods_for", "run_demo"]

EXAMPLES = 20_000
"""Training images of Fashion-MNIST used: enough to be real, few enough for five minutes."""

QUICK_EXAMPLES = 1000
"""The same for `--quick`, which only shows that everything runs."""

CLASSES, SHARE = (0, 1), 0.9
"""What is erased: 90 % of two classes."""

ORACLES = 2
DENSE = 4000
"""Up to so many parameters the Newton baselines and the spectrum decompose the dense Hessian."""

PRODUCTS = 200
"""Products of the baselines' Krylov space beyond `DENSE`."""

SPECTRUM_PRODUCTS = 40
"""Products of each Krylov space of the spectrum."""

SAMPLE = 512
"""Examples of the spectrum and of the baselines' Hessian."""


@dataclass(frozen=True)
class Demo:
    """What the demo found: the rows of the table, and the report with plots."""

    task: Task
    rows: tuple[Row, ...]
    report: Report


def choose_task(
    name: str | None = None, *, examples: int | None = None, quick: bool = False
) -> tuple[Task, str]:
    """The demo's task, and which it is and why, as a sentence.

    Fashion-MNIST if its files are found, otherwise digits, unless `name` says which.
    """
    if name is None:
        try:
            place = find_fashion_mnist()
            name, why = "fashion-mnist", f"its files are in {place}"
        except MissingData as missing:
            name, why = "digits", missing.problem.rstrip(".")
    else:
        why = "as asked"
    if name != "fashion-mnist":
        task = load_task(name, **({} if examples is None else {"examples": examples}))
    else:
        chosen = examples or (QUICK_EXAMPLES if quick else EXAMPLES)
        task = load_task(name, examples=chosen)
    return task, f"Data: {task.name} ({why})."


def methods_for(dimension: int, *, quick: bool = False) -> dict[str, Method]:
    """The methods compared, by their name in the table."""
    dense = dimension <= DENSE and not quick
    products = None if dense else PRODUCTS
    return {
        "pseudo-inverse Newton": PseudoInverseNewton(max_products=products, hvp_size=SAMPLE),
        "damped Newton": DampedNewton(damping=0.01, max_products=products, hvp_size=SAMPLE),
        "fine-tuning": FineTune(epochs=1 if quick else 2),
        "CuReNU": CuReNU(max_steps=1) if quick else CuReNU(),
        "StoCuReNU": StoCuReNU(max_steps=2) if quick else StoCuReNU(),
    }


def run_demo(networks: Networks, stage: Stage, *, seed: int = 0, quick: bool = False) -> Demo:
    """Train, retrain twice without what is erased, erase by every method, compare.

    Trained networks are taken from `networks`, where they were kept before.
    """
    task = networks.task
    with stage("training") as progress:
        everyone = range(size_of(task.train))
        model = networks.get(seed, everyone, progress=progress).model
    risk = objective_of(task, model)
    generator = torch.Generator().manual_seed(derived_seed(seed, "selection", 1))
    retain, forget = risk.split(class_ids(task, CLASSES, SHARE, generator))
    oracles = [
        _oracle(networks, retain.ids.tolist(), number, seed, stage) for number in range(ORACLES)
    ]
    comparison = compare(task, forget.ids.tolist(), retain.ids.tolist(), model, oracles)
    with stage("Hessian's spectrum"):
        seen = retain.sample(SAMPLE, generator)
        found = (
            diagnose_dense(seen, risk.start)
            if risk.dimension <= DENSE and not quick
            else diagnose(seen, risk.start, products=SPECTRUM_PRODUCTS, generator=generator)
        )
    rows = [comparison.nothing(), comparison.oracle()]
    for name, method in methods_for(risk.dimension, quick=quick).items():
        with stage(name) as progress:
            rows.append(_erased(comparison, name, method, risk, seed, progress))
    facts = {
        "data": task.source,
        "training": f"{risk.size:,} examples, {task.recipe.epochs} epochs, seed {seed}",
        "erased": f"{SHARE:.0%} of classes {' and '.join(map(str, CLASSES))}: "
        f"{forget.size:,} examples; {retain.size:,} stay",
        "parameters": f"{risk.dimension:,}",
        "oracles": f"{ORACLES}, of other seeds than the trained model",
    }
    title = f"Erasing from {task.name}"
    return Demo(task, tuple(rows), Report(title, facts, tuple(rows), found.view()))


def _oracle(
    networks: Networks, retain: list[int], number: int, seed: int, stage: Stage
) -> TrainedNetwork:
    with stage(f"retraining oracle {number + 1} of {ORACLES}") as progress:
        return networks.get(derived_seed(seed, "oracle", number), retain, progress=progress)


def _erased(
    comparison: Comparison,
    name: str,
    method: Method,
    risk: EmpiricalRisk,
    seed: int,
    progress: Progress,
) -> Row:
    """The method's row, with its progress told."""
    problem = ErasureProblem(
        risk.start, risk.subset(comparison.retain), risk.subset(comparison.forget)
    )
    risk.meter.listener = counter(progress, method.plan(problem).examples)
    seeds = [derived_seed(seed, "request", 1)]
    try:
        return comparison.erased_row(
            name,
            lambda: erase_parts(
                risk,
                comparison.first,
                [comparison.forget],
                method,
                seeds,
                training=comparison.task.training_time,
            ),
        )
    finally:
        risk.meter.listener = None
