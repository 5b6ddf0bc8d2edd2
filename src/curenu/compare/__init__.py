"""Erased models compared with retrained ones, and what can be known before erasing."""

from __future__ import annotations

from curenu.compare.comparison import Comparison, Stage, compare, distance
from curenu.compare.conclusions import cheaper, conclusions
from curenu.compare.diagnosis import PROBES, TOLERANCE, Diagnosis, diagnose, diagnose_dense
from curenu.compare.erasing import Erased, erase_parts
from curenu.compare.estimate import Estimate, estimate
from curenu.compare.evaluation import Assessment, evaluate
from curenu.compare.membership import membership
from curenu.compare.references import References

__all__ = [
    "PROBES",
    "TOLERANCE",
    "Assessment",
    "Comparison",
    "Diagnosis",
    "Erased",
    "Estimate",
    "References",
    "Stage",
    "cheaper",
    "compare",
    "conclusions",
    "diagnose",
    "diagnose_dense",
    "distance",
    "erase_parts",
    "estimate",
    "evaluate",
    "membership",
]
