"""One cell of the comparison: a method on a trained network and a request, audited."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from curenu.audits import Finding, Outputs, Split, margin
from curenu.bench.language import language_findings, speaks
from curenu.bench.relearn import relearning_curves
from curenu.bench.stationary import stationarity_findings
from curenu.bench.workshop import Training, Workshop
from curenu.compare import distance, erase_parts, membership
from curenu.cost import GRADIENT, Cost
from curenu.erasure import StepRecord
from curenu.networks import split_of
from curenu.report import NOTHING, ORACLE

__all__ = ["Cell", "Made", "run_cell"]

_STEPS = 100  # outer steps kept of a trace
_RETAINED = 2000  # margins kept of the retain set
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Cell:
    """Which method, with which arguments and seed, on which trained network and erasure.

    `method` is a title of the configuration, `NOTHING` or `ORACLE`; for an oracle `trained`
    is the network its G is measured from and `seed` its own.
    """

    erasure: str
    method: str
    trained: int
    seed: int
    arguments: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Made:
    """A cell's record for the JSON, and the arrays that audits over many cells need."""

    record: dict[str, Any]
    arrays: Arrays


def run_cell(shop: Workshop, cell: Cell) -> Made:
    """Erase and audit; every round of a sequence, then the union at once beside it."""
    if cell.method == NOTHING:
        found = shop.before(cell.erasure, cell.trained, last_round(shop, cell))
        return _audited(shop, cell, _first(shop, cell), found, {})
    if cell.method == ORACLE:
        own = shop.network(Training(cell.erasure, last_round(shop, cell), cell.seed))
        references = shop.references(cell.erasure, last_round(shop, cell))
        found = references.oracles[shop.config.oracles.index(cell.seed)]
        return _audited(shop, cell, own.model, found, {})
    request = shop.request(cell.erasure)
    steps: list[dict[str, Any]] = []

    def look(number: int, model: nn.Module, cost: Cost) -> None:
        if len(request.rounds) > 1:
            steps.append(_round(shop, cell, number, model, cost))

    model, made = _erased(shop, cell, request.rounds, look)
    audited = _audited(shop, cell, model, _split(shop, cell, model, len(request.rounds)), made)
    if steps:
        audited.record["rounds"] = steps
        audited.record["at once"] = _at_once(shop, cell, model)
    return audited


def _at_once(shop: Workshop, cell: Cell, model: nn.Module) -> dict[str, Any]:
    """The union erased in one request, and how far the sequence's `model` is from it."""
    last = last_round(shop, cell)
    union = (tuple(shop.request(cell.erasure).forgotten(last)),)
    whole, once = _erased(shop, cell, union)
    found = _split(shop, cell, whole, last)
    return {
        "findings": [finding.to_json() for finding in _closeness(shop, cell, found, last)],
        "cost": once["cost"],
        "ratio": once["cost"]["seconds"] / shop.references(cell.erasure, last).seconds,
        **_work(once["cost"], shop.references(cell.erasure, last).passes),
        "drift": distance(model, whole),
    }


def last_round(shop: Workshop, cell: Cell) -> int:
    """The number of the erasure's last round."""
    return shop.erasure(cell.erasure).rounds


