"""What malicious requests do to a model, with and without the screen.

    python benchmarks/quality/attacks.py --task digits --out attacks.json
    python benchmarks/quality/attacks_page.py          # docs/attack_success.md, from results/

The attacker knows model, loss, data and half of the test set, which the screen holds its requests
against as well. Harm is measured on the other half. Requests are of 20 examples, in a session ten
requests of two.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from reference import made_by
from torch import nn
from torch.utils.data import Dataset, Subset

from curenu import EmpiricalRisk, unlearn
from curenu.attacks import Screen, Verdict, perturb
from curenu.methods import resolve_method
from curenu.report import document
from curenu.tasks import Task, load_task

SIZE, SLICE = 20, 2
RADIUS = 0.2
METHODS = ("stocurenu", "gradient-ascent", "retrain")
GENUINE = 200  # random requests that the screen should let pass


@dataclass(frozen=True)
class Field:
    """A trained network, its screen, and the half of the test set on which harm is measured."""

    task: Task
    seed: int
    model: nn.Module
    risk: EmpiricalRisk
    screen: Screen
    apart: EmpiricalRisk

    @classmethod
    def of(cls, task: Task, seed: int) -> Field:
        model = task.train_model(seed)
        known, apart = (Subset(task.test, range(k, len(task.test), 2)) for k in (0, 1))  # type: ignore[arg-type]
        decay = task.recipe.weight_decay
        risk = EmpiricalRisk(model, task.train, task.loss, weight_decay=decay)
        screen = Screen(risk, EmpiricalRisk(model, known, task.loss))
        return cls(task, seed, model, risk, screen, EmpiricalRisk(model, apart, task.loss))

    def harm(self, model: nn.Module) -> dict[str, float]:
        """Rise of the mean loss and fall of the accuracy on the half that nobody knew."""
        after, before = self._measured(model), self._measured(self.model)
        return {"loss": after[0] - before[0], "accuracy": before[1] - after[1]}

    def erased(self, forget: Any, method: str, model: nn.Module | None = None) -> nn.Module:
        """The model without `forget`: positions, or (positions, what was handed in for them)."""
        data: Dataset[Any] = self.task.train
        if isinstance(forget, tuple):
            gone, forget = set(forget[0]), forget[1]
            data = Subset(data, [p for p in range(self.risk.size) if p not in gone])
        return unlearn(
            self.model if model is None else model,
            data,
            self.task.loss,
            forget=forget,
            method=resolve_method(method),
            weight_decay=self.task.recipe.weight_decay,
            training=self.task.training_time,
            retrain=lambda kept, seed: self.task.train_model(seed, ids=kept),
        ).model

    def _measured(self, model: nn.Module) -> tuple[float, float]:
        theta = self.apart.vector_of(model)
        outputs, targets = self.apart.outputs(theta)
        right = float((outputs.argmax(1) == targets).double().mean())
        return float(self.apart.value(theta)), right


def worst(field: Field, count: int) -> list[int]:
    """The training examples whose erasure does most harm, to first order."""
    changes = field.screen.influence.figures(field.risk).changes
    return changes.argsort(descending=True)[:count].tolist()


def below(field: Field, count: int, earlier: Sequence[Verdict] = ()) -> list[int]:
    """The most harmful examples that no figure of the screen flags together."""
    order = worst(field, field.risk.size)
    for first in range(len(order) - count):
        chosen = order[first : first + count]
        if not field.screen(chosen, earlier=earlier).flagged:
            return chosen
    raise ValueError("every choice is flagged")


def requests(field: Field) -> Iterable[tuple[str, Any, Verdict]]:
    """(name, what is to go, what the screen says of it)."""
    generator = torch.Generator().manual_seed(field.seed)
    random = torch.randperm(field.risk.size, generator=generator)[:SIZE].tolist()
    yield "random members", random, field.screen(random)
    picked = worst(field, SIZE)
    yield "the most harmful members", picked, field.screen(picked)
    hidden = below(field, SIZE)
    yield "the most harmful that pass", hidden, field.screen(hidden)
    made = perturb(field.screen.influence, field.risk.subset(random), radius=RADIUS)
    verdict = field.screen(made.dataset, claimed=made.positions)
    yield "perturbed inputs", (random, made.dataset), verdict


def single(field: Field) -> Iterable[dict[str, Any]]:
    """Every kind of request by every method."""
    for name, forget, verdict in requests(field):
        flags = [figure.name for figure in verdict.flagged]
        for method in METHODS:
            if method == "retrain" and isinstance(forget, tuple):
                continue  # retraining looks at nothing that was handed in
            harm = field.harm(field.erased(forget, method))
            yield {"request": name, "method": method, "flagged": flags, **harm}


def session(field: Field, pick: Callable[[Field], list[list[int]]], name: str) -> dict[str, Any]:
    """Requests one after the other: all granted, and as far as the screen lets them."""
    model, earlier, held, granted = field.model, [], False, 0
    screened = field.harm(field.model)
    for part in pick(field):
        verdict = field.screen(part, earlier=earlier)
        model = field.erased(part, "stocurenu", model)
        held = held or bool(verdict.flagged)
        if not held:
            earlier.append(verdict)
            granted += 1
            screened = field.harm(model)
    return {"session": name, "granted": granted, "open": field.harm(model), "screened": screened}


def sliced(field: Field) -> list[list[int]]:
    """The most harmful members, two at a time, the least harmful of them first."""
    order = worst(field, SIZE)[::-1]
    return [order[k : k + SLICE] for k in range(0, SIZE, SLICE)]


def patient(field: Field) -> list[list[int]]:
    """Two at a time, each request the most harmful that passes on its own."""
    order, parts = worst(field, field.risk.size), []
    while len(parts) < SIZE // SLICE:
        at = next(k for k in range(len(order)) if not field.screen(order[k : k + SLICE]).flagged)
        parts.append(order[at : at + SLICE])
        del order[at : at + SLICE]
    return parts


def refusals(field: Field, count: int) -> dict[str, Any]:
    """How many genuine requests are flagged: random ones, and whole classes."""
    generator = torch.Generator().manual_seed(100 + field.seed)
    draws = [
        torch.randperm(field.risk.size, generator=generator)[:SIZE].tolist() for _ in range(count)
    ]
    _, targets = field.risk.outputs(field.risk.start)
    groups = [(targets == one).nonzero()[:, 0].tolist() for one in targets.unique()]
    return {
        "random": sum(bool(field.screen(draw).flagged) for draw in draws),
        "draws": count,
        "classes": sum(bool(field.screen(group).flagged) for group in groups),
        "groups": len(groups),
    }


def run(task: Task, seeds: Sequence[int], genuine: int) -> dict[str, Any]:
    found: dict[str, list[Any]] = {"single": [], "sessions": [], "refusals": []}
    for seed in seeds:
        field = Field.of(task, seed)
        about = {"trained": seed}
        found["single"] += [about | row for row in single(field)]
        for pick, name in ((sliced, "sliced"), (patient, "below every threshold of its own")):
            found["sessions"].append(about | session(field, pick, name))
        found["refusals"].append(about | refusals(field, genuine))
        print(f"network {seed} done", flush=True)
    context = {"task": task.name, "trained": list(seeds), "size": SIZE, "radius": RADIUS}
    return document([], context) | made_by("stocurenu") | found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", default="digits")
    parser.add_argument("--smoke", action="store_true", help="one network, few genuine requests")
    given = parser.parse_args()
    task = load_task("digits" if given.smoke else given.task)
    seeds, genuine = ([0], 20) if given.smoke else (range(4), GENUINE)
    results = run(task, seeds, genuine)
    given.out.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
