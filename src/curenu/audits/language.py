"""What does a language model still say of what it was to forget?

Sources: Maini et al., "TOFU: A Task of Fictitious Unlearning for LLMs" (2024) for probability,
truth ratio, model utility and forget quality; Lin, "ROUGE" (2004); Wang et al., "Towards
Effective Evaluations and Comparisons for LLM Unlearning Methods" (ICLR 2025) for extraction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from curenu.audits.finding import Finding, share_finding, spread
from curenu.errors import BadRequest, IllPosed

__all__ = [
    "answer_probability",
    "choice_probability",
    "extraction_strength",
    "forget_quality",
    "model_utility",
    "rouge_recall",
    "truth_ratio",
    "truthfulness",
]

Array = NDArray[np.float64]


def answer_probability(name: str, answer: Array, *, reference: float | None = None) -> Finding:
    """Mean of P(a|q)^(1/|a|); `answer` `[n]` holds mean log-probabilities of answers' tokens."""
    return share_finding(name, np.exp(_checked(answer)), reference)


def choice_probability(
    name: str, answer: Array, wrong: Array, *, reference: float | None = None
) -> Finding:
    """Mean of P(a|q) over the sum of it and the wrong answers', each to the power 1/length.

    For questions with known wrong answers, `wrong` `[n, k]`: .5 for one that is as likely.
    """
    everything = np.column_stack([_checked(answer), _checked(wrong)])
    shares = np.exp(everything[:, 0] - np.logaddexp.reduce(everything, axis=1))
    return share_finding(name, shares, reference)


def rouge_recall(
    name: str, said: Sequence[str], answers: Sequence[str], *, reference: float | None = None
) -> Finding:
    """ROUGE-L recall: the share of an answer's words that were said in its order, mean.

    Words are runs of letters and digits, small; not stemmed, as TOFU's are.
    """
    if len(said) != len(answers) or not len(said):
        raise BadRequest(f"{len(said)} texts for {len(answers)} answers.", "one for each.")
    found = []
    for text, answer in zip(said, answers, strict=True):
        words, wanted = _words(text), _words(answer)
        if not wanted:
            raise BadRequest(f"The answer {answer!r} has no words.", "answers with words.")
        found.append(_common(words, wanted) / len(wanted))
    return share_finding(name, np.array(found), reference)


def truth_ratio(paraphrased: Array, perturbed: Array) -> Array:
    """R = mean_k P(wrong_k|q)^(1/|·|) / P(right, in other words|q)^(1/|·|), `[n]`.

    From mean log-probabilities `[n]` and `[n, k]`. Near 0: knows the truth; 1: does not.
    """
    paraphrased, perturbed = _checked(paraphrased), _checked(perturbed)
    if perturbed.ndim != 2 or len(perturbed) != len(paraphrased):
        raise BadRequest(
            f"Log-probabilities {paraphrased.shape} and {perturbed.shape}.", "[n] and [n, k]."
        )
    return np.exp(perturbed - paraphrased[:, None]).mean(1)


def truthfulness(name: str, ratios: Array, *, reference: float | None = None) -> Finding:
    """Mean of max(0, 1 − R): how far the truth is preferred to what is wrong."""
    return share_finding(name, np.maximum(0.0, 1.0 - _ratios(ratios)), reference)


def model_utility(figures: Sequence[float], *, reference: float | None = None) -> Finding:
    """Harmonic mean of probability, ROUGE-L recall and truthfulness on what must stay.

    TOFU has nine figures: on retained authors, real authors and facts of the world. 0 if
    one of them is 0.
    """
    values = np.asarray(figures, dtype=np.float64)
    if not values.size or not ((values >= 0) & (values <= 1)).all():
        raise BadRequest(f"Figures {values.tolist()}.", "one or more numbers from 0 to 1.")
    return Finding("model utility", float(stats.hmean(values)), None, reference)


def forget_quality(ratios: Array, oracles: Sequence[Array]) -> Finding:
    """p-value that truth ratios on the forget set are the retrained model's, by Kolmogorov-Smirnov.

    The median over `oracles`, the interval from the least to the largest, none with one. Above
    .05 the test cannot tell the two apart, which with few questions is no proof that they are
    equal.
    """
    if not oracles:
        raise BadRequest("No oracle.", "one model retrained on what stays, or more.")
    own, others = _ratios(ratios), [_ratios(oracle) for oracle in oracles]
    found = [float(stats.ks_2samp(own, other).pvalue) for other in others]  # type: ignore[attr-defined]
    return Finding("forget quality", float(np.median(found)), spread(found), 1.0)


def extraction_strength(name: str, right: Array, *, reference: float | None = None) -> Finding:
    """Mean share of an answer, at its end, that greedy decoding completes from what precedes.

    1 − k/|a|, k the least number of the answer's tokens from which the model goes on
    exactly. `right` `[n, t]` says whether each token is the likeliest after the true ones
    before it, NaN beyond the answer: from k on all are, and greedy decoding says just them.
    """
    shares = []
    for row in np.asarray(right, dtype=np.float64):
        known = row[~np.isnan(row)]
        if not known.size:
            raise BadRequest("An answer has no token.", "answers of one token or more.")
        if not np.isin(known, (0.0, 1.0)).all():
            raise BadRequest("Tokens that are neither right nor wrong.", "1, 0, NaN beyond.")
        wrong = np.flatnonzero(known == 0)
        shares.append(1.0 - (wrong[-1] + 1 if wrong.size else 0) / known.size)
    return share_finding(name, np.array(shares), reference)


def _checked(logs: Array) -> Array:
    logs = np.asarray(logs, dtype=np.float64)
    _require_finite("log-probabilities", logs)
    if not (logs <= 0).all():
        raise BadRequest("Log-probabilities that are none.", "numbers of 0 or less.")
    return logs


def _ratios(values: Array) -> Array:
    values = np.asarray(values, dtype=np.float64)
    _require_finite("truth ratios", values)
    if values.ndim != 1 or not (values >= 0).all():
        raise BadRequest("Truth ratios that are none.", "`truth_ratio`'s, [n], of 0 or more.")
    return values


def _require_finite(what: str, values: Array) -> None:
    if not values.size:
        raise BadRequest(f"No {what}.", "those of one question or more.")
    broken = np.argwhere(~np.isfinite(values))
    if len(broken):
        raise IllPosed(
            f"The {what} of question {broken[0][0]} are not finite.",
            "a model that did not diverge.",
        )


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row
        row = [0]
        for place, other in enumerate(second):
            row.append(before[place] + 1 if word == other else max(before[place + 1], row[-1]))
    return row[-1]
