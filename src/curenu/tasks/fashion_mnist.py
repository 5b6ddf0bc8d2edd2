"""Fashion-MNIST: 70,000 images of clothes in ten classes, 28 × 28 pixels."""

from __future__ import annotations

import functools
import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from curenu.errors import BadRequest
from curenu.tasks.found import DataFiles, check_count, choose
from curenu.tasks.networks import LeNet, SmallCNN
from curenu.tasks.recipe import Recipe
from curenu.tasks.task import Task

__all__ = ["FILES", "fashion_mnist", "find_fashion_mnist"]

_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", 60_000),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", 10_000),
}
FILES = DataFiles(
    title="Fashion-MNIST",
    names=[name for image, label, _ in _FILES.values() for name in (image, label)],
    variable="CURENU_FASHION_MNIST",
    remedy="the Debian package dataset-fashion-mnist",
    places=(Path("/usr/share/datasets/fashion-mnist"),),  # the Debian package's
)
_MEAN, _DEVIATION = 0.2860, 0.3530  # of the training pixels
_RECIPE = Recipe(epochs=15, batch_size=128, learning_rate=0.05, weight_decay=1e-4)


def fashion_mnist(
    *,
    network: str = "cnn",
    examples: int | None = None,
    folder: str | None = None,
    epochs: int | None = None,
) -> Task:
    """Ten kinds of clothes from a convolutional network of 20,490 parameters, or a LeNet.

    `examples` keeps the first so many training images; `folder` (or the environment variable
    CURENU_FASHION_MNIST) holds the four IDX files.

    Raises `MissingData` when they are not found, `BadRequest` for files that are not whole.
    """
    build = choose("network", network, {"cnn": SmallCNN, "lenet": LeNet})
    place = str(find_fashion_mnist(folder))
    (x, y), (x_test, y_test) = _read(place, "train"), _read(place, "test")
    check_count("examples", examples, len(y))
    return Task(
        name="fashion-mnist",
        build=build,
        train=TensorDataset(x[:examples], y[:examples]),
        test=TensorDataset(x_test, y_test),
        loss="cross_entropy",
        recipe=_RECIPE.lasting(epochs),
        source=f"Fashion-MNIST (Zalando Research, MIT), files in {place}",
    )


def find_fashion_mnist(folder: str | None = None) -> Path:
    """The folder with the four files; `MissingData` names the package that has them."""
    return FILES.find(folder)


@functools.cache
def _read(place: str, part: str) -> tuple[Tensor, Tensor]:
    image_file, label_file, count = _FILES[part]
    pixels = _read_idx(Path(place) / image_file, (count, 28, 28))
    labels = _read_idx(Path(place) / label_file, (count,))
    images = torch.from_numpy(pixels).float().div_(255.0).sub_(_MEAN).div_(_DEVIATION)
    return images.unsqueeze(1), torch.from_numpy(labels).long()


def _read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An IDX file of bytes: two zeros, type 8, dimensions, sizes, then the data."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise BadRequest(f"{path} cannot be read: {error}.", "installing the data anew.") from error
    header = 4 + 4 * len(shape)
    sizes = tuple(int(size) for size in np.frombuffer(data[4:header], dtype=">u4"))
    whole = data[:4] == bytes([0, 0, 8, len(shape)]) and sizes == shape
    if not whole or len(data) != header + int(np.prod(shape)):
        raise BadRequest(
            f"{path} is not the IDX file of {shape[0]} items it should be.",
            "installing the data anew.",
        )
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()