def _erased(
    shop: Workshop,
    cell: Cell,
    parts: tuple[tuple[int, ...], ...],
    after: Callable[[int, nn.Module, Cost], None] | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """The model after every part was erased, each from the model the last one left."""
    chosen, request = shop.method(cell.method), shop.request(cell.erasure)
    first = _first(shop, cell)
    made = erase_parts(
        shop.risk(request, first),
        first,
        parts,
        chosen.make(dict(cell.arguments)),
        [cell.seed * 1000 + number for number in range(1, len(parts) + 1)],
        training=request.task.training_time,
        anchor=chosen.anchor,
        after=after,
    )
    last = made.results[-1]
    return made.model, {
        "status": last.status.name,
        "notes": list(dict.fromkeys(note for result in made.results for note in result.notes)),
        "cost": dataclasses.asdict(made.cost),
        "trace": [_numbers(step) for step in last.trace[:_STEPS]],
    }


def _audited(
    shop: Workshop, cell: Cell, model: nn.Module, found: Split, made: dict[str, Any]
) -> Made:
    """The record of a model with the outputs `found`; `made` is how an erasure went."""
    last = last_round(shop, cell)
    references = shop.references(cell.erasure, last)
    before = shop.before(cell.erasure, cell.trained, last)
    record: dict[str, Any] = {**dataclasses.asdict(cell), **made}
    record["arguments"] = dict(cell.arguments)
    record["retraining seconds"] = references.seconds
    record["ratio"] = 1.0 if cell.method == ORACLE else 0.0
    if made:
        record["ratio"] = made["cost"]["seconds"] / references.seconds
        record |= _work(made["cost"], references.passes)
    record["update_norm"] = distance(model, _first(shop, cell))
    findings = _closeness(shop, cell, found, last)
    findings.append(_away(shop, cell, model))
    findings += _language(shop, cell, model)
    if shop.config.audits.stationarity:
        risk = shop.risk(shop.request(cell.erasure), model)
        findings += stationarity_findings(risk, references.retain)
    if shop.config.audits.membership:
        attacked, curves = membership(found, _others(shop, cell, last), before)
        findings += attacked
        record["roc"] = curves
    if shop.config.audits.relearning and cell.trained == shop.config.trained[0]:
        request = shop.request(cell.erasure)
        record["relearning"] = relearning_curves(
            shop.risk(request, model),
            references,
            shop.config.audits.relearning,
            request.task.decisions,
        )
    record["findings"] = [finding.to_json() for finding in findings]
    return Made(record, _margins(found))


def _work(cost: dict[str, Any], passes: int) -> dict[str, float]:
    """Examples over those of a retraining's `passes`: each as one, and weighted by its work.

    A training step is a gradient. A method that counts nothing has no ratio.
    """
    return {
        name: spent / whole
        for name, spent, whole in (
            ("examples ratio", cost["examples"], passes),
            ("weighted ratio", cost["weighted"], GRADIENT * passes),
        )
        if spent
    }


def _language(shop: Workshop, cell: Cell, model: nn.Module) -> list[Finding]:
    """The audits of a language model, for a task that measures one; none for any other."""
    request = shop.request(cell.erasure)
    measured = request.task.measure(model) if request.task.measure else {}
    if not speaks(measured):
        return []
    last = last_round(shop, cell)
    seeds = [shop.config.oracles[place] for place in _rivals(shop, cell)]
    oracles = [shop.measured(Training(cell.erasure, last, seed)) for seed in seeds]
    return language_findings(measured, request.forgotten(last), oracles)


def _first(shop: Workshop, cell: Cell) -> nn.Module:
    """The network erased from."""
    return shop.network(Training(cell.erasure, 0, cell.trained)).model


def _split(shop: Workshop, cell: Cell, model: nn.Module, round_: int) -> Split:
    references = shop.references(cell.erasure, round_)
    return split_of(references.task, references.forget, references.retain, model)


def _rivals(shop: Workshop, cell: Cell) -> list[int]:
    """Places of the oracles that a cell is compared with: an oracle not with itself."""
    seeds = shop.config.oracles
    own = cell.seed if cell.method == ORACLE else None
    return [place for place, seed in enumerate(seeds) if seed != own]


def _others(shop: Workshop, cell: Cell, round_: int) -> list[Split]:
    references = shop.references(cell.erasure, round_)
    return [references.oracles[place] for place in _rivals(shop, cell)]


def _closeness(shop: Workshop, cell: Cell, found: Split, round_: int) -> list[Finding]:
    before = shop.before(cell.erasure, cell.trained, round_)
    own = shop.config.oracles.index(cell.seed) if cell.method == ORACLE else None
    return shop.references(cell.erasure, round_).findings(found, before, without=own)


def _round(shop: Workshop, cell: Cell, number: int, model: nn.Module, cost: Cost) -> dict[str, Any]:
    """Where the sequence stands after a round: closeness, cost so far, distance moved."""
    found = _split(shop, cell, model, number)
    references = shop.references(cell.erasure, number)
    return {
        "round": number,
        "findings": [finding.to_json() for finding in _closeness(shop, cell, found, number)],
        "seconds": cost.seconds,
        "ratio": cost.seconds / references.seconds,
        **_work(dataclasses.asdict(cost), references.passes),
        "update_norm": distance(model, _first(shop, cell)),
    }


def _away(shop: Workshop, cell: Cell, model: nn.Module) -> Finding:
    """The mean distance of the weights from the oracles'."""
    seeds = [shop.config.oracles[place] for place in _rivals(shop, cell)]
    last = last_round(shop, cell)
    oracles = [shop.network(Training(cell.erasure, last, seed)).model for seed in seeds]
    return Finding("distance", float(np.mean([distance(model, other) for other in oracles])))


def _numbers(step: StepRecord) -> dict[str, Any]:
    """A step's numbers, without what it did not measure."""
    return {key: value for key, value in dataclasses.asdict(step).items() if value is not None}


def _margins(found: Split) -> Arrays:
    """Margins, `[n]`: small enough to keep of every cell; 2,000 of the retain set, spaced."""

    def of(part: Outputs) -> NDArray[Any]:
        return margin(part).float().numpy()

    retain = of(found.retain)
    kept = retain[:: max(1, -(-len(retain) // _RETAINED))]
    return {"forget": of(found.forget), "retain": kept, "test": of(found.test)}
