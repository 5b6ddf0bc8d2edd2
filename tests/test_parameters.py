"""Which parameters move, and their flat vector."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from curenu.errors import BadRequest, IllPosed, UnsupportedModel
from curenu.parameters import ParameterSpace
from tests.problems import Tied, initialised, mlp


def test_flatten_and_unflatten_are_inverse() -> None:
    model = mlp().model
    space = ParameterSpace.of(model)
    theta = space.flatten(dict(model.named_parameters()))
    assert theta.shape == (space.dimension,) == (sum(p.numel() for p in model.parameters()),)
    for name, piece in space.unflatten(theta).items():
        torch.testing.assert_close(piece, dict(model.named_parameters())[name].detach())
        assert piece.untyped_storage().data_ptr() == theta.untyped_storage().data_ptr()


def test_tied_parameters_count_once_and_frozen_ones_not_at_all() -> None:
    space = ParameterSpace.of(initialised(Tied))
    assert space.names == ("encoder.weight", "decoder.bias")
    assert space.dimension == 20


def test_a_tied_parameter_is_found_under_its_other_name() -> None:
    assert ParameterSpace.of(initialised(Tied), only="decoder.weight").names == ("encoder.weight",)


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("2", ("2.weight", "2.bias")),
        ("*.bias", ("0.bias", "2.bias")),
        (["0.bias", "2.weight"], ("0.bias", "2.weight")),
        (lambda name: name.startswith("0"), ("0.weight", "0.bias")),
    ],
)
def test_only_takes_names_prefixes_patterns_and_predicates(only, names) -> None:
    assert ParameterSpace.of(mlp().model, only=only).names == names


def test_only_that_matches_nothing_is_refused() -> None:
    with pytest.raises(BadRequest, match="matches no parameter"):
        ParameterSpace.of(mlp().model, only="head")


def test_a_model_with_nothing_to_move_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="No parameter may move"):
        ParameterSpace.of(mlp().model.requires_grad_(False))


def test_the_vector_is_as_wide_as_the_widest_parameter_and_float32_at_least() -> None:
    mixed = ParameterSpace.of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()))
    assert mixed.dtype == torch.float64
    assert ParameterSpace.of(nn.Linear(2, 2).bfloat16()).dtype == torch.float32
    with pytest.raises(UnsupportedModel, match="several devices"):
        ParameterSpace.of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).to("meta")))


def test_weights_of_another_architecture_are_refused() -> None:
    space = ParameterSpace.of(nn.Linear(3, 2))
    with pytest.raises(BadRequest, match="shape"):
        space.flatten(dict(nn.Linear(4, 2).named_parameters()))
    with pytest.raises(BadRequest, match="missing"):
        space.flatten({"weight": torch.zeros(2, 3)})


@pytest.mark.parametrize(
    "vector", [torch.zeros(5), torch.zeros(8, 1), torch.zeros(8, dtype=torch.float64)]
)
def test_vectors_that_do_not_fit_are_refused(vector: torch.Tensor) -> None:
    with pytest.raises(BadRequest):
        ParameterSpace.of(nn.Linear(3, 2)).unflatten(vector)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_weights_are_named(value: float) -> None:
    space = ParameterSpace.of(nn.Linear(3, 2))
    theta = torch.zeros(8)
    theta[-1] = value
    with pytest.raises(IllPosed, match="bias"):
        space.check_finite(theta)
