"""AltEraser against the closed form of alternating least squares."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.errors import BadRequest, UnsupportedModel
from curenu.methods import AltEraser
from tests.methods.test_rivals import problem_of
from tests.problems import Problem, generator, initialised

PEOPLE, FILMS, WIDTH, DECAY = 5, 6, 2, 0.1


class Factors(nn.Module):
    """p_u · q_i."""

    def __init__(self) -> None:
        super().__init__()
        self.person, self.film = nn.Embedding(PEOPLE, WIDTH), nn.Embedding(FILMS, WIDTH)

    def forward(self, pairs: Tensor) -> Tensor:
        person, film = pairs.unbind(1)
        return (self.person(person) * self.film(film)).sum(1, keepdim=True)


def ratings() -> tuple[Problem, Tensor, Tensor]:
    pairs = torch.cartesian_prod(torch.arange(PEOPLE), torch.arange(FILMS))
    stars = torch.randn(len(pairs), 1, generator=generator(4), dtype=torch.float64)
    model = initialised(Factors)
    return Problem(model, TensorDataset(pairs, stars), "mse", DECAY), pairs, stars


def settled(rows: Tensor, pairs: Tensor, stars: Tensor, by: int, count: int) -> Tensor:
    """Each row of one table by least squares on the other's `rows`, `[count, WIDTH]`."""
    eye = DECAY / 2 * len(pairs) * torch.eye(WIDTH, dtype=torch.float64)
    found = []
    for one in range(count):
        own = pairs[:, by] == one
        x, y = rows[pairs[own, 1 - by]], stars[own, 0]
        found.append(torch.linalg.solve(x.mT @ x + eye, x.mT @ y))
    return torch.stack(found)


def test_one_alternation_is_the_closed_form_and_an_erased_person_is_zero() -> None:
    given, pairs, stars = ratings()
    gone = torch.nonzero(pairs[:, 0] == 2).flatten().tolist()
    problem = problem_of(given, gone, weight_decay=DECAY)
    method = AltEraser(alternations=1, damping=0.0, max_products=20)
    erasure = method(problem, generator=generator())
    named = problem.retain.parameters.unflatten(erasure.theta)
    kept = torch.tensor([i for i in range(len(pairs)) if i not in gone])
    films = given.model.film.weight.detach()  # type: ignore[union-attr]
    people = settled(films, pairs[kept], stars[kept], 0, PEOPLE)
    torch.testing.assert_close(named["person.weight"], people, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(
        named["film.weight"], settled(people, pairs[kept], stars[kept], 1, FILMS)
    )
    assert float(named["person.weight"][2].abs().max()) < 1e-12


def test_what_no_block_names_stays_and_blocks_of_no_name_are_refused() -> None:
    given, *_ = ratings()
    problem = problem_of(given, [0, 1], weight_decay=DECAY)
    erasure = AltEraser(items="person*")(problem, generator=generator())
    films = problem.retain.parameters.unflatten(erasure.theta)["film.weight"]
    assert torch.equal(films, given.model.film.weight)  # type: ignore[union-attr, arg-type]
    with pytest.raises(UnsupportedModel, match=r"'user\*'.*`users=`.*person"):
        AltEraser("user*")(problem, generator=generator())
    with pytest.raises(BadRequest):
        AltEraser(alternations=0)
