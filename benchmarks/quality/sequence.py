"""Sequences of 5, 10 and 20 requests, anchored at the last release and at the first model.

The same examples go in every sequence, so that one set of oracles and one erasure of the union
serve all. Written as JSON: after every request the drift meter, at the end closeness to the
oracles of sequence and one-shot erasure, and the drift between the two.

    python benchmarks/quality/sequence.py --out sequence.json            # Fashion-MNIST, hours
    python benchmarks/quality/sequence.py --smoke --out sequence.json    # digits, seconds
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curenu.evaluation import Comparison, compare
from curenu.report import document
from curenu.session import Session
from curenu.tasks import random_ids

ANCHORS = ("last", "first")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is run: how much of which task goes in how many requests, against how many oracles."""

    task: str
    options: dict[str, Any]
    share: float
    rounds: tuple[int, ...]
    oracles: int
    seed: int


@contextmanager
def stage(name: str) -> Iterator[Callable[[int, int], None]]:
    start = time.perf_counter()
    yield lambda done, total: None
    print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--smoke", action="store_true", help="digits, two short sequences")
    parser.add_argument("--share", type=float, default=0.1, help="of the examples, in all")
    parser.add_argument("--rounds", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--oracles", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    plan = Plan("fashion-mnist", {}, given.share, tuple(given.rounds), given.oracles, given.seed)
    if given.smoke:
        plan = dataclasses.replace(plan, task="digits", share=0.05, rounds=(2,), oracles=2)
    with tempfile.TemporaryDirectory() as folder:
        results = run(plan, Path(folder))
    given.out.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    with stage("training"):
        trained = Session.create(
            folder / "trained", plan.task, options=plan.options, seed=plan.seed
        )
    generator = torch.Generator().manual_seed(plan.seed + 1)
    union = random_ids(trained.task, plan.share, generator)
    order = np.asarray(union)[torch.randperm(len(union), generator=generator).numpy()]

    once = copied(folder, "once")
    with stage("at once"):
        record = once.unlearn(union).record
    oracles = []
    for number in range(plan.oracles):
        with stage(f"oracle {number + 1} of {plan.oracles}"):
            oracles.append(once.oracle(number))
    comparison = compare(once.task, once.erased, once.retained, once.first_model, oracles)

    rows = [comparison.nothing(), comparison.oracle()]
    rows.append(comparison.row("at once", once.model, record.cost.seconds))
    sequences = {}
    for rounds in plan.rounds:
        for anchor in ANCHORS:
            name = f"{rounds} requests, anchor {anchor}"
            session = copied(folder, f"{rounds}-{anchor}")
            with stage(name):
                sequences[name] = erased(session, np.array_split(order, rounds), anchor)
            rows.append(row(comparison, name, session))
    return document(rows, dataclasses.asdict(plan)) | {"sequences": sequences}


def copied(folder: Path, name: str) -> Session:
    """A run of its own that starts from the trained model."""
    return Session.open(shutil.copytree(folder / "trained", folder / name))


def erased(session: Session, parts: list[Any], anchor: Any) -> list[dict[str, Any]]:
    """Every request's record without what names examples; the last is compared with at once."""
    records = [
        session.unlearn(part.tolist(), anchor=anchor, check_drift=len(parts)).record
        for part in parts
    ]
    return [json.loads(r.model_dump_json(exclude={"positions", "ids", "trace"})) for r in records]


def row(comparison: Comparison, name: str, session: Session) -> Any:
    return comparison.row(
        name,
        session.model,
        sum(record.cost.seconds for record in session.records),
        products=sum(record.cost.hvps for record in session.records),
        examples=sum(record.cost.examples for record in session.records),
        status=str(session.records[-1].status),
    )


if __name__ == "__main__":
    main()
