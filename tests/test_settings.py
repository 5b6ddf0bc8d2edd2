"""Numbers and words given as settings: fitted to their types or refused by name, everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch

from curenu import TrainingTime
from curenu.checkpoints import Checkpoint
from curenu.cubic import DescentSolver, EigenSolver, LanczosSolver
from curenu.errors import BadRequest
from curenu.methods import METHODS, PlainCallable
from curenu.newton.tuning import Tuning
from curenu.settings import Count, Seed, fitted
from curenu.tasks import Recipe

OTHERS: dict[str, Callable[..., Any]] = {
    "PlainCallable": PlainCallable,
    "Tuning": Tuning,
    "LanczosSolver": LanczosSolver,
    "DescentSolver": DescentSolver,
    "EigenSolver": EigenSolver,
    "TrainingTime": TrainingTime,
    "Recipe": Recipe,
    "Checkpoint": Checkpoint,
}
NEEDED: dict[str, dict[str, Any]] = {
    "PlainCallable": {"function": lambda *_: None},
    "Recipe": {"epochs": 1, "batch_size": 2, "learning_rate": 0.1},
    "Checkpoint": {"time": 1.0, "weights": {}},
}
BELOW_ZERO = {("rewind-to-delete", "checkpoint")}  # counted from the end
WITHOUT_END = {
    ("TrainingTime", "total"),
    ("Tuning", "large_bend"),
    ("Tuning", "large_harm"),
    ("Tuning", "large_fitted"),
}


def numeric() -> Iterator[tuple[str, str, bool]]:
    """(whose, which field, whether it counts) of every field that a plain number is for."""
    for name, kind in {**METHODS, **OTHERS}.items():
        hints = get_type_hints(kind)  # without the rules that are looked at here
        for field in fields(kind):  # type: ignore[arg-type]
            parts = [hints[field.name], *get_args(hints[field.name])]
            if str(hints[field.name]).startswith("tuple"):
                continue
            if int in parts or float in parts:
                yield name, field.name, int in parts


EVERY = list(numeric())


def made(name: str, **changes: Any) -> Any:
    kind: Any = {**METHODS, **OTHERS}[name]
    return kind(**NEEDED.get(name, {}) | changes)


def test_all_methods_are_walked() -> None:
    assert {name for name, _, _ in EVERY} >= METHODS.keys() - {"retrain"}
    assert len(EVERY) > 150


@pytest.mark.parametrize(("name", "field", "counts"), EVERY)
def test_what_is_no_such_number_is_refused_by_name(name: str, field: str, counts: bool) -> None:
    refused: list[Any] = [math.nan, np.float32("nan"), "a", True, np.True_, [1], 1j, b"1"]
    refused += [] if (name, field) in BELOW_ZERO else [-1, np.int64(-1)]
    refused += [] if (name, field) in WITHOUT_END else [math.inf]
    refused += [1.5, np.float64(1.5), 2.0] if counts else [-0.5]
    for value in refused:
        with pytest.raises(BadRequest, match=rf"\({field}=") as caught:
            made(name, **{field: value})
        assert caught.value.remedy


@pytest.mark.parametrize(("name", "field", "counts"), EVERY)
def test_scalars_of_numpy_and_torch_become_pythons_own(name: str, field: str, counts: bool) -> None:
    beside = {"total": 1.0} if field == "adaptive_batch" else {}
    plain = getattr(made(name, **beside), field)
    if not isinstance(plain, int | float):
        plain = 3 if counts else 0.5
    kinds: list[Any] = [np.int64] if counts else [np.float64]
    for scalar in [*(kind(plain) for kind in kinds), torch.tensor(plain, dtype=torch.float64)]:
        if isinstance(scalar, torch.Tensor) and counts:
            scalar = scalar.long()
        found = getattr(made(name, **{field: scalar}, **beside), field)
        assert type(found) is (int if counts else float)
        assert found == plain


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("soul", "betas", (0.9, 1.0)),
        ("soul", "betas", (0.9,)),
        ("soul", "betas", "ab"),
        ("soul", "betas", (math.nan, 0.5)),
        ("soul", "forgetting", "ascent"),
        ("soul", "forgetting", ["npo"]),
        ("curenu", "objective", "magic"),
        ("curenu", "tuning", 3),
        ("curenu", "penalty", "large"),
        ("stocurenu", "single_step", 1),
        ("stocurenu", "single_step", "yes"),
        ("constrained-newton", "without_guarantee", None),
        ("alt-eraser", "users", 3),
        ("Tuning", "first_factors", (1.0, "a")),
        ("Tuning", "large_agrees", (0.8,)),
        ("Tuning", "growth", 1),
        ("TrainingTime", "oracle", "same"),
        ("TrainingTime", "checkpoints", 3),
        ("TrainingTime", "checkpoints", ("a",)),
        ("Recipe", "optimizer", "lion"),
    ],
)
def test_words_tuples_and_parts_are_looked_at_too(name: str, field: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=rf"\({field}=") as caught:
        made(name, **{field: value})
    assert caught.value.remedy


def test_the_remedy_says_what_is_taken() -> None:
    with pytest.raises(BadRequest) as caught:
        made("low-rank-newton", max_products=0)
    assert str(caught.value) == (
        "LowRankNewton(max_products=0). Try: a whole number of 1 or more or None."
    )
    with pytest.raises(BadRequest) as caught:
        fitted("micro_batch_size", 2**70, Count)
    assert str(caught.value).startswith(f"micro_batch_size={2**70}. Try: a whole number")


@pytest.mark.parametrize("seed", [0, -1, -(2**63), 2**63 - 1, np.int64(3), np.uint64(3)])
def test_seeds_that_torch_takes(seed: Any) -> None:
    found = fitted("seed", seed, Seed)
    assert type(found) is int
    assert found == int(seed)
    torch.Generator().manual_seed(found)
    torch.Generator().manual_seed(found + 1)


@pytest.mark.parametrize("seed", [2**70, 2**63, -(2**63) - 1, 1.0, "1", None, True])
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(BadRequest, match="seed="):
        fitted("seed", seed, Seed)
