"""Content is what the data set holds, to the last bit, or it is named."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import TensorDataset

from curenu.attacks import Membership, membership
from curenu.errors import BadRequest
from curenu.risks import EmpiricalRisk
from tests.problems import PROBLEMS

GONE = 5


@pytest.fixture(scope="module")
def risk() -> EmpiricalRisk:
    """17 examples of which the sixth is erased, and the first is there twice."""
    given = PROBLEMS["mlp"]()
    x, y = (tensor.clone() for tensor in given.dataset.tensors)  # type: ignore[attr-defined]
    x[9], y[9] = x[0], y[0]
    whole = EmpiricalRisk(given.model, TensorDataset(x, y), given.loss)
    return whole.subset([p for p in range(17) if p != GONE])


def content(risk: EmpiricalRisk, positions: list[int], nudged: int | None = None) -> EmpiricalRisk:
    x, y = (tensor[positions].clone() for tensor in risk.source.examples.tensors)
    if nudged is not None:
        x[nudged, 2] = torch.nextafter(x[nudged, 2], torch.tensor(9.0, dtype=x.dtype))
    return EmpiricalRisk(risk.module_at(risk.start), TensorDataset(x, y), "cross_entropy")


@pytest.mark.parametrize("claimed", [None, [8, 2, 11]])
def test_content_of_the_data_set_is_found_where_it_stands(risk, claimed) -> None:
    assert membership(risk, content(risk, [8, 2, 11]), claimed) == Membership((8, 2, 11))


def test_an_item_that_differs_in_one_bit_is_named(risk) -> None:
    changed = content(risk, [8, 2, 11], nudged=1)
    assert membership(risk, changed) == Membership((8, None, 11), unknown=(1,))
    assert membership(risk, changed, [8, 2, 11]) == Membership((8, None, 11), changed=(1,))


def test_an_item_that_is_no_longer_retained_is_unknown(risk) -> None:
    gone = content(risk, [3, GONE])
    assert membership(risk, gone).unknown == (1,)
    assert membership(risk, gone, [3, GONE]) == Membership((3, None), unknown=(1,))


def test_an_example_serves_one_item_and_equal_examples_one_each(risk) -> None:
    assert membership(risk, content(risk, [0, 9, 3])).positions == (0, 9, 3)
    again = membership(risk, content(risk, [0, 9, 0, 3, 3]))
    assert again.positions == (0, 9, None, 3, None)
    assert again.faults == (2, 4)


def test_a_changed_label_and_a_false_claim_are_changes(risk) -> None:
    x, y = (tensor[[8, 2]].clone() for tensor in risk.source.examples.tensors)
    y[0] = (y[0] + 1) % 3
    labelled = EmpiricalRisk(risk.module_at(risk.start), TensorDataset(x, y), "cross_entropy")
    assert membership(risk, labelled).unknown == (0,)
    assert membership(risk, content(risk, [8, 2]), [2, 8]).changed == (0, 1)


@pytest.mark.parametrize("claimed", [[1], [1, 99], [1, 1]])
def test_claims_that_cannot_be_meant_are_refused(risk, claimed) -> None:
    with pytest.raises(BadRequest):
        membership(risk, content(risk, [8, 2]), claimed)


def test_numbers_count_and_not_the_type_that_holds_them(risk) -> None:
    x, y = risk.source.examples.tensors
    single = EmpiricalRisk(
        risk.module_at(risk.start).float(), TensorDataset(x.float(), y), "cross_entropy"
    )
    wide = EmpiricalRisk(
        risk.module_at(risk.start),
        TensorDataset(x.float().double(), y.int().long()),
        "cross_entropy",
    )
    assert membership(single, wide).positions == (*range(9), 9, *range(10, 17))
