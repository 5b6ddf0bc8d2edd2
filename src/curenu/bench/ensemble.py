"""Audits that need the cells of many networks: U-LiRA, KLoM, forgetting score, relearning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curenu.audits import (
    Finding,
    attack_findings,
    forgetting_score,
    klom_findings,
    relearning,
    unlearning_lira,
)
from curenu.bench.archive import Archive
from curenu.bench.cell import Cell
from curenu.bench.config import Audits
from curenu.errors import BadRequest, CurenuError
from curenu.report import NOTHING, ORACLE

__all__ = ["Ensemble", "ensembles", "run_ensemble"]

Record = dict[str, Any]
Margins = NDArray[np.float64]
Audit = Callable[[], list[Finding]]

_SETS = {"f": "forget", "r": "retain", "t": "test"}
_SIDE = 8  # models a side from which KLoM tells near from far


@dataclass(frozen=True)
class Ensemble:
    """The finished cells of a method on an erasure, and of the reference rows beside it."""

    erasure: str
    method: str
    own: tuple[Cell, ...]
    oracles: tuple[Cell, ...]
    nothing: tuple[Cell, ...]


def ensembles(records: list[Record]) -> list[Ensemble]:
    """One an erasure and method of which any cell is there."""
    good = [_cell(record) for record in records if "failed" not in record]

    def of(erasure: str, method: str) -> tuple[Cell, ...]:
        return tuple(c for c in good if (c.erasure, c.method) == (erasure, method))

    keys = dict.fromkeys((cell.erasure, cell.method) for cell in good)
    return [Ensemble(*key, of(*key), of(key[0], ORACLE), of(key[0], NOTHING)) for key in keys]


def run_ensemble(asked: Audits, archive: Archive, unit: Ensemble) -> Record:
    """The findings of one method on one erasure, and why any of them is missing.

    The models of a method are those of the first method seed on every trained network:
    others share their original. The oracles' row sets one half of them against the other.
    """
    audits: list[Audit] = []
    if asked.ensemble:
        audits += _over_networks(archive, unit)
    if asked.relearning:
        audits += _over_curves(archive, unit)
    findings, missing = _asked(audits)
    return {"findings": [finding.to_json() for finding in findings], "missing": missing}


def _over_networks(archive: Archive, unit: Ensemble) -> Iterator[Audit]:
    """U-LiRA, the forgetting score and KLoM on each set."""
    own = unit.own
    if unit.method != ORACLE:
        own = tuple(cell for cell in own if cell.seed == own[0].seed)
    models, oracles = (_margins(archive, cells) for cells in (own, unit.oracles))
    pair = models["forget"], oracles["forget"]
    if unit.method == ORACLE:
        pair = _halves(oracles["forget"])
    size = min(map(len, pair))
    yield lambda: attack_findings(
        "U-LiRA", unlearning_lira(*pair), torch.Generator().manual_seed(0)
    )
    yield lambda: [forgetting_score(pair[0][:size], pair[1][:size])]
    for letter, name in _SETS.items():
        yield lambda letter=letter, name=name: _divergence(letter, models[name], oracles[name])


def _divergence(letter: str, models: Margins, oracles: Margins) -> list[Finding]:
    """KLoM of one set; `BadRequest` for so few models that everyone has about its maximum."""
    side = min(len(models), len(oracles) // 2)
    if side < _SIDE:
        raise BadRequest(
            f"KLoM of {side} models against {side} has about its largest value for everyone.",
            f"{_SIDE} trained networks and {2 * _SIDE} oracles.",
        )
    return klom_findings(letter, models, oracles)


def _halves(margins: Margins) -> tuple[Margins, Margins]:
    half = len(margins) // 2
    return margins[:half], margins[half : 2 * half]


def _margins(archive: Archive, cells: tuple[Cell, ...]) -> dict[str, Margins]:
    """Margins `[models, n]` on each set, as the cells kept them."""
    kept = [archive.arrays(cell) for cell in cells]
    return {name: np.stack([k[name] for k in kept]).astype(np.float64) for name in _SETS.values()}


def _cell(record: Record) -> Cell:
    return Cell(
        record["erasure"],
        record["method"],
        record["trained"],
        record["seed"],
        tuple(record["arguments"].items()),
    )


def _curves(archive: Archive, cells: tuple[Cell, ...]) -> list[Record]:
    """The relearning curves that cells recorded."""
    found = [(archive.cell(cell) or {}).get("relearning") for cell in cells]
    return [curves for curves in found if curves]


def _over_curves(archive: Archive, unit: Ensemble) -> Iterator[Audit]:
    """Relearning against the oracles' curves, for each kind of lesson."""
    groups = (unit.own, unit.oracles, unit.nothing)
    mine, oracles, before = (_curves(archive, cells) for cells in groups)
    if not mine or not before:
        return
    alone = unit.method == ORACLE  # an oracle is not set against itself
    for lesson, curve in before[0].items():
        yield lambda lesson=lesson, level=curve[0][1]: _mean(
            relearning(
                lesson,
                curves[lesson],
                [o[lesson] for j, o in enumerate(oracles) if not (alone and i == j)],
                level,
            )
            for i, curves in enumerate(mine)
        )


def _mean(found: Iterable[list[Finding]]) -> list[Finding]:
    """The same findings of several models as one: means, and the widest interval."""
    means = []
    for group in zip(*found, strict=True):
        intervals = [finding.interval for finding in group if finding.interval is not None]
        lows, highs = zip(*intervals, strict=True) if intervals else ((), ())
        references = [f.reference for f in group if f.reference is not None]
        means.append(
            Finding(
                group[0].name,
                float(np.mean([finding.value for finding in group])),
                (min(lows), max(highs)) if intervals else None,
                float(np.mean(references)) if references else None,
            )
        )
    return means


def _asked(audits: Iterable[Audit]) -> tuple[list[Finding], list[str]]:
    """What the audits found, and the reasons of those that could not answer."""
    findings: list[Finding] = []
    reasons: list[str] = []
    for audit in audits:
        try:
            findings += audit()
        except CurenuError as error:
            reasons.append(str(error))
    return findings, list(dict.fromkeys(reasons))
