"""Audits that need the cells of many networks: U-LiRA, KLoM, forgetting score, relearning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from curenu.bench.cell import NOTHING, ORACLE, Cell
from curenu.bench.config import Config
from curenu.errors import CurenuError

__all__ = ["ensemble_audits"]

Record = dict[str, Any]
Margins = NDArray[np.float64]
Audit = Callable[[], list[Finding]]

_SETS = {"f": "forget", "r": "retain", "t": "test"}


def ensemble_audits(config: Config, archive: Archive, records: list[Record]) -> list[Record]:
    """One entry an erasure and method: its findings, and why any of them is missing.

    The models of a method are those of the first method seed on every trained network:
    others share their original. The oracles' row sets one half of them against the other.
    """
    good = [record for record in records if "failed" not in record]
    entries = []
    for erasure, method in dict.fromkeys((r["erasure"], r["method"]) for r in good):
        here = [record for record in good if record["erasure"] == erasure]
        own = [record for record in here if record["method"] == method]
        audits: list[Audit] = []
        if config.audits.ensemble:
            audits += _over_networks(archive, own, here)
        if config.audits.relearning:
            audits += _over_curves(own, here)
        findings, missing = _asked(audits)
        if findings or missing:
            entries.append(
                {
                    "erasure": erasure,
                    "method": method,
                    "findings": [finding.to_json() for finding in findings],
                    "missing": missing,
                }
            )
    return entries


def _over_networks(archive: Archive, own: list[Record], here: list[Record]) -> Iterator[Audit]:
    """U-LiRA, the forgetting score and KLoM on each set."""
    retrained = [record for record in here if record["method"] == ORACLE]
    if own[0]["method"] != ORACLE:
        own = [record for record in own if record["seed"] == own[0]["seed"]]
    models, oracles = ({s: _margins(archive, group, s) for s in _SETS.values()}
                       for group in (own, retrained))  # fmt: skip
    pair = _halves(oracles["forget"]) if own == retrained else (models["forget"], oracles["forget"])
    size = min(map(len, pair))
    yield lambda: attack_findings(
        "U-LiRA", unlearning_lira(*pair), torch.Generator().manual_seed(0)
    )
    yield lambda: [forgetting_score(pair[0][:size], pair[1][:size])]
    for letter, name in _SETS.items():
        yield lambda letter=letter, name=name: klom_findings(letter, models[name], oracles[name])


def _halves(margins: Margins) -> tuple[Margins, Margins]:
    half = len(margins) // 2
    return margins[:half], margins[half : 2 * half]


def _margins(archive: Archive, records: list[Record], name: str) -> Margins:
    """Margins `[models, n]` that the cells of these records kept."""
    kept = [archive.arrays(_cell(record))[name] for record in records]
    return np.stack(kept).astype(np.float64)


def _cell(record: Record) -> Cell:
    return Cell(
        record["erasure"],
        record["method"],
        record["trained"],
        record["seed"],
        tuple(record["arguments"].items()),
    )


def _over_curves(own: list[Record], here: list[Record]) -> Iterator[Audit]:
    """Relearning against the oracles' curves, for each kind of lesson."""
    curved = [record for record in here if "relearning" in record]
    mine = [record for record in own if "relearning" in record]
    before = next((r for r in curved if r["method"] == NOTHING), None)
    if not mine or before is None:
        return
    for lesson, curve in before["relearning"].items():
        yield lambda lesson=lesson, level=curve[0][1]: _mean(
            relearning(
                lesson,
                record["relearning"][lesson],
                [
                    other["relearning"][lesson]
                    for other in curved
                    if other["method"] == ORACLE and other is not record
                ],
                level,
            )
            for record in mine
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
