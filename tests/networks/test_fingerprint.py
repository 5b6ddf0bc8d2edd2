"""One fingerprint of a problem: every byte and label counts, and the words say what changed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from curenu.errors import BadRequest, RunBroken, UnsupportedModel
from curenu.networks import Fingerprint, fingerprint, refuse_other
from curenu.networks.content import content_digest
from curenu.tasks import Recipe, Task, load_task

SIZE = 120


class Listed(Dataset[Any]):
    """A dataset of given examples."""

    def __init__(self, examples: list[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, position: int) -> Any:
        return self.examples[position]


def numbers(dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    made = np.random.default_rng(0)
    return made.normal(size=(SIZE, 4, 3)).astype(dtype), made.integers(0, 5, SIZE)


def as_tensors(x: np.ndarray, y: np.ndarray) -> Dataset[Any]:
    return TensorDataset(torch.from_numpy(x), torch.from_numpy(y))


def as_pairs_of_arrays(x: np.ndarray, y: np.ndarray) -> Dataset[Any]:
    return Listed([(one, int(label)) for one, label in zip(x, y, strict=True)])


def as_mappings(x: np.ndarray, y: np.ndarray) -> Dataset[Any]:
    return Listed(
        [
            {"x": torch.from_numpy(one), "labels": int(label)}
            for one, label in zip(x, y, strict=True)
        ]
    )


def as_images(x: np.ndarray, y: np.ndarray) -> Dataset[Any]:
    pixels = np.ascontiguousarray(x).view(np.uint8).reshape(SIZE, 4, -1)
    return Listed(
        [(Image.fromarray(one), int(label)) for one, label in zip(pixels, y, strict=True)]
    )


def closing_over(weight: float) -> Any:
    return lambda outputs, targets: weight * functional.cross_entropy(outputs, targets)


FORMS = [as_tensors, as_pairs_of_arrays, as_mappings, as_images]


def task(train: Dataset[Any], **changes: Any) -> Task:
    made = Task(
        name="made",
        build=lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 5)),
        train=train,
        test=as_tensors(*numbers()),
        loss="cross_entropy",
        recipe=Recipe(1, 10, 0.1),
    )
    return dataclasses.replace(made, **changes)


def other_task(**changes: Any) -> Fingerprint:
    return fingerprint(task(as_tensors(*numbers()), **changes))


@pytest.mark.parametrize("form", FORMS)
def test_every_changed_byte_and_label_changes_the_digest(
    form: Callable[[np.ndarray, np.ndarray], Dataset[Any]],
) -> None:
    """Bytes, bits and labels are drawn at random, as no test can change each of them."""
    x, y = numbers()
    first = fingerprint(task(form(x, y)))
    assert fingerprint(task(form(x.copy(), y.copy()))) == first
    drawn = np.random.default_rng(1)
    for _ in range(15):
        changed = x.copy()
        place = int(drawn.integers(changed.nbytes))
        changed.view(np.uint8).reshape(-1)[place] ^= np.uint8(1 << int(drawn.integers(8)))
        found = fingerprint(task(form(changed, y)))
        assert first.changed(found) == ("data",)
        assert found.digest != first.digest
    for place in drawn.integers(0, SIZE, 15):
        labels = y.copy()
        labels[place] = (labels[place] + 1) % 5
        assert first.changed(fingerprint(task(form(x, labels)))) == ("labels",)


@pytest.mark.parametrize("form", FORMS)
def test_a_permutation_changes_the_digest_even_far_from_the_ends(
    form: Callable[[np.ndarray, np.ndarray], Dataset[Any]],
) -> None:
    x, y = numbers()
    order = np.arange(SIZE)
    order[[67, 68]] = order[[68, 67]]
    first = fingerprint(task(form(x, y)))
    assert "data" in first.changed(fingerprint(task(form(x[order], y[order]))))
    alike = np.zeros_like(x)  # examples that are equal but for their labels
    first, second = (fingerprint(task(form(alike, labels))) for labels in (y, y[::-1].copy()))
    assert first.changed(second) == ("labels",)


def test_large_arrays_are_not_hashed_by_what_is_printed_of_them() -> None:
    large = np.zeros(5000)
    other = large.copy()
    other[2500] = 1e-9
    assert repr(large) == repr(other)
    assert content_digest([large]) != content_digest([other])
    assert content_digest([large.astype(np.float32)]) != content_digest([large])
    assert content_digest([large.reshape(50, 100)]) != content_digest([large])


@pytest.mark.parametrize(
    "pair",
    [
        (["ab", "c"], ["a", "bc"]),
        ([["a"], "b"], [["a", "b"]]),
        ([1], ["1"]),
        ([1], [True]),
        ([1], [1.0]),
        ([None], ["None"]),
        ([0.0], [-0.0]),
        ([(1, 2)], [[1, 2]]),
        ([{"a": 1}], [{"a": 2}]),
        (["\ud800"], ["?"]),
        ([torch.zeros(2, dtype=torch.bfloat16)], [torch.zeros(2, dtype=torch.float16)]),
        ([np.array(["a", "b"], object)], [np.array(["ab", ""], object)]),
        ([torch.eye(3).to_sparse()], [torch.eye(3)]),
        ([Recipe(1, 2, 0.1)], [Recipe(1, 2, 0.2)]),
        ([functools.partial(functional.cross_entropy, label_smoothing=0.1)],
         [functools.partial(functional.cross_entropy, label_smoothing=0.2)]),
        ([closing_over(1.0)], [closing_over(2.0)]),
        ([nn.CrossEntropyLoss()], [nn.CrossEntropyLoss(label_smoothing=0.1)]),
        ([nn.CrossEntropyLoss(weight=torch.ones(3))],
         [nn.CrossEntropyLoss(weight=torch.eye(3)[0])]),
    ],
)  # fmt: skip
def test_different_contents_have_different_digests(pair: tuple[list[Any], list[Any]]) -> None:
    first, second = pair
    assert content_digest(first) == content_digest(first)
    assert content_digest(first) != content_digest(second)


def test_memory_layout_and_the_order_of_keys_do_not_count() -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    assert content_digest([whole.T.contiguous().T]) == content_digest([whole])
    assert content_digest([whole[:, ::2]]) == content_digest([whole[:, ::2].clone()])
    assert content_digest([np.asfortranarray(whole)]) == content_digest([whole.numpy()])
    assert content_digest([{"a": 1, "b": 2}]) == content_digest([{"b": 2, "a": 1}])
    itself: list[Any] = [1]
    itself.append(itself)
    assert content_digest([itself]) == content_digest([itself])


def test_what_cannot_be_seen_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="cannot be seen"):
        content_digest([iter([1])])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": Recipe(2, 10, 0.1)}, "the recipe (epochs was 1, is 2)"),
        ({"recipe": Recipe(1, 10, 0.1, weight_decay=0.0)},
         "the recipe (weight_decay was 0.0001, is 0.0)"),
        ({"build": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False))},
         "the network"),
        ({"build": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Dropout(0.1))},
         "the network"),
        ({"loss": nn.CrossEntropyLoss()},
         "the loss (was cross_entropy, is torch.nn.modules.loss.CrossEntropyLoss"),
        ({"ids": [f"person {i}" for i in range(SIZE)]}, "the examples' ids or groups"),
        ({"labels": torch.zeros(SIZE, dtype=torch.int64)}, "the labels"),
        ({"test": as_tensors(*(part[:10] for part in numbers()))}, "the test data"),
    ],
)  # fmt: skip
def test_the_words_say_what_changed(changes: dict[str, Any], words: str) -> None:
    first, second = other_task(), other_task(**changes)
    second = dataclasses.replace(second, source=first.source)  # an object's changes with `build`
    assert first.difference(second).startswith(words)
    assert ";" not in first.difference(second)
    with pytest.raises(RunBroken) as caught:
        refuse_other(first, second, "made")
    assert words in str(caught.value)
    assert first.difference(first) == ""
    refuse_other(first, first, "made")


def test_settings_of_a_network_and_weights_that_are_not_drawn_count() -> None:
    def built(probability: float, value: float) -> Callable[[], nn.Module]:
        def build() -> nn.Module:
            model = nn.Sequential(nn.Flatten(), nn.Dropout(probability), nn.Linear(12, 5))
            nn.init.constant_(model[2].bias, value)  # as weights from a file would be
            return model

        return build

    networks = {other_task(build=built(*of)).network for of in ((0.1, 0), (0.2, 0), (0.1, 1))}
    assert len(networks) == 3
    assert other_task(build=built(0.1, 0)).network in networks


def test_test_data_and_names_do_not_decide_the_weights() -> None:
    first = other_task()
    second = other_task(test=as_tensors(*(part[:9] for part in numbers())), ids=list(range(SIZE)))
    assert first.training == second.training
    assert first.digest != second.digest
    assert first.training != other_task(recipe=Recipe(2, 10, 0.1)).training


def test_a_users_file_counts_with_the_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import beside_own\nfrom curenu.tasks import load_task\n"
        "def made():\n    return load_task('digits')\n"
    )
    found = []
    for text in ("A = 1\n", "A = 2\n", "A = 1\n"):
        (tmp_path / "beside_own.py").write_text(text)
        reference = f"{tmp_path / 'own.py'}:made"
        found.append(fingerprint(load_task(reference), reference))
    assert found[0] == found[2]
    assert found[0].changed(found[1]) == ("source",)
    refuse_other(found[0], found[1], "own")  # whether it may be run was asked before it was
    with pytest.raises(BadRequest, match="was not run here"):
        fingerprint(load_task("digits"), f"{tmp_path / 'other.py'}:made")


def test_another_version_of_a_built_in_task_that_gives_the_same_may_be_opened() -> None:
    found = fingerprint(load_task("digits"), "digits")
    assert found.source.startswith("curenu ")
    older = dataclasses.replace(found, source="curenu 0.0.1 abc")
    assert older.changed(found) == ("source",)
    refuse_other(older, found, "digits")
    assert older.training != found.training  # but its networks are trained again
