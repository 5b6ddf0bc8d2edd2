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

import numpy as np
import safetensors.torch
import torch
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


ERASURES: dict[str, Erasure] = {
    "half of two classes": lambda t, g: (t, class_ids(t, (2, 5), 0.5, g)),
    "random 10 %": lambda t, g: (t, random_ids(t, 0.1, g)),
    "random 1 %": lambda t, g: (t, random_ids(t, 0.01, g)),
    "whole class": lambda t, g: (t, class_ids(t, (3,), 1.0, g)),
    "5 % mislabelled": mislabelled,
}

METHODS: dict[str, Method] = {
    "StoCuReNU": StoCuReNU(),
    "StoCuReNU, retain objective": StoCuReNU(objective="retain"),
    "StoCuReNU.paper(5)": StoCuReNU.paper(5.0),
    "fine-tuning, rate 1e-3": FineTune(learning_rate=1e-3, epochs=1),
    "fine-tuning, rate 1e-2": FineTune(learning_rate=1e-2, epochs=1),
    "AnchoredSGD, rate 0.1": AnchoredSGD(learning_rate=0.1),
    "AnchoredSGD, rate 0.3": AnchoredSGD(learning_rate=0.3),
    "AnchoredAdam, rate 1e-4": AnchoredAdam(learning_rate=1e-4),
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


def figures(comparison: Comparison, model: nn.Module) -> dict[str, float | None]:
    """R on forget, retain and test set, G of three quantities, accuracies."""
    oracles: list[Split] = list(comparison.oracles)
    found, before = comparison.split(model), comparison.split(comparison.first)
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
        base = {"task": task.name, "erasure": name, "trained seed": start}
        records.append(base | {"method": "do nothing", "ratio": 0.0} | figures(comparison, first))
        for oracle, part in zip(oracles, comparison.oracles, strict=True):
            others = dataclasses.replace(
                comparison, oracles=tuple(o for o in comparison.oracles if o is not part)
            )
            row = base | {"method": "oracle", "oracle seed": oracle.seed, "ratio": 1.0}
            records.append(row | figures(others, oracle.model))
        for title, method in methods.items():
            for seed in SEEDS:
                row = base | {"method": title, "seed": seed}
                records.append(row | one(comparison, method, seed))
                print(json.dumps(records[-1]), flush=True)
    return records


def one(comparison: Comparison, method: Method, seed: int) -> dict[str, Any]:
    """One erasure; a failure is a record with its reason."""
    risk = objective_of(comparison.task, comparison.first)
    problem = ErasureProblem(risk.start, *risk.split(comparison.forget))
    described, arguments = describe_method(method)
    try:
        result = erase(problem, method, seed=seed)
        model = with_parameters(comparison.first, risk.parameters, result.theta)
        made = figures(comparison, model)
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


def summary(records: list[dict[str, Any]]) -> str:
    """Mean and spread over trained networks and seeds, a Markdown table an erasure."""
    lines: list[str] = []
    columns = ["Rf", "Rr", "Rt", "G accuracy", "G loss", "G margin", "FA", "TA", "ratio"]
    for erasure in dict.fromkeys(record["erasure"] for record in records):
        rows = [record for record in records if record["erasure"] == erasure]
        lines += [f"\n**{erasure}**\n", "| method | " + " | ".join(columns) + " |"]
        lines.append("| --- " * (len(columns) + 1) + "|")
        for method in dict.fromkeys(row["method"] for row in rows):
            same = [row for row in rows if row["method"] == method and "failed" not in row]
            failed = sum(row["method"] == method for row in rows) - len(same)
            cells = [_cell([row[column] for row in same]) for column in columns] if same else []
            note = f" ({failed} failed)" if failed else ""
            lines.append(f"| {method}{note} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: list[float | None]) -> str:
    if any(value is None for value in values):
        return "no gap"
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


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
        records += measure(name, task, gone, methods, arguments.cache)
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
        path.write_text(json.dumps(result, indent=1) + "\n")
    print(summary(records))


if __name__ == "__main__":
    main()
