"""Requests made to do harm: the attack that makes them, and the screen that finds them."""

from curenu.attacks.influence import ExampleFigures, HoldoutInfluence
from curenu.attacks.membership import Membership, membership
from curenu.attacks.perturbation import Perturbed, perturb
from curenu.attacks.screen import Figure, Screen, Verdict

__all__ = [
    "ExampleFigures",
    "Figure",
    "HoldoutInfluence",
    "Membership",
    "Perturbed",
    "Screen",
    "Verdict",
    "membership",
    "perturb",
]
