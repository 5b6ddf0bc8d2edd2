"""Configured erasures: shares, classes, people, spoilt labels, rounds, validation."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from curenu.bench.config import ErasureConfig
from curenu.bench.request import draw
from curenu.errors import BadRequest
from curenu.tasks import Task, load_task


def erasure(kind: Any, **fields: Any) -> ErasureConfig:
    return ErasureConfig(name="e", kind=kind, **fields)


def people() -> Task:
    task = load_task("digits")
    return dataclasses.replace(task, groups=[i % 100 for i in range(1437)])


def test_rounds_deal_out_the_whole_request_without_repeating() -> None:
    whole = draw(load_task("digits"), erasure("random", share=0.1))
    parts = draw(load_task("digits"), erasure("random", share=0.1, rounds=5))
    assert [len(part) for part in parts.rounds] == [29, 29, 29, 29, 28]
    assert parts.forgotten(5) == whole.forgotten(1)
    assert len(parts.retained(2)) == 1437 - 58
    assert not set(parts.retained(5)) & set(parts.forgotten(5))
    assert parts.retained(0) == list(range(1437))


def test_classes_go_together_or_one_a_round() -> None:
    task = load_task("digits")
    (both,) = draw(task, erasure("classes", classes=(3, 8), share=0.5)).rounds
    assert set(task.classes[list(both)].tolist()) == {3, 8}
    first, second = draw(task, erasure("classes", classes=(3, 8), share=1.0, rounds=2)).rounds
    assert set(task.classes[list(first)].tolist()) == {3}
    assert set(task.classes[list(second)].tolist()) == {8}
    with pytest.raises(BadRequest, match="rounds"):
        draw(task, erasure("classes", classes=(3, 8), share=1.0, rounds=3))
    with pytest.raises(BadRequest, match="class 11"):
        draw(task, erasure("classes", classes=(11,), share=1.0))


def test_a_person_goes_whole_and_in_one_round() -> None:
    task = people()
    rounds = draw(task, erasure("groups", count=4, rounds=2)).rounds
    for part in rounds:
        persons = {task.groups[i] for i in part}  # type: ignore[index]
        assert len(persons) == 2
        assert set(part) == {i for i in range(1437) if i % 100 in persons}
    with pytest.raises(BadRequest, match="no groups"):
        draw(load_task("digits"), erasure("groups", count=1))


def test_spoilt_labels_are_other_classes_of_what_goes_and_of_nothing_else() -> None:
    clean = load_task("digits")
    request = draw(clean, erasure("mislabelled", share=0.05))
    moved = (request.task.classes != clean.classes).nonzero()[:, 0].tolist()
    assert moved == request.forgotten(1)
    assert len(moved) == 72
    assert int(request.task.classes.max()) == 9


@pytest.mark.parametrize(
    "config",
    [
        erasure("random", share=0.1),
        erasure("classes", classes=(3,), share=1.0),
        erasure("groups", count=5),
        erasure("groups", count=50),
        erasure("random", share=0.5),
        erasure("mislabelled", share=0.3),
        erasure("classes", classes=(3, 4), share=0.5),
        erasure("classes", classes=(0, 1, 2, 3, 4), share=1.0, rounds=5),
        erasure("random", share=0.1, rounds=10),
    ],
)
def test_tuning_looks_at_another_request_of_the_same_size(config: ErasureConfig) -> None:
    reported, other = (
        draw(people(), config, validation=v).forgotten(config.rounds) for v in (False, True)
    )
    assert not set(reported) & set(other)
    assert abs(len(reported) - len(other)) < 12


@pytest.mark.parametrize(
    "config",
    [
        erasure("random", share=0.6),
        erasure("mislabelled", share=0.51),
        erasure("groups", count=51),
        erasure("classes", classes=(0, 1, 2, 3, 4, 5), share=1.0),
    ],
)
def test_what_leaves_no_other_request_to_tune_on_is_refused(config: ErasureConfig) -> None:
    assert draw(people(), config).forgotten(1)
    with pytest.raises(BadRequest, match="left to tune on"):
        draw(people(), config, validation=True)
