"""The defaults on sixteen small tasks that they were not found on; JSON, and a table.

    python benchmarks/strangers/run.py --part development --out strangers.json
    python benchmarks/strangers/run.py --part report --out strangers.json [--only NAME]

For each request two networks and four oracles an erasure are trained. D of a set is the root mean
square, over its examples, of the distance of a model's predictions (probabilities of classes, or
values) from the mean of the oracles'; the floor is D of an oracle from the mean of the others.
What is shown is D over the floor: 1 is as good as retraining.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tasks import DEVELOPMENT, REPORT, Stranger
from torch import Tensor
from torch.utils.data import TensorDataset

from curenu.bench.origin import origin
from curenu.compare import erase_parts
from curenu.methods import StoCuReNU
from curenu.newton.tuning import Tuning
from curenu.report import document
from curenu.risks import EmpiricalRisk
from curenu.tasks import Task

NETWORKS, ORACLES = (0, 1), (10, 11, 12, 13)
SETS = ("forget", "retain", "test")


def request(task: Task, kind: str) -> tuple[Task, list[int]]:
    """The task, and the positions of what goes; wrong labels change the task."""
    assert isinstance(task.train, TensorDataset)
    x, y = task.train.tensors
    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(len(x), generator=generator)
    if kind == "one":
        return task, order[:1].tolist()
    if kind == "class":
        return task, (y == 1).nonzero()[:, 0].tolist()
    if kind == "wrong labels":
        gone = order[: len(x) // 20]
        count = int(y.max()) + 1
        wrong = y.clone()
        wrong[gone] = (y[gone] + torch.randint(1, count, gone.shape, generator=generator)) % count
        return replace(task, train=TensorDataset(x, wrong)), gone.tolist()
    return task, order[: round(float(kind.rstrip(" %")) / 100 * len(x))].tolist()


def predicted(task: Task, model: Any, data: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        outputs = model(data[0]).double()
    regression = data[1].is_floating_point()
    if regression:
        return outputs
    return outputs.softmax(1) if outputs.shape[1] > 1 else outputs.sigmoid()


def distance(found: Tensor, others: Sequence[Tensor]) -> float:
    mean = torch.stack(list(others)).mean(0)
    return float((found - mean).square().sum(1).mean().sqrt())


def rows(stranger: Stranger, method: StoCuReNU) -> Iterable[dict[str, Any]]:
    for kind in stranger.erasures:
        task, gone = request(stranger.make(), kind)
        yield from _erased(stranger.name, kind, task, gone, method)


def _erased(
    name: str, kind: str, task: Task, gone: list[int], method: StoCuReNU
) -> Iterable[dict[str, Any]]:
    assert isinstance(task.train, TensorDataset)
    assert isinstance(task.test, TensorDataset)
    removed = set(gone)
    kept = [p for p in range(len(task.train)) if p not in removed]
    parts = {
        "forget": [tensor[gone] for tensor in task.train.tensors],
        "retain": [tensor[kept] for tensor in task.train.tensors],
        "test": list(task.test.tensors),
    }
    oracles = [task.train_model(seed, ids=kept) for seed in ORACLES]
    for seed in NETWORKS:
        first = task.train_model(seed)
        risk = EmpiricalRisk(first, task.train, task.loss, weight_decay=task.recipe.weight_decay)
        made = erase_parts(risk, first, [gone], method, [seed], training=task.training_time)
        row: dict[str, Any] = {
            "task": name,
            "erasure": kind,
            "network": seed,
            "status": made.results[-1].status.name,
            "ok": made.results[-1].status.ok,
            "cost": made.cost.weighted / task.training_time.retraining(len(kept), len(gone)),
            "notes": list(made.results[-1].notes),
        }
        for part in SETS:
            others = [predicted(task, oracle, parts[part]) for oracle in oracles]
            floor = sum(distance(one, [o for o in others if o is not one]) for one in others) / len(
                others
            )
            for label, model in (("before", first), ("after", made.model)):
                found = distance(predicted(task, model, parts[part]), others)
                row[f"{label} {part}"] = found / max(floor, 1e-9)
        yield row


def shown(row: dict[str, Any]) -> str:
    closeness = "  ".join(
        f"{row[f'before {part}']:6.2f} → {row[f'after {part}']:6.2f}" for part in SETS
    )
    return (
        f"{row['erasure']:>12} {row['network']}  {closeness}  {row['cost']:5.2f}  {row['status']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=("development", "report"), default="development")
    parser.add_argument("--only", default="", help="tasks whose name contains this")
    parser.add_argument(
        "--most-cost", type=float, default=Tuning().most_cost, help="in retrainings; 1e9: no bound"
    )
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found: list[dict[str, Any]] = []
    for stranger in DEVELOPMENT if given.part == "development" else REPORT:
        if given.only not in stranger.name:
            continue
        print(stranger.name, flush=True)
        for row in rows(stranger, StoCuReNU(tuning=Tuning(most_cost=given.most_cost))):
            print(shown(row), flush=True)
            found.append(row)
    if given.out:
        context = {"part": given.part, "networks": list(NETWORKS), "oracles": list(ORACLES)}
        result = document([], context) | origin() | {"rows": found}
        given.out.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
