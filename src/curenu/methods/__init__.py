"""Ways to erase, one a file; each a frozen dataclass of its hyper-parameters."""

from __future__ import annotations

from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.methods.anchored_adam import AnchoredAdam
from curenu.methods.anchored_sgd import AnchoredSGD
from curenu.methods.curenu import CuReNU
from curenu.methods.damped_newton import DampedNewton
from curenu.methods.fine_tune import FineTune
from curenu.methods.pseudo_inverse_newton import PseudoInverseNewton
from curenu.methods.retrain import Retrain
from curenu.methods.stocurenu import StoCuReNU

__all__ = [
    "METHODS",
    "AnchoredAdam",
    "AnchoredSGD",
    "CuReNU",
    "DampedNewton",
    "FineTune",
    "PseudoInverseNewton",
    "Retrain",
    "StoCuReNU",
    "resolve_method",
]

METHODS: dict[str, type] = {
    "curenu": CuReNU,
    "stocurenu": StoCuReNU,
    "pseudo-inverse-newton": PseudoInverseNewton,
    "damped-newton": DampedNewton,
    "fine-tune": FineTune,
    "anchored-sgd": AnchoredSGD,
    "anchored-adam": AnchoredAdam,
    "retrain": Retrain,
}


def resolve_method(method: str | Method) -> Method:
    """The method of that name with its defaults; an object is returned as it is."""
    if not isinstance(method, str):
        if not callable(method) or isinstance(method, type):
            raise BadRequest(
                f"{method!r} is no method.",
                "a name or an object such as `StoCuReNU()`.",
            )
        return method
    if method not in METHODS:
        raise BadRequest(f"No method is named {method!r}.", f"{', '.join(METHODS)}.")
    return METHODS[method]()
