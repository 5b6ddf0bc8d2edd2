"""A model that was trained elsewhere: the same run as if it were trained here, and it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from curenu import Session
from curenu.compare import evaluate
from curenu.errors import BadRequest, CurenuError, IllPosed, MissingData
from curenu.runs.adopting import ADOPTED
from curenu.runs.verify import read_log, verify
from tests.runs.runs import ANN, BOB, SHORT, tiny, vector


def model() -> nn.Module:
    return tiny().train_model(3)


def saved(folder: Path) -> Path:
    path = folder / "model.safetensors"
    safetensors.torch.save_file(model().state_dict(), path)
    return path


def torch_saved(folder: Path, content: Any) -> Path:
    path = folder / "model.pt"
    torch.save(content, path)
    return path


WAYS: dict[str, Callable[[Path], Any]] = {
    "module": lambda folder: model(),
    "state dict": lambda folder: model().state_dict(),
    "safetensors": saved,
    "torch": lambda folder: torch_saved(folder, model().state_dict()),
    "checkpoint": lambda folder: torch_saved(
        folder, {"epoch": 3, "state_dict": model().state_dict()}
    ),
    "parallel": lambda folder: nn.DataParallel(model()),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_weights_to_the_bit(way: str, tmp_path: Path) -> None:
    session = Session.adopt(tmp_path / "run", tiny(), WAYS[way](tmp_path))
    assert torch.equal(vector(session.model), vector(model()))
    assert session.origin == ADOPTED
    again = Session.open(tmp_path / "run", tiny())
    assert again.origin == ADOPTED


def test_its_requests_are_those_of_a_run_that_was_trained_here(tmp_path: Path) -> None:
    here = Session.create(tmp_path / "here", tiny(), seed=3)
    there = Session.adopt(tmp_path / "there", tiny(), model(), seed=3)
    assert here.origin == ""
    results = [one.unlearn([ANN], SHORT, request="letter 1") for one in (here, there)]
    assert torch.equal(*(vector(result.model) for result in results))
    found = evaluate(there, 2, quiet)
    assert ADOPTED in found.missing
    assert ADOPTED not in evaluate(here, 2, quiet).missing
    retrained = [vector(one.retrain().model) for one in (here, there)]
    assert torch.equal(*retrained)
    there.unlearn([BOB], SHORT)
    head, log = read_log(there.store)
    assert log[0].method == "adopt"
    assert log[0].seconds == 0.0
    assert log[0].notes == (ADOPTED,)
    assert verify(there.store, head=head.hash) == (head, [])


@contextmanager
def quiet(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def pickled(folder: Path) -> Path:
    return torch_saved(folder, model())


REFUSED: dict[str, tuple[Callable[[Path], Any], type[CurenuError], str]] = {
    "no file": (lambda folder: folder / "none.pt", MissingData, "Cannot read"),
    "a program": (pickled, BadRequest, "is a program and is not run"),
    "no tensors": (lambda folder: torch_saved(folder, {"a": 1}), BadRequest, "no tensors by name"),
    "text": (lambda folder: Path(__file__), BadRequest, "neither a safetensors file"),
    "other names": (
        lambda folder: {"w": torch.zeros(2, 3), "bias": torch.zeros(2)},
        BadRequest,
        r"lack 1 .*first weight.*have 1 .*first w",
    ),
    "other shapes": (
        lambda folder: {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
        BadRequest,
        r"\[2, 4\], and \[2, 3\]",
    ),
    "NaN": (
        lambda folder: {"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)},
        IllPosed,
        "NaN",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_of_the_task_is_refused_and_nothing_is_written(
    name: str, tmp_path: Path
) -> None:
    made, error, words = REFUSED[name]
    with pytest.raises(error, match=words) as caught:
        Session.adopt(tmp_path / "run", tiny(), made(tmp_path))
    assert caught.value.remedy
    assert not (tmp_path / "run").exists()
