"""Questions asked of an unlearned model, one a file; none knows how it was made."""

from __future__ import annotations

from curenu.audits.accuracy import accuracy
from curenu.audits.attack import Attack, attack_findings, auc_interval, peers
from curenu.audits.both_models import both_models, change
from curenu.audits.closeness import closeness, noise_floors
from curenu.audits.distance import distance_to_oracles, update_norm
from curenu.audits.divergence import divergence, jensen_shannon
from curenu.audits.finding import Finding
from curenu.audits.forgetting_score import example_epsilons, forgetting_score
from curenu.audits.gap_closed import beyond_noise, closed_share, gap_closed, has_gap, margin
from curenu.audits.indistinguishability import indistinguishability, noise_floor
from curenu.audits.klom import klom, klom_findings, margin_divergence
from curenu.audits.lira import lira_scores, unlearning_lira
from curenu.audits.loss_gap import loss_gap
from curenu.audits.outputs import SETS, Outputs, Split
from curenu.audits.relearning import relearning, steps_to_recover
from curenu.audits.rmia import rmia, rmia_scores
from curenu.audits.stationarity import stationarity
from curenu.audits.tow import tow

__all__ = [
    "SETS",
    "Attack",
    "Finding",
    "Outputs",
    "Split",
    "accuracy",
    "attack_findings",
    "auc_interval",
    "beyond_noise",
    "both_models",
    "change",
    "closed_share",
    "closeness",
    "distance_to_oracles",
    "divergence",
    "example_epsilons",
    "forgetting_score",
    "gap_closed",
    "has_gap",
    "indistinguishability",
    "jensen_shannon",
    "klom",
    "klom_findings",
    "lira_scores",
    "loss_gap",
    "margin",
    "margin_divergence",
    "noise_floor",
    "noise_floors",
    "peers",
    "relearning",
    "rmia",
    "rmia_scores",
    "stationarity",
    "steps_to_recover",
    "tow",
    "unlearning_lira",
    "update_norm",
]
