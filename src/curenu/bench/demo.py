"""The demo's configuration, on the data that is there."""

from __future__ import annotations

from curenu.bench.config import Config, TaskConfig, load_config
from curenu.errors import MissingData
from curenu.tasks import find_fashion_mnist

__all__ = ["demo_config"]


def demo_config(
    name: str, task: str | None = None, *, examples: int | None = None, quick: bool = False
) -> tuple[Config, str]:
    """The shipped configuration `name` on `task`, and which task it is and why, as a sentence.

    Fashion-MNIST if its files are found, otherwise digits, unless `task` says which.
    """
    _, config = load_config(name, smoke=quick)
    if task is None:
        try:
            why = f"its files are in {find_fashion_mnist()}"
            task = config.task.name
        except MissingData as missing:
            task, why = "digits", missing.problem.rstrip(".")
    else:
        why = "as asked"
    options = dict(config.task.options) if task == config.task.name else {}
    if examples is not None:
        options["examples"] = examples
    chosen = config.model_copy(update={"task": TaskConfig(name=task, options=options)})
    return chosen, f"Data: {task} ({why})."
