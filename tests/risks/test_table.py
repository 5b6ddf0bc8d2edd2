"""Loss × target layout × dtype × model kind × batch form, against dense autograd in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from curenu.errors import BadRequest, CurenuError, UnsupportedModel
from curenu.risks import AnchoredRisk, EmpiricalRisk
from tests.risks.built import Built, built
from tests.risks.cells import (
    Cell,
    chosen,
    pairs_of,
    possible_pairs,
    refusal,
)
from tests.risks.dense import Dense
from tests.risks.given_losses import LOSSES

DECAY, LIMIT, FORGET = 0.03, 0.02, [1, 4, 8]
SIZES = (7, 1, 64)
ORDERS = ("products", "forward mode", "backward mode")
CLOSE = {"float64": 1e-8, "float32": 1e-4, "bfloat16": 2e-2, "float16": 1e-2}

COMPARED: dict[tuple[str, str], dict[object, Any]] = {}

RIGHT, REFUSED = chosen(False, 210), chosen(True, 0)


def risk_of(cell: Built, size: int) -> EmpiricalRisk:
    return EmpiricalRisk(
        cell.model,
        cell.dataset,
        cell.loss,
        weight_decay=DECAY,
        micro_batch_size=size,
        collate=cell.collate,
    )


def apart(found: Tensor, wanted: Tensor) -> float:
    """Distance relative to the right value's length."""
    return float((found.double() - wanted).norm() / wanted.norm())


def wanted_of(dense: Dense, theta: Tensor, away: Tensor, vector: Tensor) -> dict[str, Tensor]:
    made = {
        "value": dense.value(theta),
        "gradient": dense.gradient(theta),
        "Hessian product": dense.hessian_product(theta, vector),
        "anchored gradient at theta0": dense.anchored_gradient(theta, FORGET, LIMIT),
        "anchored gradient away": dense.anchored_gradient(away, FORGET, LIMIT),
    }
    if not dense.case.hidden:
        made["Gauss-Newton product"] = dense.gauss_newton_product(theta, vector)
    return {name: value.detach() for name, value in made.items()}


def found_of(risk: EmpiricalRisk, away: Tensor, vector: Tensor) -> dict[str, Tensor]:
    theta = risk.start
    away, vector = away.to(theta), vector.to(theta)
    anchored = AnchoredRisk(*risk.split(FORGET), theta, limit=LIMIT)
    made = {
        "value": risk.value(theta),
        "gradient": risk.gradient(theta),
        "Hessian product": risk.hvp(theta, vector),
        "anchored gradient at theta0": anchored.gradient(theta),
        "anchored gradient away": anchored.gradient(away),
    }
    if risk.source.evaluation.shows_outputs:
        linearised = risk.linearise(theta, curvature="gauss_newton")
        made["Gauss-Newton product"] = linearised @ vector
    return made


@pytest.mark.parametrize("cell", RIGHT, ids=str)
def test_a_cell_equals_dense_autograd_at_every_micro_batch_size(cell: Cell) -> None:
    made = built(cell)
    dense = Dense.of(made, LOSSES[cell.loss], DECAY)
    theta, generator = dense.start, torch.Generator().manual_seed(3)
    vector, step = torch.randn(2, len(theta), generator=generator, dtype=torch.float64)
    away = theta + 0.3 * step
    wanted = wanted_of(dense, theta, away, vector)
    compared = COMPARED.setdefault((cell.kind, cell.loss), {})
    for size in SIZES:
        risk = risk_of(made, size)
        known = risk.source.measured
        known.update(compared)  # the product's own check, once a kind: here the oracle says it
        found = found_of(risk, away, vector)
        compared |= {
            key: known[key] for key in known if isinstance(key, tuple) and key[0] in ORDERS
        }
        assert found.keys() == wanted.keys()
        off = {name: apart(found[name], wanted[name]) for name in wanted}
        assert max(off.values()) <= CLOSE[cell.dtype], f"micro-batch {size}: {off}"


@pytest.mark.parametrize("cell", REFUSED, ids=str)
def test_a_refused_cell_names_its_remedy(cell: Cell) -> None:
    words: Any = refusal(cell.loss, cell.layout)
    made = built(cell)
    with pytest.raises((BadRequest, UnsupportedModel), match=words) as caught:
        risk_of(made, 7)
    assert isinstance(caught.value, CurenuError)
    assert caught.value.remedy


def test_the_table_has_two_hundred_cells_and_every_pair_on_its_axes() -> None:
    print(f"{len(RIGHT)} cells compared with dense autograd, {len(REFUSED)} refused")
    assert len(set(RIGHT)) == len(RIGHT) >= 200
    for refused, cells in ((False, RIGHT), (True, REFUSED)):
        covered = {pair for cell in cells for pair in pairs_of(cell)}
        assert covered == possible_pairs(refused)
