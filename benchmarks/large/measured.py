"""One erasure from a trained model, measured: time, peak memory, cost, closeness to retraining."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from case import FORGOTTEN, Case, Scale, Training
from torch import nn
from torch.utils.data import Dataset

import curenu
from curenu.audits import (
    Outputs,
    divergence,
    gap_closed,
    has_gap,
    indistinguishability,
    noise_floor,
)
from curenu.bench.language import language_findings
from curenu.checks import size_of
from curenu.erasure import ErasureProblem
from curenu.facade import erase
from curenu.memory import peak_memory
from curenu.methods import StoCuReNU
from curenu.own_model import with_parameters
from curenu.tasks import Task

__all__ = ["Clock", "Request", "Seen", "measured"]

_ORACLE_SEEDS = 10


@dataclass(frozen=True)
class Request:
    """What goes, and what stays."""

    forget: list[int]
    retain: list[int]

    @classmethod
    def of(cls, task: Task, share: float) -> Request:
        """The first `share` of class 1."""
        members = (task.classes == FORGOTTEN).nonzero()[:, 0]
        forget = members[: int(share * len(members))].tolist()
        return cls(forget, sorted(set(range(size_of(task.train))) - set(forget)))


@dataclass(frozen=True)
class Seen:
    """What one model says: on parts of the data, and to the questions of its task, if any."""

    outputs: dict[str, Outputs]
    answers: Mapping[str, Any] | None


class Clock:
    """Processor seconds of each stage, told on the way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, stage: str, work: Callable[[], Any]) -> Any:
        """What `work` makes."""
        start = time.process_time()
        made = work()
        self.seconds[stage] = round(time.process_time() - start, 1)
        print(f"{stage}: {self.seconds[stage]} s", file=sys.stderr, flush=True)
        return made


def measured(case: Case, scale: Scale) -> dict[str, Any]:
    """Everything that is told of one model.

    The networks of the comparison are made after the erasure, so that they are not in the
    peaks, and only what they say is kept.
    """
    clock = Clock()
    training: Training = clock.run("loading", lambda: Training(case, scale))
    request = Request.of(training.task, case.share)
    look = partial(looked_at, case, scale, training.task, request)
    before = clock.run("training", lambda: training(0))
    peak = peak_memory()
    after, costs = erased(case, scale, training, before, clock=clock, request=request)
    peaks = {"trained": peak / 2**30, "erased": peak_memory() / 2**30}
    seen = [
        clock.run(f"measuring {name}", lambda net=net: look(net))
        for name, net in (("before", before), ("after", after))
    ]
    seeds = [_ORACLE_SEEDS + k for k in range(scale.oracles)]
    for number, seed in enumerate(seeds, start=1):
        oracle = clock.run(f"retraining {number}", lambda seed=seed: training(seed, request.retain))
        seen.append(clock.run(f"measuring oracle {number}", lambda oracle=oracle: look(oracle)))
    return {
        "data": case.data_title,
        "size": scale.size,
        "network": scale.network,
        "options": dict(case.options),
        "examples": sizes(training.task, request, seen[0]),
        "epochs": scale.epochs,
        "oracles": scale.oracles,
        "seeds": {"training": 0, "oracles": seeds, "erasure": 0},
        **costs,
        **timed(clock, scale.oracles),
        "peak GiB": peaks,
        **closeness([each.outputs for each in seen]),
        **spoken([each.answers for each in seen], request.forget),
    }


