"""The audits of language models, from what their task measured of each model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curenu.audits import Finding
from curenu.audits.language import (
    answer_probability,
    choice_probability,
    extraction_strength,
    forget_quality,
    model_utility,
    rouge_recall,
    truth_ratio,
    truthfulness,
)

__all__ = ["language_findings", "speaks"]

Measured = Mapping[str, NDArray[Any]]
Figures = dict[str, Finding]


def speaks(measured: Measured) -> bool:
    """Whether these are the measures of a language model's task."""
    return "train/answer" in measured


def language_findings(
    measured: Measured, forget: Sequence[int], oracles: Sequence[Measured]
) -> list[Finding]:
    """Probability, ROUGE-L, truth ratio and extraction on f and r, utility, forget quality.

    `forget` are the positions erased; each figure's reference is the oracles' mean. What was
    measured are questions on the training set, and on further sets if the task has them;
    f is left out when no forgotten question was measured.
    """
    own, ratios = _figures(measured, forget)
    others = [_figures(oracle, forget) for oracle in oracles]

    def expected(name: str) -> float:
        return float(np.mean([figures[name].value for figures, _ in others]))

    found = [
        Finding(f.name, f.value, f.interval, expected(f.name), f.per_example) for f in own.values()
    ]
    if ratios is not None:
        found.append(forget_quality(ratios, [r for _, r in others if r is not None]))
    return found


def _figures(
    measured: Measured, forget: Sequence[int]
) -> tuple[Figures, NDArray[np.float64] | None]:
    """The figures of one model by name, and the truth ratios of the forget set."""
    gone = np.isin(measured["train/position"], list(forget))
    found: Figures = {}
    staying: list[str] = []
    ratios = None
    for letter, chosen in (("f", gone), ("r", ~gone)):
        if not chosen.any():
            continue
        part = {k.removeprefix("train/"): v[chosen] for k, v in measured.items() if "train/" in k}
        own = _of_part(letter, part, answer_probability)
        _add(found, own)
        _add(found, [extraction_strength(f"extraction {letter}", part["right"])])
        if letter == "r":
            staying += [finding.name for finding in own]
        else:
            ratios = truth_ratio(part["paraphrased"], part["perturbed"])
    for name in sorted({key.partition("/")[0] for key in measured} - {"train"}):
        part = {k.removeprefix(f"{name}/"): v for k, v in measured.items() if f"{name}/" in k}
        own = _of_part(
            name, part, lambda label, a, part=part: choice_probability(label, a, part["perturbed"])
        )
        _add(found, own)
        staying += [finding.name for finding in own]
    _add(found, [model_utility([found[name].value for name in staying])])
    return found, ratios


def _of_part(
    letter: str,
    part: Measured,
    probability: Callable[[str, NDArray[Any]], Finding],
) -> list[Finding]:
    ratios = truth_ratio(part["paraphrased"], part["perturbed"])
    return [
        probability(f"probability {letter}", part["answer"]),
        rouge_recall(f"ROUGE-L {letter}", part["said"].tolist(), part["reference"].tolist()),
        truthfulness(f"truthfulness {letter}", ratios),
    ]


def _add(found: Figures, own: list[Finding]) -> None:
    found.update({finding.name: finding for finding in own})
