"""The words of a report that are not everyday ones, each with its meaning and its place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TERMS", "Term"]


@dataclass(frozen=True)
class Term:
    """A word, the anchor of its definition on the page, and the definition."""

    word: str
    anchor: str
    meaning: str


TERMS = (
    Term("oracle", "oracle", "A network trained from the beginning on the retain set alone, so it "
         "never saw what was erased. An erased model should behave like one."),
    Term("do nothing", "nothing", "The trained model as it was before anything was erased."),
    Term("forget set", "forget", "The training examples that were to be erased."),
    Term("retain set", "retain", "The training examples that stay."),
    Term("test set", "test", "Examples that no model here was trained on."),
    Term("noise floor", "noise", "How far two oracles are from each other that differ in their "
         "random seed alone. Nothing can be asked to be closer to retraining than that."),
    Term("R", "R", "Distance from the oracles in units of the noise floor: 1 is as close as two "
         "retrainings are to each other, 3 is three times as far."),
    Term("G", "G", "The part of the gap between the trained model and the oracles that was "
         "closed: 1 is all of it, 0 is none, below 0 is further away than before. It is not "
         "measured where the gap is not above the noise floor."),
    Term("membership attack", "attack", "A program that is shown the model and an example, and "
         "guesses whether the model was trained on it. AUC is how often it ranks an erased "
         "example above a test example; 0.5 is blind guessing."),
    Term("interval", "interval", "± is half of a 95 % interval: over networks and seeds where "
         "there are several, otherwise over the examples."),
    Term("≫, ≪ and –", "signs", "≫ is above 100, ≪ below −100. A dash stands for what was not "
         "measured, and for G where the gap is not above the noise floor. The data files beside "
         "this page have every digit."),
    Term("÷ retrain", "cost", "Time that the erasure took over the time of one retraining: from 1 "
         "on, retraining would have been cheaper."),
)  # fmt: skip
