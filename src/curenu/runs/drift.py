"""How far a sequence of requests has drifted, and whether to retrain now."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from curenu.audits import Outputs, jensen_shannon
from curenu.erasure import ErasureProblem, Method
from curenu.errors import Disposed
from curenu.facade import erase
from curenu.operators import length
from curenu.risks import EmpiricalRisk, TrainingTime
from curenu.runs.identity import derived_seed
from curenu.runs.ledger import Since
from curenu.runs.records import AimReached, DriftCheck, DriftRecord
from curenu.runs.run import Run
from curenu.status import Advice, share_advice
from curenu.tasks import Task

__all__ = [
    "COST_LIMIT",
    "DRIFT_LIMIT",
    "NOISE_LIMIT",
    "STUCK_LIMIT",
    "Chain",
    "advise",
    "chain_of",
    "measure",
]

COST_LIMIT = 1.0
"""Seconds of all requests over those of one retraining: from here on it would have cost no more."""

STUCK_LIMIT = 2
"""Requests that ended without a step. One may be a small request in a noisy sample."""

NOISE_LIMIT = 2.0
"""Standard errors by which the objective must have fallen: a one-sided error of about 2 %."""

DRIFT_LIMIT = 1.0
"""Divergence between sequence and one-shot erasure over that of the latter from the first model:
at 1 the sequence errs by as much as there was to erase."""

_SAMPLES, _SIZE = 8, 128  # independent samples of the objective, retained examples in each
_OUTPUTS = 1024  # examples whose outputs are compared, of the retained and of the erased


@dataclass(frozen=True)
class Chain:
    """The requests since a model was last trained, and where they led.

    `risk` is over all examples, a function of what the requests may have moved; its start is
    that model. `theta` `[d]` is the model now; `since` sums up the requests, `erased` went in
    them, `retained` stay. `retraining` is the seconds of one training, 0 if unknown. Without
    the weights that were last trained, `known` is false and `risk` starts at the model now.
    """

    task: Task
    risk: EmpiricalRisk
    theta: Tensor
    since: Since
    erased: Sequence[int]
    retained: Sequence[int]
    retraining: float
    seed: int
    training: TrainingTime
    known: bool = True

    @property
    def at_once(self) -> ErasureProblem:
        """Erasing everything that went from the model that was last trained."""
        return ErasureProblem(
            self.risk.start,
            self.risk.subset(self.retained),
            self.risk.subset(self.erased),
            training=self.training,
        )


def chain_of(
    run: Run,
    model: nn.Module,
    training: TrainingTime,
    since: Since | None = None,
    going: Collection[int] = (),
) -> Chain:
    """The requests since the last training on `run`, which led to `model`.

    With `since` and `going`, those with a request that is not on record yet.
    """
    ledger = run.ledger
    since = since or ledger.since
    choices = {json.dumps(None)} if len(since.only) != 1 else since.only
    only = json.loads(next(iter(choices)))
    gone = ledger.erased.union(going)
    try:
        first, known = run.base_model, ledger.erased_since is not None
    except Disposed:
        first, known = model, False
    risk = run.risk(first, only)
    return Chain(
        task=run.task,
        risk=risk,
        theta=risk.vector_of(model),
        since=since,
        erased=sorted((ledger.erased_since or set()).union(going)),
        retained=[p for p in range(run.description.examples) if p not in gone],
        retraining=run.retraining,
        seed=run.description.seed,
        training=training,
        known=known,
    )


def measure(chain: Chain, *, anchored: bool, once: Method | None = None) -> DriftRecord:
    """The drift of a chain of one request or more, with the advice it gives.

    With `anchored`, gradient and decrease of the anchored objective of everything erased, at
    the first model, on eight samples of 128 retained and 32 erased examples: about as many
    gradients and twice as many values, and a gradient of every erased example. With `once`,
    the method that erases all of it at once for comparison: the cost of such a request.
    """
    start, since = chain.risk.start, chain.since
    with chain.risk.meter.measure() as spent:
        found = DriftRecord(
            requests=since.requests,
            share=len(chain.erased) / (len(chain.erased) + len(chain.retained)),
            path=since.path,
            distance=length(chain.theta - start) if chain.known else None,
            ratio=since.seconds / chain.retraining if chain.retraining else None,
            check=_check(chain, once) if once is not None and chain.known else None,
            aim=_aim(chain) if anchored and chain.known else None,
        )
        found = found.model_copy(update={"cost": spent()})
    advice = advise(found, stuck=since.stuck)
    return found.model_copy(update={"advice": advice})


def advise(drift: DriftRecord, *, stuck: int = 0) -> tuple[Advice, ...]:
    """Every reason to retrain that the figures of a sequence give; empty in an ordinary one.

    `stuck` requests of it ended with `NO_GAIN`, failed attempts among them.
    """
    aim, check = drift.aim, drift.check
    reasons = {
        Advice.COST: drift.ratio is not None and drift.ratio >= COST_LIMIT,
        Advice.SHARE: share_advice(drift.share, 1) is not None,
        Advice.STUCK: stuck >= STUCK_LIMIT,
        Advice.NOISE: aim is not None and aim.gain <= NOISE_LIMIT * aim.gain_error,
        Advice.DRIFTED: check is not None and _drifted(check),
    }
    return tuple(advice for advice, given in reasons.items() if given)


def _drifted(check: DriftCheck) -> bool:
    """By outputs, which count; by parameters where outputs cannot be compared."""
    if check.divergence is None or check.first_divergence is None:
        return check.distance > DRIFT_LIMIT * check.first_distance
    return check.divergence > DRIFT_LIMIT * check.first_divergence


def _aim(chain: Chain) -> AimReached:
    """Gradient and decrease of the anchored objective, each with its standard error."""
    problem, theta = chain.at_once, chain.theta
    generator = _generator(chain, chain.since.requests)
    whole = problem.anchored(problem.limit(generator))
    count = _SAMPLES if whole.size > _SIZE else 1
    total, squares, gains = torch.zeros_like(theta), 0.0, []
    samples = [whole.sample(_SIZE, generator) for _ in range(count)]
    for sample in samples:
        gradient = sample.gradient(theta)
        total.add_(gradient, alpha=1 / count)
        squares += length(gradient) ** 2 / count
        gains.append(float(sample.value(problem.start) - sample.value(theta)))
    spread = max(0.0, squares - length(total) ** 2)
    return AimReached(
        gradient_norm=length(total),
        gradient_error=(spread / (count - 1)) ** 0.5 if count > 1 else 0.0,
        first_gradient_norm=length(samples[0].gradient(problem.start)),
        gain=float(np.mean(gains)),
        gain_error=float(stats.sem(gains)) if count > 1 else 0.0,
        examples=count * min(_SIZE, whole.size),
    )


def _check(chain: Chain, method: Method) -> DriftCheck:
    """The one-shot erasure of the union beside the sequence, on outputs of a fixed sample."""
    problem = chain.at_once
    once = erase(problem, method, seed=derived_seed(chain.seed, "at once", 0))
    generator = _generator(chain, 0)
    parts = [part.sample(_OUTPUTS, generator) for part in (problem.retain, problem.forget)]
    looked = chain.risk.subset(torch.cat([part.ids for part in parts]))
    now, then, first = (
        _logits(chain.task, looked, theta) for theta in (chain.theta, once.theta, problem.start)
    )
    return DriftCheck(
        distance=length(chain.theta - once.theta),
        first_distance=length(once.theta - problem.start),
        divergence=_divergence(now, then),
        first_divergence=_divergence(then, first),
        examples=looked.size,
        cost=once.cost,
    )


def _logits(task: Task, objective: EmpiricalRisk, theta: Tensor) -> Tensor | None:
    """Logits of decisions between classes; None for a task that makes none, or hides them."""
    if not objective.source.evaluation.shows_outputs:
        return None  # the loss on mappings is all that is seen
    outputs, targets = objective.outputs(theta)
    if task.decisions is None and not _of_classes(outputs, targets):
        return None
    return Outputs(*task.decided(outputs, targets)).logits


def _of_classes(outputs: Tensor, targets: Tensor) -> bool:
    """Whether these are logits `[n, k]` and classes `[n]`, not values of a regression."""
    one_each = outputs.ndim == 2 and targets.shape == outputs.shape[:1]
    return one_each and outputs.shape[1] > 1 and not targets.is_floating_point()


def _divergence(first: Tensor | None, second: Tensor | None) -> float | None:
    if first is None or second is None:
        return None
    return float(jensen_shannon(first, second).mean())


def _generator(chain: Chain, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(chain.seed, "drift", number))
