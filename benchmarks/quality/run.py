"""How close erasure comes to retraining: R, G, accuracies and cost, as JSON.

    python benchmarks/quality/run.py --task fashion-mnist --out benchmarks/quality/results
    python benchmarks/quality/run.py --smoke

Oracles have other seeds than the trained models. Rates of first-order rivals are a grid, and
every point of it is a row: the best one is chosen with hindsight. Trained models are kept in
`--cache`, named by what they were trained on.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from tables import summary
from torch import nn
from torch.utils.data import TensorDataset

from curenu.audits import Split, accuracy, gap_closed, indistinguishability
from curenu.erasure import ErasureProblem, Method
from curenu.errors import BadRequest, CurenuError
from curenu.evaluation import Comparison, compare
from curenu.facade import erase, with_parameters
from curenu.identity import describe_method, describe_recipe
from curenu.methods import AnchoredAdam, AnchoredSGD, FineTune, StoCuReNU
from curenu.run import objective_of
from curenu.session import Oracle
from curenu.tasks import Task, class_ids, load_task, random_ids

TRAINED, ORACLES, SEEDS = (0, 1), (10, 11, 12), (0, 1)
Erasure = Callable[[Task, torch.Generator], tuple[Task, list[int]]]


def mislabelled(task: Task, generator: torch.Generator) -> tuple[Task, list[int]]:
    """The task with the labels of 5 % of its examples moved to another class; those go."""
    gone = random_ids(task, 0.05, generator)
    inputs, labels = task.train.tensors  # type: ignore[attr-defined]
    moved = labels.clone()
    count = int(labels.max()) + 1
    shift = torch.randint(1, count, (len(gone),), generator=generator)
    moved[gone] = (moved[gone] + shift) % count
    return dataclasses.replace(task, train=TensorDataset(inputs, moved)), gone


SEQUENCE = "10 rounds of 1 %"
ROUNDS = 10

ERASURES: dict[str, Erasure] = {
    "half of two classes": lambda t, g: (t, class_ids(t, (2, 5), 0.5, g)),
    "random 10 %": lambda t, g: (t, random_ids(t, 0.1, g)),
    "random 1 %": lambda t, g: (t, random_ids(t, 0.01, g)),
    "whole class": lambda t, g: (t, class_ids(t, (3,), 1.0, g)),
    "5 % mislabelled": mislabelled,
    SEQUENCE: lambda t, g: (t, random_ids(t, 0.01 * ROUNDS, g)),
}

METHODS: dict[str, Method] = {
    "StoCuReNU": StoCuReNU(),
    "StoCuReNU, retain objective": StoCuReNU(objective="retain"),
    "StoCuReNU.paper(5)": StoCuReNU.paper(5.0),
    "fine-tuning, rate 1e-3": FineTune(learning_rate=1e-3, epochs=1),
    "fine-tuning, rate 1e-2": FineTune(learning_rate=1e-2, epochs=1),
    "AnchoredSGD, rate 0.1": AnchoredSGD(learning_rate=0.1),
    "AnchoredSGD, rate 0.3": AnchoredSGD(learning_rate=0.3),
    "AnchoredAdam, rate 1e-3": AnchoredAdam(learning_rate=1e-3),
}


def trained(task: Task, seed: int, ids: list[int], cache: Path) -> Oracle:
    """The network of that seed trained on `ids`, and the seconds it took; kept in `cache`."""
    labels = hashlib.sha256(task.classes.numpy().tobytes()).hexdigest()
    key = json.dumps([task.name, describe_recipe(task), seed, ids, labels])
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
    model = task.initialise(seed)
    if path.is_file():
        kept = safetensors.torch.load_file(path)
        seconds = float(kept.pop("seconds"))
        model.load_state_dict(kept)
        return Oracle(model.eval(), seed, seconds)
    start = time.perf_counter()
    model = task.train_model(seed, ids=ids)
    seconds = time.perf_counter() - start
    cache.mkdir(parents=True, exist_ok=True)
    kept = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(kept | {"seconds": torch.tensor(seconds)}, path)
    return Oracle(model, seed, seconds)


def figures(comparison: Comparison, model: nn.Module, before: Split) -> dict[str, float | None]:
    """R on forget, retain and test set, G of three quantities from `before`, accuracies."""
    oracles: list[Split] = list(comparison.oracles)
    found = comparison.split(model)
    result: dict[str, float | None] = {}
    for letter, part in found.parts.items():
        same = [oracle.parts[letter] for oracle in oracles]
        result[f"R{letter}"] = indistinguishability("R", part, same).value
        result[f"{letter.upper()}A"] = accuracy("", part).value
    for quantity in ("accuracy", "loss", "margin"):
        same = [oracle.forget for oracle in oracles]
        try:
            closed = gap_closed(quantity, before.forget, found.forget, same).value
        except BadRequest:  # the trained model has no gap to close
            closed = None
        result[f"G {quantity}"] = closed
    return result


def measure(
    name: str, task: Task, gone: list[int], methods: dict[str, Method], cache: Path
) -> list[dict[str, Any]]:
    """One record a method, trained network and seed; do nothing included."""
    everything = list(range(len(task.train)))  # type: ignore[arg-type]
    retained = sorted(set(everything) - set(gone))
    oracles = [trained(task, seed, retained, cache) for seed in ORACLES]
    records = []
    for start in TRAINED:
        first = trained(task, start, everything, cache).model
        comparison = compare(task, gone, retained, first, oracles)
        before = comparison.split(first)
        base = {"task": task.name, "erasure": name, "trained seed": start}
        records.append(
            base | {"method": "do nothing", "ratio": 0.0} | figures(comparison, first, before)
        )
        for oracle, part in zip(oracles, comparison.oracles, strict=True):
            others = dataclasses.replace(
                comparison, oracles=tuple(o for o in comparison.oracles if o is not part)
            )
            row = base | {"method": "oracle", "oracle seed": oracle.seed, "ratio": 1.0}
            records.append(row | figures(others, oracle.model, before))
        for title, method in methods.items():
            for seed in SEEDS:
                row = base | {"method": title, "seed": seed}
                records.append(row | one(comparison, method, seed, before))
                print(json.dumps(records[-1]), flush=True)
        if name == SEQUENCE:
            for seed in SEEDS:
                row = base | {"method": f"StoCuReNU, {SEQUENCE}", "seed": seed}
                records.append(row | in_rounds(comparison, METHODS["StoCuReNU"], seed, before))
                print(json.dumps(records[-1]), flush=True)
    return records


def in_rounds(comparison: Comparison, method: Method, seed: int, before: Split) -> dict[str, Any]:
    """The forget set in `ROUNDS` requests, each anchored at the model the last one left."""
    risk = objective_of(comparison.task, comparison.first)
    generator = torch.Generator().manual_seed(seed)
    forget = torch.tensor(comparison.forget)[
        torch.randperm(len(comparison.forget), generator=generator)
    ]
    parts = [part.tolist() for part in forget.chunk(ROUNDS)]
    theta, seconds, gone = risk.start, 0.0, set[int]()
    for number, part in enumerate(parts):
        gone |= set(part)
        kept = [position for position in range(risk.size) if position not in gone]
        problem = ErasureProblem(theta, risk.subset(kept), risk.subset(part))
        result = erase(problem, method, seed=seed * ROUNDS + number)
        theta, seconds = result.theta, seconds + result.cost.seconds
    model = with_parameters(comparison.first, risk.parameters, theta)
    described, arguments = describe_method(method)
    return {
        "name": described,
        "arguments": arguments,
        "rounds": ROUNDS,
        "ratio": seconds / comparison.retraining,
        "update_norm": float((theta - risk.start).double().norm()),
    } | figures(comparison, model, before)


def one(comparison: Comparison, method: Method, seed: int, before: Split) -> dict[str, Any]:
    """One erasure; a failure is a record with its reason."""
    risk = objective_of(comparison.task, comparison.first)
    problem = ErasureProblem(risk.start, *risk.split(comparison.forget))
    described, arguments = describe_method(method)
    try:
        result = erase(problem, method, seed=seed)
        model = with_parameters(comparison.first, risk.parameters, result.theta)
        made = figures(comparison, model, before)
    except CurenuError as error:
        return {"name": described, "arguments": arguments, "failed": str(error)}
    cost = dataclasses.asdict(result.cost)
    return {
        "name": described,
        "arguments": arguments,
        "status": result.status.name,
        "notes": list(result.notes),
        "cost": cost,
        "ratio": cost["seconds"] / comparison.retraining,
        "update_norm": float((result.theta - problem.start).double().norm()),
    } | made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="digits")
    parser.add_argument("--erasure", action="append", help="one of the names; all by default")
    parser.add_argument("--cache", type=Path, default=Path("build/quality"))
    parser.add_argument("--out", type=Path, help="folder of the JSON and the table")
    parser.add_argument("--smoke", action="store_true", help="one erasure, the default method")
    arguments = parser.parse_args()
    methods = {"StoCuReNU": METHODS["StoCuReNU"]} if arguments.smoke else METHODS
    names = ["random 10 %"] if arguments.smoke else arguments.erasure or list(ERASURES)
    records = []
    for name in names:
        task = load_task(arguments.task)
        task, gone = ERASURES[name](task, torch.Generator().manual_seed(7))
        chosen = {"StoCuReNU": METHODS["StoCuReNU"]} if name == SEQUENCE else methods
        records += measure(name, task, gone, chosen, arguments.cache)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    result = {
        "curenu": version("curenu"),
        "commit": commit.stdout.strip(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "records": records,
    }
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / f"{arguments.task}.json"
        if arguments.erasure and path.is_file():  # the other erasures' records stay
            earlier = json.loads(path.read_text())["records"]
            fresh = {record["erasure"] for record in records}
            result["records"] = [r for r in earlier if r["erasure"] not in fresh] + records
        path.write_text(json.dumps(result, indent=1) + "\n")
    print(summary(records))


if __name__ == "__main__":
    main()
