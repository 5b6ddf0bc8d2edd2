"""A sequence of erasure requests on one run: the only writer of weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from curenu.erasure import Method, StepRecord
from curenu.errors import BadRequest, RunMoved
from curenu.methods import resolve_method
from curenu.runs.drift import chain_of, measure
from curenu.runs.evidence import Entry, Head, Measures, RequestRecord, entry_of
from curenu.runs.folder_store import FolderStore
from curenu.runs.founding import describe
from curenu.runs.granting import check_finite, granted_before, retrained, tried
from curenu.runs.identity import absolute_reference, data_digest, derived_seed, method_of
from curenu.runs.purge import forgetting, retained_digest, to_dispose
from curenu.runs.records import Anchoring, DriftRecord, Keep, Packed, Value, pack
from curenu.runs.request import Asked, Progress, Request, counter, prepare, told
from curenu.runs.run import Fingerprint, Run, objective_of
from curenu.runs.store import RunStore
from curenu.runs.together import FirstWrites
from curenu.tasks import Task, build_task, load_task

__all__ = ["Oracle", "Progress", "Request", "Session", "SessionResult", "counter"]


@dataclass(frozen=True)
class SessionResult:
    """The current model and the record of what was asked for.

    `repeated` when the request had been granted before: `record` then says where, and `model`
    is the run's model now, which knows no more than what was granted since. `head` is the
    ledger's, to be kept elsewhere.
    """

    model: nn.Module
    record: RequestRecord
    head: Head
    repeated: bool = False

    @property
    def granted(self) -> bool:
        """Whether the examples left the retain set; a failed attempt changes nothing."""
        return self.record.granted


@dataclass(frozen=True)
class Oracle:
    """A model retrained without the erased examples, and the seconds its training took."""

    model: nn.Module
    seed: int
    seconds: float


class Session(Run):
    """A trained model and every request made on it, kept in a store, such as a run folder.

    The retain set of a request is what no granted request erased. A request that fails for
    any reason leaves the run as it was; one killed in the middle leaves the last record, and
    the same request gives the same result when it is made again. One whose method ended
    without a result that can be used is recorded as an attempt: its examples stay.
    """

    def __init__(
        self, store: RunStore, task: Task, *, fingerprint: Fingerprint = data_digest
    ) -> None:
        super().__init__(store, task, fingerprint=fingerprint)
        self._writer = FirstWrites(store)

    @classmethod
    def create(
        cls,
        store: str | Path | RunStore,
        task: str | Task,
        *,
        options: Mapping[str, Value] | None = None,
        seed: int = 0,
        keep: Keep = "all",
        progress: Progress | None = None,
    ) -> Self:
        """Train `task` in a new run folder, or any store, and keep its first weights.

        `task` is a name or `file.py:function`, loaded with `options` (words are made what
        their types say), or a `Task`, which `open` must then be given again. `keep` says which
        weights stay after each grant. `progress` is told (done, total).

        Raises `RunBroken` for a folder that is not free and the errors of `EmpiricalRisk` for
        data, network and loss, before anything is computed; `IllPosed` when training diverges.
        """
        place = FolderStore(store) if isinstance(store, str | Path) else store
        writer = FirstWrites(place)
        writer.check_free()
        if isinstance(task, Task):
            reference, loaded = None, task
        else:
            reference = absolute_reference(task)
            loaded, options = build_task(reference, options or {})
        founding = describe(loaded, reference, options or {}, seed, keep)
        untrained = loaded.initialise(founding.description.seed)
        pack(untrained.state_dict())
        objective_of(loaded, untrained)  # refuses what no request could use
        start = time.perf_counter()
        model = loaded.train_model(founding.description.seed, progress=progress and told(progress))
        check_finite(model)
        weights = pack(model.state_dict())
        description, entry = founding.found(weights, time.perf_counter() - start)
        with writer.exclusive():
            writer.create(description, entry, weights)
        return cls(place, loaded)

    @classmethod
    def open(cls, store: str | Path | RunStore, task: Task | None = None) -> Self:
        """Go on with the run in `store`; `task` only if it was created from an object.

        Raises `RunBroken` when anything in it is missing, damaged or does not fit.
        """
        place = FolderStore(store) if isinstance(store, str | Path) else store
        description = place.description()
        if task is None:
            if description.task is None:
                raise BadRequest(
                    f"The run's task {description.title!r} was given as an object.",
                    "`Session.open(folder, task=...)` with the same task.",
                )
            task = load_task(description.task, **description.options)
        return cls(place, task)

    def prepare(
        self,
        forget: Sequence[Hashable] | Tensor,
        method: str | Method = "stocurenu",
        *,
        seed: int | None = None,
        request: str | None = None,
        only: str | Sequence[str] | None = None,
        anchor: Anchoring = "last",
        progress: Progress | None = None,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> Request:
        """Everything about a request that can be checked before it is run; nothing is written."""
        return prepare(
            self, forget, method, seed=seed, request=request, only=only, anchor=anchor,
            progress=progress, on_step=on_step,
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
        accept: bool = False,
        check_drift: int = 0,
        progress: Progress | None = None,
        on_step: Callable[[StepRecord], None] | None = None,
    ) -> SessionResult:
        """Erase the examples `forget` from the current model and put the request on record.

        `forget` are the task's ids, positions where it has none; `request` names the request:
        made again with the same ids it returns the current model and the record that granted
        it. `seed` is derived from the run's and the record's number unless given. The anchored
        objective is built at the last release, or with `anchor="first"` at the model that was
        last trained, over all that was erased since. A result whose status is not ok is
        recorded as an attempt and the model stays, unless `accept` takes it as it is. Every
        `check_drift`-th request is compared with erasing all of it at once, at the cost of
        doing so; 0: none. `progress` is told (examples, at most) and may cancel.

        Raises an error of `curenu.errors` before anything is written.
        """
        _check_request(request, check_drift)
        with self._writer.exclusive():
            known = granted_before(self, request, forget)
            if known is not None:
                return SessionResult(self.model, known, self.head, repeated=True)
            asked = self.prepare(
                forget, method, seed=seed, request=request, only=only, anchor=anchor,
                progress=progress, on_step=on_step,
            )  # fmt: skip
            return self._put(*tried(self, asked, accept=accept, check_drift=check_drift))

    def perform(
        self, asked: str | Asked, *, accept: bool = False, progress: Progress | None = None
    ) -> SessionResult:
        """Run a request that was prepared elsewhere, as `Request.to_json` gave it.

        Raises `RunMoved` when the run holds other records than where it was prepared.
        """
        plan = Asked.model_validate_json(asked) if isinstance(asked, str) else asked
        ids = [self.task_id(position) for position in plan.positions]
        with self._writer.exclusive():
            known = self.record_of(plan.request)
            if known is not None and known.positions == plan.positions:
                return SessionResult(self.model, known, self.head, repeated=True)
            if plan.head != self.head.hash:
                raise RunMoved(
                    f"The request was prepared after record {plan.number - 1} "
                    f"({plan.head[:12]}), and the run is at {self.head.hash[:12]}.",
                    "preparing it again.",
                )
            request = self.prepare(
                ids, method_of(plan.method, plan.arguments), seed=plan.seed,
                request=plan.request, only=plan.only, anchor=plan.anchor, progress=progress,
            )  # fmt: skip
            return self._put(*tried(self, request, accept=accept, check_drift=0))

    def retrain(
        self,
        *,
        seed: int | None = None,
        without: Sequence[int] = (),
        progress: Progress | None = None,
    ) -> SessionResult:
        """Train anew without everything that was erased; the result is the current model.

        `without` are numbers of failed attempts whose examples are to be left out as well:
        they count as erased from then on. `seed` is derived from the run's and the record's
        number unless given. Raises `BadRequest` before training for numbers that name none.
        """
        with self._writer.exclusive():
            return self._put(*retrained(self, seed=seed, without=without, progress=progress))

    def purge(self, keep: Keep = "current", *, subjects: bool = False) -> RequestRecord | None:
        """Remove weights that saw what was erased, and put on record which; None if none are.

        The current weights stay, with `keep="base"` also those last trained, which the drift
        meter and `anchor="first"` need; oracles stay that were trained on what is retained
        now. `subjects` also deletes whom the requests were about: ids, names and salts go, the
        erased positions stay as one set that no longer says who asked for which.
        """
        with self._writer.exclusive():
            self._writer.clear()
            return self._dispose(keep, subjects=subjects)

    def drift(self, method: str | Method = "stocurenu", *, check: bool = True) -> DriftRecord:
        """Where the sequence stands now; nothing is written.

        With `check`, `method` erases all that went since the model was last trained at once,
        for comparison, at the cost of such a request. Raises `BadRequest` when nothing has
        been erased since.
        """
        if not self.ledger.since.requests:
            raise BadRequest("Nothing was erased since the model was trained.", "a request first.")
        chosen = resolve_method(method)
        chain = chain_of(self, self.model)
        return measure(
            chain,
            anchored=chain.known and chosen.plan(chain.at_once).anchored,
            once=chosen if check else None,
        )

    def oracle(self, number: int, *, progress: Progress | None = None) -> Oracle:
        """The `number`-th model retrained without what is erased; kept, trained only once.

        Others may write to the run while it is trained.
        """
        configuration = self._oracle_configuration(number)
        kept = self.store.oracle(configuration)
        if kept is not None:
            record, named = kept
            return Oracle(self.fit(named, "an oracle"), configuration["seed"], record.seconds)
        retained = self.retained
        start = time.perf_counter()
        model = self.task.train_model(
            configuration["seed"], ids=retained, progress=progress and told(progress)
        )
        check_finite(model)
        record = self._writer.keep_oracle(
            configuration, pack(model.state_dict()), time.perf_counter() - start
        )
        return Oracle(model, configuration["seed"], record.seconds)

    def _oracle_configuration(self, number: int) -> dict[str, Any]:
        return {
            "title": self.description.title,
            "data": self.description.data,
            "recipe": self.description.recipe,
            "seed": derived_seed(self.description.seed, "oracle", number),
            "retained": retained_digest(self),
        }

    def _put(self, entry: Entry, weights: Packed | None) -> SessionResult:
        """Commit a record, then dispose of what the run's policy does not keep."""
        self._writer.commit(entry, weights, head=entry.evidence.previous)
        if entry.evidence.granted:
            self._dispose(self.description.keep, subjects=False)
        return SessionResult(self.model, self.record(entry.line.number), self.head)

    def _dispose(self, keep: Keep, *, subjects: bool) -> RequestRecord | None:
        head, current = self.head, self.current
        disposed = to_dispose(self, keep)
        about, numbers = forgetting(self) if subjects else (None, ())
        if not disposed and not numbers:
            return None
        entry = entry_of(
            head,
            Measures(disposed=disposed),
            about,
            kind="disposal",
            before=current,
            after=current,
            forgot=bool(numbers),
            fingerprint=self.fingerprint,
        )
        self._writer.commit(entry, None, head=head.hash, forget=numbers)
        return self.record(entry.line.number)


def _check_request(request: str | None, check_drift: int) -> None:
    if request is not None and not request.strip():
        raise BadRequest("The request's name is empty.", "a name, or none to be given one.")
    if check_drift < 0:
        raise BadRequest(f"check_drift={check_drift}.", "0 for never, or every how many.")
