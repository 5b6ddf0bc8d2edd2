"""A sequence of erasure requests on one run: the only writer of weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from curenu.checks import positions_of, size_of
from curenu.erasure import Erasure, Method, StepRecord
from curenu.errors import BadRequest, IllPosed
from curenu.facade import erase, with_parameters
from curenu.methods import resolve_method
from curenu.runs.drift import chain_of, measure
from curenu.runs.identity import (
    absolute_reference,
    data_digest,
    derived_seed,
    describe_method,
    describe_recipe,
)
from curenu.runs.records import (
    Anchoring,
    DriftRecord,
    Packed,
    RequestRecord,
    RunDescription,
    Value,
    digest,
    pack,
)
from curenu.runs.request import Progress, Request, counter, prepare
from curenu.runs.run import Run, objective_of
from curenu.runs.store import FolderStore
from curenu.tasks import Task, build_task, load_task

__all__ = ["Oracle", "Progress", "Request", "Session", "SessionResult", "counter"]


@dataclass(frozen=True)
class SessionResult:
    """The model after a request and its record; `repeated` when it had been granted before."""

    model: nn.Module
    record: RequestRecord
    repeated: bool = False


@dataclass(frozen=True)
class Oracle:
    """A model retrained without the erased examples, and the seconds its training took."""

    model: nn.Module
    seed: int
    seconds: float


class Session(Run):
    """A trained model and every request granted on it, kept in a run folder.

    The retain set of a request is what no granted request erased. A request that fails for
    any reason leaves the folder as it was; one killed in the middle leaves the last granted
    state, and the same request gives the same result when it is made again.
    """

    @classmethod
    def create(
        cls,
        folder: str | Path,
        task: str | Task,
        *,
        options: Mapping[str, Value] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Self:
        """Train `task` in a new run folder and keep its first weights.

        `task` is a name or `file.py:function`, loaded with `options` (words are made what
        their types say), or a `Task`, which `open` must then be given again. `progress` is told
        (done, total).

        Raises `RunBroken` for a folder that is not free and the errors of `EmpiricalRisk` for
        data, network and loss, before anything is computed; `IllPosed` when training diverges.
        """
        store = FolderStore(folder)
        store.check_free()
        if isinstance(task, Task):
            reference, loaded = None, task
        else:
            reference = absolute_reference(task)
            loaded, options = build_task(reference, options or {})
        objective_of(loaded, loaded.initialise(seed))  # refuses what no request could use
        start = time.perf_counter()
        model = loaded.train_model(seed, progress=progress)
        _check_finite(model)
        weights = pack(model.state_dict())
        description = RunDescription(
            task=reference,
            title=loaded.name,
            options=dict(options or {}),
            recipe=describe_recipe(loaded),
            seed=seed,
            examples=size_of(loaded.train),
            data=data_digest(loaded),
            start=weights.name,
            seconds=time.perf_counter() - start,
        )
        with store.exclusive():
            store.create(description, weights)
        return cls(store, loaded)

    @classmethod
    def open(cls, folder: str | Path, task: Task | None = None) -> Self:
        """Go on with the run in `folder`; `task` only if it was created from an object.

        Raises `RunBroken` when anything in the folder is missing, damaged or does not fit.
        """
        store = FolderStore(folder)
        description = store.description()
        if task is None:
            if description.task is None:
                raise BadRequest(
                    f"The run's task {description.title!r} was given as an object.",
                    "`Session.open(folder, task=...)` with the same task.",
                )
            task = load_task(description.task, **description.options)
        return cls(store, task)

    def prepare(
        self,
        forget: Sequence[Hashable] | Tensor,
        method: str | Method = "stocurenu",
        *,
        seed: int | None = None,
        only: str | Sequence[str] | None = None,
        anchor: Anchoring = "last",
        progress: Progress | None = None,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> Request:
        """Everything about a request that can be checked before it is run; nothing is written."""
        return prepare(
            self, forget, method, seed=seed, only=only, anchor=anchor, progress=progress,
            on_step=on_step,
        )  # fmt: skip

    def unlearn(
        self,
        forget: Sequence[Hashable] | Tensor,
        method: str | Method = "stocurenu",
        *,
        seed: int | None = None,
        request: str | None = None,
        only: str | Sequence[str] | None = None,
        anchor: Anchoring = "last",
        check_drift: int = 0,
        progress: Progress | None = None,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> SessionResult:
        """Erase the examples `forget` from the current model and put the request on record.

        `forget` are the task's ids, positions where it has none; `request` names the request:
        made again with the same ids it returns what is on record. `seed` is derived from the
        run's and the request's number unless given. The anchored objective is built at the
        last release, or with `anchor="first"` at the model that was last trained, over all
        that was erased since. Every `check_drift`-th request is compared with erasing all of
        it at once, at the cost of doing so; 0: none. `progress` is told (examples, at most).

        Raises an error of `curenu.errors` before anything is written.
        """
        if check_drift < 0:
            raise BadRequest(f"check_drift={check_drift}.", "0 for never, or every how many.")
        with self.store.exclusive():
            self.refresh()
            known = self._known(request, forget)
            if known is not None:
                return SessionResult(self.load(known.after), known, repeated=True)
            asked = self.prepare(
                forget, method, seed=seed, only=only, anchor=anchor, progress=progress,
                on_step=on_step,
            )  # fmt: skip
            erasure = erase(asked.problem, asked.method, seed=asked.seed)
            model = with_parameters(self.model, asked.risk.parameters, erasure.theta)
            weights = pack(model.state_dict())
            record = self._record(request, asked, erasure, weights)
            if not record.retrains:
                due = check_drift and (record.number - self.base) % check_drift == 0
                drift = measure(
                    chain_of(self, (*self.records, record), model),
                    anchored=asked.anchored,
                    once=asked.method if due else None,
                )
                record = record.model_copy(update={"drift": drift})
            self.store.commit(record, weights)
            self.refresh()
        return SessionResult(self.model, record)

    def drift(self, method: str | Method = "stocurenu", *, check: bool = True) -> DriftRecord:
        """Where the sequence stands now; nothing is written.

        With `check`, `method` erases all that went since the model was last trained at once,
        for comparison, at the cost of such a request. Raises `BadRequest` when nothing has
        been erased since.
        """
        self.refresh()
        if not self.records[self.base :]:
            raise BadRequest("Nothing was erased since the model was trained.", "a request first.")
        chosen = resolve_method(method)
        chain = chain_of(self, self.records, self.model)
        return measure(
            chain,
            anchored=chosen.plan(chain.at_once).anchored,
            once=chosen if check else None,
        )

    def oracle(self, number: int, *, progress: Progress | None = None) -> Oracle:
        """The `number`-th model retrained without what is erased; kept, trained only once."""
        seed = derived_seed(self.description.seed, "oracle", number)
        configuration = {
            "title": self.description.title,
            "data": self.description.data,
            "recipe": self.description.recipe,
            "seed": seed,
            "retained": digest(repr(self.retained).encode()),
        }
        with self.store.exclusive():
            kept = self.store.oracle(configuration)
            if kept is None:
                start = time.perf_counter()
                model = self.task.train_model(seed, ids=self.retained, progress=progress)
                _check_finite(model)
                record = self.store.keep_oracle(
                    configuration, pack(model.state_dict()), time.perf_counter() - start
                )
                return Oracle(model, seed, record.seconds)
        record, named = kept
        return Oracle(self.fit(named, "an oracle"), seed, record.seconds)

    def _record(
        self,
        request: str | None,
        asked: Request,
        erasure: Erasure,
        weights: Packed,
    ) -> RequestRecord:
        name, arguments = describe_method(asked.method)
        return RequestRecord(
            request=request or self._free_name(),
            number=len(self.records) + 1,
            positions=asked.positions,
            ids=tuple(self._id(position) for position in asked.positions),
            method=name,
            arguments=arguments,
            only=asked.only,
            seed=asked.seed,
            before=self.current,
            after=weights.name,
            status=erasure.status,
            cost=erasure.cost,
            update_norm=float((erasure.theta - asked.problem.start).double().norm()),
            certificate=erasure.certificate,
            trace=erasure.trace,
            notes=erasure.notes,
            anchor=asked.anchor,
            penalty_before=asked.problem.penalty,
            penalty=erasure.penalty,
        )

    def _known(
        self, request: str | None, forget: Sequence[Hashable] | Tensor
    ) -> RequestRecord | None:
        same = self.record_of(request)
        if same is None:
            return None
        positions = positions_of(forget, self.description.examples, ids=self.task.ids)
        if tuple(positions) != same.positions:
            raise BadRequest(
                f"Request {request!r} was granted before, for other ids.",
                "a new name for a new request.",
            )
        return same

    def _free_name(self) -> str:
        taken = {record.request for record in self.records}
        number = len(self.records) + 1
        while f"request-{number}" in taken:
            number += 1
        return f"request-{number}"

    def _id(self, position: int) -> int | str:
        name = position if self.task.ids is None else self.task.ids[position]
        return name if isinstance(name, int | str) else str(name)


def _check_finite(model: nn.Module) -> None:
    bad = [name for name, t in model.state_dict().items() if not t.isfinite().all()]
    if bad:
        raise IllPosed(
            f"Training ended in NaN or Inf, first in {bad[0]}.",
            "a smaller learning rate, or cleaning the data.",
        )
