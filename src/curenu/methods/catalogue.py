"""What each method costs and promises, in a few words: for lists."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ABOUT", "About"]


@dataclass(frozen=True)
class About:
    """`cost`: what an erasure grows with. `promise`: what comes with the result, if anything."""

    cost: str
    promise: str = "none"


_SAMPLED = About("samples; does not grow with the data", "convergence certificate, of a sample")
_PRODUCTS = About("one gradient and tens of products on D_r")
_EPOCHS = About("epochs over D_r")
_FORGET = About("epochs over D_f")
_PAIRED = About("epochs over D_f, as much of D_r")
_ROWS = About("1,000 vectors, a gradient each")

ABOUT: dict[str, About] = {
    "curenu": About("tens of products on D_r", "convergence certificate"),
    "stocurenu": _SAMPLED,
    "pseudo-inverse-newton": _PRODUCTS,
    "damped-newton": _PRODUCTS,
    "low-rank-newton": _PRODUCTS,
    "trust-region-newton": _PRODUCTS,
    "win-u": _PRODUCTS,
    "alt-eraser": About("tens of products on D_r a table"),
    "constrained-newton": About(
        "10,000 products of 10 examples", "(epsilon, delta) where its conditions hold"
    ),
    "fisher": About("a gradient of every retained example", "none; adds noise"),
    "fisher-forgetting": About("1,000 vectors, a gradient each", "none; adds noise"),
    "fisher-removal": _ROWS,
    "woodfisher": _ROWS,
    "k-fade": About("a few gradients of D_f, samples of D_r"),
    "l-codec": About("tens of products on samples, for each example of D_f"),
    "rewind-to-delete": About("the part of training that is rewound"),
    "online-removal": About(
        "nothing; in training a vector and a product a step for every tracked example",
        "(epsilon, delta) where the caller bounds the distance",
    ),
    "fine-tune": _EPOCHS,
    "l1-sparse": _EPOCHS,
    "scrub": _EPOCHS,
    "neg-grad-plus": _EPOCHS,
    "random-labels": About("epochs over all data"),
    "salun": About("epochs over all data"),
    "bad-teacher": About("epochs over D_f, part of D_r"),
    "gradient-ascent": _FORGET,
    "delete": _FORGET,
    "npo": _PAIRED,
    "grad-diff": _PAIRED,
    "soul": _PAIRED,
    "simu": _PAIRED,
    "anchored-sgd": About("samples; as stocurenu"),
    "anchored-adam": About("samples; as stocurenu"),
    "ssd": About("a squared gradient of every example"),
    "retrain": About("a training", "the oracle itself"),
}
