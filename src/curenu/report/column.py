"""The one home of headings: what stands above each figure, and what it means."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Column", "columns_of"]


@dataclass(frozen=True)
class Column:
    """A heading, the figure under it, and what it means in plain words.

    `judged` figures are compared with the oracles' own; the others describe. `counted` ones are
    whole numbers.
    """

    heading: str
    figure: str
    meaning: str
    digits: int = 2
    judged: bool = True
    counted: bool = False


def columns_of(*figures: str) -> tuple[Column, ...]:
    """The columns of the figures of these names, in their order."""
    return tuple(_BY_FIGURE[figure] for figure in figures)


_COLUMNS = (
    Column("model", "name", "Do nothing is the trained model, oracle one retrained.",
           judged=False),
    Column("Rf", "Rf", "Divergence from the oracles on the forget set, in units of the oracles' "
           "own; 1 is as close as two retrainings are to each other."),
    Column("Rr", "Rr", "Divergence from the oracles, as Rf, on the retain set."),
    Column("Rt", "Rt", "Divergence from the oracles, as Rf, on the test set."),
    Column("G acc", "G accuracy", "Part of the gap in forget accuracy between trained model and "
           "oracles that was closed; 1 is all, below 0 is further away than before."),
    Column("G loss", "G loss", "Part of the gap in mean loss on the forget set that was closed; 1 "
           "is all, below 0 is further away than before."),
    Column("G margin", "G margin", "Part of the gap in mean log odds of the right class that was "
           "closed."),
    Column("FA", "FA", "Accuracy on the forget set; aim at the oracle's, not at zero.", 3),
    Column("RA", "RA", "Accuracy on the retain set.", 3),
    Column("TA", "TA", "Accuracy on the test set.", 3),
    Column("ToW", "ToW", "Agreement of three accuracies with the oracles'; 1 is all.", 3),
    Column("JSD f", "JSD f", "Jensen-Shannon divergence of predictions from the oracles' on the "
           "forget set.", 4),
    Column("JSD r", "JSD r", "The same divergence as JSD f on the retain set.", 4),
    Column("JSD t", "JSD t", "The same divergence as JSD f on the test set.", 4),
    Column("RMIA", "RMIA AUC", "How well a membership attack tells forget from test examples; "
           "aim at the oracle's."),
    Column("RMIA TPR", "RMIA TPR", "Share of the forget examples that the attack finds while it "
           "takes 1 % of the test examples for members; aim at the oracle's."),
    Column("attack", "loss attack AUC", "How well losses below those of models that never saw "
           "them tell forget from test examples; aim at the oracle's."),
    Column("attack TPR", "loss attack TPR", "Share of the forget examples that this finds while "
           "it takes 1 % of the test examples for members; aim at the oracle's."),
    Column("Df", "Df", "Squared distance of the outputs from the oracles' on the forget set, in "
           "units of the oracles' own; 1 is as close as two retrainings are to each other."),
    Column("Dr", "Dr", "Squared distance from the oracles, as Df, on the retain set."),
    Column("Dt", "Dt", "Squared distance from the oracles, as Df, on the test set."),
    Column("loss f", "loss f", "Mean loss on the forget set; aim at the oracle's.", 4),
    Column("loss r", "loss r", "Mean loss on the retain set.", 4),
    Column("loss t", "loss t", "Mean loss on the test set.", 4),
    Column("U-LiRA", "U-LiRA AUC", "How well many models' margins tell unlearned from retrained "
           "models; 0.5 is not at all."),
    Column("KLoM", "KLoM 50 %", "Divergence of margins over many models, median of the forget "
           "examples; aim at the oracle's."),
    Column("F", "forgetting score", "Forgetting score of the NeurIPS 2023 challenge; aim at the "
           "oracle's."),
    Column("P f", "probability f", "Probability of the forgotten answers, a token; aim at the "
           "oracle's."),
    Column("Utility", "model utility", "Harmonic mean of answer probability, ROUGE-L and "
           "truthfulness on what stays."),
    Column("Quality", "forget quality", "p-value that truth ratios on the forget set are a "
           "retrained model's; above 0.05 the test cannot tell."),
    Column("|∇F|", "|∇F|", "Length of the gradient of what retraining minimises, on retained "
           "examples; near 0 at a minimum.", 3, judged=False),
    Column("λ min", "lambda_min", "Smallest eigenvalue of its Hessian; not below 0 at a "
           "minimum.", 3, judged=False),
    Column("|update|", "update_norm", "How far the weights moved.", 3, judged=False),
    Column("distance", "distance", "Mean distance of the weights from the oracles'; those of "
           "other seeds are far away where they predict alike.", 3, judged=False),
    Column("damping", "damping", "What was added to the curvature to keep steps short: the "
           "last value used, or found by the method.", 3, judged=False),
    Column("products", "products", "Hessian-vector products: how often curvature was measured "
           "along a direction.", judged=False, counted=True),
    Column("seconds", "seconds", "Wall-clock time.", judged=False),
    Column("÷ retrain", "ratio", "Seconds over those of one retraining.", 3, judged=False),
    Column("examples ÷", "examples ratio", "Examples passed over those of one retraining, each "
           "pass as one.", 3, judged=False),
    Column("weighted ÷", "weighted ratio", "Examples passed over those of one retraining, each "
           "weighted by its work: forward 1, gradient 3, product 5 or 8.", 3, judged=False),
)  # fmt: skip

_BY_FIGURE = {column.figure: column for column in _COLUMNS}
