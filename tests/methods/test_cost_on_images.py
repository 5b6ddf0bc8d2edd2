"""What a default erasure of 600 of 6,000 images passes and reads: the figures of the docs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch.utils.data import Dataset

import curenu
from curenu.errors import MissingData
from curenu.methods import StoCuReNU
from curenu.tasks import load_task

pytestmark = pytest.mark.slow


class Counted(Dataset[Any]):
    """Counts how often an item is read."""

    def __init__(self, data: Any) -> None:
        self.data, self.reads = data, 0

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        return self.data[index]


@pytest.mark.parametrize(
    ("method", "steps", "examples", "reads"),
    [(StoCuReNU(), 1, 36_000, 16_000), (StoCuReNU(single_step=False), 7, 72_000, 16_000)],
    ids=["the default", "steps alone"],
)
def test_it_passes_and_reads_few_examples(
    method: StoCuReNU, steps: int, examples: int, reads: int
) -> None:
    """Samples have not to grow in either."""
    try:
        task = load_task("fashion-mnist", examples=6000, epochs=3)
    except MissingData as missing:
        pytest.skip(str(missing))
    data = Counted(task.train)
    result = curenu.unlearn(
        task.train_model(0),
        data,
        task.loss,
        forget=range(0, 6000, 10),
        method=method,
        weight_decay=task.recipe.weight_decay,
        training=replace(task.training_time, passes=None),  # three epochs allow fewer
    )
    print(f"{result.cost.examples} examples passed, {data.reads} read, {result.notes}")
    assert result.status.ok
    assert len(result.trace) == steps
    assert result.cost.examples <= examples
    assert data.reads <= reads