def erased(
    case: Case,
    scale: Scale,
    training: Training,
    before: nn.Module,
    *,
    clock: Clock,
    request: Request,
) -> tuple[nn.Module, dict[str, Any]]:
    """The model after the erasure from `before`, and what it took."""
    task = training.task
    moving, data = training.moving(before)
    risk = curenu.EmpiricalRisk(
        moving,
        data,
        task.loss,
        weight_decay=task.recipe.weight_decay,
        micro_batch_size=case.micro_batch,
    )
    problem = ErasureProblem(risk.start, *risk.split(request.forget), training=task.training_time)
    method = StoCuReNU(
        sample_size=scale.sample,
        max_steps=scale.steps,
        preconditioner=case.preconditioner,  # type: ignore[arg-type]
    )
    result = clock.run("erasure", lambda: erase(problem, method, seed=0))
    after = training.whole(before, with_parameters(moving, risk.parameters, result.theta))
    return after, {
        "method": repr(method),
        "parameters": sum(p.numel() for p in before.parameters()),
        "moving": risk.dimension,
        "status": result.status.name,
        "notes": list(result.notes),
        "cost": {
            "gradients": result.cost.gradients,
            "products": result.cost.hvps,
            "examples": result.cost.examples,
        },
        "update norm": float((result.theta - risk.start).norm()),
    }


def looked_at(case: Case, scale: Scale, task: Task, request: Request, net: nn.Module) -> Seen:
    """What `net` says on the first of the forget, the retain and the test set."""

    def outputs(data: Dataset[Any], ids: Sequence[int]) -> Outputs:
        risk = curenu.EmpiricalRisk(net, data, task.loss, micro_batch_size=case.micro_batch)
        part = risk.subset(ids[: scale.test_examples])
        return Outputs(*task.decided(*part.outputs(risk.start)))

    parts = {
        "forget": outputs(task.train, request.forget),
        "retain": outputs(task.train, request.retain),
        "test": outputs(task.test, range(size_of(task.test))),
    }
    return Seen(parts, None if task.measure is None else task.measure(net))


def sizes(task: Task, request: Request, seen: Seen) -> dict[str, Any]:
    """Examples of each set, and of how many decisions the comparison is."""
    return {
        "train": size_of(task.train),
        "forget": len(request.forget),
        "test": size_of(task.test),
        "decisions": {part: len(outputs.targets) for part, outputs in seen.outputs.items()},
    }


def timed(clock: Clock, oracles: int) -> dict[str, Any]:
    """Seconds of every stage, and the erasure's over those of one retraining."""
    again = sum(clock.seconds[f"retraining {k + 1}"] for k in range(oracles)) / oracles
    return {
        "processor seconds": clock.seconds,
        "erasure over retraining": clock.seconds["erasure"] / max(again, 0.1),
    }


def closeness(seen: Sequence[dict[str, Outputs]]) -> dict[str, Any]:
    """Accuracies and R of every part, and G of the forget set; oracles from the third on."""
    ratios: dict[str, Any] = {}
    right: dict[str, Any] = {}
    for part in seen[0]:
        before, after, *oracles = (outputs[part] for outputs in seen)
        floor = noise_floor(oracles)
        found = {
            name: indistinguishability("R", divergence("JSD", model, oracles, reference=floor))
            for name, model in (("before", before), ("after", after))
        }
        ratios[part] = {name: [r.value, *(r.interval or ())] for name, r in found.items()}
        right[part] = {
            "before": accuracy(before),
            "after": accuracy(after),
            "retrained": sum(map(accuracy, oracles)) / len(oracles),
        }
    before, after, *oracles = (outputs["forget"] for outputs in seen)
    share = None
    if has_gap("margin", before, oracles):
        found = gap_closed("margin", before, after, oracles)
        share = [found.value, *(found.interval or ())]
    return {"accuracy": right, "R": ratios, "G margin": share}


def accuracy(outputs: Outputs) -> float:
    """Share of decisions that are right."""
    return float((outputs.logits.argmax(1) == outputs.targets).double().mean())


def spoken(answers: Sequence[Mapping[str, Any] | None], forget: Sequence[int]) -> dict[str, Any]:
    """The audits of a language model, the first oracle by the others; none of another model."""
    told = [each for each in answers if each is not None]
    if not told:
        return {}
    before, after, *oracles = told
    asked = {
        "before": (before, oracles),
        "after": (after, oracles),
        "retrained": (oracles[0], oracles[1:]),
    }
    return {
        "findings": {
            name: [finding.to_json() for finding in language_findings(own, forget, others)]
            for name, (own, others) in asked.items()
        }
    }
