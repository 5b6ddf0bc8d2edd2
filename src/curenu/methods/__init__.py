"""Ways to erase, one a file; each a frozen dataclass of its hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from curenu.erasure import Method
from curenu.errors import BadRequest
from curenu.methods.alt_eraser import AltEraser
from curenu.methods.anchored_adam import AnchoredAdam
from curenu.methods.anchored_sgd import AnchoredSGD
from curenu.methods.bad_teacher import BadTeacher
from curenu.methods.constrained_newton import ConstrainedNewton
from curenu.methods.curenu import CuReNU
from curenu.methods.damped_newton import DampedNewton
from curenu.methods.delete import DELETE
from curenu.methods.fine_tune import FineTune
from curenu.methods.fisher import Fisher
from curenu.methods.fisher_forgetting import FisherForgetting
from curenu.methods.fisher_removal import FisherRemoval
from curenu.methods.grad_diff import GradDiff
from curenu.methods.gradient_ascent import GradientAscent
from curenu.methods.k_fade import KFADE
from curenu.methods.l1_sparse import L1Sparse
from curenu.methods.l_codec import LCODEC
from curenu.methods.low_rank_newton import LowRankNewton
from curenu.methods.neg_grad_plus import NegGradPlus
from curenu.methods.npo import NPO
from curenu.methods.online_removal import OnlineRemoval
from curenu.methods.plain_callable import PlainCallable
from curenu.methods.pseudo_inverse_newton import PseudoInverseNewton
from curenu.methods.random_labels import RandomLabels
from curenu.methods.retrain import Retrain
from curenu.methods.rewind_to_delete import RewindToDelete
from curenu.methods.salun import SalUn
from curenu.methods.scrub import SCRUB
from curenu.methods.simu import SIMU
from curenu.methods.soul import SOUL
from curenu.methods.ssd import SSD
from curenu.methods.stocurenu import StoCuReNU
from curenu.methods.trust_region_newton import TrustRegionNewton
from curenu.methods.win_u import WINU
from curenu.methods.woodfisher import WoodFisher
from curenu.user_file import function_of, is_reference

__all__ = [
    "DELETE",
    "KFADE",
    "LCODEC",
    "METHODS",
    "NPO",
    "SCRUB",
    "SIMU",
    "SOUL",
    "SSD",
    "WINU",
    "AltEraser",
    "AnchoredAdam",
    "AnchoredSGD",
    "BadTeacher",
    "ConstrainedNewton",
    "CuReNU",
    "DampedNewton",
    "FineTune",
    "Fisher",
    "FisherForgetting",
    "FisherRemoval",
    "GradDiff",
    "GradientAscent",
    "L1Sparse",
    "LowRankNewton",
    "NegGradPlus",
    "OnlineRemoval",
    "PlainCallable",
    "PseudoInverseNewton",
    "RandomLabels",
    "Retrain",
    "RewindToDelete",
    "SalUn",
    "StoCuReNU",
    "TrustRegionNewton",
    "Unlearning",
    "WoodFisher",
    "resolve_method",
]

Unlearning = Callable[[Any, Any, Any, Any], Any]
"""(net, retain_loader, forget_loader, validation_loader) -> net."""

METHODS: dict[str, type] = {
    "curenu": CuReNU,
    "stocurenu": StoCuReNU,
    "pseudo-inverse-newton": PseudoInverseNewton,
    "damped-newton": DampedNewton,
    "low-rank-newton": LowRankNewton,
    "trust-region-newton": TrustRegionNewton,
    "constrained-newton": ConstrainedNewton,
    "fine-tune": FineTune,
    "anchored-sgd": AnchoredSGD,
    "anchored-adam": AnchoredAdam,
    "gradient-ascent": GradientAscent,
    "neg-grad-plus": NegGradPlus,
    "random-labels": RandomLabels,
    "scrub": SCRUB,
    "delete": DELETE,
    "npo": NPO,
    "grad-diff": GradDiff,
    "soul": SOUL,
    "simu": SIMU,
    "l1-sparse": L1Sparse,
    "salun": SalUn,
    "ssd": SSD,
    "bad-teacher": BadTeacher,
    "fisher": Fisher,
    "fisher-forgetting": FisherForgetting,
    "fisher-removal": FisherRemoval,
    "woodfisher": WoodFisher,
    "k-fade": KFADE,
    "win-u": WINU,
    "l-codec": LCODEC,
    "alt-eraser": AltEraser,
    "rewind-to-delete": RewindToDelete,
    "online-removal": OnlineRemoval,
    "retrain": Retrain,
}


def resolve_method(method: str | Method | Unlearning) -> Method:
    """The method of that name with its defaults; an object is returned as it is.

    A plain function, or one named as `file.py:function`, becomes a `PlainCallable`.
    """
    if isinstance(method, str):
        if is_reference(method):
            return PlainCallable(function_of(method))
        if method not in METHODS:
            raise BadRequest(
                f"No method is named {method!r}.", f"{', '.join(METHODS)} or file.py:function."
            )
        return METHODS[method]()
    if not callable(method) or isinstance(method, type):
        raise BadRequest(
            f"{method!r} is no method.",
            "a name, an object such as `StoCuReNU()`, or a function.",
        )
    if hasattr(method, "plan"):
        return cast(Method, method)
    return PlainCallable(cast(Unlearning, method))
