"""A benchmark of digits that takes seconds, and what looks on while it runs."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curenu.bench import Config, load_config, run

TEXT = """
title = "small"
about = "a test"
duration = "seconds"
trained = [0, 1]
oracles = [10, 11]
tuning_budget = 2

[task]
name = "{task}"

[audits]
relearning = 4
stationarity = true

[[erasures]]
name = "tenth"
kind = "random"
share = 0.1

[[erasures]]
name = "two rounds"
kind = "classes"
classes = [3, 8]
share = 1.0
rounds = 2

[[methods]]
method = "fine-tune"
arguments = {{ epochs = 1 }}
grid = {{ learning_rate = [0.001, 0.01] }}

[[methods]]
method = "fine-tune"
label = "wild"
arguments = {{ epochs = 1, learning_rate = 1e8 }}
"""

SMALL = """
import dataclasses
from curenu.tasks import Recipe, Task, load_task

def digits():
    return dataclasses.replace(load_task("digits"), recipe=Recipe(3, 64, 0.1))
"""

DEADLY = """
import os, multiprocessing

def fatal(make):
    def made():
        task = make()
        class Dying(type(task)):
            def train_model(self, seed, **options):
                if seed == 11 and multiprocessing.parent_process():
                    os._exit(9)
                return super().train_model(seed, **options)
        fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
        return Dying(**fields)
    return made

digits = fatal(digits)
"""


def config(folder: Path) -> Config:
    (folder / "small.py").write_text(SMALL)
    (folder / "small.toml").write_text(TEXT.format(task=f"{folder / 'small.py'}:digits"))
    return load_config(str(folder / "small.toml"))[1]


@contextmanager
def quiet(_: str) -> Any:
    yield lambda done, total: None


class Stages:
    """Counts the units of every stage that were really run."""

    def __init__(self) -> None:
        self.told: dict[str, int] = {}

    @contextmanager
    def __call__(self, text: str) -> Any:
        def progress(done: int, _: int) -> None:
            self.told[text] = done

        yield progress


def made(folder: Path, **options: Any) -> dict[str, Any]:
    arguments = {"jobs": 1, "stage": quiet} | options
    return run(config(folder), "small", folder / "out", folder / "nets", **arguments)
