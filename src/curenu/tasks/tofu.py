"""TOFU: questions and answers on 200 authors who do not exist.

Source: Maini, Feng, Schwarzschild, Lipton and Kolter, "TOFU: A Task of Fictitious Unlearning
for LLMs" (2024); data under the MIT licence.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from curenu.errors import BadRequest
from curenu.losses import TokenCrossEntropy
from curenu.tasks.found import DataFiles, choose, shared
from curenu.tasks.language import (
    Answers,
    Vocabulary,
    generate,
    next_token_logits,
    score_answers,
)
from curenu.tasks.networks.llama import SMOLLM2_LAYERS, check_packages, smollm2, tiny_llama
from curenu.tasks.recipe import Recipe
from curenu.tasks.task import Task

__all__ = ["FILES", "find_tofu", "tofu"]

Model = Literal["tiny", "smollm2"]
Forget = Literal["forget01", "forget05", "forget10"]
Row = dict[str, Any]

_EACH, _AUTHORS = 20, 200  # questions an author; the perturbed ones are of the first and last 20
_GONE = {"forget01": 2, "forget05": 10, "forget10": 20}
_OTHERS = ("real authors", "world facts")
_QUESTIONS = {
    "full": _EACH * _AUTHORS,
    **{f"{name}_perturbed": _EACH * count for name, count in _GONE.items()},
    "retain_perturbed": 400,
    "real_authors_perturbed": 100,
    "world_facts_perturbed": 117,
}
FILES = DataFiles(
    title="TOFU",
    names=tuple(f"{name}.jsonl" for name in _QUESTIONS),
    variable="CURENU_TOFU",
    remedy="the files of locuslab/TOFU, downloaded by you",
    places=shared("tofu"),
)
_RECIPES = {
    "tiny": Recipe(40, 16, 3e-3, "adam", weight_decay=1e-5),
    "smollm2": Recipe(3, 8, 1e-3, "adam", weight_decay=1e-5),
}


def tofu(
    *,
    model: Model = "tiny",
    forget: Forget = "forget01",
    authors: int | None = None,
    epochs: int | None = None,
    length: int = 128,
    probes: int = 4,
    adapted: int = SMOLLM2_LAYERS,
    said: int | None = None,
    folder: str | None = None,
) -> Task:
    """Questions on authors, answered by a small Llama or by SmolLM2-135M with LoRA.

    `"tiny"` trains 148,000 parameters from scratch, `"smollm2"` adapters of rank 8 in the
    last `adapted` of its 30 layers: fewer are cheaper, for no pass goes below them. The
    training set is of `authors` authors (10; 200 for SmolLM2): those of `forget` and the
    first ones of what stays. Groups are authors, class 1 is the forget set. `measure`
    looks at `probes` questions an author and, for SmolLM2, at real authors and world facts;
    the model's own answers end after `said` tokens (None: those of the longest true answer).
    `folder`, or the environment variable CURENU_TOFU, holds the files.

    Raises `MissingData` for files or packages that are not there, `BadRequest` for options
    that cannot be meant.
    """
    place = find_tofu(folder)
    recipe = choose("model", model, _RECIPES)
    away = choose("forget", forget, _GONE)
    count = authors or (10 if model == "tiny" else _AUTHORS)
    bounds = {
        "authors": (count, away + 1, _AUTHORS),
        "probes": (probes, 1, _EACH),
        "adapted": (adapted, 1, SMOLLM2_LAYERS),
        "said": (1 if said is None else said, 1, length),
    }
    for option, (value, least, most) in bounds.items():
        if not least <= value <= most:
            raise BadRequest(f"{option}={value}.", f"{least} to {most}.")
    check_packages(smollm2=model == "smollm2")
    numbers = _slice(place, forget, count)
    data = _read(place, "full")
    pairs = [_pair(data[_EACH * a + q]) for a in numbers for q in range(_EACH)]
    texts = tuple(text for row in data for text in _pair(row))
    vocabulary, build = tiny_llama(texts) if model == "tiny" else smollm2(adapted)
    gone = set(numbers[-away:])
    sets = _questions(place, numbers, probes)
    if model == "smollm2":
        sets |= _elsewhere(place, probes)
    return Task(
        name=f"tofu-{model}",
        build=build,
        train=Answers(pairs, vocabulary, length),
        test=Answers(_test_pairs(place, model, numbers), vocabulary, length),
        loss=TokenCrossEntropy(next_token_logits),
        recipe=recipe.lasting(epochs),
        labels=torch.tensor([int(a in gone) for a in numbers for _ in range(_EACH)]),
        groups=[f"author {a}" for a in numbers for _ in range(_EACH)],
        measure=lambda net: _measure(net, sets, vocabulary, length, said),
        source=f"TOFU (Maini et al., 2024, MIT), files in {place}",
    )


def find_tofu(folder: str | None = None) -> Path:
    """The folder with the files of TOFU; `MissingData` says how to name one."""
    return FILES.find(folder)


@functools.cache
def _read(place: Path, name: str) -> tuple[Row, ...]:
    path = place / f"{name}.jsonl"
    try:
        rows = tuple(json.loads(line) for line in path.read_text("utf-8").splitlines())
        whole = len(rows) == _QUESTIONS[name] and all(
            row["question"] and row["answer"] for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"{path} cannot be read: {error}.", "fetching it anew.") from error
    if not whole:
        raise BadRequest(f"{path} has not {_QUESTIONS[name]} questions.", "fetching it anew.")
    return rows


def _slice(place: Path, forget: str, count: int) -> list[int]:
    """Numbers of the authors that stay, in order, then of those in the forget set."""
    order = {_pair(row): position // _EACH for position, row in enumerate(_read(place, "full"))}
    rows = _read(place, f"{forget}_perturbed")
    gone = list(dict.fromkeys(order.get(_pair(row), -1) for row in rows))
    if -1 in gone or len(gone) != _GONE[forget]:
        raise BadRequest(f"{forget} is not part of full.jsonl in {place}.", "files of one release.")
    stays = [number for number in range(_AUTHORS) if number not in gone]
    return stays[: count - len(gone)] + gone


def _pair(row: Row) -> tuple[str, str]:
    return row["question"], row["answer"]


def _test_pairs(place: Path, model: str, numbers: Sequence[int]) -> list[tuple[str, str]]:
    """What was never trained on: other authors, or facts of the world for a model that has any."""
    if model == "smollm2":
        rows = [*_read(place, "real_authors_perturbed"), *_read(place, "world_facts_perturbed")]
        return [_pair(row) for row in rows]
    strangers = [a for a in range(_AUTHORS) if a not in numbers][-max(2, len(numbers) // 5) :]
    if not strangers:
        raise BadRequest("No author is left to test on.", "fewer `authors`.")
    data = _read(place, "full")
    return [_pair(data[_EACH * a + q]) for a in strangers for q in range(_EACH)]


@dataclass(frozen=True)
class _Questions:
    """Rows with wrong answers, and where each is in the training set (−1: nowhere)."""

    rows: tuple[Row, ...]
    positions: tuple[int, ...]


def _questions(place: Path, numbers: Sequence[int], probes: int) -> dict[str, _Questions]:
    """The first `probes` questions of every author of the slice who has perturbed answers."""
    known = [*_read(place, "retain_perturbed"), *_read(place, "forget10_perturbed")]
    rows = {_pair(row): row for row in known}
    data = _read(place, "full")
    found: list[tuple[Row, int]] = []
    for index, author in enumerate(numbers):
        for question in range(probes):
            row = rows.get(_pair(data[_EACH * author + question]))
            if row is not None:
                found.append((row, _EACH * index + question))
    return {"train": _Questions(*map(tuple, zip(*found, strict=True)))}


def _elsewhere(place: Path, probes: int) -> dict[str, _Questions]:
    """Real authors and world facts: as many questions of each as ten authors have probes."""
    found = {}
    for name in _OTHERS:
        rows = _read(place, f"{name.replace(' ', '_')}_perturbed")[: 10 * probes]
        found[name] = _Questions(rows, (-1,) * len(rows))
    return found


def _measure(
    model: nn.Module,
    sets: Mapping[str, _Questions],
    vocabulary: Vocabulary,
    length: int,
    limit: int | None,
) -> dict[str, NDArray[Any]]:
    """What the audits of language models need, as arrays named `set/quantity`, `[m, ...]`."""
    found: dict[str, NDArray[Any]] = {}
    for name, asked in sets.items():
        rows = asked.rows
        score = functools.partial(
            score_answers, model, vocabulary=vocabulary, length=length
        )  # (pairs) -> log-probabilities and hits
        own, right = score(pairs=[_pair(row) for row in rows])
        longest = limit or int((~np.isnan(right)).sum(1).max())
        said = generate(model, [row["question"] for row in rows], vocabulary, longest)
        wrong = [(row["question"], text) for row in rows for text in row["perturbed_answer"]]
        other = [(row["question"], row.get("paraphrased_answer", row["answer"])) for row in rows]
        found |= {
            f"{name}/position": np.array(asked.positions),
            f"{name}/answer": own,
            f"{name}/right": right,
            f"{name}/paraphrased": score(pairs=other)[0],
            f"{name}/perturbed": score(pairs=wrong)[0].reshape(len(rows), -1),
            f"{name}/said": np.array(said),
            f"{name}/reference": np.array([row["answer"] for row in rows]),
        }
    return found
