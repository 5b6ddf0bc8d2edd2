"""The first weights of a run: trained here, or trained elsewhere and adopted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from curenu.checks import size_of
from curenu.names import names_of
from curenu.networks import fingerprint, timed_training
from curenu.runs.adopting import Weights, adopted
from curenu.runs.folder_store import FolderStore
from curenu.runs.founding import describe
from curenu.runs.identity import absolute_reference
from curenu.runs.passed import packed
from curenu.runs.records import Keep, Value, pack
from curenu.runs.request import Progress, told
from curenu.runs.run import objective_of
from curenu.runs.store import RunStore
from curenu.runs.task_source import hashes_of, reference_from, vouch
from curenu.runs.together import FirstWrites
from curenu.settings import Seed, ZeroOrMore, fitted
from curenu.tasks import Task, build_task

__all__ = ["begun", "folder_of"]


def begun(
    store: str | Path | RunStore,
    task: str | Task,
    options: Mapping[str, Value],
    seed: int,
    keep: Keep,
    *,
    weights: Weights | None = None,
    checkpoints: int = 0,
    progress: Progress | None = None,
) -> tuple[RunStore, Task, str | None]:
    """A new run, on record with its first weights: (store, task, where the task is from).

    All that can be refused is, before anything is trained or written.
    """
    seed = fitted("seed", seed, Seed)
    checkpoints = fitted("checkpoints", checkpoints, ZeroOrMore)
    place = FolderStore(store) if isinstance(store, str | Path) else store
    writer = FirstWrites(place)
    writer.check_free()
    reference: str | None = None
    if isinstance(task, Task):
        loaded = task
    else:
        reference = absolute_reference(task)
        loaded, options = build_task(reference, options)
    names_of(loaded.ids, size_of(loaded.train))  # refuses ids that text cannot tell apart
    founding = describe(
        loaded,
        fingerprint(loaded, reference),
        reference and reference_from(reference, folder_of(place)),
        options,
        sources=hashes_of(reference),
        seed=seed,
        keep=keep,
    )
    model = loaded.initialise(founding.description.seed)
    if weights is not None:
        model = adopted(model, weights)
    pack(model.state_dict())
    objective_of(loaded, model)  # refuses what no request could use
    seconds, passed, files = None, (), []
    if weights is None:
        made = timed_training(
            loaded,
            founding.description.seed,
            progress=progress and told(progress),
            checkpoints=checkpoints,
        )
        model, seconds = made.model, made.seconds
        passed, files = packed(made.checkpoints)
    start = pack(model.state_dict())
    description, entry = founding.found(start, seconds, passed)
    with writer.exclusive():
        writer.create(description, entry, [start, *files])
    vouch(description)
    return place, loaded, reference


def folder_of(store: RunStore) -> Path:
    """Where the run lies, from which its task's file is found; here for one in no folder."""
    return store.folder if isinstance(store, FolderStore) else Path("run")
