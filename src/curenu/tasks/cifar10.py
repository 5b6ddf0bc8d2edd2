"""CIFAR-10: 60,000 colour photographs in ten classes, 32 × 32 pixels."""

from __future__ import annotations

import functools
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import TensorDataset

from curenu.errors import BadRequest, MissingData
from curenu.tasks.found import DataFiles, check_count, choose, shared
from curenu.tasks.networks import ResNet18, ResNet20
from curenu.tasks.recipe import Recipe
from curenu.tasks.task import Task

__all__ = ["JPEG", "PICKLES", "cifar10"]

_VARIABLE = "CURENU_CIFAR10"
PICKLES = DataFiles(
    title="CIFAR-10",
    names=(*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
    variable=_VARIABLE,
    remedy="the data set's python version (cifar-10-batches-py), downloaded by you",
)
JPEG = DataFiles(
    title="CIFAR-10",
    names=("cifar10_jpeg.npz",),
    variable=_VARIABLE,
    remedy="an archive of JPEG images",
    places=shared("cifar10"),
)
_RECIPE = Recipe(epochs=15, batch_size=128, learning_rate=0.1, weight_decay=5e-4)
_NETWORKS = {"resnet20": ResNet20, "resnet18": ResNet18}
_SOURCES = {
    True: "CIFAR-10 (A. Krizhevsky, no licence stated), python batches in {}",
    False: "CIFAR-10 (A. Krizhevsky, no licence stated), re-encoded as JPEG with losses: "
    "figures differ slightly from those on the original; file in {}",
}

Bytes = NDArray[Any]
Part = tuple[Bytes, Callable[[Bytes], Bytes]]


def cifar10(
    *,
    network: str = "resnet20",
    examples: int | None = None,
    test_examples: int | None = None,
    folder: str | None = None,
    epochs: int | None = None,
) -> Task:
    """Ten kinds of photographs from a residual network, ResNet-20 or ResNet-18.

    Items are bytes that the network itself turns into floats; nothing is augmented, in
    training neither, so that an example is the same for training and for erasure. Images
    are shuffled once and for all; `examples` and `test_examples` keep the first so many.
    `folder` (or CURENU_CIFAR10) holds the six python batches or `cifar10_jpeg.npz`.

    Raises `MissingData` when neither is found, `BadRequest` for files that are not whole.
    """
    build = choose("network", network, _NETWORKS)
    place, pickled = _find(folder)
    x, y, x_test, y_test = _data(str(place), pickled, examples, test_examples)
    return Task(
        name="cifar10",
        build=build,
        train=TensorDataset(x, y),
        test=TensorDataset(x_test, y_test),
        loss="cross_entropy",
        recipe=_RECIPE.lasting(epochs),
        source=_SOURCES[pickled].format(place),
    )


def _find(folder: str | None) -> tuple[Path, bool]:
    """The folder, and whether it holds the python batches rather than JPEG images."""
    try:
        return JPEG.find(folder), False
    except MissingData:
        return PICKLES.find(folder), True


@functools.cache
def _data(
    place: str, pickled: bool, examples: int | None, test_examples: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images `[n, 3, 32, 32]` of bytes and classes of both parts; only what is kept is decoded."""
    found: list[Tensor] = []
    parts = (_pickled if pickled else _compressed)(Path(place))
    for (labels, decode), name, count in zip(
        parts, ("examples", "test_examples"), (examples, test_examples), strict=True
    ):
        if not len(labels) or not 0 <= labels.min() <= labels.max() <= 9:
            raise BadRequest(f"{place} has no images, or classes beyond 0 to 9.", "other files.")
        check_count(name, count, len(labels))
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        chosen = order[:count].numpy()
        pixels = np.ascontiguousarray(decode(chosen))
        found += [torch.from_numpy(pixels), torch.from_numpy(labels[chosen]).long()]
    return found[0], found[1], found[2], found[3]


def _compressed(folder: Path) -> list[Part]:
    """Classes of both parts, and how the JPEG images at positions are decoded."""
    path = folder / JPEG.names[0]
    try:
        with np.load(path, allow_pickle=False) as kept:
            data = kept["jpeg"].tobytes()
            ends, labels, is_train = kept["offsets"], kept["label"], kept["is_train"]
        if len(ends) != len(labels) + 1 or ends[-1] != len(data) or len(is_train) != len(labels):
            raise ValueError("its arrays do not fit each other")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadRequest(f"{path} cannot be read: {error}.", "bringing the file anew.") from error

    def part(numbers: Bytes) -> Part:
        def decode(chosen: Bytes) -> Bytes:
            places = [(ends[n], ends[n + 1]) for n in numbers[chosen]]
            return np.stack([_image(data[start:end], path) for start, end in places])

        return labels[numbers], decode

    return [part(np.flatnonzero(is_train)), part(np.flatnonzero(~is_train))]


def _image(data: bytes, path: Path) -> Bytes:
    """One image `[3, 32, 32]`."""
    from PIL import Image  # decoding is the only use of it

    try:
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        return pixels.reshape(32, 32, 3).transpose(2, 0, 1)
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path} has no such image: {error}.", "bringing it anew.") from error


def _pickled(folder: Path) -> list[Part]:
    """The same of the python batches, which hold the images themselves."""
    *batches, test = [_read_batch(folder / name) for name in PICKLES.names]
    pixels, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return [(labels, pixels.__getitem__), (test[1], test[0].__getitem__)]


def _read_batch(path: Path) -> tuple[Bytes, Bytes]:
    """Images and classes of a pickled batch, of which nothing but arrays is ever made."""
    try:
        with path.open("rb") as file:
            batch = _Arrays(file, encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3072):
            raise ValueError(f"images of {pixels.dtype} in the shape {pixels.shape}")
    except (OSError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise BadRequest(f"{path} is no batch of images: {error}.", "unpacking it anew.") from error
    return pixels.reshape(-1, 3, 32, 32), labels


class _Arrays(pickle.Unpickler):
    """Loads numbers, bytes, lists, dicts and NumPy arrays; refuses to run anything else."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            "_reconstruct": np.empty(0).__reduce__()[0],
            "ndarray": np.ndarray,
            "dtype": np.dtype,
        }
        if module.partition(".")[0] == "numpy" and name in known:
            return known[name]
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return lambda text, encoding: str.encode(text, encoding)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
